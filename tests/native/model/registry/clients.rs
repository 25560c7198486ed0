//! What is done to clients, and what the oracle says of it.

use super::{
    Judged, Life,
    acts::{What, registration, scopes},
    object,
    oracle::Known,
};
use edgemint::{
    host::{Host, Seconds},
    model::{client::Hashed, scope::Scope},
    objects::protocol::registry::{Command, Reply},
};
use serde_json::json;

impl Life {
    pub fn create(&mut self, id: &'static str, bits: u8) -> Judged {
        let wanted = scopes(bits);
        let scope = wanted.iter().copied().collect::<Vec<_>>().join(" ");
        let earlier = self.oracle.newest_of(id).cloned();
        let life = earlier.as_ref().map_or(0, |earlier| earlier.life + 1);
        let mut client = registration(id, &scope);
        client.incarnation = Known { life, ..Known::default() }.incarnation(id);
        let reply =
            self.ask(&format!("{id} is registered for {scope:?}"), Command::Create(Box::new(client)))?;
        if self.oracle.clients.contains_key(id) {
            return self.expect(matches!(reply, Reply::Taken), &reply, "that it is taken");
        }
        if !wanted.iter().all(|name| self.oracle.scopes.contains_key(name)) {
            return self.expect(matches!(reply, Reply::Invalid(_)), &reply, "that a scope is unknown");
        }
        let Reply::Changed(client, told) = &reply else { return self.expect(false, &reply, "the client") };
        self.grow(client.version)?;
        // Shards that know of the end of an earlier one must know that this one is there.
        let restricted = if earlier.is_some() { client.version } else { 0 };
        let known = Known {
            life,
            version: client.version,
            enabled: true,
            scopes: wanted,
            restricted,
            ..Known::default()
        };
        self.oracle.keep(id, known, self.world.now());
        if earlier.is_some() { self.told(*told, &[id]) } else { Ok(()) }
    }

    pub fn change(&mut self, id: &'static str, what: What, only_if: Option<bool>) -> Judged {
        let patch = match what {
            What::Enabled(enabled) => json!({ "enabled": enabled }),
            What::Scopes(bits) => json!({ "scope": scopes(bits).into_iter().collect::<Vec<_>>().join(" ") }),
            What::Description(text) => json!({ "description": text.to_string() }),
        };
        let before = self.oracle.clients.get(id).cloned();
        let expected =
            only_if.map(|right| before.as_ref().map_or(1, |client| client.version) + u64::from(!right));
        let words = format!("{id}: {patch}, if it is v{expected:?}");
        let command = Command::Change { id: id.into(), patch: object(&patch), whole: false, expected };
        let reply = self.ask(&words, command)?;
        let Some(before) = before else {
            return self.expect(matches!(reply, Reply::Unknown), &reply, "that there is none");
        };
        if only_if == Some(false) {
            return self.expect(matches!(reply, Reply::Outdated), &reply, "that it has another version");
        }
        let mut after = Known { ends: false, taken: false, ..before.clone() };
        match what {
            What::Enabled(enabled) => after.enabled = enabled,
            What::Scopes(bits) => after.scopes = scopes(bits),
            What::Description(text) => after.description = Some(text.to_string()),
        }
        if !after.scopes.iter().all(|name| self.oracle.scopes.contains_key(name)) {
            return self.expect(matches!(reply, Reply::Invalid(_)), &reply, "that a scope is unknown");
        }
        let Reply::Changed(client, told) = &reply else { return self.expect(false, &reply, "the client") };
        if after == (Known { ends: false, taken: false, ..before.clone() }) {
            self.expect(client.version == before.version, &reply, "the version as it was")?;
            return self.told(*told, &[id]);
        }
        self.grow(client.version)?;
        after.version = client.version;
        after.taken = !before.scopes.is_subset(&after.scopes) || (before.enabled && !after.enabled);
        if after.taken {
            after.restricted = after.version;
        }
        let same = client.metadata.enabled == after.enabled
            && client.metadata.scope == Scope::of(after.scopes.iter().copied())
            && client.metadata.description == after.description;
        self.oracle.keep(id, after, self.world.now());
        self.expect(same, &reply, "the client as it was changed")?;
        self.told(*told, &[id])
    }

    /// The clients of these histories are public but for their secrets, which nobody asks for.
    pub fn rekey(&mut self, id: &'static str, overlap: bool) -> Judged {
        let overlap = Seconds(if overlap { 600 } else { 0 });
        let secret = Hashed::of(&self.sent.len().to_string(), [7; 16]);
        let words = format!("{id} gets a new secret, the old one is taken for {} s more", overlap.0);
        let reply = self.ask(&words, Command::Rekey { id: id.into(), secret, overlap, expected: None })?;
        self.restrict(id, &reply, |known| {
            if overlap == Seconds(0) {
                known.restricted = known.version;
                known.taken = true;
            }
        })
    }

    pub fn cut(&mut self, id: &'static str) -> Judged {
        let reply = self.ask(&format!("what was issued to {id} is cut off"), Command::Cut(id.into()))?;
        self.restrict(id, &reply, |known| {
            known.restricted = known.version;
            known.ends = true;
            known.taken = true;
        })
    }

    fn restrict(&mut self, id: &'static str, reply: &Reply, how: impl Fn(&mut Known)) -> Judged {
        let Some(before) = self.oracle.clients.get(id).cloned() else {
            return self.expect(matches!(reply, Reply::Unknown), reply, "that there is none");
        };
        let Reply::Changed(client, told) = reply else { return self.expect(false, reply, "the client") };
        self.grow(client.version)?;
        let mut after = Known { version: client.version, ends: false, taken: false, ..before };
        how(&mut after);
        self.oracle.keep(id, after, self.world.now());
        self.told(*told, &[id])
    }

    pub fn delete(&mut self, id: &'static str, only_if: Option<bool>) -> Judged {
        let before = self.oracle.clients.get(id).cloned();
        let expected =
            only_if.map(|right| before.as_ref().map_or(1, |client| client.version) + u64::from(!right));
        let words = format!("{id} is deleted, if it is v{expected:?}");
        let reply = self.ask(&words, Command::Delete { id: id.into(), expected })?;
        let Some(before) = before else {
            // Or, where not every shard holds the end of an earlier one yet, that one's.
            let kept = match &reply {
                Reply::Unknown => true,
                Reply::Deleted { version, .. } => {
                    self.oracle.newest_of(id).is_some_and(|gone| gone.version == *version)
                }
                _ => false,
            };
            return self.expect(kept, &reply, "that there is none");
        };
        if only_if == Some(false) {
            return self.expect(matches!(reply, Reply::Outdated), &reply, "that it has another version");
        }
        let Reply::Deleted { version, told, .. } = &reply else {
            return self.expect(false, &reply, "its end");
        };
        self.grow(*version)?;
        let ended = Known { version: *version, enabled: false, ends: true, restricted: *version, ..before };
        self.oracle.keep(id, ended, self.world.now());
        self.oracle.clients.remove(id);
        self.told(*told, &[id])
    }
}
