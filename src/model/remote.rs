//! Other servers, as an administrator describes them: those at which this one is a client (connections), and those whose
//! tokens are good here, too (external authorization servers).

use super::{
    outside,
    patch::{self, Invalid},
    scope::Scope,
};
use crate::{
    crypto::{self, Secret},
    error::quotable,
    host::Attempt,
    json::{Json, json},
    list::List as _,
};
use serde_json::{Map, Value};

/// The longest text, in bytes.
const LONGEST: usize = 2000;
/// Under what a secret is sealed.
pub const SECRET: &str = "client_secret";

/// Which other servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Json)]
pub enum Kind {
    /// This server is a client there, and holds tokens.
    Connection,
    /// Its access tokens are good here, by its introspection (RFC 7662).
    Server,
}

/// A member of the record.
struct Field {
    name: &'static str,
    form: Form,
    /// It must be said.
    needed: bool,
    /// It says whom the secret is for.
    whose: bool,
}

#[derive(Clone, Copy)]
enum Form {
    /// An address elsewhere that may be asked.
    Address,
    /// RFC 6749 §3.3.
    Scope,
    /// A text in one line.
    Line,
    /// One of these; the first where nothing is said.
    Choice(&'static [&'static str]),
    /// Scheme, host and port of several addresses.
    Origins,
    /// Several texts.
    Names,
}

/// How this server says who it is there (RFC 7591 §2). One without a secret is public.
const METHODS: Form = Form::Choice(&["client_secret_basic", "client_secret_post"]);

const fn field(name: &'static str, form: Form, needed: bool, whose: bool) -> Field {
    Field { name, form, needed, whose }
}

#[rustfmt::skip]
const CONNECTION: &[Field] = &[
    field("issuer",                     Form::Address, true,  true),
    field("authorization_endpoint",     Form::Address, true,  false),
    field("token_endpoint",             Form::Address, true,  true),
    field("client_id",                  Form::Line,    true,  true),
    field("token_endpoint_auth_method", METHODS,       false, false),
    field("scope",                      Form::Scope,   false, false),
    field("allowed_origins",            Form::Origins, false, false),
    field("allowed_clients",            Form::Names,   false, false),
];
#[rustfmt::skip]
const SERVER: &[Field] = &[
    field("issuer",                     Form::Address, false, true),
    field("introspection_endpoint",     Form::Address, true,  true),
    field("client_id",                  Form::Line,    true,  true),
    field("token_endpoint_auth_method", METHODS,       false, false),
    field("audience",                   Form::Line,    false, false),
    field("scope",                      Form::Scope,   false, false),
    field("default_scope",              Form::Scope,   false, false),
    field("username",                   Form::Line,    false, false),
];

impl Kind {
    /// As it is called in answers and in the log of changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Server => "external-server",
        }
    }

    const fn fields(self) -> &'static [Field] {
        match self {
            Self::Connection => CONNECTION,
            Self::Server => SERVER,
        }
    }
}

/// As the registry keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Remote {
    /// The format of the row.
    pub format: u8,
    /// Which kind.
    pub kind: Kind,
    /// Drawn with it: names the vault of its secrets, and of a connection the object that holds its tokens.
    pub id: String,
    /// As people call it.
    pub name: String,
    /// Grows with every change.
    pub version: u64,
    /// What administrators may see and change.
    pub members: Map<String, Value>,
    /// Sealed.
    pub client_secret: Option<String>,
    /// The wish that last changed it.
    #[json(default)]
    pub attempt: Attempt,
}

/// What a change says of the secret.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing.
    Nothing,
    /// There is none any more.
    None,
    /// A new one.
    New(String),
}

impl Remote {
    /// One of which nothing is said yet.
    pub fn blank(kind: Kind, format: u8, id: String, name: &str) -> Self {
        let (name, version, attempt) = (name.to_owned(), 0, Attempt::default());
        let members =
            crate::json::object(kind.fields().iter().map(|field| (field.name, field.form.default())));
        Self { format, kind, id, name, version, members, client_secret: None, attempt }
    }

    /// A member that is a text.
    pub fn text(&self, name: &str) -> &str {
        self.members.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A member that is a list.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.members.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// Whom the secret is for: what is said to one is not for another.
    pub fn of(&self) -> Secret {
        let whose = self.kind.fields().iter().filter(|field| field.whose).map(|field| self.text(field.name));
        let parts: Vec<String> = whose.map(|part| format!("{}:{part}", part.len())).list();
        Secret(crypto::digest(parts.concat().as_bytes()).to_vec())
    }

    /// With a patch merged in (RFC 7396); `whole`: the patch is all of it, but for the secret. Names the first member that
    /// does not fit. `laptop`: servers on this machine may be asked, too.
    pub fn amend(
        &self,
        patch: Map<String, Value>,
        whole: bool,
        laptop: bool,
    ) -> Result<(Self, Said), Invalid> {
        let mut after = self.clone();
        if whole {
            after.members = Self::blank(self.kind, self.format, String::new(), "").members;
        }
        let mut said = Said::Nothing;
        for (name, value) in patch {
            let refused = |why: &str| Err(Invalid::new(&quotable(&name), why));
            if name == SECRET {
                said = match value {
                    Value::Null => Said::None,
                    Value::String(secret) if (1..=LONGEST).contains(&secret.len()) => Said::New(secret),
                    _ => return refused("must be a text, or null where there is none"),
                };
                continue;
            }
            let Some(field) = self.kind.fields().iter().find(|field| field.name == name) else {
                return refused("is not a member that this server keeps");
            };
            let value = field.form.read(value, laptop).map_err(|why| Invalid::new(&name, why))?;
            after.members.insert(name, value);
        }
        let missing = |field: &&Field| field.needed && after.text(field.name).is_empty();
        if let Some(field) = self.kind.fields().iter().find(missing) {
            return Err(Invalid::new(field.name, "is missing"));
        }
        if said == Said::Nothing && self.client_secret.is_some() && after.of() != self.of() {
            // Else whoever may write it could have it sent to themselves.
            let names = self.kind.fields().iter().filter(|field| field.whose).map(|field| field.name);
            let names = names.list().join(", ");
            let why = format!("must be said again where one of these changes: {names}");
            return Err(Invalid::new(SECRET, why));
        }
        if said == Said::None {
            after.client_secret = None;
        }
        Ok((after, said))
    }
}

impl Form {
    fn default(self) -> Value {
        match self {
            Self::Choice(names) => json!(names.first()),
            Self::Origins | Self::Names => json!([]),
            _ => json!(""),
        }
    }

    fn read(self, value: Value, laptop: bool) -> Result<Value, String> {
        if value.is_null() {
            return Ok(self.default());
        }
        if let Self::Names = self {
            return Ok(json!(patch::read_names(value)?));
        }
        if let Self::Origins = self {
            let origins = patch::read_names(value)?;
            let may_be_asked =
                |text: &str| outside::origin_of(text) == text && outside::host_of(text, laptop).is_ok();
            return match origins.iter().find(|text| !may_be_asked(text)) {
                Some(other) => Err(format!("{}: is not an origin that may be asked", quotable(other))),
                None => Ok(json!(origins)),
            };
        }
        let Value::String(text) = value else { return Err("must be a text".to_owned()) };
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err("must have at most 2000 bytes, and no control characters".to_owned());
        }
        let fits = match self {
            Self::Address if !text.is_empty() => outside::host_of(&text, laptop).map(|_| ()),
            Self::Scope if !text.is_empty() && Scope::parse(&text).is_err() => {
                Err("is not one of RFC 6749 section 3.3")
            }
            Self::Choice(names) if !names.contains(&text.as_str()) => {
                return Err(format!("must be one of {}", names.join(", ")));
            }
            _ => Ok(()),
        };
        fits.map(|()| Value::String(text)).map_err(str::to_owned)
    }
}

/// Whether one may be called so.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=64).contains(&text.len())
        && text.bytes().all(plain)
        && !matches!(text, "." | ".." | "http" | "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Map<String, Value> {
        crate::json::object([
            ("issuer", json!("https://as.test")),
            ("authorization_endpoint", json!("https://as.test/authorize?prompt=consent")),
            ("token_endpoint", json!("https://as.test/token")),
            ("client_id", json!("we")),
        ])
    }

    fn blank() -> Remote {
        Remote::blank(Kind::Connection, 1, "id".to_owned(), "mail")
    }

    #[test]
    fn what_is_missing_private_or_unknown_is_refused_by_its_name() {
        assert!(blank().amend(whole(), false, false).is_ok());
        for (field, value) in [
            ("issuer", Value::Null),
            ("issuer", json!("http://as.test")),
            ("token_endpoint", json!("https://10.0.0.1/token")),
            ("token_endpoint", json!("http://localhost:1/token")),
            ("token_endpoint", json!("x".repeat(2001))),
            ("authorization_endpoint", json!("javascript:x")),
            ("client_id", json!("")),
            ("client_id", json!(7)),
            ("client_secret", json!("")),
            ("scope", json!("a  b\n")),
            ("token_endpoint_auth_method", json!("private_key_jwt")),
            ("allowed_origins", json!(["https://api.test/path"])),
            ("allowed_origins", json!("https://api.test")),
            ("status", json!("connected")),
        ] {
            let mut patch = whole();
            patch.insert(field.to_owned(), value.clone());
            assert_eq!(blank().amend(patch, false, false).unwrap_err().field, field, "{value}");
        }
        let mut laptop = whole();
        laptop.insert("token_endpoint".to_owned(), json!("http://localhost:1/token"));
        assert!(blank().amend(laptop, false, true).is_ok());
    }

    #[test]
    fn a_secret_does_not_follow_to_another_server() {
        let (known, _) = blank().amend(whole(), false, false).unwrap();
        let known = Remote { client_secret: Some("sealed".to_owned()), ..known };
        for (name, value) in
            [("issuer", "https://b.test"), ("token_endpoint", "https://b.test/token"), ("client_id", "b")]
        {
            let patch = crate::json::object([(name, json!(value))]);
            assert_eq!(known.amend(patch.clone(), false, false).unwrap_err().field, SECRET, "{name}");
            for (secret, said) in [(json!("new"), Said::New("new".to_owned())), (Value::Null, Said::None)] {
                let mut patch = patch.clone();
                patch.insert(SECRET.to_owned(), secret);
                assert_eq!(known.amend(patch, false, false).unwrap().1, said);
            }
        }
        let other = crate::json::object([("scope", json!("a b"))]);
        let (after, _) = known.amend(other.clone(), false, false).unwrap();
        assert_eq!((after.client_secret.as_deref(), after.text("scope")), (Some("sealed"), "a b"));
        let (after, _) = after.amend(whole(), true, false).unwrap();
        assert_eq!((after.client_secret.as_deref(), after.text("scope")), (Some("sealed"), ""));
        assert!(after.amend(other, true, false).is_err(), "all of it is more than that");
    }

    #[test]
    fn a_name_is_a_segment_of_an_address() {
        assert!(is_name("mail") && is_name("Partner-7._x"));
        let long = "x".repeat(65);
        for name in ["", ".", "..", "https", "a b", "a/b", "ä", &long] {
            assert!(!is_name(name), "{name}");
        }
    }
}
