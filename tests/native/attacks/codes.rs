//! Codes: stolen, replayed, forged, bent, late.

use super::*;
use edgemint::{
    crypto::Secret,
    host::Seconds,
    model::{
        pkce::Challenge,
        ticket::{Access, Code, Refresh, Ticket},
    },
};
use serde_json::json;

#[test]
fn a_replayed_code_ends_its_own_family_and_no_other() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let (_, own) = site.redeem(&code);
    // Of the same person: another family of the same client, and one of another.
    let same = site.tokens();
    let spa = "http://127.0.0.1:9999/spa";
    let (_, other) = redeem_with(&site, "demo-spa", &site.code("demo-spa", &[]), &[("redirect_uri", spa)]);
    site.world.pass(Seconds(11));
    assert_eq!(refusal(&site.redeem(&code)), INVALID_GRANT);
    for name in ["access_token", "refresh_token"] {
        assert_eq!(site.inspect(&string(&own, name)), dead(), "{name}");
    }
    assert_eq!(refusal(&site.refresh(&string(&own, "refresh_token"))), INVALID_GRANT);
    for (client, tokens) in [(WEB, &same), ("demo-spa", &other)] {
        assert_eq!(site.inspect(&string(tokens, "access_token"))["active"], true, "{client}");
        assert_eq!(refresh_as(&site, client, &string(tokens, "refresh_token")).0, 200, "{client}");
    }
}

#[test]
fn a_code_that_another_client_redeems_is_refused_and_still_good_for_its_own() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    for client in [SHORT, LEGACY, "demo-spa"] {
        let answer = unchanged(&site, client, || site.token(client, &redemption(&code)));
        assert_eq!(refusal(&answer), INVALID_GRANT, "{client}");
    }
    for client in [MACHINE, API] {
        let answer = unchanged(&site, client, || site.token(client, &redemption(&code)));
        assert_eq!(refusal(&answer), (400, "unauthorized_client"), "{client}");
    }
    assert_eq!(site.redeem(&code).0, 200);
}

/// Codes that name a real grant and that it did not make, also by who holds the master key.
fn forged_codes(code: &str, tokens: Option<&Value>) -> Vec<String> {
    let own = keys(KEY_A, ISSUER);
    let real = Code::open(&own, code).unwrap();
    let mut proofs =
        vec![vec![], vec![0; 16], real.proof.0[..15].to_vec(), [&real.proof.0[..], &[0]].concat()];
    if let Some(tokens) = tokens {
        proofs.push(Refresh::open(&own, &string(tokens, "refresh_token")).unwrap().proof.0);
        proofs.push(Access::open(&own, &string(tokens, "access_token")).unwrap().proof.0);
    }
    let forge = |proof| Code { proof: Secret(proof), ..real.clone() }.seal(&own).unwrap();
    let mut forged: Vec<String> = proofs.into_iter().map(forge).collect();
    // The real content under another master key, and for another issuer.
    forged.push(real.seal(&keys(KEY_B, ISSUER)).unwrap());
    forged.push(real.seal(&keys(&KEY_B.replacen("b:", "a:", 1), ISSUER)).unwrap());
    forged.push(real.seal(&keys(KEY_A, "http://localhost:9000")).unwrap());
    // Cut, lengthened, of another case.
    forged.extend([
        code[..code.len() - 1].to_owned(),
        format!("{code}A"),
        format!("{code} "),
        code.to_uppercase(),
    ]);
    forged
}

#[test]
fn a_forged_code_with_a_real_grants_address_ends_nothing() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let try_all = |forged: Vec<String>| {
        for forged in forged {
            let answer = unchanged(&site, &forged, || site.redeem(&forged));
            assert_eq!(refusal(&answer), INVALID_GRANT, "{forged}");
        }
    };
    try_all(forged_codes(&code, None));
    let (status, tokens) = site.redeem(&code);
    assert_eq!(status, 200, "{tokens}");
    // Later than any retry: the real one would end the family now.
    site.world.pass(Seconds(60));
    try_all(forged_codes(&code, Some(&tokens)));
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["active"], true);
    assert_eq!(site.refresh(&string(&tokens, "refresh_token")).0, 200);
}

#[test]
fn a_code_bound_to_a_challenge_wants_its_verifier_to_the_letter() {
    let site = Site::new();
    let spa = "http://127.0.0.1:9999/spa";
    let long = "a".repeat(129);
    for (client, uri) in [(WEB, CALLBACK), ("demo-spa", spa)] {
        let code = site.code(id_of(client), &[]);
        for verifier in [
            "",
            &VERIFIER[..42],
            &long,
            &format!("{VERIFIER} "),
            &format!("{VERIFIER}\n"),
            &format!("{VERIFIER}\0"),
            &VERIFIER.to_uppercase(),
            &VERIFIER.replacen('d', "ɗ", 1),
            // What `plain` would take.
            CHALLENGE,
        ] {
            let other = [("redirect_uri", uri), ("code_verifier", verifier)];
            let answer = unchanged(&site, verifier, || redeem_with(&site, client, &code, &other));
            assert_eq!(refusal(&answer), INVALID_GRANT, "{client} {verifier:?}");
        }
        assert_eq!(redeem_with(&site, client, &code, &[("redirect_uri", uri)]).0, 200, "{client}");
    }
}

#[test]
fn a_verifier_of_a_wrong_length_or_alphabet_is_refused_though_its_hash_is_the_challenge() {
    let site = Site::new();
    for verifier in ["a".repeat(42), "a".repeat(129), "ä".repeat(50), format!("{}+", "a".repeat(50))] {
        let challenge = Challenge::of(&verifier).to_string();
        let code = site.code("demo-web", &[("code_challenge", &challenge)]);
        let other = [("code_verifier", verifier.as_str())];
        let answer = unchanged(&site, &verifier, || redeem_with(&site, WEB, &code, &other));
        assert_eq!(refusal(&answer), INVALID_GRANT, "{verifier}");
    }
}

#[test]
fn a_challenge_without_s256_is_refused_and_never_taken_for_plain() {
    let site = Site::new();
    for client in ["demo-web", "demo-spa", "demo-legacy"] {
        for challenge in [CHALLENGE, VERIFIER] {
            for method in ["", "plain", "s256", "S512", "S256 ", "none"] {
                let more = [("code_challenge", challenge), ("code_challenge_method", method)];
                let answer = site.authorize(client, &more);
                assert_eq!(answer.status, 303, "{client} {method}");
                assert_eq!(
                    parameter(&answer, "error").as_deref(),
                    Some("invalid_request"),
                    "{client} {method}"
                );
            }
        }
    }
    assert!(site.world.disks("GRANTS").is_empty());
}

#[test]
fn redirect_uri_at_the_token_endpoint_is_that_of_the_request_in_every_profile() {
    let site = Site::new();
    let (own, other) = ("https://app.test/cb", "https://app.test/other");
    let unbound = [("code_challenge", ""), ("code_challenge_method", "")];
    for (profile, method, bound, may_be_missing) in [
        ("oauth21", "client_secret_basic", true, true),
        ("oauth21", "none", true, true),
        ("oauth21", "client_secret_basic", false, false),
        ("legacy", "client_secret_basic", true, false),
        ("legacy", "client_secret_basic", false, false),
        ("legacy", "none", true, false),
    ] {
        let what = format!("{profile} {method} bound: {bound}");
        let mut body = json!({ "profile": profile, "token_endpoint_auth_method": method, "scope": "reports",
                               "redirect_uris": [own, other, CALLBACK] });
        if !bound {
            body["require_pkce"] = json!(false);
        }
        let client = register(&site, &body);
        let mut more = vec![("redirect_uri", own)];
        more.extend(if bound { &[][..] } else { &unbound[..] });
        let verifier = if bound { VERIFIER } else { "" };
        let code = site.code(id_of(&client), &more);
        for wrong in [
            other,
            CALLBACK,
            "https://app.test/cb?x=1",
            "https://app.test/cb/",
            "https://app.test/CB",
            "https://app.test:443/cb",
            "https://app.test/cb#",
            "https%3A%2F%2Fapp.test%2Fcb",
        ] {
            let fields = [("redirect_uri", wrong), ("code_verifier", verifier)];
            let answer = unchanged(&site, wrong, || redeem_with(&site, &client, &code, &fields));
            assert_eq!(refusal(&answer), INVALID_GRANT, "{what}: {wrong}");
        }
        let missing =
            redeem_with(&site, &client, &code, &[("redirect_uri", ""), ("code_verifier", verifier)]);
        if may_be_missing {
            assert_eq!(missing.0, 200, "{what}: {}", missing.1);
            continue;
        }
        assert_eq!(refusal(&missing), INVALID_GRANT, "{what}: missing");
        let fields = [("redirect_uri", own), ("code_verifier", verifier)];
        assert_eq!(redeem_with(&site, &client, &code, &fields).0, 200, "{what}");
    }
}

#[test]
fn a_code_one_second_too_old_is_refused_however_the_clocks_differ() {
    for skew in [-5_000, 0, 5_000] {
        let site = Site::new();
        site.world.skew(skew);
        let (early, late) = (site.code("demo-web", &[]), site.code("demo-web", &[]));
        site.world.pass(Seconds(59));
        assert_eq!(site.redeem(&early).0, 200, "{skew}");
        site.world.pass(Seconds(2));
        let answer = unchanged(&site, "late", || site.redeem(&late));
        assert_eq!(refusal(&answer), INVALID_GRANT, "{skew}");
        // A clock that goes back makes nobody younger than its last change; nor does one that jumps make a thief of it.
        site.world.skew(-5_000);
        assert_eq!(refusal(&site.redeem(&early)), INVALID_GRANT, "{skew}");
    }
}

#[test]
fn a_code_whose_redirect_uri_was_taken_from_the_client_is_refused() {
    let site = Site::new();
    let lagging = site.beside();
    assert_eq!(lagging.redeem(&site.code("demo-web", &[])).0, 200);
    let code = site.code("demo-web", &[]);
    let loopback = site.code("demo-web", &[("redirect_uri", "http://127.0.0.1:5/callback")]);
    site.patch("/admin/clients/demo-web", &json!({ "redirect_uris": ["https://elsewhere.test/cb"] }));
    // Also in an isolate that has not heard of it, and where the request leaves the redirect URI out.
    for (site, other) in [(&site, CALLBACK), (&lagging, CALLBACK), (&site, "")] {
        let answer = unchanged(site, other, || redeem_with(site, WEB, &code, &[("redirect_uri", other)]));
        assert_eq!(refusal(&answer), INVALID_GRANT, "{other}");
    }
    site.patch("/admin/clients/demo-web", &json!({ "redirect_uris": [CALLBACK] }));
    assert_eq!(site.redeem(&code).0, 200, "it was not burned");
    let fields = [("redirect_uri", "http://127.0.0.1:5/callback")];
    assert_eq!(redeem_with(&site, WEB, &loopback, &fields).0, 200, "nor was that of another port");
}

#[test]
fn a_code_without_a_challenge_is_refused_once_its_client_must_use_pkce() {
    let site = Site::new();
    site.patch("/admin/clients/demo-web", &json!({ "require_pkce": false }));
    let plain = [("code_challenge", ""), ("code_challenge_method", "")];
    let code = site.code("demo-web", &plain);
    site.patch("/admin/clients/demo-web", &json!({ "require_pkce": true }));
    let answer = unchanged(&site, "plain", || redeem_with(&site, WEB, &code, &[("code_verifier", "")]));
    assert_eq!(refusal(&answer), INVALID_GRANT);
}
