//! Clients that register themselves (RFC 7591), and manage themselves (RFC 7592): what they may say, what they may be,
//! how long they live, and what opens the door to them.
//!
//! What a client says of itself is one list. Everything else in its record is decided by administrators, before as after
//! each change. Such a client acts for nobody but the person who allows it something, so it has no tokens of its own.

use super::{
    client::Client,
    metadata::{Metadata, SubjectType},
    patch::Invalid,
    policy::Policy,
    profile::Profile,
};
use crate::{
    crypto::Secret,
    error::quotable,
    host::{Attempt, Seconds, Timestamp},
    json::{self, Json, json},
};
use serde_json::{Map, Value};

/// What a client says of itself (RFC 7591 §2).
pub const SAID: &[&str] = &[
    "application_type",
    "backchannel_logout_session_required",
    "backchannel_logout_uri",
    "client_name",
    "contacts",
    "default_max_age",
    "grant_types",
    "id_token_signed_response_alg",
    "post_logout_redirect_uris",
    "redirect_uris",
    "require_auth_time",
    "response_types",
    "scope",
    "sector_identifier_uri",
    "subject_type",
    "token_endpoint_auth_method",
    "userinfo_signed_response_alg",
];

/// What answers say, and requests must not (RFC 7592 §2.2); ids and secrets are drawn.
const ANSWERED: &[&str] = &[
    "client_id",
    "client_id_issued_at",
    "client_secret",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
];

/// The largest record of such a client, in bytes of JSON: strangers fill the registry with these.
const LARGEST: usize = 4096;
/// The longest name, in bytes: it stands on a page.
const LONGEST_NAME: usize = 200;
/// The use of a client is told once in so long.
const DAY: Seconds = Seconds(86_400);

/// What a request says, of what may be said. What is not understood is left out (RFC 7591 §2), among it software
/// statements (§2.3); what is understood, and an administrator's to decide, is refused by name.
pub fn said(body: Map<String, Value>) -> Result<Map<String, Value>, Invalid> {
    let kept = Metadata::default().members();
    let mut said = Map::new();
    for (name, value) in body {
        if SAID.contains(&name.as_str()) {
            said.insert(name, value);
        } else if ANSWERED.contains(&name.as_str()) {
            return Err(Invalid::new(&quotable(&name), "is this server's to say (RFC 7592 section 2.2)"));
        } else if kept.contains_key(&name) {
            return Err(Invalid::new(&quotable(&name), "is for an administrator to decide"));
        }
    }
    Ok(said)
}

impl Metadata {
    /// What a client says that registers itself.
    pub fn of_itself(said: Map<String, Value>, policy: &Policy, now: Timestamp) -> Result<Self, Invalid> {
        let openid = policy.settings.registration_profile == "openid";
        let profile = if openid { Profile::Openid } else { Profile::Oauth21 };
        Self::template(profile).restated(said, policy, now)
    }

    /// With all that a client says of itself from now on. What it leaves out is as in a registration; what administrators
    /// decided stays, and so does how it authenticates, where it says nothing of it.
    pub fn restated(
        &self,
        mut said: Map<String, Value>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Self, Invalid> {
        // No scope is none that was said (RFC 6749 §3.3), and so is no name.
        let says_nothing = |name: &str, value: &Value| matches!(name, "scope" | "client_name") && value == "";
        json::keep(&mut said, &|name, value| !value.is_null() && !says_nothing(name, value));
        let usual = Policy::plain(&policy.names());
        for name in SAID {
            let silent = match *name {
                // RFC 7591 §2: without it the server decides. Each scope is for a person to allow.
                "scope" => json!(usual.first().to_string()),
                "token_endpoint_auth_method" => crate::json::tree(&self.token_endpoint_auth_method),
                _ => Value::Null,
            };
            said.entry(*name).or_insert(silent);
        }
        let metadata = self.amend(said)?;
        let stays = self.keeps_subjects(&metadata);
        // What it got would be read under the subjects of somebody else's sector.
        if !self.redirect_uris.is_empty() && metadata.subject_type == SubjectType::Pairwise && !stays {
            let why = "pairwise stays in the sector in which it was registered: register another client";
            return Err(Invalid::new("subject_type", why));
        }
        metadata.check(&usual, now)?;
        metadata.check_of_itself()?;
        Ok(metadata)
    }

    /// What a client may be that no administrator registered, whoever changes it.
    pub fn check_of_itself(&self) -> Result<(), Invalid> {
        let refused = |field: &str, why: &str| Err(Invalid::new(field, why));
        let given = ["authorization_code", "refresh_token"];
        if let Some(other) = self.grant_types.iter().find(|name| !given.contains(&name.as_str())) {
            let why = format!("{} is not for a client that registers itself", quotable(other));
            return refused("grant_types", &why);
        }
        if !self.grant_types.iter().any(|name| name == "authorization_code") {
            return refused("grant_types", "a client that registers itself needs authorization_code");
        }
        if Policy::plain(&self.scope) != self.scope {
            return refused("scope", "a client that registers itself does not administer");
        }
        for (field, is) in [
            ("profile", self.profile == Profile::Legacy),
            ("resource_server", self.resource_server),
            ("administrative", self.administrative),
            ("require_pkce", self.require_pkce == Some(false)),
        ] {
            if is {
                return refused(field, "is not for a client that registers itself");
            }
        }
        let name = self.client_name.as_deref().unwrap_or_default();
        let blank = !name.is_empty() && name.trim().is_empty();
        if blank || name.len() > LONGEST_NAME || name.chars().any(is_unseen) {
            let why = format!("must have at most {LONGEST_NAME} bytes, and no characters that are not seen");
            return refused("client_name", &why);
        }
        if json::write(&self.members()).len() > LARGEST {
            return refused("metadata", &format!("is larger than {LARGEST} bytes"));
        }
        Ok(())
    }

    /// What the client said of itself, as it is kept.
    pub fn own_words(&self) -> Map<String, Value> {
        let mut members = self.members();
        json::keep(&mut members, &|name, value| {
            let says_nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value == "";
            SAID.contains(&name) && !says_nothing
        });
        members
    }
}

impl Metadata {
    /// The first member of what such a client says of itself that another record says otherwise.
    pub fn says_otherwise(&self, other: &Self) -> Option<String> {
        let (own, others) = (self.own_words(), other.own_words());
        SAID.iter().find(|name| own.get(**name) != others.get(**name)).map(|name| (*name).to_owned())
    }
}

/// Control characters, and what makes a name read in another direction (Unicode UAX 9 §2).
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

impl Client {
    /// True for one that no administrator registered.
    pub fn registered_itself(&self) -> bool {
        self.expires.is_some()
    }

    /// True where it was not used in time.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    /// True where it may act.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.metadata.enabled && !self.has_expired(now)
    }

    /// When it ends, where it is used now and that is to be told: the first time, and from then on once a day.
    pub fn slides(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let until = now.plus(policy.seconds(|s| s.registration_used));
        let due = self.expires.is_some_and(|expires| self.unused || until.since(expires) >= DAY);
        (due && !self.has_expired(now)).then_some(until)
    }
}

/// The registration access token of a client (RFC 7592 §1.2), as the registry keeps it: a counter and a secret.
///
/// Two generations are good at a time: the newest, which nobody has used, and the one before it, which was used last. Its
/// use is answered with the newest, again and again, so an answer that is lost locks nobody out. Once the newest is used
/// there is one that is newer, and what was before is over.
#[derive(Clone, Debug, Json)]
pub struct Registered {
    /// The format of the row.
    pub format: u8,
    /// Never leaves the row except as proofs.
    secret: Secret,
    /// The newest.
    generation: u32,
    /// The wish that ended the client, where one did that had never been used.
    pub ended: Option<Attempt>,
}

impl Registered {
    /// Of a new client.
    pub fn new(format: u8, dice: [u8; 32]) -> Self {
        Self { format, secret: Secret(dice.to_vec()), generation: 1, ended: None }
    }

    /// The newest, with its proof.
    pub fn newest(&self) -> (u32, Secret) {
        (self.generation, self.prove(self.generation))
    }

    /// Uses one. `None`: it is not good. `true`: there is a newer one now.
    pub fn admit(&mut self, generation: u32, proof: &Secret) -> Option<bool> {
        let newest = generation == self.generation;
        if self.prove(generation) != *proof || !(newest || generation.checked_add(1) == Some(self.generation))
        {
            return None;
        }
        self.generation = self.generation.saturating_add(u32::from(newest));
        Some(newest)
    }

    fn prove(&self, generation: u32) -> Secret {
        self.secret.proof(&[b"registration", &generation.to_be_bytes()])
    }
}

/// What lets somebody register where not everybody may (RFC 7591 §1.2), as the registry keeps it.
#[derive(Clone, Debug, Json)]
pub struct InitialToken {
    /// The format of the row.
    pub format: u8,
    /// Which.
    pub id: String,
    /// For administrators.
    pub description: String,
    /// When it was made.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// How many clients may register with it still.
    pub uses: u32,
    /// Never leaves the row except as a proof.
    pub secret: Secret,
    /// The wish that ended it.
    #[json(default)]
    pub ended: Option<Attempt>,
}

impl InitialToken {
    /// What a ticket of it carries.
    pub fn proof(&self) -> Secret {
        self.secret.proof(&[b"initial", self.id.as_bytes()])
    }

    /// True where it lets one more in.
    pub fn admits(&self, proof: &Secret, now: Timestamp) -> bool {
        self.proof() == *proof && self.ended.is_none() && self.uses > 0 && now < self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{policy::ScopeEntry, scope::Scope, settings::Lifetime};
    use serde_json::json;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn policy() -> Policy {
        let scopes = ["read", "write"].map(|name| (name.to_owned(), ScopeEntry::default()));
        Policy { scopes: scopes.into_iter().collect(), ..Policy::default() }
    }

    #[allow(clippy::needless_pass_by_value)] // Written in place.
    fn web(more: Value) -> Map<String, Value> {
        let mut said = json!({ "redirect_uris": ["https://app.test/cb"] }).as_object().unwrap().clone();
        said.extend(more.as_object().unwrap().clone());
        said
    }

    fn field(more: Value) -> Result<Metadata, String> {
        let read = said(web(more)).and_then(|said| Metadata::of_itself(said, &policy(), NOW));
        read.map_err(|why| why.field)
    }

    #[test]
    fn what_is_not_understood_is_left_out_and_what_is_an_administrators_is_refused() {
        let metadata =
            field(json!({ "software_statement": "x", "jwks_uri": "http://127.0.0.1/", "x": {} })).unwrap();
        let all = Policy::plain(&policy().names());
        assert!(all.contains("read") && all.contains("openid") && !all.contains("admin"));
        assert_eq!((metadata.scope, metadata.profile), (all, Profile::Oauth21));
        let names = Metadata::default().members();
        let decided: Vec<&String> = names.keys().filter(|name| !SAID.contains(&name.as_str())).collect();
        assert_eq!(decided.len() + SAID.len(), names.len(), "everything that is said is kept");
        for name in decided.into_iter().map(String::as_str).chain(ANSWERED.iter().copied()) {
            assert_eq!(field(json!({ name: null })), Err(name.to_owned()));
        }
    }

    #[test]
    fn no_client_registers_itself_to_more_than_a_person_can_allow() {
        for (name, more) in [
            ("grant_types", json!({ "grant_types": ["client_credentials"] })),
            ("grant_types", json!({ "grant_types": ["authorization_code", "password"] })),
            ("grant_types", json!({ "grant_types": ["authorization_code", "implicit"] })),
            ("grant_types", json!({ "grant_types": ["refresh_token"] })),
            ("grant_types", json!({ "grant_types": [] })),
            ("response_types", json!({ "response_types": ["token"] })),
            ("scope", json!({ "scope": "read admin" })),
            ("scope", json!({ "scope": "admin.read" })),
            ("scope", json!({ "scope": "nothing" })),
            ("redirect_uris", json!({ "redirect_uris": [] })),
            ("redirect_uris", json!({ "redirect_uris": ["javascript:alert(1)"] })),
            ("application_type", json!({ "application_type": "service" })),
            ("client_name", json!({ "client_name": "x".repeat(201) })),
            ("client_name", json!({ "client_name": "moc.knab\u{202e}" })),
            ("client_name", json!({ "client_name": "a\nb" })),
            ("token_endpoint_auth_method", json!({ "token_endpoint_auth_method": "private_key_jwt" })),
            ("contacts", json!({ "contacts": "a" })),
            ("metadata", json!({ "contacts": vec!["x".repeat(199); 20], "client_name": "x".repeat(150) })),
        ] {
            assert_eq!(field(more.clone()), Err(name.to_owned()), "{more}");
        }
        let amended = |patch: Value| {
            let patch = patch.as_object().unwrap().clone();
            field(json!({})).unwrap().amend(patch).unwrap().check_of_itself().map_err(|why| why.field)
        };
        for (name, patch) in [
            ("profile", json!({ "profile": "legacy" })),
            ("administrative", json!({ "administrative": true })),
            ("resource_server", json!({ "resource_server": true })),
            ("require_pkce", json!({ "require_pkce": false })),
            ("scope", json!({ "scope": "admin" })),
        ] {
            assert_eq!(amended(patch), Err(name.to_owned()), "an administrator does not make it so, either");
        }
        assert_eq!(
            amended(json!({ "enabled": false, "description": "x", "access_token_lifetime": 60 })),
            Ok(())
        );
    }

    #[test]
    fn what_a_client_leaves_out_goes_and_what_an_administrator_decided_stays() {
        let public =
            json!({ "token_endpoint_auth_method": "none", "client_name": "A", "contacts": ["a@b.test"] });
        let before = field(public).unwrap();
        let before = Metadata {
            description: Some("watch it".into()),
            access_token_lifetime: Some(Lifetime(60)),
            ..before
        };
        let after = before.restated(web(json!({ "scope": "read" })), &policy(), NOW).unwrap();
        assert_eq!((after.client_name.as_deref(), after.contacts.len()), (None, 0));
        assert_eq!(
            (after.description, after.access_token_lifetime),
            (before.description, Some(Lifetime(60)))
        );
        assert_eq!(after.token_endpoint_auth_method, before.token_endpoint_auth_method);
        assert_eq!(after.scope, Scope::of(["read"]));
    }

    #[test]
    fn two_generations_are_good_and_the_newer_ends_the_older_once_it_is_used() {
        let mut row = Registered::new(1, [7; 32]);
        let (first, proof) = row.newest();
        assert_eq!(row.admit(first, &Registered::new(1, [8; 32]).newest().1), None, "of another client");
        assert_eq!(row.admit(first + 1, &row.prove(first + 1)), None, "it has not been given");
        for _ in 0..3 {
            row.admit(first, &proof).unwrap();
            assert_eq!(row.generation, first + 1, "an answer that was lost is given again");
        }
        let (second, newer) = row.newest();
        assert_eq!(row.admit(second, &newer), Some(true));
        assert_eq!(row.admit(first, &proof), None);
        assert_eq!(row.admit(second, &newer), Some(false));
    }

    #[test]
    fn an_initial_token_is_good_for_so_many_uses_until_it_ends() {
        let token = InitialToken {
            format: 1,
            id: "x".into(),
            description: String::new(),
            issued: NOW,
            expires: NOW.plus(DAY),
            uses: 1,
            secret: Secret(vec![7; 32]),
            ended: None,
        };
        let proof = token.proof();
        assert!(token.admits(&proof, NOW) && !token.admits(&Secret::default(), NOW));
        assert!(!token.admits(&proof, NOW.plus(DAY)));
        assert!(!InitialToken { uses: 0, ..token.clone() }.admits(&proof, NOW));
        assert!(!InitialToken { ended: Some(Attempt::default()), ..token.clone() }.admits(&proof, NOW));
        assert!(!InitialToken { id: "y".into(), ..token }.admits(&proof, NOW));
    }

    #[test]
    fn an_empty_name_is_none_that_was_said() {
        let metadata = field(json!({ "client_name": "" })).unwrap();
        assert_eq!(metadata.client_name, None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_said_is_refused_or_is_what_such_a_client_may_be(
            name in proptest::sample::select(SAID),
            text: String,
            texts: Vec<String>,
            form in 0..4_u8,
        ) {
            let value = match form {
                0 => json!(text),
                1 => json!(texts),
                2 => Value::Null,
                _ => json!({ text: texts }),
            };
            if let Ok(metadata) = field(json!({ name: value })) {
                proptest::prop_assert_eq!(&Policy::plain(&metadata.scope), &metadata.scope);
                proptest::prop_assert_eq!(metadata.check_of_itself(), Ok(()));
                let again = metadata.restated(metadata.own_words(), &policy(), NOW);
                proptest::prop_assert_eq!(again, Ok(metadata), "what is shown can be put back");
            }
        }
    }
}
