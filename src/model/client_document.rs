//! Clients that are a document: their id is its address, and it says what a registration would say
//! (draft-ietf-oauth-client-id-metadata-document).
//!
//! Anybody names such an address, and what is there can say anything. So nothing is asked of an address that could be
//! one of ours or of somebody's own network, and what is found is held to what clients may say that register themselves.

use super::{
    metadata::Metadata, outside, patch::Invalid, policy::Policy, registration::SAID, settings::Settings,
};
use crate::{
    host::{Seconds, Timestamp},
    json::{self, json},
    list::List as _,
};
use serde_json::{Map, Value};

/// The longest address, in bytes: it is the key of a record in the replica, and stands on a page.
const LONGEST: usize = 200;
/// How long a document is good whose server says nothing, at least, and at most.
const USUAL: u64 = 300;
const LEAST: u64 = 60;
const MOST: u64 = 86_400;

/// True for an id that means a document.
pub fn is_address(id: &str) -> bool {
    id.starts_with("https://")
}

/// The host of a client that is a document, where its id may be one (§3).
pub fn host_of(id: &str) -> Result<&str, &'static str> {
    if id.len() > LONGEST {
        return Err("it is longer than 200 bytes");
    }
    let host = outside::host_of(id, false)?;
    match id.strip_prefix("https://").and_then(|rest| rest.split('?').next()) {
        Some(rest) if rest.contains('/') => Ok(host),
        _ => Err("it has no path"),
    }
}

/// What a document says, of what a registration may say (§4). It is written for many servers: grant types, response types
/// and scopes that are not ours are left out.
pub fn words(id: &str, mut document: Map<String, Value>) -> Result<Map<String, Value>, Invalid> {
    if document.get("client_id") != Some(&json!(id)) {
        return Err(Invalid::new("client_id", "is not the address of the document"));
    }
    // §4.1: there is nobody with whom a secret could be shared.
    for name in ["client_secret", "client_secret_expires_at"] {
        if document.contains_key(name) {
            return Err(Invalid::new(name, "must not stand in a document"));
        }
    }
    let method = "token_endpoint_auth_method";
    if document.get(method).is_some_and(|given| given != "none") {
        return Err(Invalid::new(
            method,
            "must be none: this server has no other for a client that is a document",
        ));
    }
    document.insert(method.to_owned(), json!("none"));
    json::keep(&mut document, &|name, _| SAID.contains(&name));
    for (name, known) in
        [("grant_types", &["authorization_code", "refresh_token"][..]), ("response_types", &["code"])]
    {
        if let Some(Value::Array(said)) = document.get_mut(name) {
            said.retain(|one| one.as_str().is_none_or(|one| known.contains(&one)));
        }
    }
    Ok(document)
}

impl Metadata {
    /// What a client is by the words of its document, as everywhere.
    pub fn of_document(
        &self,
        mut words: Map<String, Value>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Self, Invalid> {
        // Its own address is all that is asked for.
        words.remove("sector_identifier_uri");
        if let Some(Value::String(scope)) = words.get("scope") {
            let names = Policy::plain(&policy.names());
            let ours: Vec<&str> = scope.split(' ').filter(|name| names.contains(name)).list();
            let ours = ours.join(" ");
            words.insert("scope".to_owned(), json!(ours));
        }
        self.restated(words, policy, now)
    }
}

/// How long a document may be used without asking again (RFC 9111 §4.2, within bounds of our own: §5.2).
pub fn lifetime(cache_control: &str, age: &str) -> Seconds {
    let control = cache_control.to_ascii_lowercase();
    let mut directives = control.split(',').map(str::trim);
    let given = directives.clone().find_map(|directive| directive.strip_prefix("max-age="));
    let given = given.and_then(|given| given.trim_matches('"').parse::<u64>().ok());
    let fresh = given.map_or(USUAL, |given| given.saturating_sub(age.trim().parse().unwrap_or(0)));
    let forbidden = directives.any(|directive| matches!(directive, "no-store" | "no-cache"));
    Seconds(if forbidden { LEAST } else { fresh.clamp(LEAST, MOST) })
}

/// When a client that is a document ends, where it is used now.
pub fn end(settings: &Settings, now: Timestamp) -> Timestamp {
    now.plus(Seconds(settings.registration_used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{policy::ScopeEntry, profile::Profile, scope::Scope};

    const ID: &str = "https://app.test/client.json";

    #[test]
    fn an_address_is_https_with_a_path_on_the_internet() {
        for (id, host) in [
            (ID, "app.test"),
            ("https://app.test/", "app.test"),
            ("https://app.test:8443/a/b?c=d", "app.test"),
            ("https://a.b.app.test/%2e%2e%2f", "a.b.app.test"),
            ("https://notlocal/", ""),
            ("https://a.notlocal/x", "a.notlocal"),
        ] {
            assert_eq!(host_of(id).unwrap_or_default(), host, "{id}");
        }
        let long = format!("{ID}/{}", "x".repeat(400));
        for id in [
            "http://app.test/x",
            "HTTPS://app.test/x",
            "https://App.test/x",
            "https://app.test",
            "https://app.test?x",
            "https://app.test/x#y",
            "https://me@app.test/x",
            "https://me:pw@app.test/x",
            "https://app.test/a/../b",
            "https://app.test/./b",
            "https://app.test/%2E%2e/b",
            "https://app.test/.%2e",
            "https://app.test\\@127.0.0.1/",
            "https://app.test/a b",
            "https://app.test:0/x",
            "https://app.test:99999/x",
            "https:///x",
            "https:app.test/x",
            "https://127.0.0.1/x",
            "https://10.0.0.1/x",
            "https://169.254.169.254/x",
            "https://192.0.2.1/x",
            "https://2130706433/x",
            "https://0x7f.1/x",
            "https://127.1/x",
            "https://[::1]/x",
            "https://[::ffff:127.0.0.1]/x",
            "https://[fd00::1]/x",
            "https://localhost/x",
            "https://localhost:8787/x",
            "https://app.localhost/x",
            "https://localhost./x",
            "https://printer.local/x",
            "https://metadata.google.internal/x",
            "https://intranet/x",
            "https://wiki.corp/x",
            "https://router.home.arpa/x",
            "ftp://app.test/x",
            "",
            &long,
        ] {
            assert!(host_of(id).is_err(), "{id}");
        }
    }

    #[allow(clippy::needless_pass_by_value)] // Written in place.
    fn read(document: Value) -> Result<Metadata, String> {
        let scopes = ["read", "write"].map(|name| (name.to_owned(), ScopeEntry::default()));
        let policy = Policy { scopes: scopes.into_iter().collect(), ..Policy::default() };
        let read = words(ID, document.as_object().unwrap().clone());
        let template = Metadata::template(Profile::default());
        read.and_then(|words| template.of_document(words, &policy, Timestamp(0))).map_err(|why| why.field)
    }

    #[test]
    fn a_document_says_what_a_registration_may_say_and_is_of_its_own_address() {
        let good = json!({
            "client_id": ID, "client_name": "App", "redirect_uris": ["https://app.test/cb"], "description": "for all",
            "enabled": false, "administrative": true, "jwks": {}, "scope": "read admin openid",
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "response_types": ["code", "code id_token"], "token_endpoint_auth_method": "none",
        });
        let metadata = read(good.clone()).unwrap();
        assert!(metadata.enabled && !metadata.administrative && metadata.description.is_none());
        assert_eq!(metadata.scope, Scope::of(["openid", "read"]));
        assert_eq!(metadata.grant_types, ["authorization_code", "refresh_token"]);
        for (name, value) in [
            ("client_id", json!("https://app.test/other.json")),
            ("client_id", json!("https://app.test/client.json/")),
            ("client_id", Value::Null),
            ("client_secret", json!("hush")),
            ("client_secret_expires_at", json!(0)),
            ("token_endpoint_auth_method", json!("client_secret_basic")),
            ("token_endpoint_auth_method", json!("private_key_jwt")),
            ("redirect_uris", json!(["http://app.test/cb"])),
            ("redirect_uris", json!(["https://app.test/cb#x"])),
            ("redirect_uris", json!([])),
            ("redirect_uris", json!("https://app.test/cb")),
            ("response_types", json!({})),
            ("grant_types", json!([7])),
            ("scope", json!(["read"])),
            ("client_name", json!("a\u{202e}b")),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            assert_eq!(read(bad.clone()), Err(name.to_owned()), "{bad}");
        }
    }

    #[test]
    fn a_document_is_kept_as_long_as_its_server_says_and_neither_shorter_nor_longer_than_we_will() {
        for (control, age, seconds) in [
            ("", "", 300),
            ("public, max-age=600", "", 600),
            ("Public, Max-Age=\"600\"", "100", 500),
            ("max-age=600", "7000", 60),
            ("max-age=1", "", 60),
            ("max-age=99999999", "", 86_400),
            ("max-age=99999999999999999999999", "", 300),
            ("max-age=-1", "", 300),
            ("no-store", "", 60),
            ("max-age=600, no-cache", "x", 60),
        ] {
            assert_eq!(lifetime(control, age), Seconds(seconds), "{control} {age}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_an_address_or_refused(text: String, host in "[a-z0-9.:@%\\[\\]-]{0,20}", path in "\\PC{0,20}") {
            for id in [text, format!("https://{host}/{path}")] {
                if let Ok(host) = host_of(&id) {
                    let prefix = format!("https://{host}");
                    proptest::prop_assert!(id.starts_with(&prefix) && host.contains('.'));
                }
            }
            let _ = lifetime(&host, &path);
        }
    }
}
