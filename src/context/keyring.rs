//! The keys that sign, as an isolate knows them: a copy that is used no longer than a key is published before it signs.

use super::Context;
use crate::{
    crypto,
    error::{Code, Error, Fault},
    host::{Algorithm, Host, Jwk, Seconds, Timestamp},
    json,
    model::{
        keyring::{Key, Keyring, Wish},
        policy::Policy,
    },
    objects::protocol::registry::{self, Registry},
};
use serde_json::Value;
use std::{cell::RefCell, rc::Rc};

/// What an isolate knows, and since when.
#[derive(Default)]
pub struct Copy(RefCell<Option<(Rc<Keyring>, Timestamp)>>);

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
    /// The keys, by a copy that may be so many milliseconds old.
    async fn keyring_within(&self, age: u64) -> Result<Rc<Keyring>, Error> {
        if let Some((ring, read)) = self.memory.keyring.0.borrow().as_ref()
            && self.now.0 < read.0.saturating_add(age)
        {
            return Ok(Rc::clone(ring));
        }
        self.wish(Wish::Read).await
    }

    /// The keys.
    pub async fn keyring(&self) -> Result<Rc<Keyring>, Error> {
        let lead = lead(&*self.policy().await?);
        self.keyring_within(Keyring::copied(lead)).await
    }

    /// Tells the registry, and keeps what it answers.
    pub async fn wish(&self, wish: Wish) -> Result<Rc<Keyring>, Error> {
        match self.ask::<Registry>(registry::NAME, registry::Command::Keyring(wish)).await? {
            registry::Reply::Keyring(ring) => {
                let ring = Rc::new(ring);
                *self.memory.keyring.0.borrow_mut() = Some((Rc::clone(&ring), self.now));
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
        private.retain(|name, _| !matches!(name.as_str(), "alg" | "ext" | "key_ops" | "use" | "kid"));
        let mut public = private.clone();
        public.retain(|name, _| PUBLIC.contains(&name.as_str()));
        // RFC 7638 §3: the members in order, without spaces, as they are kept.
        let kid = crypto::text(&crypto::digest(json::write(&public)?.as_bytes()));
        let private = self.config.keys.vault(VAULT).seal(&kid, &json::write(&private)?)?;
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

    /// The key that signs now what lives so long; made where there is none.
    pub async fn signing_key(&self, algorithm: Algorithm, lifetime: Seconds) -> Result<Key, Error> {
        let policy = self.policy().await?;
        let mut ring = self.keyring().await?;
        if ring.signing(algorithm, self.now).is_none() {
            ring = self.add_key(algorithm, ring.newest(algorithm).map(|key| key.kid.clone())).await?;
        }
        let age = Seconds(policy.settings.key_rotation.saturating_mul(86_400));
        if let Some(newest) = ring.newest(algorithm)
            && newest.signs <= self.now
            && newest.signs.plus(age) <= self.now.plus(lead(&policy))
        {
            // The old one signs on meanwhile, and longer where this fails.
            if let Ok(later) = self.add_key(algorithm, Some(newest.kid.clone())).await {
                ring = later;
                self.note(|event| event.important = true);
            }
        }
        let none = || Fault::new("there is no key that signs");
        let mut key = ring.signing(algorithm, self.now).ok_or_else(none)?.clone();
        let vault = self.config.keys.vault(VAULT);
        if vault.has_aged(&key.private) {
            match vault.open(&key.kid, &key.private) {
                Some(text) => {
                    let wish = Wish::Rewrap(key.kid.clone(), vault.seal(&key.kid, &text)?);
                    ring = self.wish(wish).await?;
                }
                // The master key is gone under which it was sealed: what it signed is verified on, and another one signs.
                None => {
                    let newest = ring.newest(algorithm).map(|key| key.kid.clone());
                    ring = self.make_key(algorithm, newest, Seconds(0)).await?;
                }
            }
            key = ring.signing(algorithm, self.now).ok_or_else(none)?.clone();
        }
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
        Ok(self.keyring_within(AGAIN).await?.key(kid).cloned())
    }
}
