//! Client authentication: assertions, Basic, secrets left out, two methods at once, clients that are disabled.

use super::*;
use base64ct::{Base64, Encoding};
use serde_json::json;

/// The endpoints of clients, with a form each that an authenticated caller may send.
const ENDPOINTS: [(&str, &str); 3] =
    [("/token", "grant_type=client_credentials"), ("/revoke", "token=x"), ("/introspect", "token=x")];

/// A form with these headers: status, code and challenge.
fn send(site: &Site, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String, bool) {
    let mut all = vec![("content-type", FORM)];
    all.extend(headers);
    let answer = unchanged(site, body, || site.send(&request(Method::POST, path, &all, body)));
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let error = json["error"].as_str().unwrap_or("none").to_owned();
    (answer.status.as_u16(), error, answer.header("www-authenticate").is_some())
}

fn basic(text: &str) -> String {
    format!("Basic {}", Base64::encode_string(text.as_bytes()))
}

#[test]
fn an_assertion_is_refused_at_every_endpoint_whatever_it_says() {
    let site = Site::new();
    let bearer = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    // {"alg":"none"}, {"alg":"HS256"} . {"iss":"demo-machine","sub":"demo-machine"}
    let claims = "eyJpc3MiOiJkZW1vLW1hY2hpbmUiLCJzdWIiOiJkZW1vLW1hY2hpbmUifQ";
    let good = basic(MACHINE);
    for (path, body) in ENDPOINTS {
        for assertion in [
            format!("eyJhbGciOiJub25lIn0.{claims}."),
            format!("eyJhbGciOiJIUzI1NiJ9.{claims}.AAAA"),
            "x".into(),
        ] {
            for named in ["", "&client_id=demo-machine"] {
                let body = format!("{body}&{bearer}&client_assertion={assertion}{named}");
                assert_eq!(
                    send(&site, path, &[], &body),
                    (401, "invalid_client".into(), true),
                    "{path} {body}"
                );
                // Not even beside credentials that are good.
                let (status, ..) = send(&site, path, &[("authorization", &good)], &body);
                assert!([400, 401].contains(&status), "{path} {body}");
            }
        }
    }
}

#[test]
fn basic_credentials_are_read_as_the_specification_says_and_in_no_other_way() {
    let site = Site::new();
    let own = Base64::encode_string(MACHINE.as_bytes());
    let encoded = Base64::encode_string(b"demo%2Dmachine:demo%2dmachine%2Dsecret");
    for header in
        [format!("Basic {own}"), format!("basic {own}"), format!("BASIC {own}"), format!("Basic {encoded}")]
    {
        let (status, ..) =
            send(&site, "/token", &[("authorization", &header)], "grant_type=client_credentials");
        assert_eq!(status, 200, "{header}");
    }
    for header in [
        String::new(),
        "Basic".into(),
        "Basic ".into(),
        "Basic !!!".into(),
        format!("Basic{own}"),
        format!("Basic={own}"),
        format!("Basic {}", own.trim_end_matches('=')),
        format!("Basic {own}="),
        format!("Basic {} {}", &own[..8], &own[8..]),
        // Two headers of one name arrive as one.
        format!("Basic {own}, Basic {own}"),
        format!("Basic {own},Bearer x"),
        format!("Bearer {own}"),
        format!("Digest {own}"),
        basic("demo-machine"),
        basic(":demo-machine-secret"),
        basic("demo-machine:"),
        basic("demo-machine:demo-machine-secret:"),
        basic(":demo-machine:demo-machine-secret"),
        basic("demo-machine:demo-machine-secret\0"),
        basic("demo-machine:demo-machine-secret\n"),
        basic(" demo-machine:demo-machine-secret"),
        basic("Demo-Machine:demo-machine-secret"),
        // A percent that is none, and what is not UTF-8.
        basic("demo-machine:100%"),
        basic("demo%zzmachine:demo-machine-secret"),
        basic("demo-machine:%ff"),
        format!("Basic {}", Base64::encode_string(b"demo-machine:\xff\xfe")),
        // A colon that belongs to the id, and a percent that was encoded twice.
        basic("demo-machine%3Ademo-machine-secret"),
        basic("demo%252Dmachine:demo-machine-secret"),
    ] {
        let answer = send(&site, "/token", &[("authorization", &header)], "grant_type=client_credentials");
        assert_eq!(answer, (401, "invalid_client".into(), true), "{header}");
    }
}

#[test]
fn a_client_with_a_secret_is_never_taken_for_a_public_one() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let tokens = site.tokens();
    let refresh = string(&tokens, "refresh_token");
    let forms = [
        ("/token", form(&redemption(&code))),
        ("/token", form(&[("grant_type", "refresh_token"), ("refresh_token", &refresh)])),
        ("/token", "grant_type=client_credentials".to_owned()),
        ("/revoke", form(&[("token", &refresh)])),
        ("/introspect", form(&[("token", &refresh)])),
    ];
    for (path, body) in &forms {
        for more in [
            "&client_id=demo-web",
            "&client_id=demo-web&client_secret=",
            "&client_id=demo-web&client_secret=demo-spa",
        ] {
            let answer = send(&site, path, &[], &format!("{body}{more}"));
            assert_eq!(answer, (401, "invalid_client".into(), true), "{path} {more}");
        }
        for text in ["demo-web:", "demo-web:x"] {
            let answer = send(&site, path, &[("authorization", &basic(text))], body);
            assert_eq!(answer, (401, "invalid_client".into(), true), "{path} {text}");
        }
        // Nor does a public one get anything for a secret that it does not have.
        for more in
            ["&client_id=demo-spa&client_secret=x", "&client_id=demo-spa&client_secret=demo-web-secret"]
        {
            assert_eq!(send(&site, path, &[], &format!("{body}{more}")).0, 401, "{path} {more}");
        }
    }
    assert_eq!(site.redeem(&code).0, 200);
    assert_eq!(site.refresh(&refresh).0, 200);
}

#[test]
fn two_methods_or_two_names_at_once_are_refused_at_every_endpoint() {
    let site = Site::new();
    let good = basic(MACHINE);
    for (path, body) in ENDPOINTS {
        for more in [
            "client_secret=demo-machine-secret",
            "client_id=demo-machine&client_secret=demo-machine-secret",
            "client_id=demo-web&client_secret=demo-web-secret",
            "client_id=demo-web",
            "client_id=demo-machine&client_id=demo-machine",
        ] {
            let answer = send(&site, path, &[("authorization", &good)], &format!("{body}&{more}"));
            assert_eq!((answer.0, answer.1.as_str()), (400, "invalid_request"), "{path} {more}");
        }
        let named = send(&site, path, &[("authorization", &good)], &format!("{body}&client_id=demo-machine"));
        assert_eq!(named.0, 200, "{path}");
    }
}

/// What a client was given before its end.
struct Left {
    client: String,
    id: String,
    code: String,
    refresh: String,
    /// Of a grant, and of its own.
    access: [String; 2],
}

/// A client that has, or is about to get, everything that one can have is ended: then nothing of it works anywhere, and
/// nothing that is tried changes anything.
fn end_and_try_everything(site: &Site, end: impl Fn(&Site, &str)) -> Left {
    let all = ["authorization_code", "refresh_token", "client_credentials"];
    let body = json!({ "redirect_uris": [CALLBACK], "grant_types": all, "scope": "reports", "resource_server": true });
    let client = register(site, &body);
    let id = id_of(&client).to_owned();
    let login = site.authorize(&id, &[]);
    let code = site.code(&id, &[]);
    let (_, tokens) = redeem_with(site, &client, &site.code(&id, &[]), &[]);
    let consent = site.authorize(&id, &[("prompt", "consent")]);
    let own = string(&site.token(&client, &OWN).1, "access_token");
    let (access, refresh) = (string(&tokens, "access_token"), string(&tokens, "refresh_token"));
    let elsewhere = site.beside();
    assert_eq!(elsewhere.token(&client, &OWN).0, 200); // It has a copy.
    // Of what is given in the same instant nobody knows whether it was before.
    site.world.pass(edgemint::host::Seconds(1));
    end(site, &id);
    site.inspect(&own); // Its shard is there.
    for isolate in [site, &elsewhere] {
        for (what, answer) in [
            ("code", unchanged(site, "code", || isolate.token(&client, &redemption(&code)))),
            ("refresh", unchanged(site, "refresh", || refresh_as(isolate, &client, &refresh))),
            ("revoke", unchanged(site, "revoke", || isolate.post("/revoke", &client, &[("token", &access)]))),
            (
                "introspect",
                unchanged(site, "introspect", || isolate.post("/introspect", &client, &[("token", &access)])),
            ),
        ] {
            assert_eq!(refusal(&answer), INVALID_CLIENT, "{what}");
        }
        for token in [&access, &refresh, &own] {
            assert_eq!(isolate.inspect(token), dead());
        }
    }
    assert_eq!(refusal(&site.token(&client, &OWN)), INVALID_CLIENT);
    assert_page(&unchanged(site, "authorize", || site.authorize(&id, &[])), "authorize");
    assert_page(&unchanged(site, "login", || site.sign_in(&login, "alice", "wonderland")), "login");
    for decision in ["all", "deny", "switch"] {
        assert_page(&unchanged(site, decision, || site.decide(&consent, decision, &[])), decision);
    }
    Left { client, id, code, refresh, access: [access, own] }
}

#[test]
fn a_disabled_client_is_refused_at_every_endpoint_and_on_every_page_that_is_open() {
    let site = Site::new();
    let left = end_and_try_everything(&site, |site, id| {
        site.patch(&format!("/admin/clients/{id}"), &json!({ "enabled": false }));
    });
    // Enabled again it has what it had: whoever disabled it did not delete it.
    site.patch(&format!("/admin/clients/{}", left.id), &json!({ "enabled": true }));
    for token in left.access.iter().chain([&left.refresh]) {
        assert_eq!(site.inspect(token)["active"], true);
    }
    assert_eq!(redeem_with(&site, &left.client, &left.code, &[]).0, 200);
    assert_eq!(refresh_as(&site, &left.client, &left.refresh).0, 200);
}

#[test]
fn a_deleted_client_is_refused_at_every_endpoint_and_on_every_page_that_is_open() {
    let site = Site::new();
    end_and_try_everything(&site, |site, id| {
        assert_eq!(site.admin(Method::DELETE, &format!("/admin/clients/{id}"), &Value::Null).0, 204);
    });
}

#[test]
fn nothing_can_be_registered_or_asked_that_would_make_us_fetch_it() {
    let site = Site::new();
    let inside = "https://169.254.169.254/latest";
    for member in [
        "jwks_uri",
        "jwks",
        "logo_uri",
        "client_uri",
        "policy_uri",
        "tos_uri",
        "sector_identifier_uri",
        "request_uris",
        "initiate_login_uri",
        "backchannel_logout_uri",
        "software_statement",
    ] {
        let body = json!({ "redirect_uris": [CALLBACK], member: inside });
        let answer = unchanged(&site, member, || site.admin(Method::POST, "/admin/clients", &body));
        assert_eq!((answer.0, &answer.1["field"]), (400, &json!(member)), "{}", answer.1);
        let body = json!({ member: inside });
        let answer = unchanged(&site, member, || site.admin(Method::PATCH, "/admin/clients/demo-web", &body));
        assert_eq!((answer.0, &answer.1["field"]), (400, &json!(member)), "{}", answer.1);
    }
    let answer = unchanged(&site, "request_uri", || site.authorize("demo-web", &[("request_uri", inside)]));
    assert_eq!(parameter(&answer, "error").as_deref(), Some("request_uri_not_supported"));
    assert_page(
        &unchanged(&site, "client_id", || site.authorize(inside, &[])),
        "a client_id that is an address",
    );
    assert_eq!(refusal(&site.token(&format!("{}:x", edgemint::wire::encode(inside)), &OWN)), INVALID_CLIENT);
}

#[test]
fn credentials_and_wishes_in_the_address_of_a_client_endpoint_are_not_read() {
    let site = Site::new();
    let credentials = "client_id=demo-machine&client_secret=demo-machine-secret";
    for (path, body) in ENDPOINTS {
        let answer = send(&site, &format!("{path}?{credentials}"), &[], body);
        assert_eq!(answer, (401, "invalid_client".into(), true), "{path}");
        // Nor what is wished, where the credentials are good.
        let good = basic(MACHINE);
        let (status, error, _) = send(&site, &format!("{path}?{body}"), &[("authorization", &good)], "x=y");
        assert_eq!((status, error.as_str()), (400, "invalid_request"), "{path}");
    }
}
