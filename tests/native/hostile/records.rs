//! What an administrator's JSON makes of records: clients, scopes, accounts, settings.

use super::first_line;
use edgemint::sorted::Set;
use edgemint::{
    host::{Attempts, Timestamp},
    model::{
        account::Account,
        mark::Standing,
        metadata::{AuthMethod, Metadata},
        patch::merge,
        policy::ScopeEntry,
        profile::Profile,
        redirect_uri::RedirectUri,
        scope::Scope,
        settings::Settings,
    },
};
use serde_json::{Map, Value};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn object(text: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// A registration, and a change to it: each is accepted whole or refused by name, and the same again changes nothing.
pub fn client_metadata(input: &[u8]) {
    let (registration, change) = first_line(input);
    let (Some(registration), change) = (object(registration), object(change)) else { return };
    let scopes = Scope::parse("orders.read orders.write reports").unwrap();
    for profile in [Profile::Oauth21, Profile::Legacy] {
        let Some(first) = amended(&Metadata::template(profile), &registration) else { continue };
        checked(&first, &scopes);
        let Some(second) = change.as_ref().and_then(|change| amended(&first, change)) else { continue };
        checked(&second, &scopes);
        // What takes nothing away may be unheard of; both ways it can be only where nobody can tell.
        assert!(!first.is_restricted_by(&first));
        if !first.is_restricted_by(&second) {
            assert!(first.scope.is_within(&second.scope) && (!first.enabled || second.enabled));
            assert!(first.redirect_uris.iter().all(|uri| second.redirect_uris.contains(uri)));
            assert!(first.grant_types.iter().all(|name| second.grant_types.contains(name)));
            assert!(first.require_pkce == second.require_pkce && first.not_before == second.not_before);
        }
    }
}

/// With a patch merged in, where it fits.
fn amended(before: &Metadata, patch: &Map<String, Value>) -> Option<Metadata> {
    let after = match before.amend(patch.clone()) {
        Ok(after) => after,
        Err(why) => {
            assert!(why.field.len() <= 60 && !why.why.is_empty(), "{why:?}");
            return None;
        }
    };
    assert_eq!(after.amend(patch.clone()).as_ref(), Ok(&after), "the same change again is another one");
    let row = edgemint::json::write(&after);
    assert_eq!(
        edgemint::json::read::<Metadata>(&row).ok().as_ref(),
        Some(&after),
        "a row that does not read"
    );
    Some(after)
}

/// What may be registered can do no harm.
fn checked(metadata: &Metadata, scopes: &Scope) {
    if let Err(why) = metadata.check(scopes, NOW) {
        assert!(!why.field.is_empty() && !why.why.is_empty(), "{why:?}");
        return;
    }
    // `code` twice is `code`.
    let one = Metadata {
        response_types: metadata.response_types.iter().take(1).cloned().collect(),
        ..metadata.clone()
    };
    assert_eq!(metadata.amend(Map::new()), Ok(one), "no change is one");
    let public = metadata.token_endpoint_auth_method == AuthMethod::None;
    assert!(metadata.redirect_uris.iter().all(|uri| RedirectUri::parse(uri).is_ok()));
    assert!(metadata.scope.is_within(scopes));
    assert!(!public || !metadata.resource_server);
    assert!(!public || !metadata.grant_types.iter().any(|name| name == "client_credentials"));
    assert!(metadata.not_before.is_none_or(|seconds| seconds <= NOW.seconds()));
    assert!(metadata.code_lifetime.is_none_or(|seconds| (1..=600).contains(&seconds)));
    let legacy = metadata.profile == Profile::Legacy;
    assert!(metadata.response_types.iter().all(|name| name == "code" || (legacy && name == "token")));
    let old = |name: &String| matches!(name.as_str(), "implicit" | "password");
    assert!(legacy || !metadata.grant_types.iter().any(old));
}

/// A target, and a patch (RFC 7396 §2): merged by the letter of the specification, and into what takes patches here.
pub fn merge_patches(input: &[u8]) {
    let (target, patch) = first_line(input);
    let (Some(target), Some(patch)) = (object(target), object(patch)) else { return };
    let mut merged = target.clone();
    merge(&mut merged, patch.clone());
    let expected = by_the_letter(Value::Object(target), &Value::Object(patch.clone()));
    assert_eq!(Value::Object(merged.clone()), expected);
    let mut again = merged.clone();
    merge(&mut again, patch.clone());
    assert_eq!(again, merged, "the same patch again changes something");

    if let Ok(entry) = ScopeEntry::default().amend(patch.clone()) {
        assert!(entry.description.len() <= 500 && !entry.description.contains(char::is_control));
        assert_eq!(entry.amend(patch.clone()).as_ref(), Ok(&entry));
        let lists = [&entry.folders, &entry.services, &entry.urls, &entry.groups, &entry.client_groups];
        assert!(lists.iter().all(|list| list.len() <= 100 && list.iter().all(|text| !text.is_empty())));
        // What is kept can be said again.
        assert_eq!(entry.amend(entry.members()).as_ref(), Ok(&entry));
    }
    account(&patch);
    settings(&patch);
}

/// The pseudocode of RFC 7396 §2.
fn by_the_letter(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = match target {
        Value::Object(target) => target,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            let merged = by_the_letter(target.remove(name).unwrap_or(Value::Null), value);
            target.insert(name.clone(), merged);
        }
    }
    Value::Object(target)
}

fn account(patch: &Map<String, Value>) {
    let empty = Account {
        format: 1,
        sub: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        username: "x".to_owned(),
        password: "a hash".to_owned(),
        version: 1,
        min_version: 0,
        min_grants: 0,
        not_before: Timestamp::default(),
        changed: NOW,
        enabled: true,
        groups: Set::new(),
        roles: Set::new(),
        claims: Map::new(),
        shards: Set::new(),
        attempts: Attempts::default(),
        acts: Attempts::default(),
        withdrawn: Timestamp::default(),
        withdrawals: 0,
    };
    let Ok(after) = empty.amend(patch.clone(), NOW) else { return };
    assert_eq!(after.amend(patch.clone(), NOW).as_ref(), Ok(&after));
    // What says who somebody is can't be patched.
    assert!(after.sub == empty.sub && after.username == empty.username && after.password == empty.password);
    assert!(after.version == 1 && after.shards.is_empty() && after.not_before <= NOW);
    assert!(after.roles.iter().all(|role| role == "administrator" || role == "auditor"));
    assert_eq!(after.mark().standing == Standing::Enabled, after.enabled);
    let row = edgemint::json::write(&after);
    assert_eq!(edgemint::json::read::<Account>(&row).ok(), Some(after));
}

fn settings(patch: &Map<String, Value>) {
    for (key, value) in patch {
        let mut settings = Settings::default();
        match settings.set(key, value) {
            Ok(()) if value.is_null() => assert_eq!(settings, Settings::default()),
            Ok(()) => assert_eq!(settings.to_json().get(key), Some(value)),
            Err(why) => assert!(!why.is_empty() && settings == Settings::default()),
        }
        assert!(settings.shards > 0 && settings.access_lifetime > 0 && settings.code_lifetime <= 600);
    }
}
