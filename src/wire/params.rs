//! Parameters: `application/x-www-form-urlencoded`, read strictly (RFC 6749 §3.1, §3.2 and Appendix B).

use super::Request;
use crate::error::{Code, Error};
use crate::list::List as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// More parameters than any request of OAuth has; a bound on the work of looking for repeated ones.
const MOST: usize = 128;

/// Everything but the unreserved characters of RFC 3986 §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The parameters of one request. No name stands twice, but for those that may.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// The parameters of a form body: 415 for another type, 413 for a body over the limit.
    pub fn of_form(request: &Request, repeatable: &[&str]) -> Result<Self, Error> {
        if !request.is_of_type("application/x-www-form-urlencoded") {
            let detail = "the body must be application/x-www-form-urlencoded";
            return Err(Error::new(Code::UnsupportedMediaType, detail));
        }
        let body = request.body.as_deref();
        let body = body.ok_or_else(|| Error::new(Code::ContentTooLarge, "the body is larger than 64 KiB"))?;
        Self::parse(body, repeatable)
    }

    /// The parameters of the query.
    pub fn of_query(request: &Request, repeatable: &[&str]) -> Result<Self, Error> {
        Self::parse(request.query.as_bytes(), repeatable)
    }

    /// Reads pairs. Malformed percent-encoding, bad UTF-8 and repeated names are refused (RFC 6749 §3.1).
    ///
    /// A parameter sent without a value counts as omitted, so it is not kept.
    pub fn parse(text: &[u8], repeatable: &[&str]) -> Result<Self, Error> {
        let refused = |detail: String| Error::new(Code::InvalidRequest, detail);
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for (count, pair) in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).enumerate() {
            if count >= MOST {
                return Err(refused(format!("more than {MOST} parameters")));
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || decode(halves.next().unwrap_or_default());
            let Some(name) = half() else {
                return Err(refused("the name of a parameter is not percent-encoded UTF-8".to_owned()));
            };
            let Some(value) = half() else {
                return Err(refused(format!("the parameter {} is not percent-encoded UTF-8", plain(&name))));
            };
            if !repeatable.contains(&name.as_str()) {
                if seen.contains(&name) {
                    return Err(refused(format!("the parameter {} is repeated", plain(&name))));
                }
                seen.push(name.clone());
            }
            if !value.is_empty() {
                pairs.push((name, value));
            }
        }
        Ok(Self(pairs))
    }

    /// Names and values that came in another way.
    pub fn of_pairs(pairs: Vec<(String, String)>) -> Self {
        Self(pairs.into_iter().filter(|(_, value)| !value.is_empty()).list())
    }

    /// Both, where no name stands in both that may not repeat.
    pub fn and(mut self, other: Self, repeatable: &[&str]) -> Result<Self, Error> {
        let refused = |detail: String| Err(Error::new(Code::InvalidRequest, detail));
        let twice = |(name, _): &&(String, String)| {
            !repeatable.contains(&name.as_str()) && self.optional(name).is_some()
        };
        if let Some((name, _)) = other.0.iter().find(twice) {
            return refused(format!("the parameter {} is repeated", plain(name)));
        }
        self.0.extend(other.0);
        if self.0.len() > MOST {
            return refused(format!("more than {MOST} parameters"));
        }
        Ok(self)
    }

    /// Without a parameter.
    pub fn forget(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }

    /// The value, where the parameter was sent with one.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value, or `invalid_request` that names the parameter.
    pub fn required(&self, name: &'static str) -> Result<&str, Error> {
        self.optional(name).ok_or_else(|| Error::new(Code::InvalidRequest, format!("{name} is missing")))
    }

    /// Every value of a parameter that may repeat.
    pub fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Names and values, in the order they came.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

/// A name as it may be quoted, in an answer and in the log: no longer than names are. People paste anything anywhere.
fn plain(name: &str) -> &str {
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if name.len() <= 30 && name.bytes().all(of_a_name) { name } else { "(whose name is none)" }
}

/// One half of a pair: `+` is a space, every `%` is followed by two hex digits, the result is UTF-8.
pub fn decode(text: &[u8]) -> Option<String> {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte == b'%' && !text.get(at + 1..at + 3)?.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        at += 1;
    }
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).list();
    String::from_utf8(percent_decode(&spaced).list()).ok()
}

/// Percent-encodes everything but unreserved characters.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A URI with parameters added to whatever query it has (RFC 6749 §3.1.2).
pub fn with_params(uri: &str, params: &[(&str, &str)]) -> String {
    let mut out = uri.to_owned();
    for (name, value) in params {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(&encode(name));
        out.push('=');
        out.push_str(&encode(value));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &[u8]) -> String {
        Params::parse(text, &["resource"]).unwrap_err().detail.to_string()
    }

    #[test]
    fn a_repeated_parameter_is_refused_unless_it_may_repeat() {
        assert_eq!(refusal(b"a=1&a=2"), "the parameter a is repeated");
        assert_eq!(refusal(b"a=1&a="), "the parameter a is repeated");
        let params = Params::parse(b"resource=x&resource=y", &["resource"]).unwrap();
        assert_eq!(params.all("resource").collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn what_was_pasted_in_place_of_a_name_is_not_repeated() {
        let pasted = "an-administrators-token-of-forty-characters";
        for text in [format!("{pasted}=%ff"), format!("{pasted}=1&{pasted}=2"), format!("a%20{pasted}=%ff")] {
            assert!(!refusal(text.as_bytes()).contains("token"), "{text}");
        }
    }

    #[test]
    fn bad_escapes_and_bad_utf8_are_refused() {
        for text in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%ff", b"a=\xff", b"a=%c3%28"] {
            assert_eq!(refusal(text), "the parameter a is not percent-encoded UTF-8", "{text:?}");
        }
        assert_eq!(refusal(b"%=1"), "the name of a parameter is not percent-encoded UTF-8");
    }

    #[test]
    fn a_parameter_without_a_value_counts_as_omitted() {
        let params = Params::parse(b"a=&b&c=+%2B", &[]).unwrap();
        assert_eq!(
            (params.optional("a"), params.optional("b"), params.optional("c")),
            (None, None, Some(" +"))
        );
    }

    #[test]
    fn the_number_of_parameters_is_bounded() {
        let many = (0..=MOST).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(refusal(many.as_bytes()), "more than 128 parameters");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Params::parse(&bytes, &[]);
        }

        #[test]
        fn what_is_encoded_is_read_back(name in ".{1,20}", value in ".{1,20}") {
            let text = format!("{}={}", encode(&name), encode(&value));
            let params = Params::parse(text.as_bytes(), &[]).unwrap();
            proptest::prop_assert_eq!(params.optional(&name), Some(value.as_str()));
        }
    }
}
