//! What administrators see and set, in one table a record: name, form and meaning of every member. The description of the
//! API is made of it, and tests hold that it is so.

use serde_json::{Value, json};

/// One member of a record.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it may be.
    pub form: Form,
    /// What it means, in a sentence.
    pub about: &'static str,
    /// When it may be written.
    pub written: Written,
}

/// What a member may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A text.
    Text,
    /// Texts.
    Texts,
    /// Names, separated by spaces.
    Names,
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number,
    /// Seconds since 1970.
    Instant,
    /// One of these.
    Choice(&'static [&'static str]),
    /// An object with any members.
    Object,
}

/// When a member may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Always; `null` takes it back to its default.
    Always,
    /// Never: it is shown.
    Never,
    /// When the record is made.
    Once,
    /// It is written and never shown.
    Only,
    /// By the answer to a request that draws it.
    Drawn,
}

const fn member(name: &'static str, form: Form, written: Written, about: &'static str) -> Member {
    Member { name, form, about, written }
}

use Form::{Choice, Instant, Names, Number, Object, Switch, Text, Texts};
use Written::{Always, Drawn, Never, Once, Only};

/// A client, under the names of RFC 7591 §2 and our own.
#[rustfmt::skip]
pub const CLIENT: &[Member] = &[
    member("client_id",                  Text,    Once,   "Drawn where none is chosen."),
    member("client_id_issued_at",        Instant, Never,  "When it was registered."),
    member("client_secret",              Text,    Drawn,  "Shown once: in the answer to a registration and to a new secret."),
    member("client_secret_expires_at",   Number,  Drawn,  "0: never."),
    member("client_name",                Text,    Always, "What people are shown."),
    member("client_version",             Text,    Always, "Tells registrations of one name apart."),
    member("description",                Text,    Always, "For administrators."),
    member("enabled",                    Switch,  Always, "Whether it may do anything. Disabling ends what was issued."),
    member("redirect_uris",              Texts,   Always, "Where authorization responses may go. Compared to the letter."),
    member("grant_types",                Texts,   Always, "What it may use: authorization_code, refresh_token, client_credentials."),
    member("response_types",             Texts,   Always, "code, where it may use the authorization endpoint."),
    member("scope",                      Names,   Always, "What it may ask for, and what it gets where it asks for nothing."),
    member("token_endpoint_auth_method", Choice(&["client_secret_basic", "client_secret_post", "none"]), Once, "How it authenticates; none is a public client."),
    member("contacts",                   Texts,   Always, "People to write to."),
    member("profile",                    Choice(&["oauth21", "legacy"]), Always, "Its defaults."),
    member("strict",                     Switch,  Always, "Asks a shard at client_credentials, so that no location can be behind."),
    member("resource_server",            Switch,  Always, "May introspect the tokens of others."),
    member("administrative",             Switch,  Always, "May administer by a token of its own with the scope admin."),
    member("access_token_lifetime",      Number,  Always, "Seconds; null: as the settings say."),
    member("access_token_format",        Choice(&["opaque"]), Always, "The form of its access tokens."),
    member("code_lifetime",              Number,  Always, "Seconds; null: as profile and settings say."),
    member("refresh_count",              Number,  Always, "Refreshes of a grant; null: unlimited, 0: no refresh token."),
    member("refresh_rotation",           Choice(&["always", "never"]), Always, "Whether refreshing makes a new refresh token; null: as the profile says."),
    member("require_pkce",               Switch,  Always, "null: as the profile says."),
    member("not_before",                 Instant, Always, "What was issued until then is dead. Only moves forward."),
];

/// A scope of the catalogue.
#[rustfmt::skip]
pub const SCOPE: &[Member] = &[
    member("name",        Text,  Once,   "Cannot be changed: clients and tokens carry it."),
    member("description", Text,  Always, "What people read when they are asked to allow it."),
    member("folders",     Texts, Never,  "Folders it opens."),
    member("urls",        Texts, Never,  "URL templates it opens."),
    member("groups",      Texts, Never,  "Groups of which a person must have one."),
    member("clients",     Texts, Never,  "The clients that may have it."),
];

/// A person.
#[rustfmt::skip]
pub const USER: &[Member] = &[
    member("username",   Text,    Once,   "What the person types."),
    member("sub",        Text,    Never,  "The subject id: opaque, and never used again."),
    member("password",   Text,    Only,   "8 to 1000 bytes. A new one ends every session and grant."),
    member("enabled",    Switch,  Always, "Whether the person may sign in. Disabling ends sessions and grants."),
    member("groups",     Texts,   Always, "What resources may demand."),
    member("roles",      Texts,   Always, "administrator, auditor: what the person may do here."),
    member("claims",     Object,  Always, "Standard claims (OpenID Connect Core section 5.1)."),
    member("not_before", Instant, Always, "Sessions and grants until then are dead. Only moves forward."),
];

/// What a person allowed a client.
#[rustfmt::skip]
pub const GRANT: &[Member] = &[
    member("id",                Text,    Never, "Its address."),
    member("client_id",         Text,    Never, "To whom."),
    member("username",          Text,    Never, "By whom."),
    member("sub",               Text,    Never, "By whom, by subject id."),
    member("scope",             Names,   Never, "What."),
    member("created_at",        Instant, Never, "When."),
    member("expires_at",        Instant, Never, "Until when; null: no end of its own."),
    member("refresh_remaining", Number,  Never, "Refreshes left; null: unlimited."),
    member("state",             Choice(&["offered", "live"]), Never, "offered: its code has not been redeemed yet."),
];

/// A change that somebody made.
#[rustfmt::skip]
pub const CHANGE: &[Member] = &[
    member("id",       Text,    Never, "Its place in the log."),
    member("time",     Instant, Never, "When."),
    member("by",       Object,  Never, "kind (token, user, client) and name."),
    member("address",  Text,    Never, "Where the request came from."),
    member("trace_id", Text,    Never, "Finds the event in the log of the Worker."),
    member("action",   Text,    Never, "What was done."),
    member("target",   Text,    Never, "To what."),
    member("before",   Object,  Never, "The members that changed, as they were."),
    member("after",    Object,  Never, "And as they are."),
];

impl Member {
    /// Its JSON Schema. What may be changed may be `null`, which is its default.
    fn schema(&self) -> Value {
        let texts = || json!({ "type": "string" });
        let kind = |name: &str| if self.written == Always { json!([name, "null"]) } else { json!([name]) };
        let mut schema = match self.form {
            Text | Names => json!({ "type": kind("string") }),
            Texts => json!({ "type": kind("array"), "items": texts() }),
            Switch => json!({ "type": kind("boolean") }),
            Number | Instant => json!({ "type": ["integer", "null"], "minimum": 0 }),
            Choice(names) => json!({ "type": kind("string"), "enum": names }),
            Object => json!({ "type": kind("object") }),
        };
        // Not by index: that would write an `enum` where there is none.
        if let (Always, Some(Value::Array(choices))) = (self.written, schema.get_mut("enum")) {
            choices.push(Value::Null);
        }
        schema["description"] = json!(self.about);
        match self.written {
            Never | Drawn => schema["readOnly"] = json!(true),
            Only => schema["writeOnly"] = json!(true),
            Always | Once => {}
        }
        schema
    }
}

/// The JSON Schema of a record.
pub fn schema(members: &[Member]) -> Value {
    let properties = members.iter().map(|member| (member.name.to_owned(), member.schema()));
    json!({ "type": "object", "properties": properties.collect::<serde_json::Map<_, _>>() })
}
