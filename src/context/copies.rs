//! What an isolate remembers: copies of clients and policy, and how often it asked about strangers.
//!
//! **A positive answer may come from a copy, a refusal only from the truth.** A copy is used for 30 s. One that was read
//! from the registry within 5 s counts as confirmed: a refusal may rest on it, and the registry is not asked again.

use super::{documents::Documents, keyring, limits::Limits, tokens::Tokens};
use crate::{
    error::{Code, Error, Fault},
    host::{self, Host, Seconds, Timestamp},
    json::{self, Json},
    model::{client::Client, policy::Policy},
    objects::protocol::registry::{self, Registry},
};
use std::{cell::RefCell, collections::HashMap, rc::Rc};

/// How long a copy is used.
const KEPT: Seconds = Seconds(30);
/// How long the truth counts as fresh.
const CONFIRMED: Seconds = Seconds(5);
/// Clients whose use is told of at a time.
const MOST: usize = 1000;
/// What the clients take that are remembered, in bytes as they are written: more empties it, a flood of names too.
const ROOM: usize = 16 << 20;
/// What an entry takes beside its client.
const ENTRY: usize = 256;
/// Questions to the registry about ids that nobody knows: at once, and a second after that.
const BURST: u64 = 100;
const RATE: u64 = 20;

struct Entry<T> {
    value: T,
    read: Timestamp,
    /// When the registry said so (zero: it was the replica).
    confirmed: Timestamp,
}

impl<T> Entry<T> {
    fn age(&mut self) {
        (self.read, self.confirmed) = (Timestamp::default(), Timestamp::default());
    }

    fn is_confirmed(&self, now: Timestamp) -> bool {
        self.confirmed != Timestamp::default() && now < self.confirmed.plus(CONFIRMED)
    }
}

/// A value, and whether the truth said so just now.
pub struct Found<T> {
    /// The value.
    pub value: T,
    /// Whether a refusal may rest on it.
    pub confirmed: bool,
}

/// A client, or that there is none.
type Copy = Entry<Option<Rc<Client>>>;

/// Copies of clients, by id.
#[derive(Default)]
struct Clients {
    /// Each with what it takes.
    copies: HashMap<String, (Copy, usize)>,
    bytes: usize,
}

impl Clients {
    fn insert(&mut self, id: &str, entry: Copy) {
        let bytes = ENTRY + entry.value.as_ref().map_or(0, |client| json::write(&**client).len());
        if self.bytes + bytes > ROOM {
            *self = Self::default();
        }
        let before = self.copies.insert(id.to_owned(), (entry, bytes));
        self.bytes = self.bytes + bytes - before.map_or(0, |(_, bytes)| bytes);
    }
}

/// The memory of one isolate. Bounded, and never a source of truth.
#[derive(Default)]
pub struct Memory {
    clients: RefCell<Clients>,
    policy: RefCell<Option<Entry<Rc<Policy>>>>,
    /// The server's metadata, and the policy that they follow from.
    metadata: RefCell<Option<(Rc<Policy>, Vec<u8>)>>,
    strangers: Bucket,
    /// Of ids that were drawn here, and are nobody's any more.
    gone: Bucket,
    /// Clients whose use was told to the registry, or was to be, and when.
    told: RefCell<Vec<(String, Timestamp)>>,
    /// The keys that sign.
    pub(super) keyring: keyring::Copy,
    /// Documents of clients.
    pub(super) documents: Documents,
    /// Access tokens that were good a moment ago.
    pub(super) tokens: Tokens,
    /// Failures by address.
    pub(super) limits: Limits,
}

impl Memory {
    /// Takes no copy for good any more. That a client exists is not forgotten: it is no stranger.
    pub fn forget(&self) {
        for (entry, _) in self.clients.borrow_mut().copies.values_mut() {
            entry.age();
        }
        if let Some(entry) = self.policy.borrow_mut().as_mut() {
            entry.age();
        }
    }

    /// Settings and scopes.
    pub async fn policy<H: Host>(
        &self,
        host: &H,
        now: Timestamp,
        fresh: bool,
    ) -> Result<Found<Rc<Policy>>, Error> {
        if let Some(entry) = self.policy.borrow().as_ref() {
            let confirmed = entry.is_confirmed(now);
            if confirmed || (!fresh && now < entry.read.plus(KEPT)) {
                return Ok(Found { value: Rc::clone(&entry.value), confirmed });
            }
        }
        let copy = if fresh { None } else { read::<Policy, H>(host, registry::POLICY_KEY).await };
        let (policy, confirmed) = match copy {
            Some(policy) => (policy, Timestamp::default()),
            None => {
                match *host::ask::<Registry, H>(host, registry::NAME, registry::Command::Policy, None).await?
                {
                    registry::Reply::Policy(policy) => (*policy, now),
                    _ => return Err(Fault::new("the registry gave no policy").into()),
                }
            }
        };
        let value = Rc::new(policy);
        let entry = Entry { value: Rc::clone(&value), read: now, confirmed };
        let confirmed = entry.is_confirmed(now);
        let mut kept = self.policy.borrow_mut();
        // What is known is not forgotten for a replica that is behind, or an answer that took longer.
        if let Some(kept) = kept.as_mut().filter(|kept| kept.value.version > value.version) {
            kept.read = now;
            return Ok(Found { value: Rc::clone(&kept.value), confirmed: kept.is_confirmed(now) });
        }
        *kept = Some(entry);
        Ok(Found { value, confirmed })
    }

    /// The metadata of a server of this policy: written once.
    pub fn metadata(&self, policy: &Rc<Policy>, write: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        let mut kept = self.metadata.borrow_mut();
        match kept.as_ref().filter(|(known, _)| Rc::ptr_eq(known, policy)) {
            Some((_, written)) => written.clone(),
            None => {
                let written = write();
                *kept = Some((Rc::clone(policy), written.clone()));
                written
            }
        }
    }

    /// A client, or that there is none. `sealed`: a token of ours says that there was one.
    pub async fn client<H: Host>(
        &self,
        host: &H,
        policy: &Policy,
        (id, sealed): (&str, bool),
        now: Timestamp,
        fresh: bool,
    ) -> Result<Found<Option<Rc<Client>>>, Error> {
        // Longer than any id that can be registered: not worth a question.
        if id.len() > 200 {
            return Ok(Found { value: None, confirmed: true });
        }
        let mut known = false;
        if let Some((entry, _)) = self.clients.borrow().copies.get(id) {
            let confirmed = entry.is_confirmed(now);
            known = entry.value.is_some();
            // That there is no such client is remembered only while it is confirmed.
            if confirmed || (!fresh && known && now < entry.read.plus(KEPT)) {
                return Ok(Found { value: entry.value.clone(), confirmed });
            }
        }
        if !known && Policy::draws(id) && !policy.has_generated(id) && !policy.filter.0.is_empty() {
            // An invented id of the generated form dies here, before it costs a read.
            return Ok(Found { value: None, confirmed: true });
        }
        let copy = if fresh { None } else { read::<Client, H>(host, &registry::client_key(id)).await };
        let (client, confirmed) = match copy {
            Some(client) => (Some(client), Timestamp::default()),
            None => {
                // A client that is new is not in the replica yet: only an answer that there is none is charged to its kind.
                let drawn = policy.has_generated(id);
                if !known && !sealed {
                    if drawn { self.gone.demand(now)? } else { self.strangers.charge(now)? }
                }
                let command = registry::Command::Client(id.to_owned());
                match *host::ask::<Registry, H>(host, registry::NAME, command, None).await? {
                    registry::Reply::Client(None) if drawn => {
                        // That one more is too many is told to the next.
                        let _ = self.gone.charge(now);
                        (None, now)
                    }
                    registry::Reply::Client(client) => (client.map(|client| *client), now),
                    _ => return Err(Fault::new("the registry gave no client").into()),
                }
            }
        };
        let value = client.map(Rc::new);
        let entry = Entry { value: value.clone(), read: now, confirmed };
        let confirmed = entry.is_confirmed(now);
        let mut clients = self.clients.borrow_mut();
        let version = |client: &Option<Rc<Client>>| client.as_ref().map(|client| client.version);
        let newer = |kept: &&mut Entry<_>| value.is_some() && version(&kept.value) > version(&value);
        if let Some(kept) = clients.copies.get_mut(id).map(|(kept, _)| kept).filter(newer) {
            kept.read = now;
            return Ok(Found { value: kept.value.clone(), confirmed: kept.is_confirmed(now) });
        }
        clients.insert(id, entry);
        Ok(Found { value, confirmed })
    }

    /// A client as the registry has just answered it.
    pub fn remember(&self, client: Client, now: Timestamp) -> Rc<Client> {
        let client = Rc::new(client);
        let entry = Entry { value: Some(Rc::clone(&client)), read: now, confirmed: now };
        self.clients.borrow_mut().insert(&client.id, entry);
        client
    }

    /// Whether the registry may be told of the use of a client: not where it was a moment ago.
    pub(super) fn may_tell(&self, id: &str, now: Timestamp, again: Seconds) -> bool {
        let mut told = self.told.borrow_mut();
        told.retain(|(_, at)| now < at.plus(again));
        if told.len() >= MOST || told.iter().any(|(known, _)| known == id) {
            return false;
        }
        told.push((id.to_owned(), now));
        true
    }
}

/// A token bucket: ids that nobody knows reach the registry only so often.
#[derive(Default)]
struct Bucket(RefCell<(Timestamp, u64)>);

impl Bucket {
    /// How many it has given, less what has come back since.
    fn used(&self, now: Timestamp) -> (Timestamp, u64) {
        let (since, used) = *self.0.borrow();
        let refilled = now.since(since).0.saturating_mul(RATE);
        (if refilled > 0 { now } else { since }, used.saturating_sub(refilled))
    }

    /// Refuses where it is empty.
    fn demand(&self, now: Timestamp) -> Result<(), Error> {
        if self.used(now).1 < BURST {
            return Ok(());
        }
        let detail = "too many unknown clients are asking: repeat the request in a second";
        Err(Error::new(Code::TooManyRequests, detail).because("unknown client ids"))
    }

    /// Takes one.
    fn charge(&self, now: Timestamp) -> Result<(), Error> {
        self.demand(now)?;
        let (since, used) = self.used(now);
        *self.0.borrow_mut() = (since, used + 1);
        Ok(())
    }
}

/// A record of the replica; one that does not read, or cannot be read, is as good as none: the truth is asked.
async fn read<T: Json, H: Host>(host: &H, key: &str) -> Option<T> {
    let text = host.read_copy(key).await.ok()??;
    let format = text.strip_prefix("{\"format\":").is_some_and(|rest| rest.starts_with("1,"));
    if format { json::read(&text).ok() } else { None }
}
