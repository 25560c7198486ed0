//! The description of the administration API: made of the table of routes and of the tables of members, and compared with
//! what is answered and, as far as it stands there, with `src/endpoints/admin/openapi.json`. `EDGEMINT_WRITE=1 cargo test
//! openapi` writes that anew.

use super::members;
use edgemint::{
    endpoints::admin::{
        Resource, description,
        members::{
            CHANGE, CLIENT, CONNECTION, EXTERNAL_SERVER, GRANT, HEALTH, KEY, REGISTRATION_TOKEN, SCOPE, USER,
        },
    },
    model::settings::{Form, Setting, Settings},
    server,
};
use http::Method;
use serde_json::{Map, Value, json};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/endpoints/admin/openapi.json");

#[test]
fn the_description_is_what_routes_and_members_say() {
    let whole = document(server::administration());
    let text = format!("{}\n", without_meanings(whole.clone()));
    if std::env::var_os("EDGEMINT_WRITE").is_some() {
        // What is answered is in the program that the next run is.
        return std::fs::write(PATH, &text).expect("the description can be written");
    }
    let kept = std::fs::read_to_string(PATH).expect("there is a description");
    assert!(kept == text, "write it anew: EDGEMINT_WRITE=1 cargo test openapi");
    let answer = serde_json::from_slice::<Value>(&description::get().body).expect("JSON");
    for (name, record) in whole["components"]["schemas"].as_object().expect("schemas") {
        let answered = &answer["components"]["schemas"][name];
        assert_eq!(answered, record, "{name} is missing in src/endpoints/admin/description.rs");
    }
    assert!(answer == whole);
}

/// As it is kept: what members mean is put in when it is asked for.
fn without_meanings(mut document: Value) -> Value {
    for (name, record) in document["components"]["schemas"].as_object_mut().expect("schemas") {
        // What has no table in the Worker's code, or stands for another member than its table's.
        let kept = ["client_secret_hashes", "password_hash"];
        let written_out = ["Health", "Problem"].contains(&name.as_str());
        let members = record["properties"].as_object_mut().expect("members").iter_mut();
        for (_, member) in members.filter(|(member, _)| !written_out && !kept.contains(&member.as_str())) {
            member.as_object_mut().expect("a schema").remove("description");
        }
    }
    document
}

/// What a resource is made of: its name in the address, the schema of an item, and what it is called.
fn subject(resource: Resource) -> (&'static str, &'static str, &'static str) {
    match resource {
        Resource::Clients => ("", "Client", "clients"),
        Resource::Client | Resource::Secret => ("client_id", "Client", "client"),
        Resource::RegistrationTokens => ("", "RegistrationToken", "initial access tokens"),
        Resource::RegistrationToken => ("id", "RegistrationToken", "initial access token"),
        Resource::Scopes => ("", "Scope", "scopes"),
        Resource::Scope => ("name", "Scope", "scope"),
        Resource::Users => ("", "User", "people"),
        Resource::User => ("username", "User", "person"),
        Resource::Settings => ("", "Settings", "settings"),
        Resource::Connections => ("", "Connection", "connections"),
        Resource::Connection | Resource::ConnectionAuthorize => ("name", "Connection", "connection"),
        Resource::ExternalServers => ("", "ExternalServer", "external authorization servers"),
        Resource::ExternalServer => ("name", "ExternalServer", "external authorization server"),
        Resource::Keys => ("", "Key", "keys"),
        Resource::Key => ("kid", "Key", "key"),
        Resource::Grants => ("", "Grant", "grants"),
        Resource::Grant => ("id", "Grant", "grant"),
        Resource::Audit => ("", "Change", "changes"),
        Resource::Health => ("", "Health", "parts"),
    }
}

/// Tokens of another server: not administration, but at an address of it.
fn external() -> Value {
    let texts = |names: &[&str]| {
        let texts = names.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" })));
        texts.collect::<Map<_, _>>()
    };
    let wish = json!({
        "type": "object",
        "required": ["grant_type", "token_endpoint", "client_id"],
        "properties": texts(&[
            "grant_type", "token_endpoint", "client_id", "client_secret", "token_endpoint_auth_method", "code",
            "code_verifier", "redirect_uri", "refresh_token", "scope",
        ]),
    });
    let mut tokens = texts(&["access_token", "token_type", "refresh_token", "scope"]);
    tokens.insert("expires_in".to_owned(), json!({ "type": "integer" }));
    let tokens = json!({ "type": "object", "properties": tokens });
    json!({
        "summary": "Tokens from the token endpoint of another server, for ADMIN_TOKEN or a token with the scope external",
        "requestBody": { "required": true, "content": content("application/json", &wish) },
        "responses": {
            "200": { "description": "What it gave.", "content": content("application/json", &tokens) },
            "502": { "description": "It refused (external_status, external), or could not be reached." },
            "504": { "description": "It did not answer in time." },
            "default": refused(),
        },
    })
}

/// A fresh access token of another server.
fn fresh() -> Value {
    let tokens = json!({ "type": "object", "properties": {
        "access_token": { "type": "string" }, "token_type": { "type": "string" }, "scope": { "type": "string" },
        "expires_in": { "type": "integer", "description": "Seconds; absent where the server did not say." },
    } });
    json!({
        "summary": "A fresh access token, for ADMIN_TOKEN or a token with the scope external",
        "responses": {
            "200": { "description": "It is good now.", "content": content("application/json", &tokens) },
            "409": { "description": "Nobody has let this server in yet, or it is broken (broken_since, broken_reason)." },
            "502": { "description": "The other server refused (external_status, external), or could not be reached." },
            "504": { "description": "It did not answer in time." },
            "default": refused(),
        },
    })
}

/// Another one than that which a resource did not take.
fn another() -> Value {
    let mut operation = fresh();
    let body = json!({ "type": "object", "properties": { "refused": { "type": "string" } } });
    operation["summary"] = json!("Another access token than the one that a resource did not take");
    operation["requestBody"] = json!({ "required": true, "content": content("application/json", &body) });
    operation
}

/// A request to a resource with such a token.
fn errand() -> Value {
    let wish = json!({
        "type": "object",
        "required": ["connection", "url"],
        "properties": {
            "connection": { "type": "string" },
            "method": { "type": "string", "default": "GET" },
            "url": { "type": "string", "description": "Inside allowed_origins of the connection." },
            "headers": { "type": "object", "additionalProperties": { "type": "string" } },
            "body": { "type": "string" },
        },
    });
    let answer = json!({ "type": "object", "properties": {
        "status": { "type": "integer" },
        "headers": { "type": "object", "additionalProperties": { "type": "string" } },
        "body": { "type": "string", "description": "Where it is UTF-8." },
        "body_base64": { "type": "string", "description": "Where it is not." },
    } });
    json!({
        "summary": "A request to a resource with the access token of a connection, for ADMIN_TOKEN or a token with the scope external",
        "requestBody": { "required": true, "content": content("application/json", &wish) },
        "responses": {
            "200": { "description": "What the resource answered.", "content": content("application/json", &answer) },
            "409": { "description": "Nobody has let this server in yet, or it is broken (broken_since, broken_reason)." },
            "502": { "description": "The other server refused, or the resource could not be reached." },
            "504": { "description": "One of them did not answer in time." },
            "default": refused(),
        },
    })
}

fn refused() -> Value {
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    json!({ "description": "Refused by this server.", "content": content("application/problem+json", &problem) })
}

/// The document.
fn document(routes: impl Iterator<Item = (Method, &'static str, Resource)>) -> Value {
    let mut paths = Map::new();
    for (method, path, resource) in routes {
        let (name, ..) = subject(resource);
        let path = path.replace("{}", &format!("{{{name}}}"));
        let item = paths.entry(path).or_insert_with(|| match name {
            "" => json!({}),
            name => json!({ "parameters": [parameter(name, "path", "string")] }),
        });
        item[method.as_str().to_lowercase()] = operation(&method, resource);
    }
    paths.insert("/admin/external/token".to_owned(), json!({ "post": external() }));
    paths.insert("/admin/external/request".to_owned(), json!({ "post": errand() }));
    paths.insert(
        "/admin/connections/{name}/token".to_owned(),
        json!({
            "parameters": [parameter("name", "path", "string")],
            "get": fresh(), "post": another(),
        }),
    );
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Edgemint administration", "version": env!("CARGO_PKG_VERSION") },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "The administrator's token, or an access token with the scope admin or admin.read.",
            } },
            "schemas": {
                "Client": with_hashes(members::schema(CLIENT), "client_secret_hashes", "array"),
                "RegistrationToken": members::schema(REGISTRATION_TOKEN),
                "Scope": members::schema(SCOPE),
                "User": with_hashes(members::schema(USER), "password_hash", "string"),
                "Connection": members::schema(CONNECTION),
                "ExternalServer": members::schema(EXTERNAL_SERVER),
                "Key": members::schema(KEY),
                "Grant": members::schema(GRANT),
                "Change": members::schema(CHANGE),
                "Health": members::schema(HEALTH),
                "Settings": settings(),
                "Problem": {
                    "type": "object",
                    "description": "RFC 9457.",
                    "properties": {
                        "title": { "type": "string" },
                        "status": { "type": "integer" },
                        "detail": { "type": "string" },
                        "error": { "type": "string" },
                        "field": { "type": "string", "description": "The member that is wrong." },
                        "trace_id": { "type": "string" },
                    },
                },
            },
        },
    })
}

/// What a record of an export has, and may be made with.
fn with_hashes(mut schema: Value, name: &str, kind: &str) -> Value {
    schema["properties"][name] = json!({
        "type": kind,
        "description": "Answered to hashes=true alone, and taken where one is made.",
    });
    if kind == "array" {
        schema["properties"][name]["items"] = json!({ "type": "string" });
    }
    schema
}

fn settings() -> Value {
    let schema = |setting: &Setting| {
        let mut schema = match setting.form {
            Form::Number { least, most, never: true, .. } => json!({
                "type": ["integer", "null"],
                "anyOf": [{ "const": -1 }, { "minimum": least, "maximum": most }, { "type": "null" }],
            }),
            Form::Number { least, most, .. } => {
                json!({ "type": ["integer", "null"], "minimum": least, "maximum": most })
            }
            Form::Switch(_) => json!({ "type": ["boolean", "null"] }),
            Form::Choice(names) => {
                let mut values: Vec<Value> = names.iter().map(|name| json!(name)).collect();
                values.push(Value::Null);
                json!({ "type": ["string", "null"], "enum": values })
            }
            Form::Text { longest, .. } => json!({ "type": ["string", "null"], "maxLength": longest }),
        };
        schema["default"] = setting.form.default();
        schema["description"] = json!(setting.about);
        schema
    };
    let properties = Settings::TABLE.iter().map(|setting| (setting.key.to_owned(), schema(setting)));
    json!({ "type": "object", "properties": properties.collect::<Map<_, _>>() })
}

fn parameter(name: &str, place: &str, kind: &str) -> Value {
    json!({ "name": name, "in": place, "required": place == "path", "schema": { "type": kind } })
}

/// What an export has beside what is shown, for who may write.
fn hashes() -> Value {
    parameter("hashes", "query", "boolean")
}

fn content(media_type: &str, schema: &Value) -> Value {
    json!({ media_type: { "schema": schema } })
}

fn one_of(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn body_has_a_secret(method: &Method, resource: Resource) -> bool {
    *method == Method::POST && matches!(resource, Resource::Clients | Resource::Secret)
}

fn header(about: &str) -> Value {
    json!({ "description": about, "schema": { "type": "string" } })
}

/// What an answer has beside the record.
fn describe_answer(answered: &mut Value, method: &Method, resource: Resource, schema: &str) {
    if resource == Resource::Audit {
        answered["content"]["application/jsonl"] = json!({ "schema": one_of(schema) });
    }
    if *method == Method::POST && !matches!(resource, Resource::Secret | Resource::ConnectionAuthorize) {
        answered["headers"]["Location"] = header("The address of what was made.");
    }
}

/// Answers beside the usual one.
fn describe_others(
    operation: &mut Value,
    method: &Method,
    resource: Resource,
    schema: &str,
    collection: bool,
) {
    if *method == Method::POST && resource == Resource::Clients {
        operation["responses"]["204"] = json!({ "description": "With dry_run: it could be made." });
    }
    if body_has_a_secret(method, resource) {
        operation["responses"]["202"] = json!({
            "description": "Done, and this is the only time that the secret is shown; some shards have not heard of it yet.",
            "content": content("application/json", &one_of(schema)),
        });
    }
    if collection && *method == Method::DELETE {
        let next = json!({ "type": "object", "properties": {
            "next": { "type": "string" },
            "removedTokensCount": { "type": "integer" },
        } });
        operation["responses"]["200"] = json!({
            "description": "With next: not done, there is more to look at; the same request with next as after goes on. \
                            With removedTokensCount: so many that were expired are gone.",
            "content": content("application/json", &next),
        });
    }
}

/// Whether an item may be changed by its version.
fn is_versioned(resource: Resource) -> bool {
    !matches!(
        resource,
        Resource::Grant
            | Resource::Grants
            | Resource::Audit
            | Resource::Health
            | Resource::RegistrationTokens
            | Resource::RegistrationToken
            | Resource::Keys
            | Resource::Key
            | Resource::ConnectionAuthorize
    )
}

fn operation(method: &Method, resource: Resource) -> Value {
    let (key, schema, called) = subject(resource);
    let one = one_of(schema);
    let collection = key.is_empty() && resource != Resource::Settings;
    let page = json!({ "type": "object", "properties": {
        "items": { "type": "array", "items": one },
        "next": { "type": ["string", "null"], "description": "What to send as after for the next page." },
    } });
    let versioned = is_versioned(resource);
    let mut parameters = Vec::new();
    let mut body = None;
    let (summary, status, answer) = match *method {
        Method::GET if collection => {
            parameters.push(parameter("limit", "query", "integer"));
            parameters.push(parameter("after", "query", "string"));
            parameters.push(parameter("q", "query", "string"));
            if matches!(resource, Resource::Clients | Resource::Users) {
                parameters.push(hashes());
            }
            (format!("A page of {called}"), "200", Some(page))
        }
        Method::GET => {
            if resource == Resource::Settings {
                parameters.push(hashes());
            }
            (format!("One {called}"), "200", Some(one))
        }
        Method::POST if resource == Resource::Secret => {
            let seconds = json!({ "type": "integer", "minimum": 0, "maximum": 2_592_000, "default": 0 });
            body = Some(json!({ "type": "object", "properties": { "overlap_seconds": seconds } }));
            ("A new secret".to_owned(), "200", Some(one))
        }
        Method::POST if resource == Resource::ConnectionAuthorize => {
            let url =
                json!({ "type": "object", "properties": { "authorization_url": { "type": "string" } } });
            ("Where a browser goes to let this server in".to_owned(), "200", Some(url))
        }
        Method::POST => {
            if resource == Resource::Clients {
                parameters.push(parameter("dry_run", "query", "boolean"));
            }
            body = Some(one.clone());
            (format!("One more of the {called}"), "201", Some(one))
        }
        Method::PUT => {
            body = Some(one.clone());
            (format!("All that the {called} is from now on"), "200", Some(one))
        }
        Method::PATCH => {
            body = Some(one.clone());
            (format!("A change of the {called} (RFC 7396)"), "200", Some(one))
        }
        Method::DELETE if collection => {
            parameters.push(parameter("after", "query", "string"));
            parameters.push(parameter("sessions", "query", "boolean"));
            parameters.push(parameter("expired", "query", "boolean"));
            parameters.push(parameter("limit", "query", "integer"));
            (format!("The end of {called}: all of one client, person or scope"), "204", None)
        }
        _ => (format!("The end of the {called}"), "204", None),
    };
    if resource == Resource::Grants {
        for name in ["client_id", "username", "scope"] {
            parameters.push(parameter(name, "query", "string"));
        }
    }
    if versioned && !collection && *method != Method::GET {
        parameters.push(parameter("If-Match", "header", "string"));
    }
    let mut answered = json!({ "description": "Done." });
    if let Some(schema) = answer {
        answered["content"] = content("application/json", &schema);
    }
    describe_answer(&mut answered, method, resource, schema);
    if versioned && !(collection && *method == Method::GET) && *method != Method::DELETE {
        answered["headers"]["ETag"] = header("The version, for If-Match.");
    }
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    let refused = json!({
        "description": "Refused, or not known to be done (503).",
        "content": content("application/problem+json", &problem),
    });
    let mut operation = json!({ "summary": summary, "responses": { status: answered, "default": refused } });
    describe_others(&mut operation, method, resource, schema, collection);
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some(schema) = body {
        let required = resource != Resource::Secret;
        operation["requestBody"] =
            json!({ "required": required, "content": content("application/json", &schema) });
    }
    operation
}
