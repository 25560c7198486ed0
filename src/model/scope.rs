//! Scopes (RFC 6749 §3.3): an ordered set of names, each of the characters the grammar allows.

use crate::json::{Json, ToTree};
use crate::sorted::Set;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// More names than any client has; a bound on what a request makes us hold.
const MOST: usize = 100;

/// A set of scope names. It exists only if every name is well formed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(Set<String>);

impl Scope {
    /// Reads names separated by single spaces; none at all is the empty scope.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let names = text.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Set<_>>();
        if names.len() > MOST {
            return Err("too many scopes");
        }
        // scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
        let well_formed = |c: char| matches!(c, '!' | '#'..='[' | ']'..='~');
        if !names.iter().all(|name| name.len() <= 200 && name.chars().all(well_formed)) {
            return Err("a scope name has a character that RFC 6749 section 3.3 does not allow");
        }
        Ok(Self(names))
    }

    /// Of names that are known to be well formed.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }

    /// True where every name is also in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.names().all(|name| other.contains(name))
    }

    /// As many of its names as a client can have.
    #[must_use]
    pub fn first(&self) -> Self {
        Self::of(self.names().take(MOST))
    }

    /// The names in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self::of(self.names().filter(|name| other.contains(name)))
    }

    /// True where there is no name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True where `name` is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Json for Scope {
    fn blank() -> Self {
        Self::default()
    }

    fn read(&mut self, tree: Value) -> bool {
        let read = tree.as_str().and_then(|text| Self::parse(text).ok());
        read.map(|read| *self = read).is_some()
    }

    fn write(&self, text: &mut String) {
        self.to_string().write(text);
    }
}

impl ToTree for Scope {
    fn to_tree(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Scope {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_set_of_allowed_characters() {
        assert_eq!(Scope::parse(" b a  b").unwrap().to_string(), "a b");
        assert_eq!(Scope::parse("").unwrap(), Scope::default());
        for text in ["a\"b", "a\\b", "ä", "a\tb", "\u{0}"] {
            assert!(Scope::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_long_list_is_refused() {
        let list: Vec<String> = (0..=MOST).map(|n| format!("s{n}")).collect();
        assert!(Scope::parse(&list.join(" ")).is_err());
        assert!(Scope::parse(&"x".repeat(100_000)).is_err());
    }
}
