//! The keys that sign, as an isolate knows them: a copy that is used no longer than a key is published before it signs.

use super::Context;
use crate::{
    crypto,
    error::{Code, Error, Fault},
    host::{Algorithm, Host, Jwk, Seconds, Timestamp},
    json,
    model::{
        keyring::{COPIED, Key, Keyring, Wish},
        policy::Policy,
    },
    objects::protocol::registry::{self, Registry},
};
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

/// What an isolate knows.
#[derive(Default)]
pub struct Copy {
    /// The keys, and since when.
    ring: RefCell<Option<(Rc<Keyring>, Timestamp)>>,
    /// When the registry gave none.
    failed: Cell<Timestamp>,
    /// When it took none.
    refused: Cell<Timestamp>,
    /// Keys whose private members a master key of ours opens.
    opened: RefCell<Vec<String>>,
}

/// Under what the private members are sealed.
const VAULT: &str = "keyring";
/// A `kid` that nobody knows has the copy read again only so often.
const AGAIN: u64 = 5000;
/// The members of a JWK that make it the key it is (RFC 7638 §3.2).
const PUBLIC: &[&str] = &["crv", "e", "kty", "n", "x", "y"];

/// How long a key is published before it signs.
fn lead(policy: &Policy) -> Seconds {
    policy.seconds(|settings| settings.key_lead)
}

impl<H: Host> Context<'_, H> {
    /// The keys, where the copy is no older than so many milliseconds.
    fn known(&self, age: u64) -> Option<Rc<Keyring>> {
        let ring = self.memory.keyring.ring.borrow();
        ring.as_ref()
            .filter(|(_, read)| self.now.0 < read.0.saturating_add(age))
            .map(|(ring, _)| Rc::clone(ring))
    }

    /// The keys.
    pub async fn keyring(&self) -> Result<Rc<Keyring>, Error> {
        let lead = lead(&*self.policy().await?);
        if let Some(ring) = self.known(Keyring::copied(lead)) {
            return Ok(ring);
        }
        // While nobody gives another, as long as others may keep it, too.
        let old = self.known(Keyring::cached(lead).0 * 1000);
        if let Some(ring) = old.as_ref().filter(|_| self.is_away()) {
            return Ok(Rc::clone(ring));
        }
        self.read().await.or_else(|error| old.ok_or(error))
    }

    /// Whether the registry gave none a moment ago.
    fn is_away(&self) -> bool {
        self.now.0 < self.memory.keyring.failed.get().0.saturating_add(AGAIN)
    }

    /// Whether it is of no use to tell it of a key: it gave none a moment ago, or took none.
    fn is_stuck(&self) -> bool {
        self.is_away() || self.now.0 < self.memory.keyring.refused.get().0.saturating_add(AGAIN)
    }

    async fn read(&self) -> Result<Rc<Keyring>, Error> {
        let ring = self.wish(Wish::Read).await;
        if ring.is_err() {
            self.memory.keyring.failed.set(self.now);
        }
        ring
    }

    /// Tells the registry, and keeps what it answers.
    pub async fn wish(&self, wish: Wish) -> Result<Rc<Keyring>, Error> {
        let kept = &self.memory.keyring.ring;
        if let Wish::Remove(_) = wish {
            // Also where no answer comes.
            *kept.borrow_mut() = None;
        }
        match *self.ask::<Registry>(registry::NAME, registry::Command::Keyring(wish)).await? {
            registry::Reply::Keyring(ring) => {
                let mut kept = kept.borrow_mut();
                // What took longer on its way may be older.
                let newer = kept.take().filter(|(kept, _)| kept.version > ring.version);
                let ring = newer.map_or_else(|| Rc::new(ring), |(ring, _)| ring);
                *kept = Some((Rc::clone(&ring), self.now));
                Ok(ring)
            }
            registry::Reply::Invalid(why) => Err(Error::new(Code::Conflict, why.why).in_field(why.field)),
            _ => Err(Fault::new("the registry gave no keys").into()),
        }
    }

    /// A new key of an algorithm, published so long before it signs.
    pub async fn add_key(&self, algorithm: Algorithm, after: Option<String>) -> Result<Rc<Keyring>, Error> {
        // Of the first one nobody waits: it is published with the first token that it signs.
        let lead = if after.is_some() { lead(&*self.policy().await?) } else { Seconds(0) };
        self.make_key(algorithm, after, lead).await
    }

    async fn make_key(
        &self,
        algorithm: Algorithm,
        after: Option<String>,
        lead: Seconds,
    ) -> Result<Rc<Keyring>, Error> {
        let mut private = self.host.generate_key(algorithm).await?;
        json::keep(&mut private, &|name, _| !matches!(name, "alg" | "ext" | "key_ops" | "use" | "kid"));
        let mut public = private.clone();
        json::keep(&mut public, &|name, _| PUBLIC.contains(&name));
        // RFC 7638 §3: the members in order, without spaces, as they are kept.
        let kid = crypto::text(&crypto::digest(json::write(&public).as_bytes()));
        let private = self.config.keys.vault(VAULT).seal(&kid, &json::write(&private))?;
        let key =
            Key { kid, algorithm, public, private, made: self.now, signs: self.now, longest: Seconds(0) };
        self.wish(Wish::Add { key: Box::new(key), after, lead }).await
    }

    fn open(&self, key: &Key) -> Option<Jwk> {
        let text = self.config.keys.vault(VAULT).open(&key.kid, &key.private)?;
        match json::read(&text) {
            Ok(Value::Object(jwk)) => Some(jwk),
            _ => None,
        }
    }

    /// Whether a master key of ours opens it: not where that is gone, or the issuer is another one now.
    fn opens(&self, key: &Key) -> bool {
        let opened = &self.memory.keyring.opened;
        let opens = opened.borrow().contains(&key.kid);
        if !opens && self.open(key).is_some() {
            opened.borrow_mut().push(key.kid.clone());
            return true;
        }
        opens
    }

    /// The key that signs now what lives so long; made where there is none.
    pub async fn signing_key(&self, algorithm: Algorithm, lifetime: Seconds) -> Result<Key, Error> {
        let policy = self.policy().await?;
        let mut ring = self.keyring().await?;
        let vault = self.config.keys.vault(VAULT);
        // Also of keys that do not sign now: the master key is gone when they do.
        for key in ring.clone().keys.iter().filter(|key| vault.has_aged(&key.private) && !self.is_stuck()) {
            if let Some(text) = vault.open(&key.kid, &key.private) {
                match self.wish(Wish::Rewrap(key.kid.clone(), vault.seal(&key.kid, &text)?)).await {
                    Ok(later) => ring = later,
                    Err(_) => self.memory.keyring.refused.set(self.now),
                }
            }
        }
        if ring.newest(algorithm).is_none() {
            ring = self.add_key(algorithm, None).await?;
        }
        let age = Seconds(policy.settings.key_rotation.saturating_mul(86_400));
        if let Some(newest) = ring.newest(algorithm)
            && newest.signs <= self.now
            && newest.signs.plus(age) <= self.now.plus(lead(&policy))
            && ring.has_room(algorithm, self.now)
            && !self.is_stuck()
        {
            // The old one signs on meanwhile, and longer where this fails.
            match self.add_key(algorithm, Some(newest.kid.clone())).await {
                Ok(later) => {
                    ring = later;
                    self.note(|event| event.important = true);
                }
                Err(_) => self.memory.keyring.refused.set(self.now),
            }
        }
        let mut key = ring.signing(algorithm, self.now).cloned();
        if !key.as_ref().is_some_and(|key| self.opens(key)) {
            // What it signed is verified on. Where isolates with other master keys run side by side for a moment, each
            // goes on with its own key, as if it had not heard of the other.
            let own = |key: &&Key| {
                let retired = ring.retired(key).unwrap_or(Timestamp::NEVER);
                key.algorithm == algorithm && self.now < retired.plus(COPIED) && self.opens(key)
            };
            key = ring.keys.iter().rfind(own).cloned();
            if key.is_none() {
                let newest = ring.newest(algorithm).map(|key| key.kid.clone());
                // By the clock of the registry it may sign a moment later.
                key = self.make_key(algorithm, newest, Seconds(0)).await?.newest(algorithm).cloned();
            }
        }
        let key = key.ok_or_else(|| Fault::new("there is no key that signs"))?;
        if lifetime > key.longest {
            self.wish(Wish::Lengthen(key.kid.clone(), lifetime)).await?;
        }
        Ok(key)
    }

    /// A signature of a key of ours.
    pub async fn sign_with(&self, key: &Key, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.host.sign((key.algorithm, &key.kid), || self.open(key), message).await?)
    }

    /// The key of a `kid`, if it is one of ours.
    pub async fn key_of(&self, kid: &str) -> Result<Option<Key>, Error> {
        let ring = self.keyring().await?;
        if let Some(key) = ring.key(kid) {
            return Ok(Some(key.clone()));
        }
        // That it is nobody's must be true.
        let ring = match self.known(AGAIN) {
            Some(ring) => ring,
            None if self.is_away() => return Err(Fault::new("the registry gave no keys a moment ago").into()),
            None => self.read().await?,
        };
        Ok(ring.key(kid).cloned())
    }
}
