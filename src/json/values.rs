//! The values of which all others are made, as JSON.

use super::{Json, Reading, Shape, ToTree, Writing};
use crate::sorted::{ByName, Set};
use serde_json::{Map, Value};
use std::fmt::Write as _;

impl Json for Value {
    fn blank() -> Self {
        Self::Null
    }

    fn read(&mut self, tree: Value) -> bool {
        *self = tree;
        true
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Null => text.push_str("null"),
            Self::Bool(truth) => truth.write(text),
            Self::Number(number) => text.push_str(&number.to_string()),
            Self::String(own) => own.write(text),
            Self::Array(elements) => elements.write(text),
            Self::Object(members) => members.write(text),
        }
    }
}

impl Json for Map<String, Value> {
    fn blank() -> Self {
        Self::new()
    }

    fn read(&mut self, tree: Value) -> bool {
        let Value::Object(members) = tree else { return false };
        *self = members;
        true
    }

    fn write(&self, text: &mut String) {
        let mut before = '{';
        for (name, own) in self {
            member(text, before, name, own);
            before = ',';
        }
        text.push_str(if self.is_empty() { "{}" } else { "}" });
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl Json for bool {
    fn blank() -> Self {
        false
    }

    fn read(&mut self, tree: Value) -> bool {
        tree.as_bool().map(|truth| *self = truth).is_some()
    }

    fn write(&self, text: &mut String) {
        text.push_str(if *self { "true" } else { "false" });
    }

    fn is_nothing(&self) -> bool {
        !self
    }
}

macro_rules! whole {
    ($($number:ty)*) => {$(
        impl Json for $number {
            fn blank() -> Self {
                0
            }

            fn read(&mut self, tree: Value) -> bool {
                tree.as_u64().and_then(|number| number.try_into().ok()).map(|number| *self = number).is_some()
            }

            fn write(&self, text: &mut String) {
                text.push_str(itoa::Buffer::new().format(*self));
            }

            fn is_nothing(&self) -> bool {
                *self == 0
            }
        }
    )*};
}

whole! { u8 u16 u32 u64 usize }

impl Json for i64 {
    fn blank() -> Self {
        0
    }

    fn read(&mut self, tree: Value) -> bool {
        tree.as_i64().map(|number| *self = number).is_some()
    }

    fn write(&self, text: &mut String) {
        text.push_str(itoa::Buffer::new().format(*self));
    }
}

impl Json for String {
    fn blank() -> Self {
        Self::new()
    }

    fn read(&mut self, tree: Value) -> bool {
        let Value::String(own) = tree else { return false };
        *self = own;
        true
    }

    fn write(&self, text: &mut String) {
        quote(text, self);
    }
}

/// Writes a string, with the escapes of RFC 8259 §7.
pub(super) fn quote(text: &mut String, own: &str) {
    text.push('"');
    let mut rest = own;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        let (plain, special) = rest.split_at(at);
        text.push_str(plain);
        let mut letters = special.chars();
        match letters.next() {
            Some('"') => text.push_str("\\\""),
            Some('\\') => text.push_str("\\\\"),
            Some('\u{8}') => text.push_str("\\b"),
            Some('\t') => text.push_str("\\t"),
            Some('\n') => text.push_str("\\n"),
            Some('\u{c}') => text.push_str("\\f"),
            Some('\r') => text.push_str("\\r"),
            Some(other) => {
                let _ = write!(text, "\\u{:04x}", u32::from(other));
            }
            None => {}
        }
        rest = letters.as_str();
    }
    text.push_str(rest);
    text.push('"');
}

impl<T: Json> Json for Box<T> {
    fn blank() -> Self {
        Self::new(T::blank())
    }

    fn read(&mut self, tree: Value) -> bool {
        (**self).read(tree)
    }

    fn write(&self, text: &mut String) {
        (**self).write(text);
    }
}

impl<T: Json> Json for Option<T> {
    fn blank() -> Self {
        None
    }

    fn read(&mut self, tree: Value) -> bool {
        if tree.is_null() {
            *self = None;
            return true;
        }
        self.insert(T::blank()).read(tree)
    }

    fn write(&self, text: &mut String) {
        match self {
            Some(own) => own.write(text),
            None => text.push_str("null"),
        }
    }

    fn is_nothing(&self) -> bool {
        self.is_none()
    }
}

impl<T: Json, E: Json> Json for Result<T, E> {
    fn blank() -> Self {
        Err(E::blank())
    }

    fn read(&mut self, tree: Value) -> bool {
        let (number, mut parts) = Reading::variant(tree, RESULT);
        *self = match number {
            Some(0) => {
                let mut own = T::blank();
                parts.next(&mut own);
                Ok(own)
            }
            _ => {
                let mut own = E::blank();
                parts.next(&mut own);
                Err(own)
            }
        };
        parts.are_sound()
    }

    fn write(&self, text: &mut String) {
        let mut parts = Writing::variant(text, RESULT, usize::from(self.is_err()));
        match self {
            Ok(own) => parts.next(own),
            Err(own) => parts.next(own),
        }
        parts.end();
    }
}

const RESULT: &[(&str, Shape)] = &[("Ok", Shape::One), ("Err", Shape::One)];

impl<T: Json> Json for Vec<T> {
    fn blank() -> Self {
        Self::new()
    }

    fn read(&mut self, tree: Value) -> bool {
        let Value::Array(elements) = tree else { return false };
        // What stands there is a default.
        self.clear();
        for element in elements {
            let mut own = T::blank();
            if !own.read(element) {
                return false;
            }
            self.push(own);
        }
        true
    }

    fn write(&self, text: &mut String) {
        let mut parts = Writing::of(text, &Shape::Elements);
        for own in self {
            parts.next(own);
        }
        parts.end();
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Json + Ord> Json for Set<T> {
    fn blank() -> Self {
        Self::new()
    }

    fn read(&mut self, tree: Value) -> bool {
        let mut elements = Vec::<T>::new();
        let sound = elements.read(tree);
        *self = Self::new();
        for own in elements {
            self.insert(own);
        }
        sound
    }

    fn write(&self, text: &mut String) {
        let mut parts = Writing::of(text, &Shape::Elements);
        for own in self {
            parts.next(own);
        }
        parts.end();
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Json> Json for ByName<T> {
    fn blank() -> Self {
        Self::new()
    }

    fn read(&mut self, tree: Value) -> bool {
        let Value::Object(members) = tree else { return false };
        *self = Self::new();
        for (name, member) in members {
            let mut own = T::blank();
            if !own.read(member) {
                return false;
            }
            self.insert(name, own);
        }
        true
    }

    fn write(&self, text: &mut String) {
        let mut before = '{';
        for (name, own) in self.iter() {
            member(text, before, name, own);
            before = ',';
        }
        text.push_str(if self.is_empty() { "{}" } else { "}" });
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

fn member(text: &mut String, before: char, name: &str, value: &dyn Json) {
    text.push(before);
    quote(text, name);
    text.push(':');
    value.write(text);
}

impl<T: Json, const N: usize> Json for [T; N] {
    fn blank() -> Self {
        std::array::from_fn(|_| T::blank())
    }

    fn read(&mut self, tree: Value) -> bool {
        let mut parts = Reading::of(tree, &Shape::Elements);
        for place in self {
            parts.next(place);
        }
        parts.are_sound()
    }

    fn write(&self, text: &mut String) {
        let mut parts = Writing::of(text, &Shape::Elements);
        for own in self {
            parts.next(own);
        }
        parts.end();
    }
}

macro_rules! tuple {
    ($($part:ident $number:tt)*) => {
        impl<$($part: Json),*> Json for ($($part,)*) {
            fn blank() -> Self {
                ($($part::blank(),)*)
            }

            fn read(&mut self, tree: Value) -> bool {
                let mut parts = Reading::of(tree, &Shape::Elements);
                $(parts.next(&mut self.$number);)*
                parts.are_sound()
            }

            fn write(&self, text: &mut String) {
                let mut parts = Writing::of(text, &Shape::Elements);
                $(parts.next(&self.$number);)*
                parts.end();
            }
        }
    };
}

tuple! { A 0 B 1 }
tuple! { A 0 B 1 C 2 }

/// Writes a tree over several lines, for people.
pub fn indent(text: &mut String, tree: &Value, depth: usize) {
    let line = |text: &mut String, before: &str, name: Option<&str>, value: &Value| {
        text.push_str(before);
        text.push('\n');
        text.push_str(&"  ".repeat(depth + 1));
        if let Some(name) = name {
            quote(text, name);
            text.push_str(": ");
        }
        indent(text, value, depth + 1);
    };
    let mut before = "";
    let (start, end) = match tree {
        Value::Array(elements) if !elements.is_empty() => ("[", "]"),
        Value::Object(members) if !members.is_empty() => ("{", "}"),
        other => return other.write(text),
    };
    text.push_str(start);
    for value in tree.as_array().into_iter().flatten() {
        line(text, before, None, value);
        before = ",";
    }
    for (name, value) in tree.as_object().into_iter().flatten() {
        line(text, before, Some(name), value);
        before = ",";
    }
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
    text.push_str(end);
}

impl ToTree for Value {
    fn to_tree(&self) -> Value {
        self.clone()
    }
}

impl ToTree for Map<String, Value> {
    fn to_tree(&self) -> Value {
        Value::Object(self.clone())
    }
}

impl ToTree for str {
    fn to_tree(&self) -> Value {
        Value::String(self.to_owned())
    }
}

impl ToTree for String {
    fn to_tree(&self) -> Value {
        Value::String(self.clone())
    }
}

macro_rules! plain {
    ($($plain:ty)*) => {$(
        impl ToTree for $plain {
            fn to_tree(&self) -> Value {
                (*self).into()
            }
        }
    )*};
}

plain! { bool u8 u16 u32 u64 usize i64 i32 f64 }

impl<T: ToTree + ?Sized> ToTree for &T {
    fn to_tree(&self) -> Value {
        (**self).to_tree()
    }
}

impl<T: ToTree> ToTree for Option<T> {
    fn to_tree(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToTree::to_tree)
    }
}

impl<T: ToTree> ToTree for [T] {
    fn to_tree(&self) -> Value {
        let mut elements = Vec::with_capacity(self.len());
        for own in self {
            elements.push(own.to_tree());
        }
        Value::Array(elements)
    }
}

impl<T: ToTree, const N: usize> ToTree for [T; N] {
    fn to_tree(&self) -> Value {
        self.as_slice().to_tree()
    }
}

impl<T: ToTree> ToTree for Vec<T> {
    fn to_tree(&self) -> Value {
        self.as_slice().to_tree()
    }
}

impl<T: ToTree> ToTree for Set<T> {
    fn to_tree(&self) -> Value {
        (**self).to_tree()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::json;

    #[test]
    fn a_list_that_is_read_stands_in_place_of_what_was_there() {
        let mut list = vec![1_u64, 2];
        assert!(list.read(json!([3])) && list == [3]);
        let mut set = Set::<u64>::new();
        set.insert(1);
        assert!(set.read(json!([3])) && set.len() == 1);
    }
}
