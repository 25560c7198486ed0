//! Keys and what is made with them: seals, proofs, digests, password hashes. No primitive of our own.
//!
//! | what | by |
//! |---|---|
//! | keys per purpose and issuer | HKDF-SHA256 (RFC 5869) from a master key |
//! | seals of tickets | AES-256-SIV (RFC 5297): deterministic, so the same ticket is the same string |
//! | secrets at rest that must be read again | AES-256-SIV, a key for each thing that has some |
//! | proofs, client secrets at rest, filter of client ids | HMAC-SHA256 (RFC 2104) |
//! | passwords of people | Argon2id (RFC 9106), 19 MiB, 2 passes, 1 lane |

use crate::{error::Fault, json::Json, list::List as _};
use aes_siv::{KeyInit as _, siv::Aes256Siv};
use argon2::Argon2;
use base64ct::{Base64Unpadded, Base64UrlUnpadded, Encoding as _};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::cell::RefCell;
use subtle::ConstantTimeEq as _;

/// A drawn name: as [`text`], and never with a hyphen in front, which every command line takes for an option.
pub fn name(dice: &[u8]) -> String {
    let text = text(dice);
    match text.strip_prefix('-') {
        Some(rest) => format!("A{rest}"),
        None => text,
    }
}

/// Bytes as base64url text (RFC 4648 §5, without padding).
pub fn text(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// The bytes of base64url text, where it is that.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// SHA-256.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Bytes that prove or are proved: compared in constant time, never printed, base64url in rows and commands.
#[derive(Clone, Default)]
pub struct Secret(pub Vec<u8>);

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Json for Secret {
    fn blank() -> Self {
        Self::default()
    }

    fn read(&mut self, tree: serde_json::Value) -> bool {
        tree.as_str().and_then(bytes).map(|given| self.0 = given).is_some()
    }

    fn write(&self, to: &mut String) {
        text(&self.0).write(to);
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&text(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let given = String::deserialize(deserializer)?;
            bytes(&given).map(Self).ok_or_else(|| serde::de::Error::custom("not base64url"))
        } else {
            Vec::deserialize(deserializer).map(Self)
        }
    }
}

impl Secret {
    /// HMAC-SHA256 under this secret, over parts that are told apart by their lengths.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> Self {
        // HMAC takes keys of any length (RFC 2104 §3), so there is no error to meet.
        let Ok(mut mac) = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.0) else {
            return Self(Vec::new());
        };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Self(mac.finalize().into_bytes().to_vec())
    }

    /// The first 128 bits of a MAC: what a ticket carries.
    #[must_use]
    pub fn proof(&self, parts: &[&[u8]]) -> Self {
        let Self(mut mac) = self.mac(parts);
        mac.truncate(16);
        Self(mac)
    }
}

/// The kinds of ticket: prefix on the wire, and thereby its own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Authorization code.
    Code,
    /// Refresh token.
    Refresh,
    /// Access token, opaque to the client.
    Access,
    /// What an access token that is a JWT names as its `jti`: nobody's bearer token.
    Jti,
    /// A signed-in browser.
    Session,
    /// A login or consent in progress.
    Pending,
    /// A form of the console.
    Console,
    /// The registration access token of a client.
    Registration,
    /// An initial access token.
    Initial,
    /// `state` of a browser that is sent to another server.
    Outgoing,
    /// The landing page's own state in development.
    Demo,
}

/// Every kind with its prefix.
#[rustfmt::skip]
pub const KINDS: &[(Kind, &str)] = &[
    (Kind::Code,         "emc"),
    (Kind::Refresh,      "emr"),
    (Kind::Access,       "ema"),
    (Kind::Jti,          "emj"),
    (Kind::Session,      "ems"),
    (Kind::Pending,      "emf"),
    (Kind::Console,      "emv"),
    (Kind::Registration, "emk"),
    (Kind::Initial,      "emi"),
    (Kind::Outgoing,     "emo"),
    (Kind::Demo,         "emx"),
];

impl Kind {
    fn prefix(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, prefix)| prefix)
    }

    /// The kind that a token's prefix claims. Only the seal says whether it is true.
    pub fn claimed_by(token: &str) -> Option<Self> {
        let (prefix, _) = token.split_once('_')?;
        KINDS.iter().find(|(_, known)| *known == prefix).map(|(kind, _)| *kind)
    }
}

/// One master key and what is derived from it for one issuer.
struct Master {
    id: String,
    /// For the keys of vaults.
    store: Secret,
    /// For names that must not be known.
    blind: Secret,
    /// In the order of [`KINDS`]. A cipher is made once: each use leaves it as it was.
    seals: Vec<RefCell<Aes256Siv>>,
}

/// The master keys of one issuer: the first seals, all open.
pub struct Keys(Vec<Master>);

impl Keys {
    /// Reads `id:key,id:key…`, each key base64url of 32 bytes. Says what is wrong without repeating a key.
    pub fn parse(list: &str, issuer: &str) -> Result<Self, &'static str> {
        let mut keys: Vec<Master> = Vec::new();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (id, key) = entry.split_once(':').ok_or("a master key has no id")?;
            if id.is_empty() || id.len() > 16 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err("a master key's id must be 1 to 16 letters and digits");
            }
            if keys.iter().any(|known| known.id == id) {
                return Err("two master keys have one id");
            }
            let key = bytes(key)
                .filter(|key| key.len() == 32)
                .ok_or("a master key is not base64url of 32 bytes")?;
            let (seals, blind, store) = derive(&key, issuer);
            keys.push(Master { id: id.to_owned(), store, blind, seals });
        }
        if keys.is_empty() { Err("there is no master key") } else { Ok(Self(keys)) }
    }

    /// `prefix_id.sealed`: the same payload is always the same string.
    pub fn seal(&self, kind: Kind, payload: &[u8]) -> Result<String, Fault> {
        let master = self.0.first().ok_or_else(|| Fault::new("no master key"))?;
        let siv = master.cipher(kind).ok_or_else(|| Fault::new("no key of that kind"))?;
        let sealed = siv.borrow_mut().encrypt([kind.prefix().as_bytes()], payload);
        let sealed = sealed.map_err(|_| Fault::new("the seal failed"))?;
        Ok(format!("{}_{}.{}", kind.prefix(), master.id, text(&sealed)))
    }

    /// A name for something whose own name must not be stored: the same for the same, and nobody else can tell whose.
    pub fn blind(&self, parts: &[&[u8]]) -> Secret {
        self.0.first().map_or_else(Secret::default, |master| master.blind.mac(parts))
    }

    /// What seals the secrets that are kept of one thing, and opens no other's.
    pub fn vault(&self, of: &str) -> Vault {
        let keys = self.0.iter().map(|master| {
            let mut key = vec![0; 64];
            // As in `derive`: neither can fail, and what is left in place of a key is not one that anybody knows.
            let derived = Hkdf::<Sha256>::from_prk(&master.store.0)
                .is_ok_and(|hkdf| hkdf.expand(of.as_bytes(), &mut key).is_ok());
            (master.id.clone(), if derived { Secret(key) } else { Secret::default() })
        });
        Vault(keys.list())
    }

    /// The payload of a ticket of this kind, if one of our keys sealed it for this issuer.
    pub fn open(&self, kind: Kind, ticket: &str) -> Option<Vec<u8>> {
        let (id, sealed) = ticket.strip_prefix(kind.prefix())?.strip_prefix('_')?.split_once('.')?;
        let master = self.0.iter().find(|master| master.id == id)?;
        master.cipher(kind)?.borrow_mut().decrypt([kind.prefix().as_bytes()], &bytes(sealed)?).ok()
    }
}

/// The keys of one thing's secrets at rest, one of each master key: the first seals, all open. An object that holds such
/// secrets is brought them with each command, and keeps none.
#[derive(Clone, Debug, Json)]
pub struct Vault(Vec<(String, Secret)>);

impl Vault {
    /// Seals a secret under its name.
    pub fn seal(&self, name: &str, secret: &str) -> Result<String, Fault> {
        let fault = || Fault::new("the seal failed");
        let (id, key) = self.0.first().ok_or_else(fault)?;
        let mut siv = Aes256Siv::new_from_slice(&key.0).map_err(|_| fault())?;
        let sealed = siv.encrypt([name.as_bytes()], secret.as_bytes()).map_err(|_| fault())?;
        Ok(format!("{id}.{}", text(&sealed)))
    }

    /// Opens it; `None` also where the master key is gone under which it was sealed.
    pub fn open(&self, name: &str, sealed: &str) -> Option<String> {
        let (id, sealed) = sealed.split_once('.')?;
        let (_, key) = self.0.iter().find(|(own, _)| own == id)?;
        let mut siv = Aes256Siv::new_from_slice(&key.0).ok()?;
        String::from_utf8(siv.decrypt([name.as_bytes()], &bytes(sealed)?).ok()?).ok()
    }

    /// Whether a newer master key would seal it now.
    pub fn has_aged(&self, sealed: &str) -> bool {
        let id = sealed.split_once('.').map(|(id, _)| id);
        self.0.first().map(|(newest, _)| newest.as_str()) != id
    }
}

impl Master {
    fn cipher(&self, kind: Kind) -> Option<&RefCell<Aes256Siv>> {
        self.seals.get(KINDS.iter().position(|(known, _)| *known == kind)?)
    }
}

/// One key for each kind of ticket (RFC 5869): what one purpose seals, no other opens. One for names, and one for vaults.
fn derive(master: &[u8], issuer: &str) -> (Vec<RefCell<Aes256Siv>>, Secret, Secret) {
    let hkdf = Hkdf::<Sha256>::new(Some(b"edgemint"), master);
    let derived = KINDS.iter().map(|(_, prefix)| {
        let mut key = [0; 64];
        let info = [b"seal\0", prefix.as_bytes(), b"\0", issuer.as_bytes()];
        hkdf.expand_multi_info(&info, &mut key).map(|()| key)
    });
    // 64 bytes are far under the 255 blocks that HKDF can give, and what the cipher wants; a failure would leave no key, so no
    // ticket.
    let cipher = |key: [u8; 64]| Aes256Siv::new_from_slice(&key).ok().map(RefCell::new);
    let seals = derived.filter_map(|key| cipher(key.ok()?)).list();
    let further = |purpose: &[u8]| {
        let mut key = vec![0; 32];
        // As above: a failure leaves nothing, which is no key.
        let derived = hkdf.expand_multi_info(&[purpose, issuer.as_bytes()], &mut key);
        derived.map(|()| Secret(key)).unwrap_or_default()
    };
    (seals, further(b"blind\0"), further(b"vault\0"))
}

/// How a PHC string of ours begins: the method, its version and its costs, which are those of [`Argon2::default`].
const COSTS: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

/// The Argon2id hash of a password as a PHC string.
pub fn hash_password(password: &str, salt: [u8; 16]) -> Result<String, Fault> {
    let hash = stretch(password, &salt, 32).ok_or_else(|| Fault::new("the password could not be hashed"))?;
    let [salt, hash] = [&salt[..], &hash.0].map(Base64Unpadded::encode_string);
    Ok(format!("{COSTS}{salt}${hash}"))
}

/// True for a hash of ours: of another method or cost, who signs in would do somebody else's work.
pub fn is_hash(text: &str) -> bool {
    salt_and_hash(text).is_some()
}

/// Whether the password is the one that was hashed.
pub fn is_password(password: &str, hash: &str) -> bool {
    salt_and_hash(hash).is_some_and(|(salt, hash)| stretch(password, &salt, hash.0.len()) == Some(hash))
}

/// So many bytes of Argon2id. The crate's own reader of PHC strings would do as well: it makes the Worker larger.
fn stretch(password: &str, salt: &[u8], length: usize) -> Option<Secret> {
    let mut hash = Secret(vec![0; length]);
    Argon2::default().hash_password_into(password.as_bytes(), salt, &mut hash.0).ok().map(|()| hash)
}

/// What stands behind the costs of a PHC string of ours, each as long as that format has it.
fn salt_and_hash(text: &str) -> Option<(Vec<u8>, Secret)> {
    let (salt, hash) = text.strip_prefix(COSTS)?.split_once('$')?;
    let salt = Base64Unpadded::decode_vec(salt).ok().filter(|salt| (8..=48).contains(&salt.len()))?;
    let hash = Base64Unpadded::decode_vec(hash).ok().filter(|hash| (10..=64).contains(&hash.len()))?;
    Some((salt, Secret(hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_that_comes_from_outside_is_one_of_ours() {
        let ours = hash_password("a password", [1; 16]).unwrap();
        assert!(is_hash(&ours) && is_password("a password", &ours));
        let dearer = ours.replace("m=19456", "m=999999");
        let bare = ours.rsplit_once('$').unwrap().0;
        for text in
            ["", "a password", &dearer, bare, &ours.replace("argon2id", "argon2i"), &format!("{ours}$x")]
        {
            assert!(!is_hash(text), "{text}");
        }
    }

    #[test]
    fn passwords_are_hashed_as_every_program_that_knows_the_format_does() {
        // Made by `argon2`'s own writer of PHC strings, which made the hashes of the first versions.
        let known = "$argon2id$v=19$m=19456,t=2,p=1$/////////////////////w$EQ+ffXrwdg7q74u57J/qw9rjo/PdfMVoWy+GypLBKVA";
        assert_eq!(hash_password("é 1", [255; 16]).unwrap(), known);
        let known = known.replace("/////////////////////w", "BwcHBwcHBwcHBwcHBwcHBw");
        assert!(is_hash(&known) && !is_password("é 1", &known));
        let (front, _) = known.rsplit_once('$').unwrap();
        for hash in
            ["", "AAAA", &"A".repeat(100), "EQ+ffXrwdg7q74u57J_qw9rjo", "EQ+ffXrwdg7q74u57J/qw9rj===="]
        {
            assert!(!is_hash(&format!("{front}${hash}")), "{hash}");
        }
        assert!(
            is_hash(&format!("{front}${}", "A".repeat(14))) && !is_hash(&known.replace("BwcH", "")[..60])
        );
    }

    const ONE: &str = "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const TWO: &str = "b:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

    fn keys(list: &str) -> Keys {
        Keys::parse(list, "https://as.test").unwrap_or_else(|why| panic!("{why}"))
    }

    #[test]
    fn the_first_master_key_seals_and_every_one_opens() {
        let old = keys(ONE).seal(Kind::Code, b"payload").unwrap();
        let both = keys(&format!("{TWO},{ONE}"));
        assert_eq!(both.open(Kind::Code, &old).as_deref(), Some(&b"payload"[..]));
        assert!(both.seal(Kind::Code, b"payload").unwrap().starts_with("emc_b."));
        assert!(keys(TWO).open(Kind::Code, &old).is_none());
    }

    #[test]
    fn a_ticket_of_one_kind_or_issuer_is_not_one_of_another() {
        let code = keys(ONE).seal(Kind::Code, b"payload").unwrap();
        let renamed = code.replacen("emc", "emr", 1);
        assert!(keys(ONE).open(Kind::Refresh, &renamed).is_none());
        assert!(
            Keys::parse(ONE, "https://other.test").is_ok_and(|keys| keys.open(Kind::Code, &code).is_none())
        );
    }

    #[test]
    fn the_same_payload_is_the_same_ticket_and_one_flipped_bit_is_none() {
        let code = keys(ONE).seal(Kind::Code, b"payload").unwrap();
        assert_eq!(code, keys(ONE).seal(Kind::Code, b"payload").unwrap());
        for at in 0..code.len() {
            let mut bent = code.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            assert!(keys(ONE).open(Kind::Code, &String::from_utf8(bent).unwrap()).is_none(), "at {at}");
        }
    }

    #[test]
    fn what_a_vault_seals_only_it_opens_under_that_name_and_a_newer_master_key_tells() {
        let vault = keys(ONE).vault("one");
        let sealed = vault.seal("refresh", "hush").unwrap();
        assert_eq!(vault.open("refresh", &sealed).as_deref(), Some("hush"));
        assert!(vault.open("access", &sealed).is_none() && !vault.has_aged(&sealed));
        assert!(keys(ONE).vault("other").open("refresh", &sealed).is_none());
        let both = keys(&format!("{TWO},{ONE}")).vault("one");
        assert!(both.has_aged(&sealed) && both.open("refresh", &sealed).is_some());
        assert!(keys(TWO).vault("one").open("refresh", &sealed).is_none());
        assert!(vault.open("refresh", "a.AAAA").is_none() && vault.open("refresh", "").is_none());
        assert!(!format!("{vault:?}").contains("AAAA"), "{vault:?}");
    }

    #[test]
    fn a_short_missing_or_doubled_master_key_is_refused() {
        for list in ["", "a", "a:AAAA", &format!("{ONE},{ONE}"), ":AAAA", "a-b:AAAA"] {
            assert!(Keys::parse(list, "https://as.test").is_err(), "{list}");
        }
    }

    #[test]
    fn a_password_is_verified_by_its_hash_alone() {
        let hash = hash_password("wonderland", [7; 16]).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(is_password("wonderland", &hash));
        assert!(
            !is_password("wonderlan", &hash) && !is_password("wonderland", "") && !is_password("", &hash)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_opened_or_refused(ticket: String) {
            let ticket = format!("emc_a.{ticket}");
            proptest::prop_assert!(keys(ONE).open(Kind::Code, &ticket).is_none());
        }
    }
}
