//! What administrators changed: who, when, from where, and how it was before and after. Never a secret.

use crate::{
    host::{Author, Timestamp},
    json::Json,
    list::List as _,
};
use serde_json::{Map, Value};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Change {
    /// The format of the row.
    pub format: u8,
    /// Its place in the log. The newest comes first.
    pub id: String,
    /// When.
    pub time: Timestamp,
    /// Who, and from where.
    pub by: Author,
    /// `client.changed`, `user.deleted` …
    pub action: String,
    /// What: `client/<client_id>`, `user/<username>`, `scope/<name>`, `settings`, `grant/<id>`.
    pub target: String,
    /// The members that changed, as they were.
    pub before: Map<String, Value>,
    /// And as they are.
    pub after: Map<String, Value>,
}

/// The members that differ, of either. Of an object only the names are told: claims are what is known of a person, and the
/// log outlives them.
pub fn differences(mut before: Map<String, Value>, mut after: Map<String, Value>) -> [Map<String, Value>; 2] {
    let same: Vec<String> = before
        .iter()
        .filter(|(name, value)| after.get(*name) == Some(value))
        .map(|(name, _)| name.clone())
        .list();
    for name in same {
        before.remove(&name);
        after.remove(&name);
    }
    for value in before.values_mut().chain(after.values_mut()) {
        if let Value::Object(members) = value {
            *value = members.keys().map(String::as_str).collect();
        }
    }
    [before, after]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_did_not_change_is_not_told() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let before = map(json!({ "a": 1, "b": [1], "c": null }));
        let after = map(json!({ "a": 1, "b": [2], "d": 3 }));
        assert_eq!(
            differences(before, after),
            [map(json!({ "b": [1], "c": null })), map(json!({ "b": [2], "d": 3 }))]
        );
    }

    #[test]
    fn of_an_object_that_changed_the_names_are_told() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let (before, after) = (map(json!({ "c": { "x": "hush" } })), map(json!({ "c": { "x": 1, "y": 2 } })));
        assert_eq!(differences(before, after), [map(json!({ "c": ["x"] })), map(json!({ "c": ["x", "y"] }))]);
    }
}
