//! The parsers that need no server: forms, credentials, cookies, tickets, redirect URIs, scopes, PKCE, addresses.

use super::{choose, first_line, lossy};
use crate::world::{KEY_A, KEY_B, request};
use base64ct::{Base64, Encoding as _};
use edgemint::{
    crypto::{self, KINDS, Keys},
    endpoints::interaction::Pending,
    error::Code,
    model::{
        pkce::Challenge,
        place::{Address, Shard, Table},
        redirect_uri::RedirectUri,
        scope::Scope,
        ticket::{Access, Code as CodeTicket, Initial, Refresh, Registration, Ticket},
    },
    objects::protocol::account_shard::SessionRef,
    wire::{Basic, Params, Request, basic, bearer, decode, encode, with_params},
};
use http::Method;
use std::collections::BTreeSet;

/// A form or a query: what was read is what the text says, and is read again from what it is written as.
pub fn forms(input: &[u8]) {
    if let Some(text) = decode(input) {
        assert_eq!(decode(encode(&text).as_bytes()), Some(text));
    }
    let params = match Params::parse(input, &["resource"]) {
        Ok(params) => {
            let mut escapes = input.iter().enumerate().filter(|(_, byte)| **byte == b'%').map(|(at, _)| at);
            let whole = |at: usize| {
                input.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
            };
            assert!(escapes.all(whole), "half an escape was read");
            params
        }
        Err(error) => {
            assert_eq!(error.code, Code::InvalidRequest);
            assert!(error.detail.len() < 200 && error.redirect.is_none(), "{}", error.detail);
            return;
        }
    };
    let pairs = params.pairs();
    let once: Vec<&str> =
        pairs.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "resource").collect();
    assert_eq!(once.iter().collect::<BTreeSet<_>>().len(), once.len(), "a name stands twice");
    assert!(pairs.len() <= 128 && pairs.iter().all(|(_, value)| !value.is_empty()));
    let lent: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (base, mark) in [("https://a.test/cb", '?'), ("https://a.test/cb?x", '&')] {
        let uri = with_params(base, &lent);
        let rest = uri.strip_prefix(base).unwrap();
        assert!(uri.bytes().all(|byte| byte.is_ascii_graphic()), "{uri}");
        assert!(rest.is_empty() || rest.starts_with(mark));
        let again = Params::parse(rest.get(1..).unwrap_or_default().as_bytes(), &["resource"]).unwrap();
        assert_eq!(again.pairs(), pairs);
    }
}

/// A request with one header.
fn with(name: &str, value: &str) -> Request {
    request(Method::POST, "/token", &[(name, value)], "")
}

/// An `Authorization` header: it is Basic, or Bearer, or neither, and Basic reads back.
pub fn credentials(input: &[u8]) {
    let header = lossy(input);
    let request = with("authorization", &header);
    let token = bearer(&request);
    if let Some(token) = token {
        assert!(basic(&request).is_err(), "both Basic and Bearer");
        assert!(token == token.trim() && header.contains(token));
    }
    if let Ok(Some(Basic { user, password })) = basic(&request) {
        let pair = format!("{}:{}", encode(&user), encode(&password));
        let again = with("authorization", &format!("Basic {}", Base64::encode_string(pair.as_bytes())));
        assert!(basic(&again) == Ok(Some(Basic { user, password })));
    }
    assert!(!matches!(basic(&request), Ok(None)), "there is a header");
}

/// A name, and a `Cookie` header: no neighbour hides a cookie of ours, and none is found that was not sent.
pub fn cookies(input: &[u8]) {
    const OURS: &str = "edgemint-session";
    let (name, header) = first_line(input);
    let (name, header) = (lossy(name), lossy(header));
    let find = |header: &str, name: &str| with("cookie", header).cookie(name);
    if let Some(value) = find(&header, &name) {
        assert!(header.contains(&name) && header.contains(&value));
        assert!(!value.contains(';'), "two cookies in one: {value}");
    }
    let ours = Some("a_b.c".to_owned());
    assert_eq!(find(&format!("{OURS}=a_b.c; {header}"), OURS), ours);
    if find(&header, OURS).is_none() {
        assert_eq!(find(&format!("{header}; {OURS}=a_b.c"), OURS), ours);
    }
}

/// A text, and a payload: the text is no ticket of anybody's, and a seal around the payload opens only as it is.
pub fn tickets(input: &[u8]) {
    let issuer = "https://as.test";
    let keys = Keys::parse(KEY_A, issuer).unwrap_or_else(|why| panic!("{why}"));
    let others = [(KEY_B, issuer), (KEY_A, "https://bs.test")]
        .map(|(key, issuer)| Keys::parse(key, issuer).unwrap_or_else(|why| panic!("{why}")));
    let (text, payload) = first_line(input);
    let text = lossy(text);
    // Keys of this input's own: libFuzzer learns from every comparison, and would learn what others expect.
    let own = format!("a:{}", crypto::text(&crypto::digest(text.as_bytes())));
    let own = Keys::parse(&own, issuer).unwrap_or_else(|why| panic!("{why}"));
    for (kind, _) in KINDS {
        assert!(own.open(*kind, &text).is_none(), "{text} was not sealed by these keys");
    }
    let (kind, prefix) = choose(KINDS, text.as_bytes(), |(_, prefix)| (*prefix).to_owned());
    let sealed = keys.seal(*kind, payload).unwrap();
    assert!(sealed.starts_with(&format!("{prefix}_a.")));
    assert_eq!(keys.open(*kind, &sealed).as_deref(), Some(payload));
    assert!(others.iter().all(|others| others.open(*kind, &sealed).is_none()));
    for (other, _) in KINDS.iter().filter(|(other, _)| other != kind) {
        assert!(keys.open(*other, &sealed).is_none(), "another kind");
    }
    for bent in bend(&sealed, &text) {
        assert!(bent == sealed || keys.open(*kind, &bent).is_none(), "{bent} opens as {sealed}");
    }
    contents::<CodeTicket>(&keys, payload);
    contents::<Refresh>(&keys, payload);
    contents::<Access>(&keys, payload);
    contents::<SessionRef>(&keys, payload);
    contents::<Pending>(&keys, payload);
    contents::<Registration>(&keys, payload);
    contents::<Initial>(&keys, payload);
}

/// A sealed text with the other put into it, over it, around it, and without what is behind that place.
fn bend(sealed: &str, with: &str) -> Vec<String> {
    let sum = with.bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    let at = sum % (sealed.len() + 1);
    let (front, behind) = sealed.split_at(at);
    let mut all = vec![
        front.to_owned(),
        behind.to_owned(),
        format!("{front}{with}{behind}"),
        format!("{with}{sealed}"),
        format!("{sealed}{with}"),
        format!("{sealed}="),
        sealed.to_ascii_uppercase(),
    ];
    let (rest, last) = (behind.get(1..).unwrap_or_default(), &sealed[..sealed.len() - 1]);
    all.extend(["A", "w", "_", "+", "."].map(|letter| format!("{front}{letter}{rest}")));
    // The last letter holds fewer bits than others: those that are over must be what was written, too.
    all.extend(["A", "B", "Q", "R", "g", "h", "w", "x", "8", "_"].map(|letter| format!("{last}{letter}")));
    all
}

/// Bytes that stand in a seal are what they say, or nothing.
fn contents<T: Ticket>(keys: &Keys, payload: &[u8]) {
    let bytes = |ticket: &T| ticket.seal(keys).unwrap();
    let sealed = keys.seal(T::KIND, payload).unwrap();
    if let Some(ticket) = T::open(keys, &sealed) {
        let again = ticket.seal(keys).unwrap();
        assert_eq!(T::open(keys, &again).as_ref().map(bytes), Some(bytes(&ticket)));
        assert_eq!(ticket.seal(keys).unwrap(), again, "the same ticket is the same text");
    }
}

/// Two redirect URIs: neither is of an unsafe scheme, and they are one only where nothing but a loopback port differs.
pub fn redirect_uris(input: &[u8]) {
    let (one, other) = first_line(input);
    let (one, other) = (lossy(one), lossy(other));
    let (one, other) = (accepted(&one), accepted(&other));
    let (Some(one), Some(other)) = (one, other) else { return };
    assert_eq!(one.admits(&other), other.admits(&one));
    if one.admits(&other) && one != other {
        let parts = |uri: &RedirectUri| {
            let rest = uri.as_str().strip_prefix("http://").expect("only http has such ports");
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            (uri.host(), rest[end..].to_owned())
        };
        assert_eq!(parts(&one), parts(&other));
        assert!(["127.0.0.1", "[::1]"].contains(&one.host().as_str()), "{}", one.as_str());
    }
}

/// A redirect URI that was accepted is one that nothing else reads in another way.
fn accepted(text: &str) -> Option<RedirectUri> {
    let uri = RedirectUri::parse(text).ok()?;
    assert_eq!(uri.as_str(), text);
    assert!(uri.admits(&uri) && RedirectUri::parse(text).as_ref() == Ok(&uri));
    assert!(text.len() <= 2000 && text.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(!text.contains(['\\', '"', '<', '>', '#', '`', '^', '{', '|', '}']), "{text}");
    let (scheme, rest) = text.split_once(':').unwrap();
    assert!(scheme.bytes().all(|byte| byte.is_ascii_lowercase() || b"0123456789+-.".contains(&byte)));
    let web = scheme == "https" || scheme == "http";
    assert!(web || scheme.contains('.'), "{text}");
    let source = uri.source();
    assert!(
        !source.contains([' ', ';', ',', '\'', '*']) && source.starts_with(&format!("{scheme}:")),
        "{source}"
    );
    if web {
        let end = rest[2..].find(['/', '?']).map_or(rest.len(), |end| end + 2);
        let authority = &rest[2..end];
        assert!(rest.starts_with("//") && authority.starts_with(uri.host().as_str()));
        assert!(
            authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte)),
            "{text}"
        );
        assert!(
            scheme == "https" || ["localhost", "127.0.0.1", "[::1]"].contains(&uri.host().as_str()),
            "{text}"
        );
        assert!(scheme == "https" || uri.is_loopback());
    } else {
        assert_eq!((uri.host(), uri.is_loopback()), (format!("{scheme}:"), false));
    }
    // What an answer adds to it can be read, and goes to the same place.
    let answer = with_params(text, &[("code", "a&b"), ("iss", "https://as.test")]);
    assert!(answer.starts_with(text) && answer.ends_with("code=a%26b&iss=https%3A%2F%2Fas.test"));
    Some(uri)
}

/// Two scopes: they print as they read, and what both have is in either.
pub fn scopes(input: &[u8]) {
    let (one, other) = first_line(input);
    let (Ok(one), Ok(other)) = (Scope::parse(&lossy(one)), Scope::parse(&lossy(other))) else { return };
    for scope in [&one, &other] {
        let text = scope.to_string();
        assert_eq!(Scope::parse(&text).as_ref(), Ok(scope));
        assert!(!text.contains("  ") && text == text.trim() && text.is_empty() == scope.is_empty());
        assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"\"\\".contains(&byte)), "{text}");
        assert!(scope.names().count() <= 100 && scope.names().all(|name| scope.contains(name)));
        let json = edgemint::json::write(scope);
        assert_eq!(edgemint::json::read::<Scope>(&json).ok().as_ref(), Some(scope));
    }
    let common = one.common(&other);
    assert!(common.is_within(&one) && common.is_within(&other) && common == other.common(&one));
    assert_eq!(one.is_within(&other), common == one);
}

/// A challenge, and a verifier: a challenge has one form, and only the verifier that it is of meets it.
pub fn pkce(input: &[u8]) {
    let (challenge, verifier) = first_line(input);
    let (challenge, verifier) = (lossy(challenge), lossy(verifier));
    let own = Challenge::of(&verifier);
    let well_formed = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    assert_eq!(own.is_met_by(&verifier), well_formed);
    assert_eq!(Challenge::parse(&own.to_string()).map(|read| read.to_string()), Some(own.to_string()));
    for bent in [verifier.to_ascii_uppercase(), format!("{verifier}a"), verifier.replace('a', "b")] {
        assert!(bent == verifier || !own.is_met_by(&bent));
    }
    if let Some(read) = Challenge::parse(&challenge) {
        assert_eq!(read.to_string(), challenge);
        assert_eq!(read.is_met_by(&verifier), well_formed && own.to_string() == challenge);
        let json = edgemint::json::write(&read);
        assert_eq!(edgemint::json::read::<Challenge>(&json).unwrap().to_string(), challenge);
    }
}

/// The name of a shard, of a table, or the address of a grant: each is read as it is written.
pub fn places(input: &[u8]) {
    let text = lossy(input);
    if let Some(shard) = Shard::parse(&text) {
        assert_eq!(shard.to_string(), text);
    }
    if let Some((sort, table)) = Table::parse(&text) {
        assert_eq!(Table::parse(&table.name(sort)), Some((sort, table)));
        assert!(table.end().is_some() != (table == Table::Never));
    }
    if let Some(address) = Address::parse(&text) {
        let written = address.to_string();
        assert_eq!(Address::parse(&written).as_ref(), Some(&address));
        assert!(!address.key.contains('.') && written.ends_with(&address.owner));
        let json = edgemint::json::write(&address);
        assert_eq!(edgemint::json::read::<Address>(&json).ok(), Some(address));
    }
}
