//! How many failures an address bears: at the login page, and as a client; and how many registrations.
//!
//! Each isolate counts for itself, in bounded memory, and of every quarter of a limit it tells the shard of accounts that
//! counts for all of them: a failure that is alone costs no storage operation, and many isolates together bear little
//! more than one. A success is not counted, and a request that would succeed is not refused: but at the login page,
//! where finding out is what is dear, and where strangers ask for what costs storage.

use super::Context;
use crate::{
    crypto,
    host::{Host, Seconds, Timestamp},
    model::{
        policy::Policy,
        throttle::{Failures, Limit},
    },
    objects::protocol::account_shard::{AccountShard, Command, Reply},
    wire::Request,
};
use std::{cell::RefCell, collections::HashMap, net::IpAddr};

/// Addresses and clients that are told apart at a time.
const MOST: usize = 1000;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Failed logins from an address.
    Login,
    /// Requests of a client from an address whose credentials or tokens are none of ours.
    Client,
    /// Registrations from an address, also those that succeed.
    Registration,
    /// Requests with a registration access token from an address, also those that succeed.
    Management,
    /// Documents of clients that an address made us ask for.
    Document,
    /// Documents of clients that we asked a host for, whoever made us.
    DocumentHost,
}

impl Limited {
    /// How many failures are borne.
    pub fn limit(self, policy: &Policy) -> Limit {
        let (most, window) = match self {
            Self::Login => (policy.settings.login_per_address, 300),
            Self::Client => (policy.settings.client_failures, 60),
            Self::Registration => (policy.settings.registration_rate, 3600),
            Self::Management | Self::DocumentHost => (60, 60),
            Self::Document => (20, 60),
        };
        Limit { most: u32::try_from(most).unwrap_or(u32::MAX), window: Seconds(window) }
    }

    const fn name(self) -> &'static [u8] {
        match self {
            Self::Login => b"login",
            Self::Client => b"client",
            Self::Registration => b"registration",
            Self::Management => b"management",
            Self::Document => b"document",
            Self::DocumentHost => b"document host",
        }
    }
}

/// Failures by key, as this isolate has seen them. What is limited has a map of its own: anybody can invent clients, and
/// make the isolate forget some of them, but no address.
#[derive(Default)]
pub struct Limits([RefCell<Map>; 6]);

type Map = HashMap<String, Seen>;

#[derive(Default)]
struct Seen {
    failures: Failures,
    /// Begun, and not decided yet.
    open: u32,
    /// Not yet told to the shard.
    untold: u32,
    /// All isolates together have seen too many, until then.
    closed: Timestamp,
    touched: Timestamp,
}

impl Limits {
    fn of(&self, what: Limited) -> &RefCell<Map> {
        let Self([logins, clients, registrations, managements, documents, hosts]) = self;
        match what {
            Limited::Login => logins,
            Limited::Client => clients,
            Limited::Registration => registrations,
            Limited::Management => managements,
            Limited::Document => documents,
            Limited::DocumentHost => hosts,
        }
    }

    fn closed(&self, what: Limited, key: &str, limit: Limit, now: Timestamp) -> Option<Timestamp> {
        let seen = self.of(what).borrow();
        let seen = seen.get(key)?;
        let together = (now < seen.closed).then_some(seen.closed);
        seen.failures.closed(limit, now).max(together)
    }

    /// What is known of a key; it is known from now on.
    fn with<T>(&self, what: Limited, key: &str, now: Timestamp, then: impl FnOnce(&mut Seen) -> T) -> T {
        let mut seen = self.of(what).borrow_mut();
        if !seen.contains_key(key) && seen.len() >= MOST {
            // The one that was quiet for longest: a flood of addresses makes nobody forget one that goes on.
            let quietest = seen.iter().min_by_key(|(_, seen)| seen.touched).map(|(key, _)| key.clone());
            quietest.and_then(|key| seen.remove(&key));
        }
        let seen = seen.entry(key.to_owned()).or_default();
        seen.touched = now;
        then(seen)
    }

    /// One more.
    fn count(&self, what: Limited, key: &str, limit: Limit, now: Timestamp) {
        self.with(what, key, now, |seen| {
            if seen.failures.count(limit, now) == 0 {
                seen.untold = 0;
            }
            seen.failures.add(1, limit, now);
            seen.untold += 1;
        });
    }

    /// One more is begun, if all that are could fail. `false`: not now.
    fn open(&self, what: Limited, key: &str, limit: Limit, now: Timestamp) -> bool {
        self.with(what, key, now, |seen| {
            let room = seen.open.saturating_add(seen.failures.count(limit, now)) < limit.most;
            seen.open += u32::from(room);
            room
        })
    }

    /// One is decided.
    fn shut(&self, what: Limited, key: &str) {
        if let Some(seen) = self.of(what).borrow_mut().get_mut(key) {
            seen.open = seen.open.saturating_sub(1);
        }
    }

    /// How many are to be told, where a quarter of the limit is together.
    fn untold(&self, what: Limited, key: &str, limit: Limit) -> Option<u32> {
        let mut seen = self.of(what).borrow_mut();
        let seen = seen.get_mut(key)?;
        (seen.untold >= (limit.most / 4).max(1)).then(|| std::mem::take(&mut seen.untold))
    }

    fn close(&self, what: Limited, key: &str, until: Timestamp) {
        if let Some(seen) = self.of(what).borrow_mut().get_mut(key) {
            seen.closed = until;
        }
    }
}

impl<H: Host> Context<'_, H> {
    /// Whether too many failed from here, and until when.
    pub fn closed(
        &self,
        what: Limited,
        policy: &Policy,
        request: &Request,
        client: &str,
    ) -> Option<Timestamp> {
        self.memory.limits.closed(what, &self.key(what, request, client), what.limit(policy), self.now)
    }

    /// Begins something whose outcome decides whether it counts. No more are under way than may fail.
    pub fn enter(&self, what: Limited, policy: &Policy, request: &Request, client: &str) -> Entry<'_> {
        let (limits, limit, now) = (&self.memory.limits, what.limit(policy), self.now);
        let key = self.key(what, request, client);
        if let Some(until) = limits.closed(what, &key, limit, now) {
            return Entry::Closed(until);
        }
        if !limits.open(what, &key, limit, now) {
            return Entry::Full;
        }
        Entry::Open(Undecided { limits, what, key, limit, now, open: true })
    }

    /// Counts a failure, or what is counted like one. Gives until when there had been too many before this one.
    pub async fn strike(
        &self,
        what: Limited,
        policy: &Policy,
        request: &Request,
        client: &str,
    ) -> Option<Timestamp> {
        self.strike_key(what, policy, self.key(what, request, client)).await
    }

    /// Counts that a host was asked for a document, from wherever.
    pub async fn strike_host(&self, policy: &Policy, host: &str) -> Option<Timestamp> {
        let what = Limited::DocumentHost;
        let key = self.config.keys.blind(&[what.name(), host.as_bytes()]);
        self.strike_key(what, policy, crypto::text(&key.0)).await
    }

    async fn strike_key(&self, what: Limited, policy: &Policy, key: String) -> Option<Timestamp> {
        let limit = what.limit(policy);
        let limits = &self.memory.limits;
        let before = limits.closed(what, &key, limit, self.now);
        // What is closed already needs no more telling: then a flood costs no storage operations.
        if before.is_some() {
            return before;
        }
        limits.count(what, &key, limit, self.now);
        if let Some(count) = limits.untold(what, &key, limit) {
            let shard = crypto::bytes(&key).and_then(|bytes| bytes.first().copied()).unwrap_or_default();
            let strike = Command::Strike { key: key.clone(), count, limit };
            // Where the shard does not answer, this isolate's own count still holds.
            let struck = self.ask::<AccountShard>(&shard.to_string(), strike).await;
            if let Ok(Reply::Struck(Some(until))) = struck.map(|reply| *reply) {
                limits.close(what, &key, until);
            }
        }
        before
    }

    /// Under a key of ours: neither storage nor memory knows addresses, or what was typed as the id of a client.
    fn key(&self, what: Limited, request: &Request, client: &str) -> String {
        crypto::text(
            &self.config.keys.blind(&[what.name(), address(request).as_bytes(), client.as_bytes()]).0,
        )
    }
}

/// Whether something may begin.
pub enum Entry<'a> {
    /// It has.
    Open(Undecided<'a>),
    /// As many are under way as may fail: soon.
    Full,
    /// Too many failed, until then.
    Closed(Timestamp),
}

/// What counts as a failure if it is dropped half-way.
pub struct Undecided<'a> {
    limits: &'a Limits,
    what: Limited,
    key: String,
    limit: Limit,
    now: Timestamp,
    open: bool,
}

impl Undecided<'_> {
    /// The outcome is known, and is counted as what it is.
    pub fn decide(mut self) {
        self.open = false;
    }
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        self.limits.shut(self.what, &self.key);
        if self.open {
            self.limits.count(self.what, &self.key, self.limit, self.now);
        }
    }
}

/// Where a request comes from, as the platform says, and nobody else. Who holds an IPv6 network holds all of its
/// addresses, so a /64 counts as one (RFC 4291 §2.5.4). Callers without an address share one.
fn address(request: &Request) -> String {
    let text = request.header("cf-connecting-ip").unwrap_or_default();
    match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_network_are_one_caller() {
        let of = |text: &str| {
            let headers = vec![("cf-connecting-ip".to_owned(), text.to_owned())];
            let (host, path, query) = Default::default();
            address(&Request {
                method: http::Method::GET,
                secure: false,
                host,
                path,
                query,
                headers,
                body: None,
            })
        };
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:0db8:0001:0002::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn a_flood_of_addresses_makes_nobody_forget_the_one_that_goes_on() {
        let (limits, limit) = (Limits::default(), Limit { most: 60, window: Seconds(60) });
        let start = Timestamp(1_000_000_000);
        for number in 0..60_u64 {
            let now = Timestamp(start.0 + number * 100);
            limits.count(Limited::Login, "it", limit, now);
            for other in 0..100_u64 {
                limits.count(Limited::Login, &format!("{number} {other}"), limit, now);
            }
        }
        assert!(limits.closed(Limited::Login, "it", limit, start.plus(Seconds(6))).is_some());
        assert!(limits.of(Limited::Login).borrow().len() <= MOST);
    }
}
