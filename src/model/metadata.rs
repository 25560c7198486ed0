//! What a client says of itself and what an administrator decides about it (RFC 7591 §2): what may be registered, and
//! what a change to it means.

mod check;
mod restriction;

use super::{
    patch::{self, Invalid},
    profile::Profile,
    redirect_uri::ApplicationType,
    scope::Scope,
    settings::Lifetime,
};
use crate::json::{Json, json};
use crate::{error::quotable, json};
use serde_json::{Map, Value};

/// Grant types a client may be registered with. `password` and `implicit` are given by administrators alone.
pub const GRANT_TYPES: &[&str] =
    &["authorization_code", "refresh_token", "client_credentials", "password", "implicit"];

/// How a client authenticates (RFC 7591 §2). A client with a secret may send it either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Json)]
#[json(snake_case)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Json)]
#[json(snake_case)]
pub enum Rotation {
    /// Each time.
    Always,
    /// The answer repeats the same one.
    Never,
}

/// The form of access tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Json)]
#[json(lowercase)]
pub enum AccessFormat {
    /// A sealed ticket.
    #[default]
    Opaque,
    /// A JWT (RFC 9068).
    Jwt,
}

/// What a client says of itself and what an administrator decides about it; the member names are the wire's.
///
/// A record that is stored is read as it is, by older and newer rules: members that are not known are left out, and what
/// may not be used is refused where it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
#[json(default)]
#[allow(clippy::struct_excessive_bools)] // Members on the wire, each with a meaning of its own.
pub struct Metadata {
    /// What people are shown.
    pub client_name: Option<String>,
    /// A text that tells registrations of one name apart.
    pub client_version: Option<String>,
    /// For administrators.
    pub description: Option<String>,
    /// Where authorization responses may go.
    pub redirect_uris: Vec<String>,
    /// What it may use at the token endpoint.
    pub grant_types: Vec<String>,
    /// `code`, where it may use the authorization endpoint.
    pub response_types: Vec<String>,
    /// What it may ask for; what it gets where it asks for nothing.
    pub scope: Scope,
    /// Where it runs; null: it does not say.
    pub application_type: Option<ApplicationType>,
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
    /// The resources of whose tokens it may (RFC 7662 §4); none: of any.
    pub resources: Vec<String>,
    /// May administer by a token of its own with the scope for it.
    pub administrative: bool,
    /// Seconds, or -1: never; null: as the settings say.
    pub access_token_lifetime: Option<Lifetime>,
    /// What its access tokens are, where their resource does not want them otherwise.
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
    /// What resources may demand where it acts for itself.
    pub groups: Vec<String>,
    /// null: RS256 for the profile openid, else ES256.
    pub id_token_signed_response_alg: Option<String>,
    /// null: plain JSON.
    pub userinfo_signed_response_alg: Option<String>,
    /// Of answers about tokens (RFC 9701 §6); null: as the settings say.
    pub introspection_signed_response_alg: Option<String>,
    /// Whether people have a subject of their own at each sector (OpenID Connect Core §8).
    pub subject_type: SubjectType,
    /// A document of all redirect URIs, whose host is the sector.
    pub sector_identifier_uri: Option<String>,
    /// Seconds after which people sign in again.
    pub default_max_age: Option<u64>,
    /// Said by those who want `auth_time`; every ID token has it.
    pub require_auth_time: bool,
    /// Where people may be sent once they are signed out (OpenID Connect RP-Initiated Logout 1.0 §3.1).
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told that somebody was signed out (OpenID Connect Back-Channel Logout 1.0 §2.2).
    pub backchannel_logout_uri: Option<String>,
    /// Said by those who want `sid`; every logout token has it.
    pub backchannel_logout_session_required: bool,
}

/// Under which subject the client knows people (OpenID Connect Core §8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Json)]
#[json(lowercase)]
pub enum SubjectType {
    /// Under the one of their account.
    #[default]
    Public,
    /// Under one that no other sector knows.
    Pairwise,
}

impl Metadata {
    /// A registration's start: what stands where a member is left out.
    pub fn template(profile: Profile) -> Self {
        Self {
            profile,
            enabled: true,
            grant_types: vec!["authorization_code".to_owned()],
            response_types: vec!["code".to_owned()],
            refresh_count: profile.defaults().refreshes,
            ..Self::default()
        }
    }

    /// What a registration says, in front of what its profile says where it is silent.
    pub fn register(said: Map<String, Value>) -> Result<Self, Invalid> {
        let profile = match said.get("profile") {
            None | Some(Value::Null) => Profile::default(),
            Some(name) => json::take(name.clone())
                .map_err(|_| Invalid::new("profile", "must be oauth21, openid or legacy"))?,
        };
        Self::template(profile).amend(said)
    }

    /// As JSON, under the names of the wire.
    pub fn members(&self) -> Map<String, Value> {
        match json::tree(self) {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// With a patch merged in (RFC 7396): `null` takes a member away, so that it is what it is where nothing was said.
    /// Names the first member that does not fit.
    pub fn amend(&self, patch: Map<String, Value>) -> Result<Self, Invalid> {
        for (name, value) in &patch {
            alone(name, value)?;
        }
        let mut merged = self.members();
        // What still is as the old profile had it is from now on as the new one has it.
        let said = |name: &str| patch.contains_key(name);
        if said("profile")
            && !said("refresh_count")
            && self.refresh_count == self.profile.defaults().refreshes
        {
            let profile = patch.get("profile").filter(|profile| !profile.is_null());
            let profile = profile.and_then(|profile| json::take(profile.clone()).ok());
            let profile: Profile = profile.unwrap_or_default();
            merged.insert("refresh_count".to_owned(), json!(profile.defaults().refreshes));
        }
        let response_types_said = patch.get("response_types").is_some_and(|said| !said.is_null());
        patch::merge(&mut merged, patch);
        for name in ["enabled", "grant_types"] {
            let start = Self::template(Profile::default()).members();
            merged.entry(name).or_insert_with(|| start.get(name).cloned().unwrap_or_default());
        }
        let mut amended: Self = json::take(Value::Object(merged))
            .map_err(|_| Invalid::new("", "the members do not fit together"))?;
        // RFC 7591 §2.1: what is not said follows from the grant types.
        if !response_types_said || amended.response_types.is_empty() {
            amended.response_types.clear();
            // OpenID Connect knows no answer that is an access token alone.
            let at_once = if amended.profile == Profile::Openid { "id_token token" } else { "token" };
            for (response_type, grant_type) in [("code", "authorization_code"), (at_once, "implicit")] {
                if amended.grant_types.iter().any(|name| name == grant_type) {
                    amended.response_types.push(response_type.to_owned());
                }
            }
        }
        amended.response_types.dedup(); // Said twice is said; and the same patch again is no change.
        Ok(amended)
    }
}

/// What a member must be, for who sent something else.
#[rustfmt::skip]
const FORMS: &[(&str, &str)] = &[
    ("client_name",                "must be a string"),
    ("client_version",             "must be a string"),
    ("description",                "must be a string"),
    ("redirect_uris",              "must be an array of strings"),
    ("grant_types",                "must be an array of strings"),
    ("response_types",             "must be an array of strings"),
    ("scope",                      "must be a string of at most 100 names, separated by spaces, of the characters that RFC 6749 section 3.3 allows"),
    ("application_type",           "must be web, native, or null"),
    ("token_endpoint_auth_method", "must be client_secret_basic, client_secret_post or none"),
    ("contacts",                   "must be an array of strings"),
    ("profile",                    "must be oauth21, openid or legacy"),
    ("enabled",                    "must be true or false"),
    ("strict",                     "must be true or false"),
    ("resource_server",            "must be true or false"),
    ("resources",                  "must be an array of strings"),
    ("administrative",             "must be true or false"),
    ("access_token_lifetime",      "must be a whole number of seconds, -1, or null"),
    ("access_token_format",        "must be opaque or jwt"),
    ("code_lifetime",              "must be a whole number of seconds, or null"),
    ("refresh_count",              "must be a whole number, or null"),
    ("refresh_rotation",           "must be always, never, or null"),
    ("require_pkce",               "must be true, false, or null"),
    ("not_before",                 "must be a NumericDate, or null"),
    ("groups",                     "must be an array of strings"),
    ("id_token_signed_response_alg", "must be a string, or null"),
    ("userinfo_signed_response_alg", "must be a string, or null"),
    ("introspection_signed_response_alg", "must be a string, or null"),
    ("subject_type",               "must be public or pairwise"),
    ("sector_identifier_uri",      "must be a string, or null"),
    ("default_max_age",            "must be a whole number of seconds, or null"),
    ("require_auth_time",          "must be true or false"),
    ("post_logout_redirect_uris",  "must be an array of strings"),
    ("backchannel_logout_uri",     "must be a string, or null"),
    ("backchannel_logout_session_required", "must be true or false"),
];

/// What one member says, as if it were said alone.
fn alone(name: &str, value: &Value) -> Result<(), Invalid> {
    let mut start = Metadata::default().members();
    let Some((_, form)) = FORMS.iter().find(|(known, _)| *known == name) else {
        return Err(Invalid::new(&quotable(name), "is not a member that this server keeps"));
    };
    patch::merge(&mut start, json::object([(name, value.clone())]));
    json::take::<Metadata>(Value::Object(start)).map(|_| ()).map_err(|_| Invalid::new(name, *form))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Timestamp;

    fn web() -> Metadata {
        let uri = "https://app.test/cb".to_owned();
        Metadata { redirect_uris: vec![uri], ..Metadata::template(Profile::Oauth21) }
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
        assert_eq!(
            field(&Metadata { access_token_lifetime: Some(Lifetime(0)), ..web() }),
            "access_token_lifetime"
        );
        let public =
            Metadata { token_endpoint_auth_method: AuthMethod::None, resource_server: true, ..web() };
        assert_eq!(field(&public), "resource_server");
    }

    #[test]
    fn a_public_client_of_oauth_2_1_cannot_be_spared_pkce() {
        let scopes = Scope::default();
        let spared = |profile, method| Metadata {
            require_pkce: Some(false),
            token_endpoint_auth_method: method,
            redirect_uris: web().redirect_uris,
            ..Metadata::template(profile)
        };
        let field = |metadata: Metadata| metadata.check(&scopes, Timestamp(0)).map_err(|why| why.field);
        assert_eq!(field(spared(Profile::Oauth21, AuthMethod::None)), Err("require_pkce".to_owned()));
        assert_eq!(field(spared(Profile::Oauth21, AuthMethod::ClientSecretBasic)), Ok(()));
        assert_eq!(field(spared(Profile::Legacy, AuthMethod::None)), Ok(()));
    }

    #[test]
    fn what_a_registration_leaves_out_is_its_profiles() {
        let read = |body: Value| Metadata::register(body.as_object().unwrap().clone());
        assert_eq!(read(json!({})).unwrap(), Metadata::template(Profile::Oauth21));
        assert_eq!(read(json!({"profile": "legacy"})).unwrap(), Metadata::template(Profile::Legacy));
        assert_eq!(read(json!({"profile": null})).unwrap(), Metadata::template(Profile::Oauth21));
        for (field, body) in [
            ("profile", json!({"profile": "magic"})),
            ("client_secret", json!({"client_secret": "hush"})),
            ("magic", json!({"magic": 1})),
        ] {
            assert_eq!(read(body).unwrap_err().field, field);
        }
    }

    #[test]
    fn null_is_unlimited_refreshes_and_what_is_not_said_is_the_profiles() {
        let amend =
            |metadata: &Metadata, patch: Value| metadata.amend(patch.as_object().unwrap().clone()).unwrap();
        let legacy = Metadata::template(Profile::Legacy);
        assert_eq!(amend(&legacy, json!({})).refresh_count, Some(0));
        let unlimited = amend(&legacy, json!({ "refresh_count": null }));
        assert_eq!(unlimited.refresh_count, None);
        assert_eq!(amend(&unlimited, json!({ "client_name": "x" })).refresh_count, None);
        // Another profile brings its own, unless somebody has said something else.
        let strict = Metadata::template(Profile::Oauth21);
        assert_eq!(amend(&strict, json!({ "profile": "legacy" })).refresh_count, Some(0));
        assert_eq!(amend(&legacy, json!({ "profile": "oauth21" })).refresh_count, None);
        assert_eq!(amend(&legacy, json!({ "profile": null })).refresh_count, None);
        assert_eq!(
            amend(&legacy, json!({ "profile": "oauth21", "refresh_count": 2 })).refresh_count,
            Some(2)
        );
        let three = amend(&legacy, json!({ "refresh_count": 3 }));
        assert_eq!(amend(&three, json!({ "profile": "oauth21" })).refresh_count, Some(3));
    }

    #[test]
    fn null_takes_a_member_back_to_what_a_new_registration_has() {
        let patch = json!({ "enabled": null, "grant_types": null, "redirect_uris": null, "scope": null, "strict": null });
        let disabled = Metadata { enabled: false, strict: true, scope: Scope::of(["a"]), ..web() };
        let amended = disabled.amend(patch.as_object().unwrap().clone()).unwrap();
        assert_eq!(amended, Metadata::template(Profile::Oauth21));
    }

    #[test]
    fn only_what_takes_something_away_is_a_restriction() {
        let before = Metadata {
            scope: Scope::of(["a", "b"]),
            access_token_lifetime: Some(Lifetime(600)),
            refresh_count: Some(3),
            resource_server: true,
            groups: vec!["robots".to_owned()],
            resources: vec!["https://a.test/".to_owned(), "https://b.test/".to_owned()],
            ..web()
        };
        let restricts = |patch: Value| {
            let next = before.amend(patch.as_object().unwrap().clone()).unwrap();
            before.is_restricted_by(&next)
        };
        for wider in [
            json!({}),
            json!({ "client_name": "New", "contacts": ["a@b.test"], "description": "x" }),
            json!({ "scope": "a b c" }),
            json!({ "grant_types": ["authorization_code", "refresh_token"] }),
            json!({ "redirect_uris": ["https://app.test/cb", "https://app.test/more"] }),
            json!({ "access_token_lifetime": 601, "refresh_count": 4, "strict": true }),
            json!({ "refresh_count": null }),
            json!({ "groups": ["robots", "more"] }),
            json!({ "resources": ["https://a.test/", "https://b.test/", "https://c.test/"] }),
            json!({ "resources": [] }),
        ] {
            assert!(!restricts(wider.clone()), "{wider}");
        }
        for narrower in [
            json!({ "scope": "a" }),
            json!({ "enabled": false }),
            json!({ "redirect_uris": [] }),
            json!({ "grant_types": ["refresh_token"] }),
            json!({ "access_token_lifetime": 599 }),
            json!({ "access_token_lifetime": null }),
            json!({ "code_lifetime": 10 }),
            json!({ "refresh_count": 2 }),
            json!({ "refresh_rotation": "always" }),
            json!({ "require_pkce": true }),
            json!({ "resource_server": false }),
            json!({ "not_before": 1 }),
            json!({ "profile": "legacy" }),
            json!({ "groups": [] }),
            json!({ "resources": ["https://a.test/"] }),
        ] {
            assert!(restricts(narrower.clone()), "{narrower}");
        }
        let of_any = Metadata { resources: Vec::new(), ..before.clone() };
        assert!(of_any.is_restricted_by(&before));
        let disabled = Metadata { enabled: false, ..before.clone() };
        assert!(!disabled.is_restricted_by(&before));
    }

    #[test]
    fn a_record_with_members_of_another_version_is_read() {
        let mut stored = web().members();
        stored.insert("logo_uri".to_owned(), json!("https://app.test/logo"));
        stored.remove("contacts");
        stored.insert("redirect_uris".to_owned(), json!(["what once was allowed"]));
        let read: Metadata = json::take(Value::Object(stored)).unwrap();
        assert_eq!(read.check(&Scope::default(), Timestamp(0)).unwrap_err().field, "redirect_uris");
    }

    #[test]
    fn every_member_says_what_it_must_be() {
        let known: Vec<String> = Metadata::default().members().keys().cloned().collect();
        let mut said: Vec<&str> = FORMS.iter().map(|(name, _)| *name).collect();
        said.sort_unstable();
        assert_eq!(said, known);
        for name in &known {
            assert_eq!(alone(name, &json!({ "a": [1] })).unwrap_err().field, *name);
        }
    }
}
