//! A connection: somebody else's authorization server, and what this one is to it as a client.

use super::{
    outside,
    patch::{self, Invalid},
    scope::Scope,
};
use crate::{
    crypto::{self, Secret},
    error::quotable,
    host::Attempt,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The longest address, id or secret, in bytes.
const LONGEST: usize = 2000;
/// How a client says who it is (RFC 7591 §2); the first where nothing is said. One without a secret is public.
const METHODS: &[&str] = &["client_secret_basic", "client_secret_post"];
/// Under what a secret is sealed.
pub const SECRET: &str = "client_secret";

/// As the registry keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The format of the row.
    pub format: u8,
    /// Drawn with it: names the object that holds its tokens, and the vault of its secrets.
    pub id: String,
    /// As people call it.
    pub name: String,
    /// Grows with every change.
    pub version: u64,
    /// `iss` of its answers (RFC 9207).
    pub issuer: String,
    /// Where a browser is sent.
    pub authorization_endpoint: String,
    /// What is asked for tokens.
    pub token_endpoint: String,
    /// Who this server is there.
    pub client_id: String,
    /// Sealed.
    pub client_secret: Option<String>,
    /// One of [`METHODS`].
    pub token_endpoint_auth_method: String,
    /// What is asked for; empty: what the server gives by itself.
    pub scope: String,
    /// Where requests may go with its token.
    pub allowed_origins: Vec<String>,
    /// The wish that last changed it.
    #[serde(default)]
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

impl Connection {
    /// What administrators may see.
    pub fn members(&self) -> Map<String, Value> {
        crate::json::object([
            ("name", json!(self.name)),
            ("issuer", json!(self.issuer)),
            ("authorization_endpoint", json!(self.authorization_endpoint)),
            ("token_endpoint", json!(self.token_endpoint)),
            ("client_id", json!(self.client_id)),
            ("token_endpoint_auth_method", json!(self.token_endpoint_auth_method)),
            ("scope", json!(self.scope)),
            ("allowed_origins", json!(self.allowed_origins)),
        ])
    }

    /// Whose tokens are held: with another of these they are somebody else's, and are forgotten.
    pub fn of(&self) -> Secret {
        let parts = [&self.issuer, &self.token_endpoint, &self.client_id];
        let parts: Vec<String> = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
        Secret(crypto::digest(parts.concat().as_bytes()).to_vec())
    }

    /// With a patch merged in (RFC 7396). Names the first member that does not fit. `laptop`: servers on this machine may be
    /// asked, too.
    pub fn amend(&self, patch: Map<String, Value>, laptop: bool) -> Result<(Self, Said), Invalid> {
        let mut after = self.clone();
        let mut said = Said::Nothing;
        for (name, value) in patch {
            let refused = |why: &str| Err(Invalid::new(&quotable(&name), why));
            match (name.as_str(), value) {
                (SECRET, Value::Null) => said = Said::None,
                (SECRET, Value::String(secret)) if !secret.is_empty() && secret.len() <= LONGEST => {
                    said = Said::New(secret);
                }
                (SECRET, _) => return refused("must be a text, or null where there is none"),
                ("allowed_origins", value) => {
                    let origins = patch::read_names(value).map_err(|why| Invalid::new(&name, why))?;
                    if let Some(other) = origins.iter().find(|text| !is_origin(text, laptop)) {
                        return refused(&format!("{}: is not an origin that may be asked", quotable(other)));
                    }
                    after.allowed_origins = origins;
                }
                (_, value) => {
                    let Some(member) = after.text(&name) else {
                        return refused("is not a member that this server keeps");
                    };
                    *member = match value {
                        Value::Null => String::new(),
                        Value::String(text) if text.len() <= LONGEST => text,
                        _ => return refused("must be a text of at most 2000 bytes"),
                    };
                }
            }
        }
        after.check(laptop)?;
        let elsewhere = after.of() != self.of();
        if elsewhere && said == Said::Nothing && self.client_secret.is_some() {
            // Else whoever may write it could have it sent to themselves.
            let why = "must be said again where issuer, token_endpoint or client_id changes";
            return Err(Invalid::new(SECRET, why));
        }
        if said == Said::None {
            after.client_secret = None;
        }
        Ok((after, said))
    }

    /// A new one, with nothing in it.
    pub fn blank(format: u8, id: String, name: &str) -> Self {
        Self { format, id, name: name.to_owned(), ..Self::default() }
    }

    fn text(&mut self, name: &str) -> Option<&mut String> {
        Some(match name {
            "issuer" => &mut self.issuer,
            "authorization_endpoint" => &mut self.authorization_endpoint,
            "token_endpoint" => &mut self.token_endpoint,
            "client_id" => &mut self.client_id,
            "token_endpoint_auth_method" => &mut self.token_endpoint_auth_method,
            "scope" => &mut self.scope,
            _ => return None,
        })
    }

    fn check(&mut self, laptop: bool) -> Result<(), Invalid> {
        for (name, address) in [
            ("issuer", &self.issuer),
            ("authorization_endpoint", &self.authorization_endpoint),
            ("token_endpoint", &self.token_endpoint),
        ] {
            if address.is_empty() {
                return Err(Invalid::new(name, "is missing"));
            }
            outside::host_of(address, laptop).map_err(|why| Invalid::new(name, why))?;
        }
        if self.client_id.is_empty() || self.client_id.chars().any(char::is_control) {
            return Err(Invalid::new("client_id", "is missing, or has control characters"));
        }
        if !self.scope.is_empty() && Scope::parse(&self.scope).is_err() {
            return Err(Invalid::new("scope", "is not one of RFC 6749 section 3.3"));
        }
        if self.token_endpoint_auth_method.is_empty() {
            self.token_endpoint_auth_method = METHODS.first().copied().unwrap_or_default().to_owned();
        }
        if !METHODS.contains(&self.token_endpoint_auth_method.as_str()) {
            let why = "must be client_secret_basic or client_secret_post";
            return Err(Invalid::new("token_endpoint_auth_method", why));
        }
        Ok(())
    }
}

fn is_origin(text: &str, laptop: bool) -> bool {
    outside::origin_of(text) == text && outside::host_of(text, laptop).is_ok()
}

/// Whether a connection may be called so.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(plain) && !matches!(text, "." | "..")
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

    fn blank() -> Connection {
        Connection::blank(1, "id".to_owned(), "mail")
    }

    #[test]
    fn what_is_missing_private_or_unknown_is_refused_by_its_name() {
        assert!(blank().amend(whole(), false).is_ok());
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
            assert_eq!(blank().amend(patch, false).unwrap_err().field, field, "{value}");
        }
        let mut laptop = whole();
        laptop.insert("token_endpoint".to_owned(), json!("http://localhost:1/token"));
        assert!(blank().amend(laptop, true).is_ok());
    }

    #[test]
    fn a_secret_does_not_follow_to_another_server() {
        let (known, _) = blank().amend(whole(), false).unwrap();
        let known = Connection { client_secret: Some("sealed".to_owned()), ..known };
        for (name, value) in
            [("issuer", "https://b.test"), ("token_endpoint", "https://b.test/token"), ("client_id", "b")]
        {
            let patch = crate::json::object([(name, json!(value))]);
            assert_eq!(known.amend(patch.clone(), false).unwrap_err().field, SECRET, "{name}");
            for (secret, said) in [(json!("new"), Said::New("new".to_owned())), (Value::Null, Said::None)] {
                let mut patch = patch.clone();
                patch.insert(SECRET.to_owned(), secret);
                assert_eq!(known.amend(patch, false).unwrap().1, said);
            }
        }
        let other = crate::json::object([("scope", json!("a b"))]);
        assert_eq!(known.amend(other, false).unwrap().0.client_secret.as_deref(), Some("sealed"));
    }

    #[test]
    fn a_name_is_a_segment_of_an_address() {
        assert!(is_name("mail") && is_name("Partner-7._x"));
        let long = "x".repeat(65);
        for name in ["", ".", "..", "a b", "a/b", "ä", &long] {
            assert!(!is_name(name), "{name}");
        }
    }
}
