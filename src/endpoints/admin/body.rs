//! The JSON object in a request's body. Of two members of one name neither is the one that was meant, at any depth; and
//! what is nested deeper than anybody means would make the record that keeps it unreadable.

use crate::{
    error::{Code, Error, quotable},
    json::text::{self, Flaw},
    model::patch::Invalid,
    wire::Request,
};
use serde_json::{Map, Value};

/// Reads it.
pub(in crate::endpoints) fn members(request: &Request) -> Result<Map<String, Value>, Error> {
    if !request.is_of_type("application/json") && !request.is_of_type("application/merge-patch+json") {
        let detail = "the body must be application/json or application/merge-patch+json";
        return Err(Error::new(Code::UnsupportedMediaType, detail));
    }
    let body = request.body.as_deref();
    parse(body.ok_or_else(|| Error::new(Code::ContentTooLarge, "the body is larger than 64 KiB"))?)
}

/// Reads a JSON object, from wherever it came.
pub(in crate::endpoints) fn parse(body: &[u8]) -> Result<Map<String, Value>, Error> {
    // The text of the error is not passed on: it may quote the body, and the body may hold a password.
    let (read, flaw) = text::parse(body).map_err(|(line, column)| {
        Error::new(Code::InvalidRequest, format!("the body is not JSON: line {line}, column {column}"))
    })?;
    let Value::Object(members) = read else {
        return Err(Error::new(Code::InvalidRequest, "the body must be a JSON object"));
    };
    match flaw {
        Some(Flaw { member, why }) => Err(Error::new(Code::InvalidRequest, why).in_field(quotable(&member))),
        None => Ok(members),
    }
}

/// Reads it where there is one.
pub(super) fn members_if_any(request: &Request) -> Result<Map<String, Value>, Error> {
    if request.body.as_ref().is_some_and(Vec::is_empty) { Ok(Map::new()) } else { members(request) }
}

/// A member that says what the address says already, and may say nothing else.
pub(super) fn keeps(body: &mut Map<String, Value>, name: &str, is: &str) -> Result<(), Invalid> {
    match body.remove(name) {
        Some(given) if given != is => {
            Err(Invalid::new(name, "is not that of this address, and can't be changed"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(content_type: &str, body: &[u8]) -> Request {
        Request {
            method: http::Method::PATCH,
            secure: false,
            host: String::new(),
            path: String::new(),
            query: String::new(),
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: Some(body.to_vec()),
        }
    }

    fn read(body: &[u8]) -> Result<Map<String, Value>, Error> {
        members(&request("application/json; charset=utf-8", body))
    }

    fn nested(levels: usize) -> Vec<u8> {
        [&b"{\"x\":1,\"a\":"[..], &b"[".repeat(levels), &b"]".repeat(levels), b"}"].concat()
    }

    #[test]
    fn every_kind_of_value_is_read_as_it_is() {
        let text = r#"{"n":null,"t":true,"u":18446744073709551615,"i":-5,"f":1.5,"s":"\u00e9\n","a":[1,[]],"o":{"p":{}}}"#;
        assert_eq!(
            Value::Object(read(text.as_bytes()).unwrap()),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }

    #[test]
    fn only_one_json_object_is_read() {
        for body in [
            &b""[..],
            b"[]",
            b"\"hush\"",
            b"1",
            b"null",
            b"{",
            b"{} {}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":1e999}",
            &nested(200),
        ] {
            let error = read(body).unwrap_err();
            assert_eq!((error.code, error.field.clone()), (Code::InvalidRequest, None));
            assert!(!error.detail.contains("hush"));
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_at_any_depth() {
        for (body, field) in [
            (&br#"{"a":1,"b":2,"a":1}"#[..], "a"),
            (br#"{"a":1,"b":{"c":1,"c":2},"d":{"c":1,"c":2}}"#, "b"),
            (br#"{"b":[{"x":{"c":1,"c":2}}],"a":1}"#, "b"),
            (br#"{"":{"c":1,"c":2},"a":{}}"#, ""),
        ] {
            let error = read(body).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (Code::InvalidRequest, Some(field)));
        }
    }

    #[test]
    fn what_is_nested_deeper_than_16_levels_is_refused() {
        assert!(read(&nested(16)).is_ok());
        for levels in [17, 100] {
            assert_eq!(read(&nested(levels)).unwrap_err().field.as_deref(), Some("a"));
        }
    }

    #[test]
    fn another_media_type_is_unsupported() {
        for given in ["", "text/plain", "application/jsonp"] {
            assert_eq!(members(&request(given, b"{}")).unwrap_err().code, Code::UnsupportedMediaType);
        }
        assert!(members(&request("application/merge-patch+json", b"{}")).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = read(&body);
        }
    }
}
