//! JSON as it is stored and sent between our own parts.
//!
//! A text is read into one tree, and the tree into what it means. `serde_json` can do both at once, but then every type
//! carries a parser of its own with all its messages, a fifth of the Worker's size (`docs/decisions/020-json.md`).

pub mod text;
mod values;

pub use values::indent;

use crate::error::Fault;
use serde_json::{Map, Value};
use std::fmt;

/// Reads a text.
pub fn read<T: Json>(text: &str) -> Result<T, Fault> {
    let mut value = T::blank();
    read_into(text, &mut value)?;
    Ok(value)
}

/// Reads a text into its place. One function for all types.
fn read_into(text: &str, place: &mut dyn Json) -> Result<(), Fault> {
    // Not the text of the error: it can quote the row.
    let (tree, _) = text::parse(text.as_bytes()).map_err(|(line, column)| {
        Fault::new(format_args!("stored or sent JSON does not read: line {line} column {column}"))
    })?;
    if place.read(tree) { Ok(()) } else { Err(Misfit.into()) }
}

/// Reads a tree.
pub fn take<T: Json>(tree: Value) -> Result<T, Misfit> {
    let mut value = T::blank();
    if value.read(tree) { Ok(value) } else { Err(Misfit) }
}

/// Writes a text.
pub fn write(value: &dyn Json) -> String {
    let mut text = String::new();
    value.write(&mut text);
    text
}

/// What is written of a value, as a tree.
pub fn tree(value: &dyn Json) -> Value {
    read(&write(value)).unwrap_or_default()
}

/// An object of these members.
pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Map<String, Value> {
    let mut object = Map::new();
    // One by one: what collects them sorts them first, and every sort is two kilobytes of the Worker.
    for (name, value) in members {
        put(&mut object, name, value);
    }
    object
}

/// What a value is in JSON.
pub fn value(value: &(impl ToTree + ?Sized)) -> Value {
    value.to_tree()
}

/// What can be a member's value in [`json!`].
pub trait ToTree {
    /// What it is there.
    fn to_tree(&self) -> Value;
}

/// Keeps the members of which this is true. One function for all: each use of the map's own is half a kilobyte.
pub fn keep(object: &mut Map<String, Value>, kept: &dyn Fn(&str, &Value) -> bool) {
    object.retain(|name, value| kept(name, value));
}

/// Sets a member.
pub fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    object.insert(name.to_owned(), value);
}

/// As `serde_json::json`, whose every member is a name that is copied, a result that is unwrapped and a member that is
/// dropped, all in place: here it is two calls.
macro_rules! json {
    (@members $object:ident) => {};
    (@members $object:ident $name:tt: null $(, $($rest:tt)*)?) => {
        $crate::json::put(&mut $object, $name, serde_json::Value::Null);
        $crate::json::json!(@members $object $($($rest)*)?);
    };
    (@members $object:ident $name:tt: { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $crate::json::put(&mut $object, $name, $crate::json::json!({ $($inner)* }));
        $crate::json::json!(@members $object $($($rest)*)?);
    };
    (@members $object:ident $name:tt: [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $crate::json::put(&mut $object, $name, $crate::json::json!([ $($inner)* ]));
        $crate::json::json!(@members $object $($($rest)*)?);
    };
    (@members $object:ident $name:tt: $value:expr $(, $($rest:tt)*)?) => {
        $crate::json::put(&mut $object, $name, $crate::json::value(&$value));
        $crate::json::json!(@members $object $($($rest)*)?);
    };
    ({}) => { serde_json::Value::Object(serde_json::Map::new()) };
    ({ $($members:tt)+ }) => {{
        let mut object = serde_json::Map::new();
        $crate::json::json!(@members object $($members)+);
        serde_json::Value::Object(object)
    }};
    (@elements [$($done:expr,)*]) => { serde_json::Value::Array(vec![$($done,)*]) };
    (@elements [$($done:expr,)*] null $(, $($rest:tt)*)?) => {
        $crate::json::json!(@elements [$($done,)* serde_json::Value::Null,] $($($rest)*)?)
    };
    (@elements [$($done:expr,)*] { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $crate::json::json!(@elements [$($done,)* $crate::json::json!({ $($inner)* }),] $($($rest)*)?)
    };
    (@elements [$($done:expr,)*] [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $crate::json::json!(@elements [$($done,)* $crate::json::json!([ $($inner)* ]),] $($($rest)*)?)
    };
    (@elements [$($done:expr,)*] $value:expr $(, $($rest:tt)*)?) => {
        $crate::json::json!(@elements [$($done,)* $crate::json::value(&$value),] $($($rest)*)?)
    };
    ([ $($elements:tt)* ]) => { $crate::json::json!(@elements [] $($elements)*) };
    (null) => { serde_json::Value::Null };
    ($value:expr) => { $crate::json::value(&$value) };
}
pub(crate) use json;

/// JSON that is not of the type it should be. Says no more: what says more can quote a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit;

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stored or sent JSON is not what it should be")
    }
}

impl std::error::Error for Misfit {}

impl From<Misfit> for Fault {
    fn from(misfit: Misfit) -> Self {
        Self::new(misfit)
    }
}

/// What is stored and sent as JSON. `#[derive(Json)]` makes it of structs and enums, in the form in which `serde` would.
///
/// A value is read into its place, field by field, and what does not read is noticed at the end. So what is generated for
/// a type is a call for each of its fields: nothing is unwrapped, moved or dropped half-way.
pub trait Json {
    /// What stands in the place before anything is read.
    fn blank() -> Self
    where
        Self: Sized;

    /// Becomes what a tree says. False where it says nothing of this type; who asked uses nothing of it then.
    fn read(&mut self, tree: Value) -> bool;

    /// Writes it behind a text.
    fn write(&self, text: &mut String);

    /// Whether a member that may be left out is, with this in it.
    fn is_nothing(&self) -> bool {
        false
    }
}

pub use edgemint_derive::Json;

/// The form of a struct, or of a variant's content.
#[derive(Clone, Copy)]
pub enum Shape {
    /// None: a variant is its name alone.
    Unit,
    /// The one field itself.
    One,
    /// An array of the fields.
    Elements,
    /// An object of the fields, in this order.
    Members(&'static [(&'static str, Rule)]),
}

/// Whether a member may lack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It may not.
    Needed,
    /// It may: then its place stays as it is.
    Default,
    /// It may, and is not written where it is nothing.
    Omit,
}

/// The parts of a tree, each for the next field.
pub struct Reading {
    parts: Parts,
    sound: bool,
}

enum Parts {
    Elements(std::vec::IntoIter<Value>),
    Members(Map<String, Value>, std::slice::Iter<'static, (&'static str, Rule)>),
}

impl Reading {
    /// Of a tree that is to have this form.
    pub fn of(tree: Value, shape: &Shape) -> Self {
        let parts = match (shape, tree) {
            (Shape::One, tree) => Parts::Elements(vec![tree].into_iter()),
            (Shape::Elements, Value::Array(elements)) => Parts::Elements(elements.into_iter()),
            (Shape::Members(names), Value::Object(members)) => Parts::Members(members, names.iter()),
            _ => return Self::none(false),
        };
        Self { parts, sound: true }
    }

    /// Of a tree that is to be one of these variants, and which.
    pub fn variant(tree: Value, variants: &[(&str, Shape)]) -> (Option<usize>, Self) {
        let (name, content) = match tree {
            Value::String(name) => (name, None),
            Value::Object(members) => {
                let mut members = members.into_iter();
                match (members.next(), members.next()) {
                    (Some((name, content)), None) => (name, Some(content)),
                    _ => return (None, Self::none(false)),
                }
            }
            _ => return (None, Self::none(false)),
        };
        let number = variants.iter().position(|(known, _)| *known == name);
        let parts = match (number.and_then(|number| variants.get(number)), content) {
            (Some((_, Shape::Unit)), None) => Self::none(true),
            (Some((_, shape)), Some(content)) => Self::of(content, shape),
            _ => Self::none(false),
        };
        (number, parts)
    }

    fn none(sound: bool) -> Self {
        Self { parts: Parts::Elements(Vec::new().into_iter()), sound }
    }

    /// Reads the next field into its place.
    pub fn next(&mut self, place: &mut dyn Json) {
        let (part, may_lack) = match &mut self.parts {
            Parts::Elements(elements) => (elements.next(), false),
            Parts::Members(members, names) => match names.next() {
                // The member stays, without what it was: to take it out would move others.
                Some((name, rule)) => (members.get_mut(*name).map(Value::take), *rule != Rule::Needed),
                None => (None, false),
            },
        };
        self.sound = self.sound && part.map_or(may_lack, |part| place.read(part));
    }

    /// Whether every field was there and could be read.
    pub fn are_sound(self) -> bool {
        self.sound
    }
}

/// A text to which the fields of a struct or variant are written one by one.
pub struct Writing<'a> {
    text: &'a mut String,
    names: std::slice::Iter<'static, (&'static str, Rule)>,
    /// What stands in front of the next field.
    before: &'static str,
    end: &'static str,
    is_variant: bool,
}

impl<'a> Writing<'a> {
    /// Of this form.
    pub fn of(text: &'a mut String, shape: &Shape) -> Self {
        let (before, names, end): (_, &[_], _) = match shape {
            Shape::Unit | Shape::One => ("", &[], ""),
            Shape::Elements => ("[", &[], "]"),
            Shape::Members(names) => ("{", names, "}"),
        };
        Self { text, names: names.iter(), before, end, is_variant: false }
    }

    /// The variant of this number.
    pub fn variant(text: &'a mut String, variants: &[(&str, Shape)], number: usize) -> Self {
        let (name, shape) = variants.get(number).map_or(("", &Shape::Unit), |(name, shape)| (*name, shape));
        let is_unit = matches!(shape, Shape::Unit);
        text.push_str(if is_unit { "\"" } else { "{\"" });
        text.push_str(name);
        text.push_str(if is_unit { "\"" } else { "\":" });
        Self { is_variant: !is_unit, ..Self::of(text, shape) }
    }

    /// Writes the next field.
    pub fn next(&mut self, field: &dyn Json) {
        let named = self.names.next();
        if named.is_some_and(|(_, rule)| *rule == Rule::Omit) && field.is_nothing() {
            return;
        }
        self.text.push_str(self.before);
        self.before = if self.end.is_empty() { "" } else { "," };
        if let Some((name, _)) = named {
            self.text.push('"');
            self.text.push_str(name);
            self.text.push_str("\":");
        }
        field.write(self.text);
    }

    /// Writes the end.
    pub fn end(self) {
        if self.before == "{" || self.before == "[" {
            self.text.push_str(self.before);
        }
        self.text.push_str(self.end);
        if self.is_variant {
            self.text.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sorted::ByName;
    use serde::Serialize;

    #[derive(Debug, PartialEq, Serialize, Json)]
    struct Everything {
        truth: bool,
        small: u8,
        large: u64,
        text: String,
        maybe: Option<u32>,
        pair: (String, bool),
        list: Vec<Shape>,
        #[serde(serialize_with = "as_map")]
        map: ByName<Shape>,
        any: Value,
        #[json(default)]
        new: Option<Box<Wrapped>>,
        #[json(omit)]
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        brief: bool,
        #[json(omit)]
        #[serde(skip_serializing_if = "Option::is_none")]
        none: Option<Attitude>,
        some: Attitude,
        #[json(via = Whole)]
        number: i64,
    }

    fn as_map<S: serde::Serializer>(table: &ByName<Shape>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(table.iter().map(|(name, value)| (name, value)))
    }

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Json)]
    #[json(snake_case)]
    #[serde(rename_all = "snake_case")]
    enum Attitude {
        Calm,
        VeryCalm,
    }

    #[derive(Json)]
    struct Whole(i64);

    impl From<i64> for Whole {
        fn from(number: i64) -> Self {
            Self(number)
        }
    }

    impl From<Whole> for i64 {
        fn from(Whole(number): Whole) -> Self {
            number
        }
    }

    #[derive(Debug, PartialEq, Serialize, Json)]
    struct Wrapped(Vec<u64>);

    #[derive(Debug, PartialEq, Serialize, Json)]
    enum Shape {
        Unit,
        One(Option<String>),
        Two(u64, bool),
        Named { x: u64, y: Result<bool, String> },
    }

    #[derive(Debug, PartialEq, Json)]
    enum Colour {
        Red,
    }

    fn everything() -> Everything {
        let mut map = ByName::new();
        map.insert("k".to_owned(), Shape::Named { x: 7, y: Err("no".to_owned()) });
        Everything {
            truth: true,
            small: 255,
            large: u64::MAX,
            text: "é\n".to_owned(),
            maybe: None,
            pair: ("a".to_owned(), false),
            list: vec![Shape::Unit, Shape::One(None), Shape::One(Some(String::new())), Shape::Two(1, true)],
            map,
            any: json!({ "n": null, "i": -5, "f": 1.5, "a": [1, { "o": {} }], "t": true }),
            new: Some(Box::new(Wrapped(vec![1, 2]))),
            brief: false,
            none: None,
            some: Attitude::VeryCalm,
            number: i64::MIN,
        }
    }

    #[test]
    fn json_makes_what_serde_json_makes() {
        let (name, list) = ("name", ["x"]);
        let ours = json!({ "a": null, "b": { "c": [1, null, { "d": true }] }, name: list, "e": name.len() + 1, "f": {} });
        let theirs = serde_json::json!({ "a": null, "b": { "c": [1, null, { "d": true }] }, name: list, "e": name.len() + 1, "f": {} });
        assert_eq!(ours, theirs);
        assert_eq!(
            [json!({}), json!(null), json!([1, "x"])],
            serde_json::json!([{}, null, [1, "x"]]).as_array().unwrap()[..]
        );
    }

    #[test]
    fn what_is_written_is_what_serde_would_write() {
        let whole = everything();
        assert_eq!(write(&whole), serde_json::to_string(&whole).unwrap());
        let other = Everything {
            text: (0..256).filter_map(char::from_u32).collect(),
            brief: true,
            none: Some(Attitude::Calm),
            list: Vec::new(),
            map: ByName::new(),
            ..whole
        };
        assert_eq!(write(&other), serde_json::to_string(&other).unwrap());
    }

    #[test]
    fn what_was_written_is_read_as_it_was() {
        assert_eq!(read::<Everything>(&write(&everything())).unwrap(), everything());
    }

    #[test]
    fn members_that_are_not_known_yet_are_passed_over_and_a_new_one_may_lack() {
        let Value::Object(mut tree) = read(&write(&everything())).unwrap() else { panic!() };
        tree.insert("later".to_owned(), json!({ "anything": [1] }));
        tree.remove("new");
        let read: Everything = take(Value::Object(tree)).unwrap();
        assert_eq!(read, Everything { new: None, ..everything() });
    }

    #[test]
    fn what_is_of_another_type_does_not_read() {
        let whole: Value = read(&write(&everything())).unwrap();
        let Value::Object(members) = &whole else { panic!() };
        for name in
            members.keys().filter(|name| !["any", "maybe", "new", "brief", "none"].contains(&name.as_str()))
        {
            let wrong =
                [json!(-1), json!(256.5), json!([[]]), json!({ "Unit": 1 }), json!("Two"), Value::Null];
            for wrong in wrong {
                let mut broken = members.clone();
                broken.insert(name.clone(), wrong.clone());
                if name == "text" && wrong.is_string() || name == "number" && wrong.is_i64() {
                    continue;
                }
                assert_eq!(take::<Everything>(Value::Object(broken)), Err(Misfit), "{name}: {wrong}");
            }
            let mut broken = members.clone();
            broken.remove(name);
            assert_eq!(take::<Everything>(Value::Object(broken)), Err(Misfit), "{name} is missing");
        }
        for wrong in [json!({}), json!({ "One": null, "Unit": null }), json!({ "Unit": null }), json!("None")]
        {
            assert_eq!(take::<Shape>(wrong), Err(Misfit));
        }
        assert!(read::<Shape>("\"Unit\" ").is_ok());
        assert!(read::<Shape>("\"Unit").is_err());
        for wrong in [json!({ "Red": 1 }), json!({ "Red": null }), json!("Blue"), json!(["Red"])] {
            assert_eq!(take::<Colour>(wrong), Err(Misfit));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_string_is_written_with_the_escapes_that_serde_json_has(text: String) {
            assert_eq!(write(&text), serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = read::<Everything>(&text);
            let _ = read::<Shape>(&text);
        }
    }
}
