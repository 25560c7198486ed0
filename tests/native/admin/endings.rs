//! What ends: clients and people that are deleted, secrets that are replaced, grants that are cut off; and what replaces
//! a record whole.

use super::{machine, read, user};
use crate::world::*;
use edgemint::{host::Seconds, wire::encode};
use http::Method;
use serde_json::{Value, json};

const NOTHING: Value = Value::Null;

fn own(site: &Site, id: &str, secret: &str) -> (u16, Value) {
    let fields = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    let response = site.send(&request(
        Method::POST,
        "/token",
        &[("content-type", "application/x-www-form-urlencoded")],
        &form(&fields),
    ));
    (response.status.as_u16(), serde_json::from_str(&text(&response)).expect("JSON"))
}

fn register(site: &Site, id: &str) -> String {
    let (status, created) = site.admin(Method::POST, "/admin/clients", &machine(id));
    assert_eq!(status, 201, "{created}");
    string(&created, "client_secret")
}

fn rekey(site: &Site, id: &str, overlap: u64) -> String {
    let target = format!("/admin/clients/{id}/secret");
    let (status, body) = site.admin(Method::POST, &target, &json!({ "overlap_seconds": overlap }));
    assert_eq!((status, &body["client_secret_expires_at"]), (200, &json!(0)), "{body}");
    string(&body, "client_secret")
}

fn active(site: &Site, tokens: &Value, name: &str) -> bool {
    site.inspect(&string(tokens, name))["active"] == true
}

#[test]
fn a_new_secret_is_shown_once_and_the_old_one_is_taken_as_long_as_was_said() {
    let site = Site::new();
    let old = register(&site, "m");
    let new = rekey(&site, "m", 60);
    assert_eq!((own(&site, "m", &old).0, own(&site, "m", &new).0), (200, 200));
    assert!(!read(&site, "/admin/clients/m").to_string().contains("secret\":"));
    site.world.pass(Seconds(59));
    assert_eq!((own(&site, "m", &old).0, own(&site, "m", &new).0), (200, 200));
    site.world.pass(Seconds(1));
    assert_eq!((own(&site, "m", &old).0, own(&site, "m", &new).0), (401, 200));
    let newest = rekey(&site, "m", 0);
    assert_eq!((own(&site, "m", &new).0, own(&site, "m", &newest).0), (401, 200));
}

#[test]
fn a_leaked_secret_gets_no_token_that_works_from_the_moment_it_was_replaced_though_a_copy_is_behind() {
    let site = Site::new();
    let old = register(&site, "m");
    // This isolate remembers the client; the replica will not move, and another isolate makes the change.
    assert_eq!(own(&site, "m", &old).0, 200);
    site.world.freeze_replica(true);
    site.world.pass(Seconds(1));
    let new = rekey(&site.beside(), "m", 0);
    let (status, stolen) = own(&site, "m", &old);
    assert!(status == 401 || !active(&site, &stolen, "access_token"));
    assert_eq!(own(&site, "m", &new).0, 200, "a refusal is said by the truth alone");
}

#[test]
fn a_rotation_that_nobody_heard_of_is_repeated_and_the_secret_in_use_is_taken_as_long_as_was_said() {
    let site = Site::new();
    let used = register(&site, "m");
    site.world.fate("REGISTRY", &[Fate::Unanswered, Fate::Unanswered]);
    let rotate = || site.admin(Method::POST, "/admin/clients/m/secret", &json!({ "overlap_seconds": 60 }));
    assert_eq!(rotate().0, 503);
    site.world.pass(Seconds(30));
    let (status, new) = rotate();
    assert_eq!(status, 200, "{new}");
    let new = string(&new, "client_secret");
    assert_eq!((own(&site, "m", &used).0, own(&site, "m", &new).0), (200, 200));
    site.world.pass(Seconds(30));
    assert_eq!((own(&site, "m", &used).0, own(&site, "m", &new).0), (401, 200));
    // So many at once that somebody must have forgotten something.
    let several: Vec<u16> = (0..8).map(|_| rotate().0).collect();
    assert_eq!(several, [200, 200, 200, 200, 200, 200, 200, 400]);
    let last = rekey(&site, "m", 0);
    assert_eq!((own(&site, "m", &new).0, own(&site, "m", &last).0), (401, 200));
}

#[test]
fn an_overlap_spares_what_is_issued_by_the_old_secret_meanwhile() {
    let site = Site::new();
    let old = register(&site, "m");
    assert_eq!(own(&site, "m", &old).0, 200);
    site.world.freeze_replica(true);
    site.world.pass(Seconds(1));
    rekey(&site.beside(), "m", 600);
    let (status, tokens) = own(&site, "m", &old);
    assert_eq!(status, 200);
    assert!(active(&site, &tokens, "access_token"));
}

#[test]
fn a_secret_is_replaced_only_where_there_is_one_and_only_by_what_makes_sense() {
    let site = Site::new();
    for (target, body, status, field) in [
        ("/admin/clients/demo-spa/secret", json!({}), 400, "client_secret"),
        ("/admin/clients/nobody/secret", json!({}), 404, ""),
        ("/admin/clients/demo-web/secret", json!({ "overlap_seconds": -1 }), 400, "overlap_seconds"),
        ("/admin/clients/demo-web/secret", json!({ "overlap_seconds": 2_592_001 }), 400, "overlap_seconds"),
        ("/admin/clients/demo-web/secret", json!({ "client_secret": "mine" }), 400, "client_secret"),
    ] {
        let before = site.world.dump_of_all_but_counts();
        let (answered, problem) = site.admin(Method::POST, target, &body);
        assert_eq!((answered, problem["field"].as_str().unwrap_or_default()), (status, field), "{problem}");
        assert_eq!(site.world.dump_of_all_but_counts(), before);
    }
}

#[test]
fn a_deleted_client_and_everything_that_was_issued_to_it_is_dead_also_when_its_id_comes_back() {
    let site = Site::new();
    let tokens = site.tokens();
    let secret = register(&site, "m");
    let machine_tokens = own(&site, "m", &secret).1;
    let code = site.code("demo-web", &[]);
    for id in ["demo-web", "m"] {
        assert_eq!(site.admin(Method::DELETE, &format!("/admin/clients/{id}"), &NOTHING).0, 204);
        assert_eq!(site.admin(Method::GET, &format!("/admin/clients/{id}"), &NOTHING).0, 404);
        assert_eq!(site.admin(Method::DELETE, &format!("/admin/clients/{id}"), &NOTHING).0, 404);
    }
    let all_dead = |site: &Site| {
        !active(site, &tokens, "access_token")
            && !active(site, &tokens, "refresh_token")
            && !active(site, &machine_tokens, "access_token")
    };
    assert!(all_dead(&site));
    assert_eq!(own(&site, "m", &secret).0, 401);
    assert_eq!(site.redeem(&code).0, 401);
    assert!(site.world.copy("client:m").is_none_or(|copy| copy.is_empty()), "the replica forgets it");
    // No scope is held by it any more.
    assert!(!read(&site, "/admin/scopes/reports")["clients"].to_string().contains("\"m\""));

    let again = register(&site, "m");
    assert_ne!(again, secret);
    assert!(all_dead(&site), "what an earlier client of that id was given stays dead");
    let (status, fresh) = own(&site, "m", &again);
    assert_eq!(status, 200);
    assert!(active(&site, &fresh, "access_token"), "and the new one works at once");
    assert_eq!(own(&site, "m", &secret).0, 401);
}

#[test]
fn a_client_is_deleted_only_at_the_version_that_was_named() {
    let site = Site::new();
    let send = |tag: &str| {
        super::send(&site, Method::DELETE, "/admin/clients/demo-machine", &[("if-match", tag)], "")
            .status
            .as_u16()
    };
    let tag = super::send(&site, Method::GET, "/admin/clients/demo-machine", &[], "");
    let tag = tag.header("etag").expect("a tag").to_owned();
    site.patch("/admin/clients/demo-machine", &json!({ "client_name": "New" }));
    assert_eq!(send(&tag), 412);
    assert_eq!(send("*"), 204);
}

#[test]
fn a_deletion_that_not_every_shard_holds_is_503_until_somebody_repeats_it() {
    let site = Site::new();
    let tokens = site.tokens();
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    let (status, problem) = site.admin(Method::DELETE, "/admin/clients/demo-web", &NOTHING);
    assert_eq!(status, 503, "{problem}");
    assert_eq!(site.admin(Method::DELETE, "/admin/clients/demo-web", &NOTHING).0, 204);
    assert!(!active(&site, &tokens, "access_token"));
    assert_eq!(site.admin(Method::DELETE, "/admin/clients/demo-web", &NOTHING).0, 404);
}

#[test]
fn a_lost_answer_to_a_deletion_is_asked_for_again_and_is_the_same() {
    let site = Site::new();
    site.world.fate("REGISTRY", &[Fate::Unanswered]);
    assert_eq!(site.admin(Method::DELETE, "/admin/clients/demo-machine", &NOTHING).0, 204);
    site.world.fate("ACCOUNTS", &[Fate::Answered, Fate::Unanswered]);
    assert_eq!(site.admin(Method::DELETE, "/admin/users/bob", &NOTHING).0, 204);
    assert_eq!(read(&site, "/admin/audit")["items"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_deleted_person_is_signed_out_and_nothing_they_gave_is_alive_also_when_their_name_comes_back() {
    let site = Site::new();
    let tokens = site.tokens();
    let sub = string(&read(&site, "/admin/users/alice"), "sub");
    assert_eq!(site.admin(Method::DELETE, "/admin/users/alice", &NOTHING).0, 204);
    assert_eq!(site.admin(Method::GET, "/admin/users/alice", &NOTHING).0, 404);
    let dead =
        |site: &Site| !active(site, &tokens, "access_token") && !active(site, &tokens, "refresh_token");
    assert!(dead(&site));
    assert_eq!(site.refresh(&string(&tokens, "refresh_token")).0, 400);
    // The session is over: the browser is asked to sign in.
    assert!(text(&site.authorize("demo-web", &[])).contains("id=\"password\""));
    // Nothing of what was known of the person is left.
    assert!(!site.world.dump().contains("alice@"), "claims are gone");
    // Also what an administrator wrote, and the log of changes with it.
    let mut ada = user("ada");
    ada["claims"] = json!({ "email": "ada@example.com" });
    assert_eq!(site.admin(Method::POST, "/admin/users", &ada).0, 201);
    site.patch("/admin/users/ada", &json!({ "claims": { "email": "ada@example.org" } }));
    assert_eq!(site.admin(Method::DELETE, "/admin/users/ada", &NOTHING).0, 204);
    assert!(!site.world.dump().contains("ada@"), "claims are in no log");

    assert_eq!(site.admin(Method::POST, "/admin/users", &user("alice")).0, 201);
    assert_ne!(string(&read(&site, "/admin/users/alice"), "sub"), sub, "a subject id is never used again");
    assert!(dead(&site));
}

#[test]
fn every_grant_of_a_person_is_cut_off_and_they_stay_signed_in() {
    let site = Site::new();
    let tokens = site.tokens();
    assert_eq!(site.admin(Method::DELETE, "/admin/grants?username=alice", &NOTHING).0, 204);
    assert!(!active(&site, &tokens, "access_token"));
    assert_eq!(site.refresh(&string(&tokens, "refresh_token")).0, 400);
    let page = site.authorize("demo-web", &[("prompt", "consent")]);
    assert!(text(&page).contains("consent-allow"), "still signed in");
    let later = site.tokens();
    assert!(active(&site, &later, "access_token"), "what is given later lives");
}

#[test]
fn everything_of_a_client_is_cut_off_and_it_goes_on() {
    let site = Site::new();
    let (tokens, secret) = (site.tokens(), register(&site, "m"));
    let before = own(&site, "m", &secret).1;
    for id in ["demo-web", "m"] {
        assert_eq!(site.admin(Method::DELETE, &format!("/admin/grants?client_id={id}"), &NOTHING).0, 204);
    }
    assert!(!active(&site, &tokens, "access_token") && !active(&site, &tokens, "refresh_token"));
    assert!(!active(&site, &before, "access_token"));
    let (after, own) = (site.tokens(), own(&site, "m", &secret).1);
    assert!(active(&site, &after, "access_token") && active(&site, &own, "access_token"));
    assert_eq!(site.admin(Method::DELETE, "/admin/grants?client_id=nobody", &NOTHING).0, 404);
}

#[test]
fn every_grant_with_a_scope_is_ended_and_others_stay() {
    let site = Site::new();
    let with = site.tokens();
    let code = site.code("demo-web", &[("scope", "orders.read")]);
    let without = site.redeem(&code).1;
    assert_eq!(site.admin(Method::DELETE, "/admin/grants?scope=reports", &NOTHING).0, 204);
    assert!(!active(&site, &with, "access_token") && !active(&site, &with, "refresh_token"));
    assert!(active(&site, &without, "access_token"));
}

#[test]
fn to_end_grants_one_must_say_which_in_one_way() {
    let site = Site::new();
    let tokens = site.tokens();
    for query in [
        "",
        "?client_id=demo-web&username=alice",
        "?scope=reports&client_id=demo-web",
        "?q=x",
        "?client_id=demo-web&user=bob",
        "?scope=reports&limit=1",
    ] {
        let (status, problem) = site.admin(Method::DELETE, &format!("/admin/grants{query}"), &NOTHING);
        assert_eq!(status, 400, "{query} {problem}");
    }
    let cursor = format!("/admin/grants?scope=reports&after={}", encode("weur-999.grants_never.k.o"));
    assert_eq!(site.admin(Method::DELETE, &cursor, &NOTHING).0, 400);
    assert!(active(&site, &tokens, "access_token"));
}

#[test]
fn what_get_gave_can_be_put_back_and_changes_nothing() {
    let site = Site::new();
    for target in [
        "/admin/clients/demo-web",
        "/admin/clients/demo-legacy",
        "/admin/users/alice",
        "/admin/scopes/reports",
    ] {
        let before = read(&site, target);
        let (status, after) = site.admin(Method::PUT, target, &before);
        assert_eq!((status, &after), (200, &before));
    }
    assert_eq!(read(&site, "/admin/audit")["items"], json!([]));
}

#[test]
fn put_leaves_out_what_it_does_not_say_and_refuses_another_name() {
    let site = Site::new();
    site.patch("/admin/clients/demo-machine", &json!({ "description": "was there" }));
    let (status, put) = site.admin(Method::PUT, "/admin/clients/demo-machine", &machine("demo-machine"));
    assert_eq!((status, &put["description"], &put["scope"]), (200, &Value::Null, &json!("reports")));
    let (status, put) = site.admin(Method::PUT, "/admin/users/alice", &json!({ "groups": ["g"] }));
    assert_eq!((status, &put["groups"], &put["claims"]), (200, &json!(["g"]), &json!({})));
    let (status, put) = site.admin(Method::PUT, "/admin/scopes/reports", &json!({}));
    assert_eq!((status, &put["description"]), (200, &json!("")));
    for (target, body, field) in [
        ("/admin/clients/demo-machine", machine("other"), "client_id"),
        ("/admin/clients/demo-machine", json!({ "grant_types": ["magic"] }), "grant_types"),
        ("/admin/users/alice", json!({ "username": "other" }), "username"),
        ("/admin/users/alice", json!({ "sub": "other" }), "sub"),
        ("/admin/scopes/reports", json!({ "name": "other" }), "name"),
        ("/admin/scopes/reports", json!({ "clients": ["demo-web", "nobody"] }), "clients"),
        ("/admin/scopes/reports", json!({ "folders": ["a//b"] }), "folders"),
    ] {
        let before = site.world.dump_of_all_but_counts();
        let (status, problem) = site.admin(Method::PUT, target, &body);
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
        assert_eq!(site.world.dump_of_all_but_counts(), before);
    }
    assert_eq!(site.admin(Method::PUT, "/admin/clients/nobody", &machine("nobody")).0, 404);
}

#[test]
fn an_export_is_taken_over_and_what_it_names_must_be_free_and_of_this_kind() {
    let site = Site::new();
    let list = |target: &str| read(&site, &format!("{target}?hashes=true&limit=200"))["items"].clone();
    let clients = list("/admin/clients");
    let web = clients.as_array().unwrap().iter().find(|item| item["client_id"] == "demo-web").unwrap();
    let mut twin = web.clone();
    twin["client_id"] = json!("twin");
    twin["client_name"] = json!("The twin");
    assert_eq!(site.admin(Method::POST, "/admin/clients", &twin).0, 201);
    let (status, created) = site.admin(Method::GET, "/admin/clients/twin", &NOTHING);
    assert_eq!((status, &created["client_id_issued_at"]), (200, &web["client_id_issued_at"]));
    assert_eq!(
        site.post("/introspect", "twin:demo-web-secret", &[("token", "x")]).0,
        200,
        "its secret is kept"
    );

    let alice = list("/admin/users")[0].clone();
    let free = edgemint::model::account::draw_sub("ada", [7; 16]);
    let with = |member: &str, value: Value| {
        let mut body = json!({ "username": "ada", "password_hash": alice["password_hash"], "sub": free });
        body[member] = value;
        body
    };
    for (body, field) in [
        (with("sub", alice["sub"].clone()), "sub"),
        (with("sub", json!("nonsense")), "sub"),
        (with("password_hash", json!("a password")), "password_hash"),
        (with("password", json!("a password")), "password_hash"),
    ] {
        let before = site.world.dump_of_all_but_counts();
        let (status, problem) = site.admin(Method::POST, "/admin/users", &body);
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
        let after = site.world.dump_of_all_but_counts();
        assert_eq!(after.matches("\"username\"").count(), before.matches("\"username\"").count());
    }
    let (status, made) = site.admin(Method::POST, "/admin/users", &with("enabled", json!(true)));
    assert_eq!((status, &made["sub"]), (201, &json!(free)), "{made}");
    // A subject id of somebody who lives, or lived, in that shard is nobody else's.
    let namesake = (0..100_000).map(|n| format!("name {n}")).find(|name| {
        edgemint::model::account::shard_of_name(name) == edgemint::model::account::shard_of_name("ada")
    });
    let mut thief = with("username", json!(namesake));
    for _ in 0..2 {
        let (status, problem) = site.admin(Method::POST, "/admin/users", &thief);
        assert_eq!((status, &problem["field"]), (400, &json!("sub")), "{problem}");
        site.admin(Method::DELETE, "/admin/users/ada", &NOTHING);
    }
    thief["sub"] = Value::Null;
    assert_eq!(site.admin(Method::POST, "/admin/users", &thief).0, 400, "null is no subject id");
    let hash = web["client_secret_hashes"][0].as_str().unwrap();
    for (member, value) in [
        ("client_secret_hashes", json!("hush")),
        ("client_secret_hashes", json!(["hush"])),
        ("client_secret_hashes", json!([web["client_secret_hashes"][0], "x", "y"])),
        // An overlap that is longer than any that this server gives.
        ("client_secret_hashes", json!([hash, format!("{hash}$1802592001")])),
        ("client_id_issued_at", json!(1_900_000_000)),
    ] {
        let mut body = machine("m");
        body[member] = value;
        let (status, problem) = site.admin(Method::POST, "/admin/clients", &body);
        assert_eq!((status, &problem["field"]), (400, &json!(member)), "{problem}");
    }
}

#[test]
fn what_is_kept_of_secrets_is_shown_only_to_who_may_change_things() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "log.successPercent": 0 }));
    site.patch("/admin/users/alice", &json!({ "roles": ["auditor"] }));
    site.patch("/admin/clients/demo-web", &json!({ "scope": "orders.read admin" }));
    let token = string(&site.redeem(&site.code("demo-web", &[("scope", "admin")])).1, "access_token");
    let bearer = format!("Bearer {token}");
    for target in ["/admin/clients", "/admin/users", "/admin/settings"] {
        let ask = |query: &str| {
            let target = format!("{target}{query}");
            super::send(&site, Method::GET, &target, &[("authorization", &bearer)], "")
        };
        assert_eq!(ask("").status, 200);
        for query in ["?hashes=true", "?hashes=false", "?limit=1&hashes=true"] {
            let refused = ask(query);
            assert_eq!(refused.status, 403, "{target}{query}");
        }
        site.world.events();
        read(&site, &format!("{target}?hashes=true"));
        assert_eq!(site.world.events()[0]["event"], "admin.exported", "{target}");
        let plain = read(&site, target).to_string();
        assert!(!plain.contains("hmac-sha256") && !plain.contains("argon2") && !plain.contains("filter"));
    }
}
