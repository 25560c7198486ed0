//! OpenID Connect: its scopes and the claims that they give (Core §5.4), claims that are asked for by name (§5.5), and what
//! a grant keeps of the request that made it.

use super::scope::Scope;
use crate::json::{self, Json};
use crate::list::List as _;
use serde_json::{Map, Value};

/// The scope of every authentication request.
pub const OPENID: &str = "openid";
/// The scope of a refresh token, where the client is of the profile `openid` (§11).
pub const OFFLINE: &str = "offline_access";
/// `acr` of who typed a password.
pub const ACR: &str = "urn:edgemint:password";
/// `amr` of the same (RFC 8176 §2).
pub const AMR: &[&str] = &["pwd"];
/// The longest parameter `claims`, in bytes: a grant keeps it.
const LONGEST: usize = 4000;

/// The scopes, what a person is told of each, and the claims that it gives (§5.4).
#[rustfmt::skip]
pub const SCOPES: &[(&str, &str, &[&str])] = &[
    (OPENID,    "Know that it is you", &[]),
    ("profile", "See your profile: your name, picture, birthday and the like", &[
        "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
        "gender", "birthdate", "zoneinfo", "locale", "updated_at",
    ]),
    ("email",   "See your e-mail address", &["email", "email_verified"]),
    ("address", "See your postal address", &["address"]),
    ("phone",   "See your telephone number", &["phone_number", "phone_number_verified"]),
    (OFFLINE,   "Go on while you are away", &[]),
];

/// What is kept of an authentication request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
pub struct Openid {
    /// `nonce`.
    pub nonce: Option<String>,
    /// `claims`, as it was sent.
    pub claims: Option<String>,
    /// The session in which the person was asked.
    pub sid: String,
    /// Claims that were shown by name, beside those of the scope.
    #[json(omit)]
    pub names: Vec<String>,
}

/// Whether a name is one of the scopes here.
pub fn is_scope(name: &str) -> bool {
    SCOPES.iter().any(|(own, ..)| *own == name)
}

/// Every claim that a scope gives.
pub fn claims() -> impl Iterator<Item = &'static str> {
    SCOPES.iter().flat_map(|(.., claims)| claims.iter().copied())
}

/// What `claims` asks for in one of its members. Nothing where it asks for nothing there.
fn asked(claims: Option<&str>, member: &str) -> Map<String, Value> {
    match claims.and_then(|claims| json::read(claims).ok()) {
        Some(Value::Object(mut all)) => match all.remove(member) {
            Some(Value::Object(asked)) => asked,
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}

/// The values that a request for a claim takes; none: any (§5.5.1).
fn values(wanted: &Value) -> Vec<Value> {
    let several = wanted.get("values").and_then(Value::as_array).cloned().unwrap_or_default();
    wanted.get("value").cloned().into_iter().chain(several).list()
}

impl Openid {
    /// The claims of a person that were asked for by name in a member of `claims`, as far as the scope has them or they were
    /// shown by name, and the client may still have that; and with `all`, whatever the scope gives.
    pub fn give(
        &self,
        person: &Map<String, Value>,
        (scope, all, allowed): (&Scope, bool, &Scope),
        member: &str,
    ) -> Map<String, Value> {
        let named = asked(self.claims.as_deref(), member);
        let mut given = Map::new();
        for (own, _, names) in SCOPES {
            for name in *names {
                let Some(value) = person.get(*name) else { continue };
                let granted = scope.contains(own);
                let fits = named.get(*name).is_some_and(|wanted| {
                    let values = values(wanted);
                    values.is_empty() || values.contains(value)
                });
                let shown = granted || (allowed.contains(own) && self.names.iter().any(|own| own == name));
                if (all && granted) || (fits && shown) {
                    json::put(&mut given, name, value.clone());
                }
            }
        }
        given
    }

    /// Whether anything of a person is asked for by name in a member of `claims`.
    pub fn asks_by_name(&self, member: &str) -> bool {
        let named = asked(self.claims.as_deref(), member);
        claims().any(|name| named.contains_key(name))
    }
}

/// What `claims` demands of who signs in, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// The subjects of whom it must be one; none: anybody.
    pub subjects: Vec<String>,
    /// It cannot be met (§5.5.1.1).
    pub unmet: bool,
    /// What is asked for by name, beyond what the scope gives.
    pub names: Vec<&'static str>,
}

impl Demands {
    /// It must be one of these as well; none: anybody. Nobody is two people (§3.1.2.2).
    fn narrow(&mut self, subjects: Vec<String>) -> Result<(), &'static str> {
        if subjects.is_empty() {
            return Ok(());
        }
        if self.subjects.is_empty() {
            self.subjects = subjects;
        } else {
            self.subjects.retain(|subject| subjects.contains(subject));
        }
        if self.subjects.is_empty() { Err("different people are asked for at once") } else { Ok(()) }
    }
}

/// Reads `claims` (§5.5). Of what the scope does not give, only what is within the scope that the client may have is given.
pub fn demands(text: &str, scope: &Scope, allowed: &Scope) -> Result<Demands, &'static str> {
    let bad = "claims is not a JSON object of objects (OpenID Connect Core section 5.5)";
    if text.len() > LONGEST {
        return Err("claims is longer than 4000 bytes");
    }
    let Ok(Value::Object(all)) = json::read(text) else { return Err(bad) };
    let mut demands = Demands::default();
    for member in ["id_token", "userinfo"] {
        let wanted = match all.get(member) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(wanted)) => wanted,
            Some(_) => return Err(bad),
        };
        if wanted.values().any(|wanted| !wanted.is_null() && !wanted.is_object()) {
            return Err(bad);
        }
        let beyond = |own: &str| !scope.contains(own) && allowed.contains(own);
        for (_, _, names) in SCOPES.iter().filter(|(own, ..)| beyond(own)) {
            for name in *names {
                if wanted.contains_key(*name) && !demands.names.contains(name) {
                    demands.names.push(name);
                }
            }
        }
        let of = |name: &str| wanted.get(name).map(values).unwrap_or_default();
        let text = |value| if let Value::String(text) = value { Some(text) } else { None };
        let subjects: Option<Vec<String>> = of("sub").into_iter().map(text).collect();
        demands.narrow(subjects.ok_or("the sub that claims asks for is no string")?)?;
        // Of another member than that of the ID token it is no error (§5.5.1, §5.5.1.1).
        let essential = wanted.get("acr").is_some_and(|acr| acr.get("essential") == Some(&Value::Bool(true)));
        let levels = of("acr");
        let unmet = essential && !levels.is_empty() && !levels.iter().any(|level| level == ACR);
        demands.unmet |= unmet && member == "id_token";
    }
    Ok(demands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::json;

    fn alice() -> Map<String, Value> {
        json::object([("name", json!("Alice")), ("email", json!("a@b.test")), ("shoe_size", json!(36))])
    }

    fn given(claims: Option<&str>, scope: Option<&str>, member: &str) -> String {
        let scope = scope.map(|scope| Scope::parse(scope).unwrap());
        let names = vec!["email".to_owned()];
        let openid = Openid { claims: claims.map(str::to_owned), names, ..Openid::default() };
        let (scope, all) = (scope.clone().unwrap_or_default(), scope.is_some());
        let allowed = Scope::parse("email").unwrap();
        Value::Object(openid.give(&alice(), (&scope, all, &allowed), member)).to_string()
    }

    #[test]
    fn a_scope_gives_its_claims_and_no_others() {
        assert_eq!(given(None, Some("openid profile"), "userinfo"), r#"{"name":"Alice"}"#);
        assert_eq!(given(None, Some("openid email phone"), "userinfo"), r#"{"email":"a@b.test"}"#);
        assert_eq!(given(None, Some("openid"), "userinfo"), "{}");
    }

    #[test]
    fn a_claim_is_given_where_it_is_asked_for_and_as_it_is_asked_for() {
        let claims = r#"{"userinfo":{"email":null,"shoe_size":null},"id_token":{"name":{"value":"Bob"},"email":{"values":["x","a@b.test"]}}}"#;
        assert_eq!(given(Some(claims), Some("openid"), "userinfo"), r#"{"email":"a@b.test"}"#);
        assert_eq!(given(Some(claims), None, "id_token"), r#"{"email":"a@b.test"}"#);
    }

    #[test]
    fn what_claims_demands_is_read_and_what_is_no_such_request_is_refused() {
        let scope = Scope::parse("openid email").unwrap();
        let allowed = Scope::parse("openid email phone").unwrap();
        let read = |text: &str| demands(text, &scope, &allowed);
        for text in ["", "[]", "1", r#"{"id_token":1}"#, r#"{"userinfo":{"email":true}}"#, &"[".repeat(5000)]
        {
            assert!(read(text).is_err(), "{text}");
        }
        let one =
            read(r#"{"id_token":{"sub":{"value":"x"},"email":null,"phone_number":{"essential":true}}}"#)
                .unwrap();
        assert_eq!((one.subjects, one.names, one.unmet), (vec!["x".to_owned()], vec!["phone_number"], false));
        let essential = |acr: &str| {
            read(&format!(r#"{{"id_token":{{"acr":{{"essential":true,"values":["{acr}"]}}}}}}"#))
                .unwrap()
                .unmet
        };
        assert!(essential("gold") && !essential(ACR));
        assert!(!read(r#"{"id_token":{"acr":{"values":["gold"]}},"more":1}"#).unwrap().unmet);
    }
}
