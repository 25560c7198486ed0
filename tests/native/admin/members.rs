//! The tables of members as JSON Schema.

use edgemint::endpoints::admin::members::{
    Form::{Any, Choice, Instant, Names, Number, Object, Switch, Text, Texts, Tristate},
    Member,
    Written::{Always, Anew, Drawn, Listed, Never, Once, Only, Opens},
};
use serde_json::{Value, json};

/// The JSON Schema of a member. What may be changed may be `null`, which is its default.
fn of(member: &Member) -> (String, Value) {
    let texts = || json!({ "type": "string" });
    let kind = |name: &str| {
        if matches!(member.written, Always | Listed) { json!([name, "null"]) } else { json!([name]) }
    };
    let mut schema = match member.form {
        Text | Names => json!({ "type": kind("string") }),
        Texts => json!({ "type": kind("array"), "items": texts() }),
        Any(names) => json!({ "type": kind("array"), "items": { "type": "string", "enum": names } }),
        Switch | Tristate => json!({ "type": kind("boolean") }),
        // -1 is never.
        Number if member.name == "access_token_lifetime" => {
            json!({ "type": ["integer", "null"], "minimum": -1 })
        }
        Number | Instant => json!({ "type": ["integer", "null"], "minimum": 0 }),
        Choice(names) => json!({ "type": kind("string"), "enum": names }),
        Object => json!({ "type": kind("object") }),
    };
    // `null` is one of the choices, where it may be written.
    if let (Choice(names), Always) = (member.form, member.written) {
        let names = names.iter().map(|name| json!(name));
        schema["enum"] = names.chain([Value::Null]).collect();
    }
    schema["description"] = json!(member.about);
    match member.written {
        Never | Drawn => schema["readOnly"] = json!(true),
        Only | Anew => schema["writeOnly"] = json!(true),
        Always | Once | Opens | Listed => {}
    }
    (member.name.to_owned(), schema)
}

/// The JSON Schema of a record.
pub fn schema(members: &[Member]) -> Value {
    json!({ "type": "object", "properties": members.iter().map(of).collect::<serde_json::Map<_, _>>() })
}
