//! The keys that sign: one row. They are made at the edge, where the master key is; which of several that were made at once
//! is the one is decided here.

use super::policy;
use crate::{
    error::Fault,
    host::{FORMAT, Seconds, Store, Turn},
    json::{json, object},
    model::{
        keyring::{Key, Keyring, MOST, Wish},
        patch::Invalid,
    },
    objects::{audit, protocol::registry::Reply, read, write},
};
use serde_json::{Map, Value};

const TABLE: &str = "keyring";

/// One wish.
pub(super) fn handle<S: Store>(turn: &Turn<'_, S>, mut wish: Wish) -> Result<Reply, Fault> {
    // Who asks may not have heard yet that it is longer now, and others may keep the keys for longer already.
    if let Wish::Add { lead, .. } = &mut wish
        && lead.0 > 0
    {
        *lead = (*lead).max(Seconds(policy::current(turn)?.settings.key_lead));
    }
    let before: Option<Keyring> = read(turn.store, TABLE, "", "")?;
    let before = before.unwrap_or(Keyring { format: FORMAT, ..Keyring::default() });
    let mut after = before.clone();
    if !after.handle(wish, turn.now) {
        let why = format!("has {MOST} keys that are published: wait until the oldest is gone");
        return Ok(Reply::Invalid(Invalid::new("algorithm", why)));
    }
    if after == before {
        return Ok(Reply::Keyring(after));
    }
    after.version += 1;
    write(turn.store, TABLE, "", "", &after)?;
    let has = |ring: &Keyring, key: &Key| ring.key(&key.kid).is_some();
    // That an old one is over is nobody's act.
    let removed = before.keys.iter().filter(|key| !has(&after, key) && before.gone(key) > turn.now);
    for (key, action) in removed
        .map(|key| (key, "key.removed"))
        .chain(after.keys.iter().filter(|key| !has(&before, key)).map(|key| (key, "key.created")))
    {
        let members = object([("algorithm", json!(key.algorithm.name()))]);
        let (was, is): (Map<String, Value>, _) =
            if action == "key.removed" { (members, Map::new()) } else { (Map::new(), members) };
        audit::note(turn, action, format!("key/{}", key.kid), was, is)?;
    }
    Ok(Reply::Keyring(after))
}
