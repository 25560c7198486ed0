//! Registered clients (RFC 7591 §2), their policy, and what may be registered.

use super::{
    grant::Terms,
    mark::{ClientRef, Mark, Restrictions, Standing},
    policy::Policy,
    profile::Profile,
    redirect_uri::RedirectUri,
    scope::Scope,
};
use crate::{
    crypto::Secret,
    error::quotable,
    host::{Attempts, Seconds, Timestamp},
};
use serde::{Deserialize, Serialize};

/// Grant types a client may be registered with. `password` and `implicit` are known names that no endpoint serves yet.
pub const GRANT_TYPES: &[&str] =
    &["authorization_code", "refresh_token", "client_credentials", "password", "implicit"];

/// How a client authenticates (RFC 7591 §2). A client with a secret may send it either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// In the header (RFC 6749 §2.3.1).
    #[default]
    ClientSecretBasic,
    /// In the body (RFC 6749 §2.3.1).
    ClientSecretPost,
    /// Not at all: a public client (RFC 6749 §2.1).
    None,
}

/// Whether refreshing makes a new refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// Each time.
    Always,
    /// The answer repeats the same one.
    Never,
}

/// The form of access tokens. One is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// A sealed ticket.
    #[default]
    Opaque,
}

/// What a client says of itself and what an administrator decides about it; the member names are the wire's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metadata {
    /// What people are shown.
    pub client_name: Option<String>,
    /// A text that tells registrations of one name apart.
    pub client_version: Option<String>,
    /// For administrators.
    pub description: Option<String>,
    /// Where authorization responses may go.
    pub redirect_uris: Vec<RedirectUri>,
    /// What it may use at the token endpoint.
    pub grant_types: Vec<String>,
    /// `code`, where it may use the authorization endpoint.
    pub response_types: Vec<String>,
    /// What it may ask for; what it gets where it asks for nothing.
    pub scope: Scope,
    /// How it authenticates. Fixed at registration.
    pub token_endpoint_auth_method: AuthMethod,
    /// People to write to.
    pub contacts: Vec<String>,
    /// Its defaults.
    pub profile: Profile,
    /// Whether it may do anything.
    pub enabled: bool,
    /// Pays a shard read at `client_credentials`, so that no location can be behind.
    pub strict: bool,
    /// May introspect the tokens of others.
    pub resource_server: bool,
    /// Seconds; null: as the settings say.
    pub access_token_lifetime: Option<u64>,
    /// `opaque`.
    pub access_token_format: AccessFormat,
    /// Seconds; null: as profile and settings say.
    pub code_lifetime: Option<u64>,
    /// Refreshes of a grant; null: unlimited, 0: no refresh token.
    pub refresh_count: Option<u32>,
    /// null: as the profile says.
    pub refresh_rotation: Option<Rotation>,
    /// null: as the profile says.
    pub require_pkce: Option<bool>,
    /// NumericDate: what was issued until then is dead. Never in the future.
    pub not_before: Option<u64>,
}

/// One client. Its record is the truth in the registry, a copy everywhere else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Client {
    /// The format of the record.
    pub format: u8,
    /// `client_id`.
    pub id: String,
    /// At random: which life of that id. Every token carries it.
    pub incarnation: String,
    /// Of a counter that all records share, so it only grows, also across lives of one id.
    pub version: u64,
    /// What was issued under an older version is dead.
    pub min_version: u64,
    /// When it was registered.
    pub issued: Timestamp,
    /// When it last changed.
    pub changed: Timestamp,
    /// HMAC of the secret under a salt; absent for public clients. The secret has 256 bits, so a slow hash would add
    /// nothing but a way to exhaust us.
    pub secret: Option<Hashed>,
    /// The rest.
    pub metadata: Metadata,
    /// When something was taken away from it.
    #[serde(default)]
    pub restrictions: Restrictions,
    /// The wishes that last changed it.
    pub attempts: Attempts,
}

/// A client secret at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashed {
    salt: Secret,
    mac: Secret,
}

impl Hashed {
    /// Of a secret that has 256 bits.
    pub fn of(secret: &str, salt: [u8; 16]) -> Self {
        let salt = Secret(salt.to_vec());
        Self { mac: salt.mac(&[b"client secret", secret.as_bytes()]), salt }
    }

    /// In constant time.
    pub fn is(&self, secret: &str) -> bool {
        self.salt.mac(&[b"client secret", secret.as_bytes()]) == self.mac
    }
}

impl Client {
    /// For a command.
    pub fn reference(&self) -> ClientRef {
        ClientRef { id: self.id.clone(), incarnation: self.incarnation.clone(), version: self.version }
    }

    /// True where it holds a secret.
    pub fn is_confidential(&self) -> bool {
        self.secret.is_some()
    }

    /// True where it may use a grant type.
    pub fn may_use(&self, grant_type: &str) -> bool {
        self.metadata.grant_types.iter().any(|own| own == grant_type)
    }

    /// Whether a code of this client must be bound to a challenge.
    pub fn requires_pkce(&self) -> bool {
        let default = !self.is_confidential() || self.metadata.profile.defaults().require_pkce;
        self.metadata.require_pkce.unwrap_or(default)
    }

    /// The registered redirect URI that `asked` means.
    pub fn admits(&self, asked: &RedirectUri) -> bool {
        self.metadata.redirect_uris.iter().any(|own| own.admits(asked))
    }

    /// How long its access tokens live.
    pub fn access_lifetime(&self, policy: &Policy) -> Seconds {
        self.metadata.access_token_lifetime.map_or_else(|| policy.seconds(|s| s.access_lifetime), Seconds)
    }

    /// How long its codes live.
    pub fn code_lifetime(&self, policy: &Policy) -> Seconds {
        let own = self.metadata.code_lifetime.map(Seconds).or(self.metadata.profile.defaults().code_lifetime);
        own.unwrap_or_else(|| policy.seconds(|s| s.code_lifetime))
    }

    /// True where its grants get refresh tokens.
    pub fn is_refreshable(&self) -> bool {
        self.may_use("refresh_token") && self.metadata.refresh_count != Some(0)
    }

    /// How long a family of refresh tokens lives (`None`: no end of its own).
    pub fn refresh_absolute(&self, policy: &Policy) -> Option<Seconds> {
        self.metadata.profile.defaults().refresh_ends.then(|| policy.seconds(|s| s.refresh_absolute))
    }

    /// What its policy says to a grant.
    pub fn terms(&self, policy: &Policy) -> Terms {
        let defaults = self.metadata.profile.defaults();
        let rotate = self.metadata.refresh_rotation.map_or(defaults.rotate, |own| own == Rotation::Always);
        Terms {
            allowed: self.metadata.scope.clone(),
            code_retry: policy.seconds(|s| s.code_retry),
            grace: policy.seconds(|s| s.refresh_grace),
            idle: defaults.refresh_ends.then(|| policy.seconds(|s| s.refresh_idle)),
            // A public client's refresh token is bound to nothing but its rotation (RFC 9700 §2.2.2).
            rotate: rotate || !self.is_confidential(),
            refreshable: self.is_refreshable(),
            refreshes: self.metadata.refresh_count,
        }
    }

    /// What the shards are told of a change.
    pub fn mark(&self) -> Mark {
        Mark {
            version: self.version,
            standing: if self.metadata.enabled { Standing::Enabled } else { Standing::Disabled },
            min_version: self.min_version,
            not_before: Timestamp(self.metadata.not_before.unwrap_or_default().saturating_mul(1000)),
            restrictions: self.restrictions.clone(),
            incarnation: Some(self.incarnation.clone()),
            scope: Some(self.metadata.scope.clone()),
            groups: None,
        }
    }
}

/// What is wrong with a record: the member, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

impl Metadata {
    /// A registration's start: what stands where a member is left out.
    pub fn template(profile: Profile) -> Self {
        Self {
            profile,
            enabled: true,
            grant_types: vec!["authorization_code".to_owned()],
            refresh_count: profile.defaults().refreshes,
            ..Self::default()
        }
    }

    /// What may be registered, and changed to.
    pub fn check(&self, scopes: &Scope, now: Timestamp) -> Result<(), Invalid> {
        let refused = |field: &str, why: &str| Err(Invalid::new(field, why));
        let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > 1000);
        for (field, text) in [
            ("client_name", &self.client_name),
            ("client_version", &self.client_version),
            ("description", &self.description),
        ] {
            if long(text) {
                return refused(field, "longer than 1000 bytes");
            }
        }
        if let Some(unknown) = self.grant_types.iter().find(|name| !GRANT_TYPES.contains(&name.as_str())) {
            return refused(
                "grant_types",
                &format!("{} is not a grant type of this server", quotable(unknown)),
            );
        }
        let by_code = self.grant_types.iter().any(|name| name == "authorization_code");
        if self.response_types.iter().any(|name| name != "code") {
            return refused("response_types", "only code is served");
        }
        if !self.response_types.is_empty() && !by_code {
            return refused(
                "response_types",
                "code needs the grant type authorization_code (RFC 7591 section 2.1)",
            );
        }
        if by_code && self.redirect_uris.is_empty() {
            return refused("redirect_uris", "authorization_code needs at least one");
        }
        if self.redirect_uris.len() > 50 {
            return refused("redirect_uris", "more than 50");
        }
        let public = self.token_endpoint_auth_method == AuthMethod::None;
        if public && self.grant_types.iter().any(|name| name == "client_credentials") {
            return refused(
                "grant_types",
                "client_credentials is for confidential clients (RFC 6749 section 4.4)",
            );
        }
        if public && self.resource_server {
            return refused("resource_server", "a resource server must authenticate (RFC 7662 section 2.1)");
        }
        if let Some(unknown) = self.scope.names().find(|name| !scopes.contains(name)) {
            return refused("scope", &format!("there is no scope {}", quotable(unknown)));
        }
        for (field, lifetime) in
            [("access_token_lifetime", self.access_token_lifetime), ("code_lifetime", self.code_lifetime)]
        {
            let most = if field == "code_lifetime" { 600 } else { 31_536_000 };
            if lifetime.is_some_and(|seconds| seconds == 0 || seconds > most) {
                return refused(field, &format!("must be from 1 to {most} seconds"));
            }
        }
        if self.not_before.is_some_and(|seconds| seconds > now.seconds()) {
            return refused("not_before", "must not lie in the future");
        }
        if self.contacts.len() > 20 || self.contacts.iter().any(|contact| contact.len() > 200) {
            return refused("contacts", "at most 20 of at most 200 bytes");
        }
        Ok(())
    }

    /// True where something that `self` allowed is not allowed by `next`: the shards must hear of it at once.
    pub fn is_restricted_by(&self, next: &Self) -> bool {
        let loses = |own: &[String], next: &[String]| own.iter().any(|item| !next.contains(item));
        let cosmetic = |metadata: &Self| Self {
            client_name: None,
            client_version: None,
            description: None,
            contacts: Vec::new(),
            // Wider is not a restriction; narrower is seen below.
            redirect_uris: Vec::new(),
            grant_types: Vec::new(),
            scope: Scope::default(),
            ..metadata.clone()
        };
        cosmetic(self) != cosmetic(next)
            || !self.scope.is_within(&next.scope)
            || loses(&self.grant_types, &next.grant_types)
            || self.redirect_uris.iter().any(|uri| !next.redirect_uris.contains(uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> Metadata {
        let uri = RedirectUri::parse("https://app.test/cb").unwrap();
        Metadata { redirect_uris: vec![uri], ..Metadata::template(Profile::Oauth21) }
    }

    #[test]
    fn a_secret_is_kept_only_as_a_salted_mac() {
        let hashed = Hashed::of("hush", [1; 16]);
        assert!(hashed.is("hush") && !hashed.is("hus") && !hashed.is(""));
        assert_ne!(hashed, Hashed::of("hush", [2; 16]));
        assert!(!serde_json::to_string(&hashed).unwrap().contains("hush"));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let scopes = Scope::parse("read").unwrap();
        let field = |metadata: &Metadata| metadata.check(&scopes, Timestamp(5000)).unwrap_err().field;
        assert_eq!(web().check(&scopes, Timestamp(5000)), Ok(()));
        assert_eq!(field(&Metadata { redirect_uris: vec![], ..web() }), "redirect_uris");
        assert_eq!(field(&Metadata { grant_types: vec!["magic".into()], ..web() }), "grant_types");
        assert_eq!(field(&Metadata { response_types: vec!["token".into()], ..web() }), "response_types");
        assert_eq!(field(&Metadata { scope: Scope::parse("write").unwrap(), ..web() }), "scope");
        assert_eq!(field(&Metadata { not_before: Some(6), ..web() }), "not_before");
        assert_eq!(field(&Metadata { access_token_lifetime: Some(0), ..web() }), "access_token_lifetime");
        let public =
            Metadata { token_endpoint_auth_method: AuthMethod::None, resource_server: true, ..web() };
        assert_eq!(field(&public), "resource_server");
    }

    #[test]
    fn only_what_takes_something_away_is_a_restriction() {
        let before = Metadata { scope: Scope::parse("a b").unwrap(), ..web() };
        assert!(!before.is_restricted_by(&Metadata { client_name: Some("New".into()), ..before.clone() }));
        assert!(
            !before.is_restricted_by(&Metadata { scope: Scope::parse("a b c").unwrap(), ..before.clone() })
        );
        assert!(before.is_restricted_by(&Metadata { scope: Scope::parse("a").unwrap(), ..before.clone() }));
        assert!(before.is_restricted_by(&Metadata { enabled: false, ..before.clone() }));
        assert!(before.is_restricted_by(&Metadata { redirect_uris: vec![], ..before.clone() }));
    }
}
