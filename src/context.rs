//! One request: the world it runs in, the configuration it runs under, the instant it runs at, what it has to tell.

pub mod config;
mod copies;
mod documents;
mod event;
mod keyring;
mod limits;
mod tokens;
mod usage;

pub use config::Config;
pub use copies::Memory;
pub use documents::Words;
pub use event::Event;
pub use limits::{Entry, Limited, Undecided};
pub use tokens::Weighed;

use crate::{
    error::{Error, Fault},
    host::{self, Author, Host, Protocol, Timestamp},
    model::{client::Client, grant, place::Address, policy::Policy},
    objects::protocol::grant_shard::{self, GrantShard},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

/// A new trace id: it stands in the event, and in the error that the event explains.
pub fn draw_trace<H: Host>(host: &H) -> String {
    format!("{:016x}", u64::from_be_bytes(host.random()))
}

/// Everything an endpoint is given beside the request itself.
pub struct Context<'a, H> {
    /// The world.
    pub host: &'a H,
    /// Issuer and keys.
    pub config: &'a Config,
    /// What this isolate remembers between requests.
    memory: &'a Memory,
    /// The edge's clock, read once at the door. What an object decides, it decides by its own.
    pub now: Timestamp,
    /// In the log, in errors and on error pages.
    pub trace: String,
    /// Ask the truth, not copies: a copy may have been the reason for a refusal.
    fresh: Cell<bool>,
    /// True once something was decided by a copy that may be out of date.
    by_copy: Cell<bool>,
    /// What was typed as the id of a client, for the limits alone: it may be a secret, so the log never learns it.
    claimed: RefCell<String>,
    /// Who administers, once that is known.
    author: RefCell<Option<Author>>,
    event: RefCell<Event>,
}

impl<'a, H: Host> Context<'a, H> {
    /// A request's context.
    pub fn new(host: &'a H, config: &'a Config, memory: &'a Memory) -> Self {
        Self {
            host,
            config,
            memory,
            now: host.now(),
            trace: draw_trace(host),
            fresh: Cell::new(false),
            by_copy: Cell::new(false),
            claimed: RefCell::default(),
            author: RefCell::default(),
            event: RefCell::default(),
        }
    }

    /// Asks an object, exactly once.
    pub fn ask<O: Protocol>(
        &self,
        name: &str,
        command: O::Command,
    ) -> impl Future<Output = Result<Box<O::Reply>, Fault>> + use<'a, O, H> {
        host::ask::<O, H>(self.host, name, command, self.author.borrow().clone())
    }

    /// Asks the shard of a grant. `policy`: the version of the settings that this was decided by.
    pub async fn ask_grant(
        &self,
        address: &Address,
        policy: u64,
        command: grant::Command,
    ) -> Result<grant::Reply, Fault> {
        let Address { shard, table, owner, key } = address.clone();
        let command = grant_shard::Command::Grant { table, owner, key, policy, command };
        match *self.ask::<GrantShard>(&shard.to_string(), command).await? {
            grant_shard::Reply::Grant(reply) => Ok(reply),
            _ => Err(Fault::new("a shard gave an answer that is none of a grant's")),
        }
    }

    /// A client: from memory, from the replica, from the registry, in this order.
    pub async fn client(&self, id: &str) -> Result<Option<Rc<Client>>, Error> {
        self.find_client(id, false).await
    }

    /// The client that a token of ours names: whoever asks, it is no stranger.
    pub async fn client_of_token(&self, id: &str) -> Result<Option<Rc<Client>>, Error> {
        self.find_client(id, true).await
    }

    async fn find_client(&self, id: &str, sealed: bool) -> Result<Option<Rc<Client>>, Error> {
        let policy = self.policy().await?;
        let found = self.memory.client(self.host, &policy, (id, sealed), self.now, self.fresh.get()).await?;
        self.by_copy.set(self.by_copy.get() || !found.confirmed);
        Ok(found.value)
    }

    /// Settings and scopes: from memory, from the replica, from the registry, in this order.
    pub async fn policy(&self) -> Result<Rc<Policy>, Error> {
        let found = self.memory.policy(self.host, self.now, self.fresh.get()).await?;
        self.by_copy.set(self.by_copy.get() || !found.confirmed);
        Ok(found.value)
    }

    /// What this isolate remembers.
    pub fn memory(&self) -> &Memory {
        self.memory
    }

    /// From here on asks the truth. `false`: it did already, or nothing was decided by a copy.
    pub fn insist(&self) -> bool {
        let worth_it = self.by_copy.replace(false) && !self.fresh.get();
        self.fresh.set(true);
        worth_it
    }

    /// From here on asks the truth, because a shard knows of something newer. `false`: it did already.
    pub fn reload(&self) -> bool {
        self.memory.forget();
        !self.fresh.replace(true)
    }

    /// Somebody says that this client is calling.
    pub fn claim(&self, id: &str) {
        id.clone_into(&mut self.claimed.borrow_mut());
    }

    /// Who is said to be calling; nobody is an empty text.
    pub fn claimed(&self) -> String {
        self.claimed.borrow().clone()
    }

    /// From here on every object is told who is behind what it is asked.
    pub fn sign(&self, author: Author) {
        *self.author.borrow_mut() = Some(author);
    }

    /// Tells the log more of what is being decided.
    pub fn note(&self, tell: impl FnOnce(&mut Event)) {
        tell(&mut self.event.borrow_mut());
    }

    /// What there is to tell.
    pub fn event(&self) -> Event {
        self.event.borrow().clone()
    }

    /// The address of one of our endpoints.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.config.issuer)
    }
}
