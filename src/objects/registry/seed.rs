//! The development data.

use super::{
    clients, policy,
    rows::{MARKS, next, owe_marks},
    scopes,
};
use crate::{
    error::Fault,
    host::{Store, Turn},
    model::{
        client::Client,
        policy::{Policy, ScopeEntry},
    },
    objects::protocol::registry::Reply,
    sorted::ByName,
};

/// Makes it, unless there is as new a format of it for this issuer.
pub(super) fn seed<S: Store>(
    turn: &Turn<'_, S>,
    development: u8,
    issuer: String,
    demo: Vec<Client>,
    scopes: ByName<ScopeEntry>,
) -> Result<Reply, Fault> {
    let before = policy::current(turn)?;
    if before.development >= development && before.development_issuer == issuer {
        return Ok(Reply::Done);
    }
    for mut client in demo {
        client.version = next(turn.store)?;
        client.issued = turn.now;
        client.changed = turn.now;
        // One that is there goes on living: its grants are its own, and marks of it stay true.
        let known = clients::find(turn.store, &client.id)?;
        if let Some(Client { incarnation, min_version, restrictions, .. }) = known.clone() {
            client = Client { incarnation, min_version, restrictions, ..client };
        }
        if turn.store.get(MARKS, "client", &client.id)?.is_some() {
            owe_marks(turn, "client", &client.id, &client.mark())?;
        }
        // All links: they may be younger than the client.
        scopes::link(turn.store, &client.id, None, &client.metadata.scope)?;
        clients::put(turn, known.as_ref(), &client)?;
    }
    let version = next(turn.store)?;
    let development_issuer = issuer;
    let development = development.max(before.development);
    let mut policy = Policy { version, development, development_issuer, changed: turn.now, ..before };
    for (name, entry) in scopes {
        policy.scopes.insert(name, ScopeEntry { version, ..entry });
    }
    policy::put(turn, &policy)?;
    Ok(Reply::Done)
}
