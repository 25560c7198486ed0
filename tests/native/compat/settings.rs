//! The settings that webMethods has, each with what it changes.

use super::{LEGACY_CALLBACK, answer_of, call, send};
use crate::world::*;
use edgemint::host::Seconds;
use http::Method;
use serde_json::{Value, json};

#[test]
fn a_method_a_scheme_and_a_body_are_refused_as_the_settings_say() {
    let site = Site::new();
    let fields = "grant_type=client_credentials&client_id=demo-legacy&client_secret=demo-legacy-secret";
    let target = format!("/invoke/pub.oauth/getToken?{fields}");
    let ask = |method: Method| site.send(&request(method, &target, &[], ""));
    assert_eq!(ask(Method::GET).status, 400);
    assert_eq!(ask(Method::PUT).status, 400);
    assert_eq!(ask(Method::POST).status, 200, "parameters of a query count");
    site.patch("/admin/settings", &json!({ "requirePost": false }));
    assert_eq!(ask(Method::GET).status, 200);
    assert_eq!(ask(Method::DELETE).status, 400);
    assert_eq!(ask(Method::HEAD).status, 400, "nobody asks for an effect to throw its answer away");
    assert_eq!(site.get(&format!("/token?{fields}")).status, 405, "at the standard address nothing changes");
    let headers = [("content-type", FORM)];
    let twice = site.send(&request(Method::POST, &target, &headers, "grant_type=password"));
    assert_eq!(twice.status, 400, "a parameter stands in both");
    for body in ["[]", "{", "{\"grant_type\":[\"password\"]}", "{\"a\":1,\"a\":2}"] {
        let headers = [("content-type", "application/json")];
        let answer = site.send(&request(Method::POST, "/invoke/pub.oauth/getToken", &headers, body));
        assert_eq!(answer.status, 400, "{body}");
    }

    // Not the laptop itself.
    let mut plain = request(Method::POST, &target, &[], "");
    "as.example".clone_into(&mut plain.host);
    assert_eq!(site.send(&plain).status, 400);
    let mut secure = plain.clone();
    secure.secure = true;
    assert_eq!(site.send(&secure).status, 200);
    site.patch("/admin/settings", &json!({ "requireHTTPS": false }));
    assert_eq!(site.send(&plain).status, 200);
}

#[test]
fn the_prefix_is_a_setting() {
    let site = Site::new();
    let status =
        |path: &str| send(&site, path, LEGACY, "form", &[("grant_type", "client_credentials")]).status;
    assert_eq!(status("/invoke/pub.oauth/getToken"), 200);
    site.patch("/admin/settings", &json!({ "compat.prefix": "rest/v1" }));
    assert_eq!(status("/rest/v1/pub.oauth:getToken"), 200);
    assert_eq!(status("/invoke/pub.oauth/getToken"), 404);
    assert_eq!(status("/rest/v1/pub.oauth/magic"), 404);
    assert_eq!(status("/rest/v1/wm.server/ping"), 404);
}

#[test]
fn the_code_of_a_refusal_is_repeated_in_a_header_where_the_setting_says_so() {
    let site = Site::new();
    let header = |path: &str| {
        let answer = send(&site, path, LEGACY, "form", &[("grant_type", "magic")]);
        answer.header("x-oauth-error").map(str::to_owned)
    };
    let paths = ["/invoke/pub.oauth/getToken", "/token"];
    assert_eq!(paths.map(header), [None, None]);
    site.patch("/admin/settings", &json!({ "custom.responseHeader": true }));
    assert_eq!(
        paths.map(header),
        [Some("unsupported_grant_type".to_owned()), Some("unsupported_grant_type".to_owned())]
    );
}

#[test]
fn an_access_token_that_never_expires_says_so_and_ends_when_it_is_ended() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "token.defaultExpirySeconds": -1 }));
    let own =
        call(&site, "/invoke/pub.oauth/getToken", LEGACY, "form", &[("grant_type", "client_credentials")]).1;
    let given = answer_of(&site, "password");
    for answer in [&own, &given] {
        assert_eq!(answer["expires_in"], json!(-1));
    }
    let (_, standard) = site.token(LEGACY, &[("grant_type", "client_credentials")]);
    assert_eq!(standard.get("expires_in"), None);
    site.world.pass(Seconds(40 * 31_536_000));
    site.world.ring();
    for answer in [&own, &given, &standard] {
        let token = string(answer, "access_token");
        let (_, seen) =
            call(&site, "/invoke/pub.oauth/introspectToken", LEGACY, "form", &[("token", &token)]);
        assert_eq!((&seen["active"], seen.get("exp")), (&json!("true"), None));
        assert_eq!(site.inspect(&token).get("exp"), None);
        site.post("/revoke", LEGACY, &[("token", &token)]);
        assert_eq!(site.inspect(&token), dead());
    }
    // Of a client alone.
    site.patch("/admin/settings", &json!({ "token.defaultExpirySeconds": null }));
    site.patch("/admin/clients/demo-legacy", &json!({ "access_token_lifetime": -1 }));
    assert_eq!(answer_of(&site, "password")["expires_in"], json!(-1));
}

#[test]
fn an_access_token_that_never_expires_is_listed_and_kept_though_its_refresh_token_is_over() {
    let site = Site::new();
    site.patch(
        "/admin/clients/demo-web",
        &json!({ "access_token_lifetime": -1, "grant_types": ["authorization_code"] }),
    );
    let token = string(&site.tokens(), "access_token");
    for _ in 0..3 {
        site.world.pass(Seconds(31_536_000));
        site.world.ring();
    }
    assert_eq!(site.inspect(&token)["active"], true);
    let (_, listed) = site.admin(Method::GET, "/admin/grants", &Value::Null);
    assert_eq!(
        (&listed["items"][0]["expires_at"], &listed["items"][0]["client_id"]),
        (&Value::Null, &json!("demo-web"))
    );
}

#[test]
fn pkce_is_demanded_of_every_client_that_does_not_say_otherwise() {
    let site = Site::new();
    let ask = || {
        let fields =
            [("response_type", "code"), ("client_id", "demo-legacy"), ("redirect_uri", LEGACY_CALLBACK)];
        site.get(&format!("/authorize?{}", form(&fields))).status.as_u16()
    };
    assert_eq!(ask(), 200);
    site.patch("/admin/settings", &json!({ "requirePKCE": true }));
    assert_eq!(ask(), 303);
    site.patch("/admin/clients/demo-legacy", &json!({ "require_pkce": false }));
    assert_eq!(ask(), 200);
}

#[test]
fn tokens_of_a_disabled_client_stay_active_where_the_setting_says_so_at_once_and_everywhere() {
    let site = Site::new();
    let given = string(&site.legacy_tokens(), "access_token");
    let own = string(&site.token(LEGACY, &[("grant_type", "client_credentials")]).1, "access_token");
    let active = || [&given, &own].map(|token| site.inspect(token)["active"] == true);
    site.world.pass(Seconds(1));
    site.patch("/admin/clients/demo-legacy", &json!({ "enabled": false }));
    assert_eq!(active(), [false, false]);
    // No location has heard of it by a copy.
    site.world.freeze_replica(true);
    site.patch("/admin/settings", &json!({ "disableClient.disableTokens": false }));
    assert_eq!(active(), [true, true]);
    assert_eq!(site.token(LEGACY, &[("grant_type", "client_credentials")]).1["error"], "invalid_client");
    site.patch("/admin/settings", &json!({ "disableClient.disableTokens": true }));
    assert_eq!(active(), [false, false]);
    site.patch("/admin/settings", &json!({ "disableClient.disableTokens": false }));
    assert_eq!(site.admin(Method::DELETE, "/admin/clients/demo-legacy", &Value::Null).0, 204);
    assert_eq!(active(), [false, false], "deleted is for good");
}

#[test]
fn what_is_over_goes_by_itself_as_often_and_as_much_as_the_settings_say() {
    let site = Site::new();
    let rows = || {
        let disks = site.world.disks("GRANTS");
        disks
            .iter()
            .map(|(_, disk)| {
                use edgemint::host::Store;
                disk.scan("grants_never", None, None, 1000).unwrap().len()
            })
            .sum::<usize>()
    };
    site.patch("/admin/settings", &json!({ "grants.shardsPerRegion": 1 }));
    for _ in 0..3 {
        let token = string(&site.legacy_tokens(), "refresh_token");
        site.post("/revoke", LEGACY, &[("token", &token)]);
    }
    site.world.ring();
    assert_eq!(rows(), 3);
    site.patch("/admin/settings", &json!({ "token.removalIntervalSeconds": 60, "token.removalBatch": 2 }));
    site.world.pass(Seconds(86_401));
    site.world.ring();
    assert_eq!(rows(), 1, "two in one go");
    site.world.pass(Seconds(61));
    site.world.ring();
    assert_eq!(rows(), 0);
}

#[test]
fn an_access_token_is_taken_from_an_address_only_where_the_setting_says_so_and_the_administrators_never() {
    let site = Site::new();
    site.patch("/admin/users/alice", &json!({ "roles": ["auditor"] }));
    site.patch("/admin/clients/demo-web", &json!({ "scope": "orders.read admin.read" }));
    let code = site.code("demo-web", &[("scope", "admin.read")]);
    let token = string(&site.redeem(&code).1, "access_token");
    let status = |method: Method, token: &str| {
        let target = format!("/admin/scopes?access_token={token}");
        site.send(&request(method, &target, &[("content-type", "application/json")], "{}")).status.as_u16()
    };
    assert_eq!(status(Method::GET, &token), 401);
    site.patch("/admin/settings", &json!({ "bearerToken.queryParameter": true }));
    assert_eq!(status(Method::GET, &token), 200);
    assert_eq!(status(Method::POST, &token), 401, "a change needs the header");
    assert_eq!(status(Method::GET, ADMIN_TOKEN), 401);
    assert_eq!(status(Method::GET, "nonsense"), 401);
}

#[test]
fn a_disabled_client_administers_nothing_though_its_tokens_stay_active_for_others() {
    let site = Site::new();
    site.patch("/admin/users/alice", &json!({ "roles": ["administrator"] }));
    site.patch("/admin/clients/demo-web", &json!({ "scope": "orders.read admin" }));
    let token = string(&site.redeem(&site.code("demo-web", &[("scope", "admin")])).1, "access_token");
    let administers = || {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        site.send(&request(Method::GET, "/admin/clients", &headers, "")).status.as_u16()
    };
    site.patch("/admin/settings", &json!({ "disableClient.disableTokens": false }));
    assert_eq!(administers(), 200);
    site.patch("/admin/clients/demo-web", &json!({ "enabled": false }));
    assert_eq!(site.inspect(&token)["active"], true);
    assert_eq!(administers(), 401);
}

#[test]
fn what_a_location_that_has_not_heard_of_it_gives_a_disabled_client_is_dead_whatever_the_setting_says() {
    let site = Site::new();
    let stale = site.beside();
    let own = |at: &Site| string(&at.token(MACHINE, &OWN).1, "access_token");
    let before = own(&stale);
    site.patch("/admin/settings", &json!({ "disableClient.disableTokens": false }));
    site.world.pass(Seconds(1));
    site.world.freeze_replica(true);
    site.patch("/admin/clients/demo-machine", &json!({ "enabled": false }));
    let gap = own(&stale);
    assert_eq!((site.inspect(&before)["active"].clone(), site.inspect(&gap)), (json!(true), dead()));
    site.patch("/admin/settings", &json!({ "disableClient.disableTokens": true }));
    assert_eq!(site.inspect(&before), dead());
    site.patch("/admin/clients/demo-machine", &json!({ "enabled": true }));
    assert_eq!((site.inspect(&before)["active"].clone(), site.inspect(&gap)), (json!(true), dead()));
}

#[test]
fn rows_without_an_end_go_once_a_mark_has_ended_them() {
    let site = Site::new();
    let rows = || {
        use edgemint::host::Store;
        let disks = site.world.disks("GRANTS");
        disks
            .iter()
            .map(|(_, disk)| disk.scan("grants_never", None, None, 1000).unwrap().len())
            .sum::<usize>()
    };
    site.legacy_tokens();
    site.patch("/admin/clients/demo-legacy", &json!({ "enabled": false }));
    site.world.pass(Seconds(2 * 86_401));
    site.world.ring();
    assert_eq!(rows(), 1, "what is disabled can be enabled again");
    assert_eq!(site.admin(Method::DELETE, "/admin/clients/demo-legacy", &Value::Null).0, 204);
    site.world.pass(Seconds(86_401));
    site.world.ring();
    assert_eq!(rows(), 0);
}

#[test]
fn what_a_shard_decides_holds_at_once_and_the_rest_where_the_replica_follows() {
    let site = Site::new();
    let lagging = site.beside();
    let fields = [("response_type", "code"), ("client_id", "demo-legacy"), ("redirect_uri", LEGACY_CALLBACK)];
    let ask = || lagging.get(&format!("/authorize?{}", form(&fields)));
    let call = |prefix: &str| {
        let path = format!("/{prefix}/pub.oauth/getToken");
        send(&lagging, &path, LEGACY, "form", &[("grant_type", "client_credentials")]).status.as_u16()
    };
    let open = lagging.sign_in(&ask(), "alice", "wonderland");
    assert!(text(&open).contains("Access Approval"));

    site.world.freeze_replica(true);
    let settings = json!({
        "requirePKCE": true, "compat.prefix": "rest", "approvalpage.title": "New title",
        "approvalpage.header": "New heading", "approvalpage.footer": "New footer",
    });
    site.patch("/admin/settings", &settings);
    // By the copy that this location has: its old address, and its old page.
    assert_eq!((call("invoke"), call("rest")), (200, 404));
    assert_eq!(ask().status, 200);
    // No code comes of a page that is open there, though: the shard knows of newer settings.
    let answer = lagging.decide(&open, "all", &[]);
    assert_eq!(parameter(&answer, "code"), None, "{} {}", answer.status, text(&answer));
    // Who heard that there are newer ones has read them.
    assert_eq!((call("invoke"), call("rest")), (404, 200));

    // Another one hears of it when its copy is renewed.
    let other = site.beside();
    site.world.freeze_replica(false);
    site.patch("/admin/settings", &json!({ "approvalpage.footer": "Newer footer" }));
    let challenged = authorization("demo-legacy", &[("prompt", "consent")]);
    let page = other.sign_in(&other.get(&format!("/authorize?{}", form(&challenged))), "alice", "wonderland");
    for said in ["New title", "New heading", "Newer footer"] {
        assert!(text(&page).contains(said), "{said}: {}", text(&page));
    }
}
