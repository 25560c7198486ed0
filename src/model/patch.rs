//! JSON Merge Patch (RFC 7396 §2), and what is said of one that does not fit.

use crate::json::{self, Json};
use serde_json::{Map, Value};

/// What is wrong with a record: the member, and why.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Invalid {
    /// The member.
    pub field: String,
    /// What an administrator can act on.
    pub why: String,
}

impl Invalid {
    /// A member and what is wrong with it.
    pub fn new(field: &str, why: impl Into<String>) -> Self {
        Self { field: field.to_owned(), why: why.into() }
    }
}

/// The target with the patch merged in: members are replaced, `null` takes them away, arrays are replaced whole.
pub fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.remove(&name);
            }
            Value::Object(inner) => {
                let mut below = match target.remove(&name) {
                    Some(Value::Object(below)) => below,
                    _ => Map::new(),
                };
                merge(&mut below, inner);
                target.insert(name, Value::Object(below));
            }
            value => {
                target.insert(name, value);
            }
        }
    }
}

/// A list of names of things: groups, folders, URLs. `null` is none.
pub fn read_names(value: Value) -> Result<Vec<String>, &'static str> {
    let names: Vec<String> = match value {
        Value::Null => Vec::new(),
        value => json::take(value).map_err(|_| "must be an array of strings")?,
    };
    if are_names(&names) { Ok(names) } else { Err("at most 100 names of at most 200 bytes") }
}

/// Whether a list is no longer than that.
pub fn are_names(names: &[String]) -> bool {
    names.len() <= 100 && names.iter().all(|name| !name.is_empty() && name.len() <= 200)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_examples_of_the_specification_hold() {
        // RFC 7396, appendix A, where both are objects.
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let (Value::Object(mut target), Value::Object(patch)) = (target, patch) else { unreachable!() };
            merge(&mut target, patch);
            assert_eq!(Value::Object(target), result);
        }
    }
}
