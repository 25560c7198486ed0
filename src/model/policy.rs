//! The settings of the server and its catalogue of scopes: read by every request, written by administrators.

use super::{patch::Invalid, scope::Scope};
use crate::{
    crypto::Secret,
    error::quotable,
    host::{Attempts, Seconds, Timestamp},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Declares [`Settings`] from one table: member, key on the wire, unit, least, most, default, meaning.
macro_rules! settings {
    ($($member:ident $key:literal $least:literal $most:literal $default:literal $doc:literal)*) => {
        /// The settings, as whole numbers in the unit that the key names.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Settings { $(#[doc = $doc] pub $member: u64,)* }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($member: $default,)* }
            }
        }

        impl Settings {
            /// As the administration API shows them.
            pub fn to_json(&self) -> Map<String, Value> {
                let mut out = Map::new();
                $(out.insert($key.to_owned(), json!(self.$member));)*
                out
            }

            /// The table: key, least, most, default, meaning.
            pub const TABLE: &'static [(&'static str, u64, u64, u64, &'static str)] =
                &[$(($key, $least, $most, $default, $doc),)*];

            /// Sets one. The error is what to tell the administrator; nothing changed then.
            pub fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
                match key {
                    $($key => {
                        let number = match value {
                            Value::Null => Some($default), // RFC 7396: null takes the member away, back to its default.
                            value => value.as_u64(),
                        };
                        let range: std::ops::RangeInclusive<u64> = $least..=$most;
                        let number = number.filter(|number| range.contains(number));
                        self.$member = number.ok_or_else(|| format!("must be a whole number from {} to {}", $least, $most))?;
                        Ok(())
                    })*
                    _ => Err("there is no such setting".to_owned()),
                }
            }
        }
    };
}

#[rustfmt::skip]
settings! {
    access_lifetime    "token.defaultExpirySeconds"   1 31_536_000 3600      "How long an access token lives, in seconds."
    code_lifetime      "authCode.expirySeconds"       1 600        60        "How long an authorization code lives, in seconds."
    code_retry         "authCode.retrySeconds"        0 60         10        "How long a redeemed, PKCE-bound code is refused without ending its family, in seconds."
    refresh_grace      "refresh.graceSeconds"         0 60         10        "How long the previous refresh token gets the same successor again, in seconds; 0 is strict."
    refresh_idle       "refresh.idleSeconds"          1 31_536_000 2_592_000 "How long a refresh token may lie unused, in seconds."
    refresh_absolute   "refresh.absoluteSeconds"      1 31_536_000 7_776_000 "How long a family of refresh tokens lives, in seconds."
    session_lifetime   "session.lifetimeSeconds"      60 2_592_000 28_800    "How long a browser stays signed in, in seconds."
    login_per_user     "login.failuresPerUser"        1 100        10        "How many logins of one name may fail in five minutes before it is closed for the rest of them."
    login_per_address  "login.failuresPerAddress"     1 1_000_000  30        "How many logins from one address may fail in five minutes before it is closed for the rest of them."
    client_failures    "client.failuresPerMinute"     1 1_000_000  60        "How often one client from one address may fail in a minute to prove itself, or send what is no token, before failures are 429."
    registration_open  "registration.open"            0 2          0         "Who may register clients at /register: 0 nobody, 1 who has an initial access token, 2 anybody."
    registration_rate  "registration.perHour"         1 1_000_000  20        "How many clients may register from one address in an hour, or say anew what they are."
    registration_most  "registration.unusedMost"      1 100_000    1000      "How many clients may lie registered that nobody has allowed anything; who would be one more waits. Initial access tokens go before it."
    registration_unused "registration.unusedSeconds"  60 31_536_000 86_400   "How long a client that registered itself lives until somebody allows it something, in seconds."
    registration_used  "registration.usedSeconds"     172_800 31_536_000 7_776_000 "How long a client that registered itself, or is a document, lives after its last use, in seconds."
    documents          "registration.documents"       0 1          0         "1: a client id may be the https address of a document that describes the client."
    shards             "grants.shardsPerRegion"       1 1024       8         "Among how many shards of a region new grants are spread."
    log_success        "log.successPercent"           0 100        100       "How many of a hundred successes are logged; refusals and changes always are."
    audit_retention    "audit.retentionDays"          1 3650       365       "How long the log of changes reaches back at least, in days."
    revoke_ends_grant  "revoke.accessTokenEndsGrant"  0 1          0         "1: revoking an access token ends its grant."
}

/// The scope that lets its holder administer this server, if they have the right.
pub const ADMIN: &str = "admin";
/// The scope that lets its holder see what administrators see.
pub const ADMIN_READ: &str = "admin.read";
/// The server's own scopes and what a person is told of them. They are given only to who asks for them by name.
const OWN: &[(&str, &str)] =
    &[(ADMIN, "Administer this server"), (ADMIN_READ, "See what administrators see")];

/// The key, beside the settings, of what tells ids that were drawn from invented ones. An export has it, so that another
/// server knows the ids.
pub const FILTER: &str = "clients.filter";

/// What a scope is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeEntry {
    /// Grows with every change.
    #[serde(default)]
    pub version: u64,
    /// What the person is told on the consent page.
    pub description: String,
    /// Folders it opens.
    #[serde(default)]
    pub folders: Vec<String>,
    /// URL templates it opens: `GET /orders/{id}`.
    #[serde(default)]
    pub urls: Vec<String>,
    /// Groups of which a person must have one.
    #[serde(default)]
    pub groups: Vec<String>,
}

impl ScopeEntry {
    /// What administrators may see and change, as JSON.
    pub fn members(&self) -> Map<String, Value> {
        let members = [
            ("description", json!(self.description)),
            ("folders", json!(self.folders)),
            ("urls", json!(self.urls)),
            ("groups", json!(self.groups)),
        ];
        crate::json::object(members)
    }

    /// With a patch merged in (RFC 7396). Names the first member that does not fit.
    pub fn amend(&self, patch: Map<String, Value>) -> Result<Self, Invalid> {
        let mut entry = self.clone();
        for (name, value) in patch {
            let refused = |why: &str| Err(Invalid::new(&quotable(&name), why));
            match (name.as_str(), value) {
                ("description", Value::Null) => entry.description.clear(),
                ("description", Value::String(text)) => {
                    if text.len() > 500 || text.chars().any(char::is_control) {
                        return refused("must have at most 500 bytes, and no control characters");
                    }
                    entry.description = text;
                }
                ("description", _) => return refused("must be a string"),
                // Kept and shown, and nothing decides by it yet: who set it would believe that something does.
                ("folders" | "urls" | "groups", value) => {
                    if self.members().get(&name) != Some(&value) {
                        return refused("cannot be set in this version");
                    }
                }
                _ => return refused("is not a member that this server keeps"),
            }
        }
        Ok(entry)
    }
}

/// Settings and scopes as one record: one copy to read, one version.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Policy {
    /// The format of the record.
    pub format: u8,
    /// Grows with every change.
    pub version: u64,
    /// When it last changed.
    pub changed: Timestamp,
    /// The version that last changed the settings.
    #[serde(default)]
    pub settings_version: u64,
    /// The settings.
    pub settings: Settings,
    /// The catalogue.
    pub scopes: BTreeMap<String, ScopeEntry>,
    /// Marks client ids that we generated, so that invented ones die before they cost a read. Not a secret of worth.
    pub filter: Secret,
    /// The format of the development data in the registry; 0: there is none. A production Worker refuses to serve it.
    pub development: u8,
    /// The issuer that the development data was made for: one of its redirect URIs is the issuer's own.
    #[serde(default)]
    pub development_issuer: String,
    /// The wishes that last changed it.
    #[serde(default)]
    pub attempts: Attempts,
}

impl Policy {
    /// The names that a client may have: the catalogue's, and the server's own.
    pub fn names(&self) -> Scope {
        Scope::of(self.scopes.keys().map(String::as_str).chain(OWN.iter().map(|(name, _)| *name)))
    }

    /// What a person is told of a scope.
    pub fn description(&self, name: &str) -> Option<&str> {
        let own = OWN.iter().find(|(own, _)| *own == name).map(|(_, text)| *text);
        own.or_else(|| self.scopes.get(name).map(|entry| entry.description.as_str()))
    }

    /// What a client gets that asks for nothing: never one of the server's own.
    pub fn usual(scope: &Scope) -> Scope {
        Scope::of(scope.names().filter(|name| OWN.iter().all(|(own, _)| own != name)))
    }

    /// A generated client id: 96 random bits and a short MAC.
    pub fn draw_client_id(&self, dice: [u8; 12]) -> String {
        let id = crate::crypto::text(&dice);
        let mark = self.filter_of(&id);
        format!("{id}{mark}")
    }

    /// True where an id has the form of those that are drawn.
    pub fn draws(id: &str) -> bool {
        id.len() == 22 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    }

    /// True where the id has the form of a generated one and its MAC: it was ours once.
    pub fn has_generated(&self, id: &str) -> bool {
        id.is_ascii()
            && id.len() == 22
            && id.split_at_checked(16).is_some_and(|(id, mark)| self.filter_of(id) == mark)
    }

    fn filter_of(&self, id: &str) -> String {
        let Secret(mac) = self.filter.mac(&[b"client", id.as_bytes()]);
        let mut mark = crate::crypto::text(&mac);
        mark.truncate(6);
        mark
    }

    /// A setting in seconds.
    pub fn seconds(&self, of: impl Fn(&Settings) -> u64) -> Seconds {
        Seconds(of(&self.settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_range_or_unknown_changes_nothing() {
        let mut settings = Settings::default();
        for (key, value) in [
            ("refresh.graceSeconds", json!(61)),
            ("refresh.graceSeconds", json!(-1)),
            ("refresh.graceSeconds", json!("10")),
            ("token.defaultExpirySeconds", json!(0)),
            ("magic", json!(1)),
        ] {
            assert!(settings.set(key, &value).is_err(), "{key} {value}");
        }
        assert_eq!(settings, Settings::default());
        settings.set("refresh.graceSeconds", &json!(0)).unwrap();
        assert_eq!(settings.refresh_grace, 0);
        settings.set("refresh.graceSeconds", &Value::Null).unwrap();
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn generated_client_ids_are_told_from_invented_ones() {
        let policy = Policy { filter: Secret(vec![7; 32]), ..Policy::default() };
        let id = policy.draw_client_id([3; 12]);
        assert!(policy.has_generated(&id));
        for other in [&id[1..], &id.replace(&id[21..], "_"), "demo-web", "ääääääääääääääääääääää", ""]
        {
            assert!(!policy.has_generated(other) || other == id, "{other}");
        }
    }
}
