//! What is known of a person: the form that OpenID Connect Core §5.1 demands of the standard claims. Whether one is true
//! nobody here can tell.

use super::openid;
use serde_json::{Map, Value};

/// Refuses claims that may not go out as they stand. Others than the standard ones are as they are.
pub fn check(claims: &Map<String, Value>) -> Result<(), &'static str> {
    for (name, value) in claims {
        let (fits, why) = match (name.as_str(), value) {
            ("email", Value::String(text)) => (is_address(text), "email is not as of RFC 5322 section 3.4.1"),
            ("email_verified" | "phone_number_verified", _) => {
                (value.is_boolean(), "it is verified or not: true or false")
            }
            ("updated_at", _) => (value.is_number(), "updated_at is a number"),
            ("address", _) => (value.is_object(), "address is an object"),
            (name, _) => {
                (value.is_string() || openid::claims().all(|own| own != name), "what is standard is a string")
            }
        };
        if !fits {
            return Err(why);
        }
    }
    let verified = claims.get("phone_number_verified") == Some(&Value::Bool(true));
    match claims.get("phone_number") {
        Some(Value::String(number)) if verified && !is_international(number) => {
            Err("phone_number is verified, and not as of E.164, such as +44 20 7946 0000")
        }
        _ => Ok(()),
    }
}

/// `addr-spec` of atoms (RFC 5322 §3.2.3, §3.4.1): nothing quoted, no comments, no literal addresses.
fn is_address(text: &str) -> bool {
    let (mut begun, mut ats) = (false, 0);
    for byte in text.bytes() {
        let separates = matches!(byte, b'.' | b'@');
        let fits = match byte {
            b'.' | b'@' => begun,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'/' | b'=' | b'?' | b'^'..=b'`' | b'{'..=b'~' => true,
            _ => byte.is_ascii_alphanumeric(),
        };
        if !fits {
            return false;
        }
        (begun, ats) = (!separates, ats + usize::from(byte == b'@'));
    }
    begun && ats == 1
}

/// E.164, with separators that people read by, and perhaps an extension (RFC 3966 §3).
fn is_international(text: &str) -> bool {
    let (number, extension) = text.split_once(";ext=").unwrap_or((text, "0"));
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    (1..=15).contains(&digits)
        && number.strip_prefix('+').is_some_and(|rest| {
            rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b' ' | b'-' | b'.' | b'(' | b')'))
        })
        && !extension.is_empty()
        && extension.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::json;

    fn is_good(name: &str, value: &Value) -> bool {
        check(&Map::from_iter([(name.to_owned(), value.clone())])).is_ok()
    }

    #[test]
    fn an_address_is_an_addr_spec() {
        for good in ["a@b.test", "a.b+c@b", "o'neil@x-y.test", "!#$%&*/=?^_`{|}~@b"] {
            assert!(is_good("email", &json!(good)), "{good}");
        }
        for bad in [
            "",
            "a",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            ".a@b",
            "a..b@c",
            "a@b.",
            "A <a@b>",
            "a@b\n",
            "ä@b",
            "\"a\"b\"@c",
        ] {
            assert!(!is_good("email", &json!(bad)), "{bad}");
        }
        assert!(!is_good("email", &json!(7)));
    }

    #[test]
    fn a_number_that_is_verified_is_one_of_e_164() {
        let check = |number: &str, verified: bool| {
            let claims = json!({ "phone_number": number, "phone_number_verified": verified });
            check(claims.as_object().unwrap()).is_ok()
        };
        for good in ["+442079460000", "+1 (425) 555-1212", "+1.604.555.1234;ext=5678"] {
            assert!(check(good, true), "{good}");
        }
        for bad in ["", "020 7946 0000", "+", "+1x", "+1234567890123456", "+1;ext=", "+1;ext=x", "+1 ext 2"] {
            assert!(!check(bad, true) && check(bad, false), "{bad}");
        }
    }

    #[test]
    fn standard_claims_have_the_types_of_the_specification_and_others_any() {
        for (name, good, bad) in [
            ("name", json!("Alice"), json!(["Alice"])),
            ("birthdate", json!("1865-07-04"), json!(1865)),
            ("email_verified", json!(true), json!("true")),
            ("updated_at", json!(1_800_000_000), json!("yesterday")),
            ("address", json!({ "country": "UK" }), json!("Oxford")),
        ] {
            assert!(is_good(name, &good) && !is_good(name, &bad), "{name}");
        }
        assert!(is_good("shoe_size", &json!([36])) && is_good("name#de", &json!(1)));
    }
}
