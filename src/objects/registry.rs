//! The registry: the truth about clients, settings and scopes, and the roster of shards. One object.
//!
//! Every change gets the next number of one counter, so versions only grow, also across lives of one client id. A
//! restricting change is owed to every shard on the roster before the administrator hears that it holds.

mod clients;
mod keyring;
mod policy;
mod registration;
mod remotes;
mod rows;
mod scopes;
mod seed;

use self::rows::{CLIENTS, MARKS, ROSTER, roster};
use super::{
    audit, decode, drop_ended, first_end, outbox,
    protocol::{
        Told,
        registry::{Command, Registry, Reply},
    },
    read, write,
};
use crate::{
    error::Fault,
    host::{Host, Object, Store, Timestamp, Turn},
    list::List as _,
    model::{client::Client, mark::Mark, metadata::Metadata, patch::Invalid},
};

impl Object for Registry {
    fn handle<S: Store>(turn: &Turn<'_, S>, command: Command) -> Result<Reply, Fault> {
        let store = turn.store;
        match command {
            Command::Client(id) => Ok(Reply::Client(clients::find(store, &id)?.map(Box::new))),
            Command::Policy => Ok(Reply::Policy(Box::new(policy::current(turn)?))),
            Command::Clients { after, q, limit } => {
                clients::list(store, after.as_deref(), q.as_deref(), limit)
            }
            Command::Create(client) => clients::create(turn, *client, "client.created"),
            Command::TryCreate(client) => clients::try_create(turn, &client),
            Command::Change { id, patch, whole, expected } => {
                let amend = |before: &Metadata| {
                    let patch = patch.clone();
                    if whole { Metadata::register(patch) } else { before.amend(patch) }
                };
                // It would say so again at its next word.
                if let Some(client) = clients::find(store, &id)?.filter(Client::registered_itself)
                    && let Ok(after) = amend(&client.metadata)
                    && let Some(field) = client.metadata.says_otherwise(&after)
                {
                    let why =
                        "is what the client says of itself: disable the client where that may not stand";
                    return Ok(Reply::Invalid(Invalid::new(&field, why)));
                }
                clients::change(turn, &id, expected, &amend)
            }
            Command::Rekey { id, secret, overlap, expected } => {
                clients::rekey(turn, &id, secret, overlap, expected)
            }
            Command::Cut(id) => clients::cut(turn, &id),
            Command::Delete { id, expected } => clients::delete(turn, &id, expected),
            Command::Register { client, initial } => registration::register(turn, *client, initial.as_ref()),
            Command::Manage { token, wish } => registration::manage(turn, &token, wish),
            Command::Use(id) => registration::touch(turn, &id),
            Command::Adopt(client) => registration::adopt(turn, *client),
            Command::InitialTokens { after, q, limit } => {
                registration::tokens(store, after.as_deref(), q.as_deref(), limit)
            }
            Command::InitialToken(id) => registration::token(store, &id),
            Command::CreateInitialToken(token) => registration::create_token(turn, *token),
            Command::DeleteInitialToken(id) => registration::delete_token(turn, &id),
            Command::Note(change) => audit::keep(store, &change).map(|()| Reply::Noted),
            Command::Audit { after, q, limit } => {
                let query = audit::Query { after: after.as_deref(), q: q.as_deref(), limit };
                audit::list(store, &query).map(|(changes, next)| Reply::Audit(changes, next))
            }
            Command::ChangePolicy { patch, expected } => policy::change(turn, &patch, expected),
            Command::Scope(name) => {
                Ok(Reply::Scope(scopes::find(store, &policy::current(turn)?, &name)?.map(Box::new)))
            }
            Command::Scopes { after, q, limit } => {
                scopes::list(store, &policy::current(turn)?, after.as_deref(), q.as_deref(), limit)
            }
            Command::CreateScope { name, patch } => scopes::create(turn, &name, patch),
            Command::ChangeScope { name, patch, whole, expected } => {
                scopes::change(turn, &name, patch, whole, expected)
            }
            Command::DeleteScope { name, expected } => scopes::delete(turn, &name, expected),
            Command::Remote(kind, name) => {
                Ok(Reply::Remote(remotes::find(store, kind, &name)?.map(Box::new)))
            }
            Command::Remotes { kind, after, q, limit } => {
                remotes::list(store, kind, (after.as_deref(), q.as_deref()), limit)
            }
            Command::PutRemote { remote, expected } => remotes::put(turn, *remote, expected),
            Command::DeleteRemote { kind, name, expected } => remotes::delete(turn, kind, &name, expected),
            Command::Keyring(wish) => keyring::handle(turn, wish),
            Command::Join { shard } => {
                let marks = store.scan(MARKS, None, None, usize::MAX)?;
                let marks = marks
                    .into_iter()
                    .map(|(kind, id, row)| Ok((format!("{kind}/{id}"), decode(&row)?)))
                    .list_or_error::<_, Fault>()?;
                write(store, ROSTER, "grants", &shard, &turn.now)?;
                Ok(Reply::Marks(marks))
            }
            Command::JoinAccounts { shard } => {
                if store.get(ROSTER, "accounts", &shard)?.is_none() {
                    write(store, ROSTER, "accounts", &shard, &turn.now)?;
                }
                Ok(Reply::Done)
            }
            Command::Health => Ok(Reply::Health(super::health(store, Self::wake(store)?, turn.now)?)),
            Command::Roster => Ok(Reply::Roster(roster(store, "grants")?, roster(store, "accounts")?)),
            Command::Seed { development, issuer, clients, scopes } => {
                seed::seed(turn, development, issuer, clients, scopes)
            }
        }
    }

    async fn follow<H: Host, S: Store>(host: &H, store: &S, reply: Reply) -> Result<Reply, Fault> {
        let changed = matches!(
            reply,
            Reply::Changed(..)
                | Reply::Registered(..)
                | Reply::Deleted { .. }
                | Reply::PolicyChanged(..)
                | Reply::ScopeChanged(..)
                | Reply::Remote(..)
                | Reply::Done
        );
        // Between the turn and here somebody else may have taken what this change owes: whoever answers for it sends it.
        match &reply {
            Reply::Changed(client, _) | Reply::Registered(client, ..) => {
                outbox::hurry(store, &clients::target(&client.id), host.now())?;
            }
            Reply::Deleted { id, .. } => outbox::hurry(store, &format!("client/{id}"), host.now())?,
            Reply::PolicyChanged(..) | Reply::ScopeChanged(..) => {
                outbox::hurry(store, "policy/", host.now())?;
            }
            _ => {}
        }
        if changed {
            outbox::flush(host, store, &Self).await?;
        }
        let told = |id: &str, version: u64, told: Told| {
            let owed = outbox::owed(store, id, version)?;
            Ok::<_, Fault>(Told { acknowledged: told.of.saturating_sub(owed), ..told })
        };
        Ok(match reply {
            Reply::Changed(client, so_far) => {
                let told = told(&format!("client/{}", client.id), client.version, so_far)?;
                Reply::Changed(client, told)
            }
            Reply::Registered(client, so_far, generation, proof) => {
                let told = told(&clients::target(&client.id), client.version, so_far)?;
                Reply::Registered(client, told, generation, proof)
            }
            Reply::Deleted { id, version, told: so_far } => {
                let told = told(&format!("client/{id}"), version, so_far)?;
                Reply::Deleted { id, version, told }
            }
            Reply::PolicyChanged(policy, so_far) => {
                let told = told("policy/", policy.version, so_far)?;
                Reply::PolicyChanged(policy, told)
            }
            Reply::ScopeChanged(scope, so_far) => {
                let told = told("policy/", scope.entry.version, so_far)?;
                Reply::ScopeChanged(scope, told)
            }
            other => other,
        })
    }

    fn wake<S: Store>(store: &S) -> Result<Option<Timestamp>, Fault> {
        let old = audit::due(store, policy::retention(store)?)?.into_iter().chain(first_end(store)?);
        let ends = registration::due(store)?;
        Ok(outbox::due(store)?.into_iter().chain(old).chain(ends).min())
    }

    async fn sweep<H: Host, S: Store>(host: &H, store: &S, now: Timestamp) -> Result<(), Fault> {
        drop_ended(store, now)?;
        audit::sweep(store, policy::retention(store)?, now)?;
        registration::sweep(store, now)?;
        outbox::flush(host, store, &Self).await
    }
}

impl<S: Store> outbox::Truth<S> for Registry {
    fn copy(&self, store: &S, key: &str) -> Result<Option<String>, Fault> {
        match key.strip_prefix("client:") {
            Some(id) => store.get(CLIENTS, id, ""),
            None => store.get("policy", "", ""),
        }
    }

    fn mark(&self, store: &S, id: &str) -> Result<Option<Mark>, Fault> {
        let Some((kind, id)) = id.split_once('/') else { return Ok(None) };
        read(store, MARKS, kind, id)
    }
}
