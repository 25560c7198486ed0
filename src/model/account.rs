//! People: their names, passwords, groups, sessions and failed logins.
//!
//! A subject id is random, never reused, and its first byte says which of the 256 shards holds the account. A name is an
//! alias row in the shard of its hash; a new account's subject id is drawn so that both are the same shard, and a login
//! is two requests. A renamed account is one request further away.

use super::{
    claims,
    mark::{Mark, Standing},
    patch::{self, Invalid},
    place::Table,
    scope::Scope,
};
use crate::{
    crypto::{self, Secret},
    error::quotable,
    host::{Attempt, Attempts, FORMAT, Seconds, Timestamp},
    json::{self, Json, json},
    list::List as _,
    sorted::Set,
};
use serde_json::{Map, Value};

/// The number of account shards, fixed for life.
pub const SHARDS: usize = 256;

/// The shard of a subject id; `None` where it is none of ours.
pub fn shard_of_sub(sub: &str) -> Option<String> {
    let bytes = crypto::bytes(sub).filter(|bytes| bytes.len() == 16)?;
    bytes.first().map(ToString::to_string)
}

/// The shard of a name: the first byte of its hash.
pub fn shard_of_name(username: &str) -> u8 {
    crypto::digest(format!("name\0{username}").as_bytes()).first().copied().unwrap_or_default()
}

/// A subject id in the shard of a name.
pub fn draw_sub(username: &str, mut dice: [u8; 16]) -> String {
    if let Some(first) = dice.first_mut() {
        *first = shard_of_name(username);
    }
    crypto::text(&dice)
}

/// One person.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Account {
    /// The format of the row.
    pub format: u8,
    /// `sub`: opaque, stable, never reused.
    pub sub: String,
    /// What the person types.
    pub username: String,
    /// Argon2id, as a PHC string.
    pub password: String,
    /// Grows with every change.
    pub version: u64,
    /// Sessions and grants of older versions are dead.
    pub min_version: u64,
    /// Sessions and grants until then are dead.
    pub not_before: Timestamp,
    /// Grants of older versions are dead; sessions are not.
    #[json(default)]
    pub min_grants: u64,
    /// When it last changed.
    pub changed: Timestamp,
    /// Whether the person may sign in, and what they gave still holds.
    pub enabled: bool,
    /// What resources may demand.
    pub groups: Set<String>,
    /// `administrator`, `auditor`.
    pub roles: Set<String>,
    /// Standard claims (OpenID Connect Core §5.1).
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// Every shard that can hold a grant of this person, noted *before* the grant is made.
    pub shards: Set<String>,
    /// The wishes that last changed it.
    pub attempts: Attempts,
    /// The person's own wishes that last ended something: sessions, or what a client was allowed.
    #[json(default)]
    pub acts: Attempts,
    /// When they last wished the latter, by the clock of the edge.
    #[json(default)]
    pub withdrawn: Timestamp,
    /// And how often.
    #[json(default)]
    pub withdrawals: u64,
}

impl Account {
    /// With a patch of an administrator merged in (RFC 7396). Names the first member that does not fit.
    pub fn amend(&self, patch: Map<String, Value>, now: Timestamp) -> Result<Self, Invalid> {
        let mut after = self.clone();
        for (name, value) in patch {
            let refused = |why: &str| Invalid::new(&quotable(&name), why);
            match name.as_str() {
                "enabled" => after.enabled = read_switch(value).map_err(refused)?,
                "groups" => after.groups = read_names(value).map_err(refused)?,
                "roles" => {
                    after.roles = read_names(value).map_err(refused)?;
                    if after.roles.iter().any(|role| role != "administrator" && role != "auditor") {
                        return Err(refused("the roles are administrator and auditor"));
                    }
                }
                "claims" => match value {
                    Value::Null => after.claims = Map::new(),
                    Value::Object(changed) => {
                        patch::merge(&mut after.claims, changed);
                        claims::check(&after.claims).map_err(refused)?;
                        let text = json::write(&after.claims);
                        if text.len() > 16_384 {
                            return Err(refused("larger than 16 KiB"));
                        }
                        // Some fractions are read a bit off from how they are written: then this would not be what is kept.
                        let kept: Option<Value> = json::read(&text).ok();
                        let same = kept.as_ref().and_then(Value::as_object) == Some(&after.claims);
                        if !same || !after.claims.values().all(is_exact) {
                            return Err(refused(
                                "holds a number that can't be kept to the digit: send it as a string",
                            ));
                        }
                    }
                    _ => return Err(refused("must be an object")),
                },
                "not_before" => {
                    after.not_before = read_instant(value, now).map_err(refused)?;
                    // Taking a cut-off back would bring to life what was cut off.
                    if after.not_before < self.not_before {
                        return Err(refused("can only move forward"));
                    }
                }
                _ => return Err(refused("is not a member that can be changed")),
            }
        }
        Ok(after)
    }

    /// What administrators may see and change, as JSON.
    pub fn members(&self) -> Map<String, Value> {
        let not_before = Some(self.not_before.seconds()).filter(|seconds| *seconds > 0);
        let members = [
            ("username", json!(self.username)),
            ("sub", json!(self.sub)),
            ("groups", json!(self.groups)),
            ("roles", json!(self.roles)),
            ("enabled", json!(self.enabled)),
            ("not_before", json!(not_before)),
            ("claims", json!(self.claims)),
        ];
        json::object(members)
    }

    /// With members that are all there is from now on: what they leave out is as in a new account.
    pub fn replace(&self, members: Map<String, Value>, now: Timestamp) -> Result<Self, Invalid> {
        let plain =
            Self { enabled: true, groups: Set::new(), roles: Set::new(), claims: Map::new(), ..self.clone() };
        plain.amend(members, now)
    }

    /// What the shards are told of a change.
    pub fn mark(&self) -> Mark {
        Mark {
            version: self.version,
            standing: if self.enabled { Standing::Enabled } else { Standing::Disabled },
            min_version: self.min_version.max(self.min_grants),
            not_before: self.not_before,
            groups: Some(self.groups.iter().cloned().list()),
            ..Mark::default()
        }
    }
}

/// A signed-in browser.
#[derive(Clone, Debug, Json)]
pub struct Session {
    /// The format of the row.
    pub format: u8,
    /// Never leaves the row except as proofs.
    pub secret: Secret,
    /// When the person proved themself.
    pub auth_time: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// The version of the account then.
    pub version: u64,
    /// The wish that made it.
    pub attempt: Attempt,
    /// In which browser.
    #[json(default)]
    pub agent: String,
    /// The clients that are to hear of its end; the newest last.
    #[json(omit)]
    pub hearers: Vec<Listener>,
    /// The session that goes on where this one ended: table and id.
    #[json(omit)]
    pub next: Option<(Table, String)>,
}

/// A client that is to hear of the end of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
pub struct Listener {
    /// The session, as it knows it.
    pub sid: String,
    /// Its id.
    pub client: String,
    /// And which life of that: whoever has the id later hears of nothing that was before.
    #[json(default)]
    pub incarnation: String,
}

impl Session {
    /// What its cookie carries.
    pub fn proof(&self) -> Secret {
        self.secret.proof(&[b"session"])
    }

    /// Whether it still speaks for the account.
    pub fn stands(&self, account: &Account, now: Timestamp) -> bool {
        let mark = Mark { min_version: account.min_version, ..account.mark() };
        now < self.ends && mark.spares(self.version, self.auth_time)
    }
}

/// What a client is to be allowed, or asks to have again.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Wanted {
    /// `client_id`.
    pub client: String,
    /// Which life of that id.
    pub incarnation: String,
    /// What people are shown.
    pub name: String,
    /// What.
    pub scope: Scope,
    /// What the person was asked: what of it is not in the scope they do not allow any more.
    #[json(default)]
    pub asked: Scope,
    /// On which page, by the key of the grant that it makes. Nothing: on none.
    #[json(default)]
    pub page: String,
    /// When that page was shown: whatever was decided since is newer.
    #[json(default)]
    pub shown: Timestamp,
    /// When, by the clock of the edge.
    pub at: Timestamp,
    /// The client is to hear of the end of a session in which it is signed in to.
    #[json(default)]
    pub listens: bool,
}

/// What a person has allowed a client.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Consent {
    /// The format of the row.
    pub format: u8,
    /// Which life of the client's id.
    pub incarnation: String,
    /// What the person was shown as its name.
    pub name: String,
    /// All that is allowed. Nothing: it was withdrawn, and some shards have not heard of it.
    pub scope: Scope,
    /// When it was first.
    pub since: Timestamp,
    /// When it last was, or was used, to the day.
    pub last: Timestamp,
    /// When the person last decided, by the clock of the edge.
    #[json(default)]
    pub decided: Timestamp,
    /// And on which page.
    #[json(default)]
    pub page: String,
}

impl Consent {
    /// That it is used is written down so often.
    const NOTED: Seconds = Seconds(86_400);

    /// With what is decided now. What was not asked is as it was.
    pub fn with(before: Option<Self>, wanted: Wanted, now: Timestamp) -> Self {
        let Wanted { incarnation, name, scope, asked, page, at, .. } = wanted;
        let same = before.filter(|before| before.incarnation == incarnation && !before.scope.is_empty());
        let (since, scope) = match &same {
            Some(same) => {
                let others = same.scope.names().filter(|name| !asked.contains(name));
                (same.since, Scope::of(others.chain(scope.names())).first())
            }
            None => (now, scope),
        };
        Self { format: FORMAT, incarnation, name, scope, since, last: now, decided: at, page }
    }

    /// Whether nothing is asked that was not allowed.
    pub fn covers(&self, wanted: &Wanted) -> bool {
        self.incarnation == wanted.incarnation && wanted.scope.is_within(&self.scope)
    }

    /// Whether it was decided later, on a page that was shown later or on the same: a page decides once, as it makes one grant.
    pub fn outlasts(&self, wanted: &Wanted) -> bool {
        let Wanted { page, shown, at, .. } = wanted;
        *at < self.decided || (!page.is_empty() && (*page == self.page || *shown < self.decided))
    }

    /// Whether it is so long since it was noted that it is used that it is noted again.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now.since(self.last) >= Self::NOTED
    }
}

/// True where every number is one that all readers of JSON tell from the next (RFC 8259 §6). A larger one may have been
/// another when it was sent, and is another where JavaScript reads it.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() < 9_007_199_254_740_992.0),
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        _ => true,
    }
}

fn read_switch(value: Value) -> Result<bool, &'static str> {
    match value {
        Value::Null => Ok(true),
        value => value.as_bool().ok_or("must be true or false"),
    }
}

fn read_names(value: Value) -> Result<Set<String>, &'static str> {
    Ok(patch::read_names(value)?.into_iter().collect())
}

/// A NumericDate (RFC 7519 §2).
fn read_instant(value: Value, now: Timestamp) -> Result<Timestamp, &'static str> {
    let seconds = match value {
        Value::Null => 0,
        value => value.as_u64().ok_or("must be a NumericDate")?,
    };
    if seconds > now.seconds() {
        return Err("must not lie in the future");
    }
    Ok(Timestamp(seconds.saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_account_lies_in_the_shard_of_its_name() {
        let sub = draw_sub("alice", [9; 16]);
        assert_eq!(shard_of_sub(&sub), Some(shard_of_name("alice").to_string()));
        assert_eq!((shard_of_sub(""), shard_of_sub("alice")), (None, None));
    }
}
