//! JSON as it is stored and sent between our own parts.
//!
//! A text is read into one tree, and the tree into what it means. `serde_json` can do both at once, but then every type
//! carries a parser of its own with all its messages, a fifth of the Worker's size (`docs/decisions/020-json.md`).

use crate::error::Fault;
use serde::{
    Deserializer, Serialize,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, Error, IntoDeserializer, SeqAccess, VariantAccess,
        Visitor,
        value::{MapDeserializer, SeqDeserializer, U64Deserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};
use std::fmt;

/// Reads a text.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    Ok(take(serde_json::from_str(text)?)?)
}

/// Reads a tree.
pub fn take<T: DeserializeOwned>(tree: Value) -> Result<T, Misfit> {
    T::deserialize(Tree(tree))
}

/// Writes a text.
pub fn write<T: Serialize>(value: &T) -> Result<String, Fault> {
    Ok(serde_json::to_string(value)?)
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

/// What a value is in JSON. `null` where it is nothing that JSON has.
pub fn value<T: Serialize + ?Sized>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
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
        $crate::json::put(&mut $object, $name, serde_json::json!([ $($inner)* ]));
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
    ([ $($elements:tt)* ]) => { serde_json::json!([ $($elements)* ]) };
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

impl Error for Misfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl From<Misfit> for Fault {
    fn from(misfit: Misfit) -> Self {
        Self::new(misfit)
    }
}

/// A tree as a source of values. Each kind of value comes from one kind of node; an object is never an array.
struct Tree(Value);

impl IntoDeserializer<'_, Misfit> for Tree {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Tree {
    fn elements<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Array(elements) => visitor.visit_seq(SeqDeserializer::new(elements.into_iter().map(Tree))),
            _ => Err(Misfit),
        }
    }

    fn members<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let Value::Object(members) = self.0 else { return Err(Misfit) };
        visitor.visit_map(MapDeserializer::new(members.into_iter().map(|(name, value)| (name, Tree(value)))))
    }

    /// A struct's members, in the order in which it declares them: the code that `serde` makes for a sequence compares no
    /// names. One that is not there is passed over; only a member with a default does without.
    fn declared<'de, V: Visitor<'de>>(self, names: &[&str], visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(Declared(in_order(self.0, names)?.into_iter()))
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            _ => Err(Misfit),
        }
    }

    fn whole<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.0.as_u64().map_or(Err(Misfit), |number| visitor.visit_u64(number))
    }
}

impl<'de> Deserializer<'de> for Tree {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(truth),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (None, Some(number), _) => visitor.visit_i64(number),
                (None, None, Some(number)) => visitor.visit_f64(number),
                (None, None, None) => Err(Misfit),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(_) => self.elements(visitor),
            Value::Object(_) => self.members(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.0.as_bool().map_or(Err(Misfit), |truth| visitor.visit_bool(truth))
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.whole(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.whole(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.whole(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.whole(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.text(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.elements(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.elements(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.elements(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.members(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.declared(names, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_enum(choose(self.0, names)?)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct }
}

/// The members of these names, each where it is in the list.
fn in_order(tree: Value, names: &[&str]) -> Result<Vec<Option<Value>>, Misfit> {
    let Value::Object(mut members) = tree else { return Err(Misfit) };
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        found.push(members.remove(*name));
    }
    Ok(found)
}

/// The variant that a tree names, by its place in the list, and its content.
fn choose(tree: Value, names: &[&str]) -> Result<Choice, Misfit> {
    let (name, content) = match tree {
        Value::String(name) => (name, None),
        Value::Object(members) => {
            let mut members = members.into_iter();
            match (members.next(), members.next()) {
                (Some((name, content)), None) => (name, Some(content)),
                _ => return Err(Misfit),
            }
        }
        _ => return Err(Misfit),
    };
    let place = names.iter().position(|known| *known == name).ok_or(Misfit)?;
    Ok(Choice(u64::try_from(place).map_err(|_| Misfit)?, content))
}

/// A struct's members, in its order.
struct Declared(std::vec::IntoIter<Option<Value>>);

impl<'de> SeqAccess<'de> for Declared {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        self.0.next().flatten().map(|value| seed.deserialize(Tree(value))).transpose()
    }
}

/// One of an enum's variants, and its content where it has any.
struct Choice(u64, Option<Value>);

impl<'de> EnumAccess<'de> for Choice {
    type Error = Misfit;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content), Misfit> {
        let place = U64Deserializer::<Misfit>::new(self.0);
        Ok((seed.deserialize(place)?, Content(self.1)))
    }
}

struct Content(Option<Value>);

impl Content {
    fn tree(self) -> Result<Tree, Misfit> {
        self.0.map(Tree).ok_or(Misfit)
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        if self.0.is_none() { Ok(()) } else { Err(Misfit) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        seed.deserialize(self.tree()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.tree()?.elements(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.tree()?.declared(names, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Everything {
        truth: bool,
        small: u8,
        large: u64,
        text: String,
        maybe: Option<u32>,
        pair: (String, bool),
        list: Vec<Shape>,
        map: BTreeMap<String, Shape>,
        any: Value,
        #[serde(default)]
        new: Option<Box<Wrapped>>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Wrapped(Vec<u64>);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        One(Option<String>),
        Two(u64, bool),
        Named { x: u64, y: Result<bool, String> },
    }

    fn everything() -> Everything {
        Everything {
            truth: true,
            small: 255,
            large: u64::MAX,
            text: "é\n".to_owned(),
            maybe: None,
            pair: ("a".to_owned(), false),
            list: vec![Shape::Unit, Shape::One(None), Shape::One(Some(String::new())), Shape::Two(1, true)],
            map: BTreeMap::from([("k".to_owned(), Shape::Named { x: 7, y: Err("no".to_owned()) })]),
            any: json!({ "n": null, "i": -5, "f": 1.5, "a": [1, { "o": {} }], "t": true }),
            new: Some(Box::new(Wrapped(vec![1, 2]))),
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
    fn what_was_written_is_read_as_it_was() {
        assert_eq!(read::<Everything>(&write(&everything()).unwrap()).unwrap(), everything());
    }

    #[test]
    fn members_that_are_not_known_yet_are_passed_over_and_a_new_one_may_lack() {
        let Value::Object(mut tree) = serde_json::to_value(everything()).unwrap() else { panic!() };
        tree.insert("later".to_owned(), json!({ "anything": [1] }));
        tree.remove("new");
        let read: Everything = take(Value::Object(tree)).unwrap();
        assert_eq!(read, Everything { new: None, ..everything() });
    }

    #[test]
    fn what_is_of_another_type_does_not_read() {
        let whole = serde_json::to_value(everything()).unwrap();
        let Value::Object(members) = &whole else { panic!() };
        for name in members.keys().filter(|name| !["any", "maybe", "new"].contains(&name.as_str())) {
            let wrong =
                [json!(-1), json!(256.5), json!([[]]), json!({ "Unit": 1 }), json!("Two"), Value::Null];
            for wrong in wrong {
                let mut broken = members.clone();
                broken.insert(name.clone(), wrong.clone());
                if name == "text" && wrong.is_string() {
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
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = read::<Everything>(&text);
            let _ = read::<Shape>(&text);
        }
    }
}
