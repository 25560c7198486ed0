//! Text into tree. Every text is read here, whoever wrote it: the code that reads one is there once.

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use std::{cell::RefCell, fmt, str};

/// How deep arrays and objects may be nested in a member, where it matters.
const DEPTH: usize = 16;

/// What JSON allows and nobody means: a name twice in one object, or nested deeper than 16 levels.
pub struct Flaw {
    /// The outermost member that has it.
    pub member: String,
    /// What it is.
    pub why: &'static str,
}

/// Reads a text, and notes its first flaw. An error is the line and the column where it is no JSON any more.
pub fn parse(text: &[u8]) -> Result<(Value, Option<Flaw>), (usize, usize)> {
    let text = str::from_utf8(text).map_err(|error| {
        let (before, _) = text.split_at(error.valid_up_to());
        let lines = before.split(|byte| *byte == b'\n');
        lines.fold((0, 1), |(above, _), line| (above + 1, line.len() + 1))
    })?;
    let noted = Noted::default();
    let mut text = serde_json::Deserializer::from_str(text);
    let read = Level { depth: 0, noted: &noted }.deserialize(&mut text);
    match read.and_then(|read| text.end().map(|()| read)) {
        Ok(read) => Ok((read, noted.into_inner())),
        Err(error) => Err((error.line(), error.column())),
    }
}

type Noted = RefCell<Option<Flaw>>;

/// A value at this depth. A flaw is noted, and the rest is read: a syntax error goes before.
#[derive(Clone, Copy)]
struct Level<'a> {
    depth: usize,
    noted: &'a Noted,
}

impl Level<'_> {
    fn below(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    /// Within a member its name is not known yet.
    fn note(self, why: &'static str) {
        self.noted.borrow_mut().get_or_insert(Flaw { member: String::new(), why });
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
            let was_sound = self.noted.borrow().is_none();
            let value = map.next_value_seed(self.below())?;
            if members.contains_key(&name) {
                self.note("is there twice");
            }
            if self.depth == 0
                && was_sound
                && let Some(flaw) = self.noted.borrow_mut().as_mut()
            {
                flaw.member.clone_from(&name);
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

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
}
