//! What scopes open, and addresses that this server is made to ask.

use super::{first_line, lossy};
use edgemint::model::{
    outside,
    policy::{Policy, ScopeEntry},
    resource::{self, Asker, Decision, Target},
    scope::Scope,
};
use serde_json::{Value, json};

/// A URL template, a folder, a service, and the address of a request behind its method. What a scope lets pass is what it
/// would have sufficed for; and nothing passes that two servers could read as two paths.
pub fn resources(input: &[u8]) {
    let (url, rest) = first_line(input);
    let (folder, rest) = first_line(rest);
    let (service, rest) = first_line(rest);
    let (method, address) = first_line(rest);
    let [url, folder, service, method, address] = [url, folder, service, method, address].map(lossy);
    let mut entry = ScopeEntry::default();
    for (member, text) in [("urls", &url), ("folders", &folder), ("services", &service)] {
        let Value::Object(patch) = json!({ member: [text.as_str()] }) else { return };
        // What does not fit is not kept; what does comes out as it went in.
        if let Ok(amended) = entry.amend(patch) {
            assert_eq!(amended.members()[member], json!([text.as_str()]));
            entry = amended;
        }
    }
    let opens_nothing = entry == ScopeEntry::default();
    let policy = Policy { scopes: [("own".to_owned(), entry)].into_iter().collect(), ..Policy::default() };
    let Ok(target) = Target::parse(&method, &address) else { return };
    let path = address.split('?').next().unwrap_or_default();
    let plain = path.replace("%2E", ".").replace("%2e", ".").replace("%3B", ";").replace("%3b", ";");
    for segment in plain.split('/') {
        let name = segment.split(';').next().unwrap_or_default();
        assert!(name != "." && name != ".." && (segment.is_empty() || !name.is_empty()), "{address}");
    }
    assert!(path.starts_with('/') && !plain.contains("//") && !plain.contains('\\'), "{address}");
    let decide = |scope: &str| {
        let scope = Scope::parse(scope).unwrap_or_default();
        resource::decide(&policy, &scope, Asker::Client(&[]), &target)
    };
    match (decide("own"), decide("other")) {
        (Decision::Allowed, Decision::Beyond(Some(name))) => assert!(name == "own" && !opens_nothing),
        (Decision::Beyond(None), Decision::Beyond(None)) => {}
        decided => panic!("{decided:?}: {address}"),
    }
}

/// An address that this server is made to ask.
pub fn targets(input: &[u8]) {
    let address = lossy(input);
    for laptop in [false, true] {
        if let Ok(host) = outside::host_of(&address, laptop) {
            let origin = outside::origin_of(&address);
            assert!(address.starts_with(origin) && origin.contains(host), "{address}");
            assert!(laptop || (origin.starts_with("https://") && host.contains('.')), "{address}");
        }
    }
}
