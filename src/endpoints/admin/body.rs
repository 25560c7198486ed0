//! The JSON object in a request's body. Of two members of one name neither is the one that was meant, at any depth; and
//! what is nested deeper than anybody means would make the record that keeps it unreadable.

use crate::{
    error::{Code, Error, quotable},
    model::patch::Invalid,
    wire::Request,
};
use serde::{
    Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, error::Category};
use std::{cell::RefCell, fmt};

/// How deep arrays and objects may be nested in a member.
const DEPTH: usize = 16;

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
    let flaw = Flaw::default();
    let mut text = serde_json::Deserializer::from_slice(body);
    let read =
        Level { depth: 0, flaw: &flaw }.deserialize(&mut text).and_then(|read| text.end().map(|()| read));
    // The text of the error is not passed on: it may quote the body, and the body may hold a password.
    let read = read.map_err(|error| match error.classify() {
        Category::Data => not_an_object(),
        _ => {
            let (line, column) = (error.line(), error.column());
            Error::new(Code::InvalidRequest, format!("the body is not JSON: line {line}, column {column}"))
        }
    })?;
    let Value::Object(members) = read else { return Err(not_an_object()) };
    match flaw.into_inner() {
        Some((member, why)) => {
            let member = member.unwrap_or_default();
            Err(Error::new(Code::InvalidRequest, why).in_field(quotable(&member)))
        }
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

fn not_an_object() -> Error {
    Error::new(Code::InvalidRequest, "the body must be a JSON object")
}

/// The first member of the body that is not as it must be, and why.
type Flaw = RefCell<Option<(Option<String>, &'static str)>>;

/// A value at this depth. What is wrong with it is noted, and the rest is read: a syntax error goes before.
#[derive(Clone, Copy)]
struct Level<'a> {
    depth: usize,
    flaw: &'a Flaw,
}

impl Level<'_> {
    fn below(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    /// Within a member its name is not known yet.
    fn note(self, why: &'static str) {
        self.flaw.borrow_mut().get_or_insert((None, why));
    }

    /// The member that has just been read is the one.
    fn name(self, member: &str) {
        if let Some((name, _)) = self.flaw.borrow_mut().as_mut() {
            name.get_or_insert_with(|| member.to_owned());
        }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        if self.depth > DEPTH {
            self.note("is nested too deep");
        }
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self.below())?;
            if members.contains_key(&name) {
                self.note("is there twice");
            }
            if self.depth == 0 {
                self.name(&name);
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        if self.depth > DEPTH {
            self.note("is nested too deep");
        }
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.below())? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
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
