//! `/account`: what a person sees and ends of their own, and of nobody else's.

use crate::world::*;
use edgemint::{
    crypto::Keys,
    host::{Host as _, Seconds, Store as _},
    model::ticket::{Refresh, Ticket as _},
    objects::protocol::{
        account_shard::{AccountShard, SessionRef},
        grant_shard::GrantShard,
    },
    wire::Response,
};
use http::Method;
use serde_json::{Value, json};

/// The session of a browser, as its cookie names it.
pub fn session(site: &Site) -> SessionRef {
    let keys = Keys::parse(KEY_A, ISSUER).unwrap_or_else(|why| panic!("{why}"));
    SessionRef::open(&keys, &site.cookie("edgemint-session").unwrap()).unwrap()
}

fn is_sign_in(page: &Response) -> bool {
    text(page).contains("login-submit")
}

/// Signs in on the page of the account.
fn enter(site: &Site, username: &str, password: &str) -> Response {
    let seal = field(&site.get("/account"), "seal");
    site.submit("/account", &[("seal", &seal), ("username", username), ("password", password)])
}

/// What a form of the page sends.
fn act(site: &Site, fields: &[(&str, &str)]) -> Response {
    let seal = field(&site.get("/account"), "seal");
    let mut all = vec![("seal", seal.as_str())];
    all.extend(fields);
    site.submit("/account", &all)
}

/// A browser before the page, signed in.
fn alice() -> Site {
    let site = Site::new();
    assert_eq!(enter(&site, "alice", "wonderland").header("location"), Some("http://localhost:8787/account"));
    site
}

/// The ids of the other sessions that are shown.
fn others(site: &Site) -> Vec<String> {
    let html = text(&site.get("/account"));
    html.split("name=\"session\" value=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn who_is_not_signed_in_signs_in_and_comes_back() {
    let site = Site::new();
    assert!(is_sign_in(&site.get("/account")));
    assert!(is_sign_in(&enter(&site, "alice", "wrong")));
    assert!(is_sign_in(&site.get("/account")));
    enter(&site, "alice", "wonderland");
    let page = text(&site.get("/account"));
    assert!(page.contains("<strong id=\"username\">alice</strong>") && page.contains("no application"));
}

#[test]
fn what_was_allowed_is_shown_and_withdrawing_it_ends_every_grant_of_that_client_alone() {
    let site = alice();
    let tokens = site.tokens();
    let second = site.tokens();
    let offered = site.code("demo-web", &[]);
    let legacy = site.legacy_tokens();
    let bob = site.beside();
    let page = bob.authorize("demo-web", &[]);
    let page = bob.sign_in(&page, "bob", "builder");
    let bobs = bob.redeem(&parameter(&bob.decide(&page, "all", &[]), "code").unwrap()).1;
    let page = text(&site.get("/account"));
    for part in ["Demo web application", "demo-web", "demo-legacy", "<code>orders.read</code>", "2027-01-15"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
    site.world.events();
    let done = act(&site, &[("act", "withdraw"), ("client", "demo-web")]);
    assert_eq!(
        (done.status.as_u16(), done.header("location")),
        (303, Some("http://localhost:8787/account?done=withdrawn"))
    );
    assert!(site.world.events().iter().any(|event| event["event"] == "account.withdrawn"));
    let page = text(&site.get("/account?done=withdrawn"));
    assert!(!page.contains("demo-web") && page.contains("demo-legacy") && page.contains("id=\"notice\""));
    for tokens in [&tokens, &second] {
        assert_eq!(site.inspect(&string(tokens, "access_token")), dead());
        assert_eq!(site.refresh(&string(tokens, "refresh_token")).0, 400);
    }
    assert_eq!(site.redeem(&offered).1["error"], "invalid_grant");
    assert_eq!(site.inspect(&string(&legacy, "access_token"))["active"], true);
    assert_eq!(site.inspect(&string(&bobs, "access_token"))["active"], true);
    assert!(text(&site.authorize("demo-web", &[])).contains("consent-allow"), "it is asked for anew");
    let (_, log) = site.admin(Method::GET, "/admin/audit", &Value::Null);
    let ended =
        log["items"].as_array().unwrap().iter().find(|item| item["action"] == "grants.ended").unwrap();
    assert_eq!(
        (ended["by"]["name"].as_str(), ended["target"].as_str()),
        (Some("alice"), Some("client/demo-web"))
    );
}

#[test]
fn a_shard_that_does_not_answer_is_told_of_and_the_client_stays_to_be_withdrawn_again() {
    let site = alice();
    let tokens = site.tokens();
    site.world.fate("GRANTS", &[Fate::Lost; 16]);
    let answer = act(&site, &[("act", "withdraw"), ("client", "demo-web")]);
    assert_eq!(answer.status, 503);
    assert!(text(&answer).contains("1 of 1 servers") && text(&answer).contains("is being withdrawn"));
    site.world.fate("GRANTS", &[]);
    assert!(text(&site.get("/account")).contains("is being withdrawn"));
    assert!(text(&site.authorize("demo-web", &[])).contains("consent-allow"), "asked for anew already");
    assert_eq!(act(&site, &[("act", "withdraw"), ("client", "demo-web")]).status, 303);
    assert_eq!(site.inspect(&string(&tokens, "access_token")), dead());
    assert!(!text(&site.get("/account")).contains("demo-web"));
}

#[test]
fn sessions_are_shown_and_ended_one_by_one_or_all_but_this_one() {
    let site = alice();
    let devices = [site.beside(), site.beside(), site.beside()];
    for device in &devices {
        site.world.pass(Seconds(60));
        enter(device, "alice", "wonderland");
    }
    let shown = others(&site);
    assert_eq!(shown.len(), 3);
    assert!(text(&site.get("/account")).contains("(this one)"));
    // The newest comes first.
    assert_eq!(act(&site, &[("act", "end"), ("session", &shown[0])]).status, 303);
    assert!(is_sign_in(&devices[2].get("/account")) && !is_sign_in(&devices[1].get("/account")));
    act(&site, &[("act", "end-others")]);
    assert!(devices.iter().all(|device| is_sign_in(&device.get("/account"))));
    assert!(others(&site).is_empty() && !is_sign_in(&site.get("/account")));
    site.world.ring();
    let (_, log) = site.admin(Method::GET, "/admin/audit?q=user.signed_out", &Value::Null);
    assert_eq!(log["items"].as_array().unwrap().len(), 2);
    // Once more there is nothing to end.
    act(&site, &[("act", "end-others")]);
    enter(&devices[0], "alice", "wonderland");
    assert_eq!(others(&site).len(), 1);
}

#[test]
fn nobody_ends_what_is_anothers() {
    let site = alice();
    let bob = site.beside();
    enter(&bob, "bob", "builder");
    let id = session(&bob).id;
    act(&site, &[("act", "end"), ("session", &id)]);
    assert!(!is_sign_in(&bob.get("/account")));
    let tokens = site.tokens();
    act(&bob, &[("act", "withdraw"), ("client", "demo-web")]);
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["active"], true);
}

#[test]
fn a_form_counts_only_with_a_seal_of_its_session_and_from_no_other_site() {
    let site = alice();
    let tokens = site.tokens();
    let other = site.beside();
    enter(&other, "alice", "wonderland");
    let theirs = field(&other.get("/account"), "seal");
    let stranger = field(&site.beside().get("/account"), "seal");
    let console = field(&site.get("/console"), "seal");
    let wish = [("act", "withdraw"), ("client", "demo-web")];
    for seal in ["", "x", &theirs, &stranger, &console, &site.cookie("edgemint-session").unwrap()] {
        let mut fields = vec![("seal", seal)];
        fields.extend(wish);
        assert_eq!(site.submit("/account", &fields).status, 400, "{seal}");
    }
    let seal = field(&site.get("/account"), "seal");
    let mut fields = vec![("seal", seal.as_str())];
    fields.extend(wish);
    for (name, value) in
        [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.test")]
    {
        let headers = [("content-type", FORM), (name, value)];
        let foreign = request(Method::POST, "/account", &headers, &form(&fields));
        assert_eq!(site.browse(foreign).status, 400, "{name}: {value}");
    }
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["active"], true);
    assert_eq!(act(&site, &[("act", "magic")]).status, 400);
    // And one of this page is none of the console's.
    assert_eq!(site.submit("/console/sign-out", &[("seal", &seal)]).status, 400);
}

#[test]
fn a_new_password_ends_every_other_session_and_every_grant_and_this_browser_stays_signed_in() {
    let site = alice();
    let tokens = site.tokens();
    let device = site.beside();
    enter(&device, "alice", "wonderland");
    let change = |old: &str, new: &str, again: &str| {
        act(&site, &[("act", "password"), ("old", old), ("new", new), ("again", again)])
    };
    let long = "x".repeat(1001);
    for (old, new, again) in [
        ("wrong", "looking glass", "looking glass"),
        ("", "looking glass", "looking glass"),
        ("wonderland", "looking glass", "looking-glass"),
        ("wonderland", "seven b", "seven b"),
        ("wonderland", &long, &long),
    ] {
        let answer = change(old, new, again);
        assert_eq!(answer.status, 400);
        assert!(text(&answer).contains("id=\"problem\"") && !text(&answer).contains("looking"));
    }
    assert!(!is_sign_in(&device.get("/account")));
    site.world.events();
    let answer = change("wonderland", "looking glass", "looking glass");
    assert_eq!(answer.header("location"), Some("http://localhost:8787/account?done=password"));
    assert!(site.world.events().iter().any(|event| event["event"] == "account.password.changed"));
    assert!(!is_sign_in(&site.get("/account")) && is_sign_in(&device.get("/account")));
    assert_eq!(site.inspect(&string(&tokens, "access_token")), dead());
    assert!(is_sign_in(&enter(&device, "alice", "wonderland")));
    assert_eq!(enter(&device, "alice", "looking glass").status, 303);
    let (_, audit) = site.admin(Method::GET, "/admin/audit?q=user.changed", &Value::Null);
    let item = &audit["items"][0];
    assert_eq!((item["by"]["kind"].as_str(), item["by"]["name"].as_str()), (Some("user"), Some("alice")));
    assert_eq!(item["after"], json!({ "password": "changed" }));
}

#[test]
fn guesses_of_the_old_password_are_counted_with_those_at_the_sign_in_page() {
    let site = alice();
    let wish = [("act", "password"), ("old", "guess"), ("new", "looking glass"), ("again", "looking glass")];
    for _ in 0..10 {
        assert_eq!(act(&site, &wish).status, 400);
    }
    let closed = act(&site, &wish);
    assert_eq!((closed.status.as_u16(), closed.header("retry-after")), (429, Some("300")));
    assert_eq!(enter(&site.beside(), "alice", "wonderland").status, 429);
}

#[test]
fn who_signs_out_here_is_signed_in_elsewhere() {
    let site = alice();
    let device = site.beside();
    enter(&device, "alice", "wonderland");
    let seal = field(&site.get("/account"), "seal");
    assert_eq!(act(&site, &[("act", "sign-out")]).header("location"), Some("http://localhost:8787/account"));
    assert!(is_sign_in(&site.get("/account")) && !is_sign_in(&device.get("/account")));
    // A form that was open is too late.
    let late = site.submit("/account", &[("seal", &seal), ("act", "end-others")]);
    assert!(text(&late).contains("nothing was changed") && !is_sign_in(&device.get("/account")));
}

#[test]
fn of_who_is_deleted_nothing_that_they_allowed_is_kept() {
    let site = alice();
    site.tokens();
    let consents = |site: &Site| {
        let disks = site.world.disks("ACCOUNTS");
        disks.iter().map(|(_, disk)| disk.rows_of("consents").len()).sum::<usize>()
    };
    assert_eq!(consents(&site), 1);
    assert_eq!(site.admin(Method::DELETE, "/admin/users/alice", &Value::Null).0, 204);
    assert_eq!(consents(&site), 0);
}

#[test]
fn what_a_client_and_a_person_are_called_is_text() {
    let site = Site::new();
    let body = json!({ "username": "<b>eve", "password": "open the doors" });
    assert_eq!(site.admin(Method::POST, "/admin/users", &body).0, 201);
    site.patch("/admin/clients/demo-web", &json!({ "client_name": "<script>x" }));
    enter(&site, "<b>eve", "open the doors");
    site.decide(&site.authorize("demo-web", &[]), "all", &[]);
    let page = text(&site.get("/account"));
    assert!(
        !page.contains("<b>") && !page.contains("<script>") && page.contains("&#60;script&#62;x"),
        "{page}"
    );
}

#[test]
fn what_was_allowed_before_and_arrives_after_it_was_withdrawn_is_no_grant() {
    let site = alice();
    let tokens = site.tokens();
    let keys = Keys::parse(KEY_A, ISSUER).unwrap_or_else(|why| panic!("{why}"));
    let of = Refresh::open(&keys, &string(&tokens, "refresh_token")).unwrap().address;
    let offer = |key: &str, withdrawals: u64| {
        let own = session(&site);
        let person = json!({
            "sub": own.sub, "username": "alice", "version": 1, "groups": [], "auth_time": null, "withdrawals": withdrawals,
        });
        let client: Value = serde_json::from_str(&site.world.copy("client:demo-web").unwrap()).unwrap();
        let client =
            json!({ "id": "demo-web", "incarnation": client["incarnation"], "version": client["version"] });
        let binding = json!({
            "challenge": null, "redirect_uri": "https://app.test/cb", "redirect_uri_required": true, "redirect_uri_sent": true,
        });
        let offer = json!({
            "client": client, "person": person, "scope": "orders.read", "binding": binding, "code_lifetime": 60,
            "absolute": 3600, "until": null, "openid": null,
        });
        let grant = json!({
            "table": edgemint::json::tree(&of.table), "owner": own.sub, "key": key, "policy": 1000, "command": { "Offer": offer },
        });
        let message = json!({ "format": 1, "attempt": key, "command": { "Grant": grant } }).to_string();
        let answer = site.world.deliver_raw::<GrantShard>(&of.shard.to_string(), &message);
        serde_json::from_str::<Value>(&answer).unwrap()["reply"]["Ok"]["Grant"].clone()
    };
    assert!(offer("one", 0)["Offered"].is_string());
    assert_eq!(act(&site, &[("act", "withdraw"), ("client", "demo-web")]).status, 303);
    assert_eq!(offer("two", 0), json!({ "Refused": "CutOff" }));
    assert!(offer("three", 1)["Offered"].is_string(), "what is allowed from then on is good");
    let remembers = || {
        let tables = site.world.disk("GRANTS", &of.shard.to_string()).tables().unwrap();
        tables.iter().any(|name| name.contains("withdrawn"))
    };
    assert!(remembers());
    site.world.pass(Seconds(3 * 86_400));
    site.world.ring();
    assert!(!remembers(), "it is kept no longer than anything of before can be on its way");
}

#[test]
fn withdrawing_what_was_never_allowed_changes_nothing_anywhere() {
    let site = alice();
    site.tokens();
    let before = site.world.dump();
    site.world.operations();
    for client in ["demo-machine", "nobody", &"x".repeat(50_000)] {
        assert_eq!(act(&site, &[("act", "withdraw"), ("client", client)]).status, 303);
    }
    let after = site.world.dump();
    let rows = |dump: &str| dump.lines().filter(|line| !line.contains("\"acts\"")).count();
    assert_eq!(rows(&before), rows(&after), "but for the acts of the account");
    assert!(!site.world.operations().iter().any(|operation| operation == "GRANTS"));
}

#[test]
fn who_withdraws_again_and_again_keeps_nobody_from_signing_in_or_from_a_new_password() {
    let site = alice();
    site.tokens();
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let etag = || {
        let headers = [("authorization", authorization.as_str())];
        site.send(&request(Method::GET, "/admin/users/alice", &headers, "")).header("etag").map(str::to_owned)
    };
    let before = etag();
    assert_eq!(act(&site, &[("act", "withdraw"), ("client", "demo-web")]).status, 303);
    assert_eq!(etag(), before, "the account is the version that it was");
}

#[test]
fn an_allowance_that_is_late_is_no_grant_of_after_the_withdrawal() {
    let site = alice();
    site.tokens();
    let own = session(&site);
    let wished = site.world.now();
    site.world.pass(Seconds(2));
    assert_eq!(act(&site, &[("act", "withdraw"), ("client", "demo-web")]).status, 303);
    let home = edgemint::model::account::shard_of_sub(&own.sub).unwrap();
    let note = |at: edgemint::host::Timestamp| {
        let wanted = json!({ "client": "demo-web", "incarnation": "1", "name": "X", "scope": "a", "at": at });
        let note = json!({ "Note": { "session": own, "shard": "weur-0", "wanted": wanted } });
        let attempt = edgemint::crypto::text(&site.world.random::<12>());
        let message = json!({ "format": 1, "attempt": attempt, "command": note }).to_string();
        let answer = site.world.deliver_raw::<AccountShard>(&home, &message);
        serde_json::from_str::<Value>(&answer).unwrap()["reply"]["Ok"].clone()
    };
    assert_eq!(note(wished), "NoSession", "also at a shard that the withdrawal did not know");
    site.world.pass(Seconds(1));
    assert_eq!(note(site.world.now())["Person"]["withdrawals"], 1);
    assert!(note(wished)["Person"].is_object(), "what it is allowed again it is allowed");
}
