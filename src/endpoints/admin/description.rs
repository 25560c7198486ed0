//! `/admin/openapi.json`: the administration as `OpenAPI` 3.1.
//!
//! `openapi.json` is all of it but for what members mean, which stands in their tables: one copy of a text is enough.
//! `tests/native/admin/openapi.rs` makes that file of the routes and of the tables, and holds that it is so.

use super::members::{
    CHANGE, CLIENT, CONNECTION, EXTERNAL_SERVER, GRANT, KEY, Member, REGISTRATION_TOKEN, SCOPE, USER,
};
use crate::{json, model::settings::Settings, wire::Response};
use http::StatusCode;
use serde_json::Value;

/// The records whose members are described here.
const RECORDS: &[(&str, &[Member])] = &[
    ("Client", CLIENT),
    ("RegistrationToken", REGISTRATION_TOKEN),
    ("Scope", SCOPE),
    ("User", USER),
    ("Connection", CONNECTION),
    ("ExternalServer", EXTERNAL_SERVER),
    ("Key", KEY),
    ("Grant", GRANT),
    ("Change", CHANGE),
];

/// For whoever asks: it says nothing that the documents do not.
pub fn get() -> Response {
    let mut document = json::read(include_str!("openapi.json")).unwrap_or_default();
    for (record, members) in RECORDS {
        for member in *members {
            describe(&mut document, record, member.name, member.about);
        }
    }
    for setting in Settings::TABLE {
        describe(&mut document, "Settings", setting.key, setting.about);
    }
    Response::json(StatusCode::OK, &document).instead("cache-control", "public, max-age=300")
}

fn describe(document: &mut Value, record: &str, member: &str, about: &str) {
    let place = format!("/components/schemas/{record}/properties/{member}");
    if let Some(Value::Object(schema)) = document.pointer_mut(&place) {
        json::put(schema, "description", about.into());
    }
}
