//! The keys that sign for this server (RFC 7517): published before they sign, kept until the last token is dead that they
//! signed. Of each algorithm one signs at a time.
//!
//! ```text
//!   made ──── published ────► signs ──── the next one signs ────► kept ────► gone
//! ```

use crate::{
    host::{Algorithm, SKEW, Seconds, Timestamp},
    json::Json,
    list::List as _,
};
use serde_json::{Map, Value};

/// How many of one algorithm may lie published at a time.
pub const MOST: usize = 20;
/// The longest that an isolate goes on by a copy of this.
pub const COPIED: Seconds = Seconds(60);
/// The longest that others are told to keep what is published.
const CACHED: Seconds = Seconds(3600);

/// One key pair.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Key {
    /// `kid`: the thumbprint of the public key (RFC 7638), so no other has it.
    pub kid: String,
    /// `alg`.
    pub algorithm: Algorithm,
    /// Its public members (RFC 7518 §6).
    pub public: Map<String, Value>,
    /// All its members, sealed under the name of its `kid`.
    pub private: String,
    /// Published since.
    pub made: Timestamp,
    /// It signs from then on, until the next one does.
    pub signs: Timestamp,
    /// How long the longest-lived token lives that it signed.
    pub longest: Seconds,
}

/// All of them, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
pub struct Keyring {
    /// The format of the row.
    pub format: u8,
    /// How often it was changed: of two copies the newer one is kept.
    pub version: u64,
    /// The keys.
    pub keys: Vec<Key>,
}

/// What can be wished of it. Each has one effect, however often it arrives.
#[derive(Debug, Json)]
pub enum Wish {
    /// To see it.
    Read,
    /// A new key, unless another was made meanwhile.
    Add {
        /// The key. When it is published and signs is said where it is kept.
        key: Box<Key>,
        /// The newest of its algorithm, as the asker knows it.
        after: Option<String>,
        /// How long it is published before it signs.
        lead: Seconds,
    },
    /// A key is about to sign what lives so long.
    Lengthen(String, Seconds),
    /// The private members of a key, sealed anew.
    Rewrap(String, String),
    /// A key that somebody else has: it is good for nothing any more.
    Remove(String),
}

impl Keyring {
    /// Whether there may be one more of an algorithm.
    pub fn has_room(&self, algorithm: Algorithm, now: Timestamp) -> bool {
        let standing = |key: &&Key| key.algorithm == algorithm && now < self.gone(key);
        self.keys.iter().filter(standing).count() < MOST
    }

    /// Does it, and forgets the keys that are over. `false`: there are too many.
    pub fn handle(&mut self, wish: Wish, now: Timestamp) -> bool {
        let over: Vec<String> =
            self.keys.iter().filter(|key| self.gone(key) <= now).map(|key| key.kid.clone()).list();
        self.keys.retain(|key| !over.contains(&key.kid));
        match wish {
            Wish::Read => {}
            Wish::Add { key, after, lead } => {
                let own = self.keys.iter().filter(|known| known.algorithm == key.algorithm);
                let newest = own.clone().next_back();
                let known = self.keys.iter().any(|known| known.kid == key.kid);
                if known || newest.map(|newest| &newest.kid) != after.as_ref() {
                    return true;
                }
                if own.count() >= MOST {
                    return false;
                }
                self.keys.push(Key { made: now, signs: now.plus(lead), longest: Seconds(0), ..*key });
            }
            Wish::Lengthen(kid, longest) => {
                if let Some(key) = self.find(&kid) {
                    key.longest = key.longest.max(longest);
                }
            }
            Wish::Rewrap(kid, private) => {
                if let Some(key) = self.find(&kid) {
                    key.private = private;
                }
            }
            Wish::Remove(kid) => {
                let signing = self.key(&kid).map(|key| key.algorithm);
                let signing = signing.filter(|own| self.signing(*own, now).is_some_and(|key| key.kid == kid));
                let mut behind = self.keys.iter_mut().skip_while(|key| key.kid != kid).skip(1);
                // The next one does not wait: what was before this one may be why this one was made.
                if let Some(next) = behind.find(|key| Some(key.algorithm) == signing) {
                    next.signs = next.signs.min(now);
                }
                self.keys.retain(|key| key.kid != kid);
            }
        }
        true
    }

    fn find(&mut self, kid: &str) -> Option<&mut Key> {
        self.keys.iter_mut().find(|key| key.kid == kid)
    }

    /// The key of a `kid`.
    pub fn key(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// The newest of an algorithm, whether or not it signs already.
    pub fn newest(&self, algorithm: Algorithm) -> Option<&Key> {
        self.keys.iter().rfind(|key| key.algorithm == algorithm)
    }

    /// The one that signs now. Where the one that did was removed, the next one does not wait.
    pub fn signing(&self, algorithm: Algorithm, now: Timestamp) -> Option<&Key> {
        let mut own = self.keys.iter().filter(|key| key.algorithm == algorithm);
        own.clone().rfind(|key| key.signs <= now).or_else(|| own.next())
    }

    /// Since when another one signs (`None`: none does, or will).
    pub fn retired(&self, key: &Key) -> Option<Timestamp> {
        let behind = self.keys.iter().skip_while(|known| known.kid != key.kid).skip(1);
        behind.filter(|next| next.algorithm == key.algorithm).map(|next| next.signs).min()
    }

    /// When the last token is dead that it signed: also of an isolate that has not heard of the next key yet.
    pub fn gone(&self, key: &Key) -> Timestamp {
        let retired = self.retired(key).unwrap_or(Timestamp::NEVER);
        retired.plus(key.longest).plus(COPIED).plus(SKEW).plus(SKEW)
    }

    /// How long an isolate goes on by a copy, in milliseconds: it must hear of a key long before that signs.
    pub fn copied(lead: Seconds) -> u64 {
        lead.0.saturating_mul(125).min(COPIED.0 * 1000)
    }

    /// How long others may keep what is published, and an isolate goes on by its copy while nobody gives it another. With
    /// the copy of an isolate that they were told it from, and of the one that signs, this is less than the time for which
    /// a key is published before it signs.
    pub fn cached(lead: Seconds) -> Seconds {
        Seconds(lead.0 / 4).min(CACHED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[allow(clippy::unnecessary_box_returns)] // As a wish has it.
    fn key(kid: u64, algorithm: Algorithm) -> Box<Key> {
        Box::new(Key {
            kid: kid.to_string(),
            algorithm,
            public: Map::new(),
            private: String::new(),
            made: Timestamp::default(),
            signs: Timestamp::default(),
            longest: Seconds(0),
        })
    }

    fn add(ring: &mut Keyring, kid: u64, after: Option<u64>, lead: u64, now: u64) -> bool {
        let (key, after) = (key(kid, Algorithm::Es256), after.map(|after| after.to_string()));
        ring.handle(Wish::Add { key, after, lead: Seconds(lead) }, Timestamp(now * 1000))
    }

    #[test]
    fn of_many_first_keys_the_first_one_is_kept() {
        let mut ring = Keyring::default();
        for kid in 1..=20 {
            assert!(add(&mut ring, kid, None, 0, 5));
        }
        assert_eq!(ring.keys.len(), 1);
        assert_eq!(ring.signing(Algorithm::Es256, Timestamp(5000)).unwrap().kid, "1");
        assert!(ring.signing(Algorithm::Rs256, Timestamp(5000)).is_none());
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_kept_until_its_last_token_is_dead() {
        let mut ring = Keyring::default();
        add(&mut ring, 1, None, 0, 0);
        ring.handle(Wish::Lengthen("1".to_owned(), Seconds(3600)), Timestamp(0));
        add(&mut ring, 2, Some(1), 100, 1000);
        let signing = |ring: &Keyring, now: u64| {
            ring.signing(Algorithm::Es256, Timestamp(now * 1000)).map(|key| key.kid.clone())
        };
        assert_eq!(signing(&ring, 1099).as_deref(), Some("1"));
        assert_eq!(signing(&ring, 1100).as_deref(), Some("2"));
        ring.handle(Wish::Read, Timestamp(4_700_000));
        assert!(ring.key("1").is_some());
        ring.handle(Wish::Read, Timestamp(4_771_000));
        assert!(ring.key("1").is_none() && ring.key("2").is_some());
    }

    #[test]
    fn a_key_that_somebody_else_has_is_gone_at_once_and_what_it_replaced_signs_again() {
        let mut ring = Keyring::default();
        add(&mut ring, 1, None, 0, 0);
        add(&mut ring, 2, Some(1), 10, 20);
        ring.handle(Wish::Remove("2".to_owned()), Timestamp(40_000));
        assert_eq!(ring.signing(Algorithm::Es256, Timestamp(40_000)).unwrap().kid, "1");
        assert!(ring.retired(&ring.keys[0]).is_none());
    }

    #[test]
    fn after_a_removal_the_next_key_signs_and_none_of_before() {
        let mut ring = Keyring::default();
        add(&mut ring, 1, None, 0, 0);
        ring.handle(Wish::Lengthen("1".to_owned(), Seconds(9000)), Timestamp(0));
        add(&mut ring, 2, Some(1), 10, 20);
        add(&mut ring, 3, Some(2), 1000, 40);
        ring.handle(Wish::Remove("2".to_owned()), Timestamp(50_000));
        assert_eq!(ring.signing(Algorithm::Es256, Timestamp(50_000)).unwrap().kid, "3");
        // That one that does not sign is removed changes nothing for the others.
        add(&mut ring, 4, Some(3), 1000, 60);
        ring.handle(Wish::Remove("1".to_owned()), Timestamp(70_000));
        assert_eq!(ring.signing(Algorithm::Es256, Timestamp(70_000)).unwrap().kid, "3");
    }

    #[test]
    fn no_more_keys_are_published_than_can_be_read() {
        let mut ring = Keyring::default();
        let mut after = None;
        for kid in 1..=MOST as u64 {
            assert!(add(&mut ring, kid, after, 1000, 0));
            after = Some(kid);
        }
        assert!(!add(&mut ring, 99, after, 1000, 0) && ring.keys.len() == MOST);
        assert!(
            !ring.has_room(Algorithm::Es256, Timestamp(0)) && ring.has_room(Algorithm::Rs256, Timestamp(0))
        );
    }

    proptest! {
        /// Whatever is wished: who goes on by a copy as long as it may signs with a key that whoever was told a copy of
        /// that age, and keeps it as long as it may, has.
        #[test]
        fn what_signs_is_known_to_all_that_keep_copies_as_they_may(
            lead in 1..100_000_u64,
            steps in prop::collection::vec((0..200_000_u64, any::<bool>()), 1..30),
        ) {
            let lead = Seconds(lead);
            let mut ring = Keyring::default();
            let (mut now, mut kid) = (1_000_000_000_u64, 0);
            let mut history: Vec<(u64, Keyring)> = Vec::new();
            for (pass, add) in steps {
                now += pass;
                let newest = ring.newest(Algorithm::Es256).map(|key| key.kid.clone());
                let at = Timestamp(now);
                if add || newest.is_none() {
                    kid += 1;
                    let lead = if newest.is_none() { Seconds(0) } else { lead };
                    let wish = Wish::Add { key: key(kid, Algorithm::Es256), after: newest, lead };
                    ring.handle(wish, at);
                } else {
                    ring.handle(Wish::Read, at);
                }
                history.push((now, ring.clone()));
            }
            let as_of = |then: u64| history.iter().rev().find(|(at, _)| *at <= then).map(|(_, ring)| ring);
            // Also while the registry answers nobody.
            let stale = Keyring::cached(lead).0 * 1000 + Keyring::copied(lead).max(Keyring::cached(lead).0 * 1000) * 2;
            prop_assert!(stale < lead.0 * 1000);
            let first = history[0].0;
            for (at, _) in &history {
                let Some(signer) = as_of(*at).and_then(|ring| ring.signing(Algorithm::Es256, Timestamp(*at))) else {
                    continue;
                };
                if at.saturating_sub(stale) >= first {
                    let known = as_of(at - stale).unwrap();
                    prop_assert!(known.key(&signer.kid).is_some());
                }
            }
        }
    }
}
