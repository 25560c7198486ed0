//! Sessions: how many there are, what each client knows of them, and that none is left that nobody can end.

use crate::{
    account::session,
    logout::{client, is_in, logout, sign_in},
    openid::jws_claims,
    world::*,
};
use edgemint::{
    host::{Host as _, Seconds},
    json::{self, tree},
    model::account::shard_of_sub,
    objects::protocol::account_shard::{AccountShard, SessionRef},
    wire::Response,
};
use http::Method;
use serde_json::{Value, json};

/// Signs in on the page of the account.
fn enter(site: &Site) -> Response {
    let seal = field(&site.get("/account"), "seal");
    site.submit("/account", &[("seal", &seal), ("username", "alice"), ("password", "wonderland")])
}

/// Tells the account of a session something, and gives what it answers.
fn tell(site: &Site, session: &SessionRef, command: &Value) -> Value {
    let attempt = edgemint::crypto::text(&site.world.random::<12>());
    let message = json!({ "format": 1, "attempt": attempt, "command": command }).to_string();
    let answer = site.world.deliver_raw::<AccountShard>(&shard_of_sub(&session.sub).unwrap(), &message);
    serde_json::from_str::<Value>(&answer).unwrap()["reply"]["Ok"].clone()
}

/// One more session of the person, as if they had typed their password.
fn admit(site: &Site, of: &SessionRef, id: &str, before: Option<&SessionRef>) -> SessionRef {
    let admit = json!({ "sub": of.sub, "version": 1, "id": id, "lifetime": 86_400, "before": before.map(|before| tree(before)) });
    let answer = tell(site, of, &json!({ "Admit": admit }));
    json::take(answer["Admitted"][0].clone()).unwrap_or_else(|why| panic!("{why}: {answer}"))
}

fn looked(site: &Site, session: &SessionRef) -> Value {
    tell(site, session, &json!({ "Own": { "session": tree(session), "act": "Look" } }))["Own"].clone()
}

/// A client that signs people in and hears of the end, and what it wants of the account.
fn wanted(site: &Site, id: &str) -> Value {
    json!({
        "client": id, "incarnation": "1", "name": id, "scope": "openid", "at": tree(&site.world.now()), "listens": true,
    })
}

fn allow(site: &Site, session: &SessionRef, client: &str) {
    let note = json!({ "session": tree(session), "shard": "weur-0", "wanted": wanted(site, client) });
    assert!(tell(site, session, &json!({ "Note": note }))["Person"].is_object());
}

/// Whom the account asks to be told as a session ends.
fn listeners(site: &Site, session: &SessionRef) -> Vec<(String, String)> {
    let answer = tell(site, session, &json!({ "SignOut": tree(session) }));
    serde_json::from_value(answer["Unheard"]["listeners"].clone())
        .unwrap_or_else(|why| panic!("{why}: {answer}"))
}

#[test]
fn of_more_sessions_than_two_hundred_the_oldest_ends_and_goes_on_in_the_newest() {
    let site = Site::new();
    enter(&site);
    let first = session(&site);
    allow(&site, &first, "shop");
    let mut last = first.clone();
    for number in 0..199 {
        site.world.pass(Seconds(1));
        last = admit(&site, &first, &format!("s{number}"), None);
    }
    assert_eq!(looked(&site, &last)["sessions"].as_array().unwrap().len(), 200);
    assert!(is_in(&site));
    site.world.pass(Seconds(1));
    let last = admit(&site, &first, "one more", None);
    let shown = looked(&site, &last)["sessions"].as_array().unwrap().clone();
    assert_eq!((shown.len(), &shown[0]["id"], &shown[199]["id"]), (200, &json!("one more"), &json!("s0")));
    assert!(!is_in(&site), "the oldest is over");
    assert_eq!(
        listeners(&site, &last),
        [(first.id.clone(), "shop".to_owned())],
        "who was to hear of it still is"
    );
    // Of one that is over nothing is left once no message of it can arrive any more.
    let disk = site.world.disk("ACCOUNTS", &shard_of_sub(&first.sub).unwrap());
    let rows = |of: &SessionRef| disk.rows_of(&of.table.name("sessions")).len();
    assert_eq!((rows(&first), rows(&last)), (1, 200));
    tell(
        &site,
        &last,
        &json!({ "End": { "command": { "SignOut": tree(&last) }, "letters": [], "force": true } }),
    );
    site.world.pass(Seconds(61));
    admit(&site, &first, "another", None);
    assert_eq!((rows(&first), rows(&last)), (0, 200), "one more, and without two that are over");
}

#[test]
fn sessions_that_are_over_hide_none_that_stands() {
    let site = Site::new();
    enter(&site);
    let own = session(&site);
    for number in 0..250 {
        let other = admit(&site, &own, &format!("a{number:03}"), None);
        tell(&site, &other, &json!({ "SignOut": tree(&other) }));
    }
    admit(&site, &own, "zz", None);
    let shown = looked(&site, &own)["sessions"].as_array().unwrap().clone();
    assert_eq!(shown.iter().map(|seen| seen["id"].clone()).collect::<Vec<_>>(), [json!(own.id), json!("zz")]);
}

#[test]
fn of_more_applications_than_are_shown_those_are_that_asked_last() {
    let site = Site::new();
    enter(&site);
    let own = session(&site);
    for number in 0..203 {
        site.world.pass(Seconds(1));
        allow(&site, &own, &format!("client-{:03}", 999 - number));
    }
    let page = text(&site.get("/account"));
    assert!(page.contains("And 3 more"), "{page}");
    for (client, shown) in
        [("client-797", true), ("client-996", true), ("client-997", false), ("client-999", false)]
    {
        assert_eq!(page.contains(client), shown, "{client}");
    }
}

#[test]
fn who_signs_in_again_and_again_uses_up_nobodys_place_among_who_hears_of_the_end() {
    let site = Site::new();
    enter(&site);
    let mut own = session(&site);
    for number in 0..60 {
        allow(&site, &own, "shop");
        own = admit(&site, &own.clone(), &format!("s{number}"), Some(&own));
    }
    allow(&site, &own, "other");
    let heard = listeners(&site, &own);
    let ids: Vec<_> =
        heard.iter().filter(|(_, client)| client == "shop").map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["s55", "s56", "s57", "s58"], "the newest four");
    assert!(heard.contains(&("s59".to_owned(), "other".to_owned())));
}

#[test]
fn a_session_is_known_under_another_id_in_each_sector() {
    let site = Site::new();
    let out = json!({ "subject_type": "pairwise", "backchannel_logout_uri": "https://one.test/out" });
    client(&site, "one", &out);
    client(
        &site,
        "two",
        &json!({ "subject_type": "pairwise", "redirect_uris": ["https://app.test/cb", "https://app.test/2"] }),
    );
    client(&site, "public", &json!({}));
    let uris = json!({ "subject_type": "pairwise", "redirect_uris": ["https://other.test/cb"] });
    client(&site, "elsewhere", &uris);
    let sid = |id: &str| string(&jws_claims(&string(&sign_in(&site, id, "openid"), "id_token")), "sid");
    let token = string(&sign_in(&site, "one", "openid"), "id_token");
    let (one, two, public) = (string(&jws_claims(&token), "sid"), sid("two"), sid("public"));
    assert_eq!((&one, &public), (&two, &session(&site).id), "in one sector it is the same");
    assert_ne!(one, public);
    let uri = ("redirect_uri", "https://other.test/cb");
    let code = site.code("elsewhere", &[uri, ("scope", "openid")]);
    let elsewhere = crate::logout::redeem_at(&site, "elsewhere", &code, "https://other.test/cb");
    let elsewhere = string(&jws_claims(&string(&elsewhere, "id_token")), "sid");
    assert!(elsewhere != one && elsewhere != public);
    // It is what the client hears of the end of, and what its hint names.
    site.world
        .put_elsewhere("https://one.test/out", edgemint::host::Fetched { status: 200, ..Default::default() });
    assert_eq!(logout(&site, &[("id_token_hint", &token)]).status, 303);
    assert!(!is_in(&site));
    site.world.asked();
    site.world.ring();
    let told = site.world.asked();
    let letter = String::from_utf8(told[0].body.clone()).unwrap();
    assert_eq!(jws_claims(letter.strip_prefix("logout_token=").unwrap())["sid"], json!(one));
}

#[test]
fn who_is_signed_in_where_the_answer_fails_has_the_session() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    site.world.fate("GRANTS", &[Fate::Lost; 16]);
    // Nothing was allowed before, so nothing fails.
    let page = site.sign_in(&page, "alice", "wonderland");
    assert_eq!(site.decide(&page, "all", &[]).status, 503);
    site.world.fate("GRANTS", &[]);
    assert_eq!(site.decide(&page, "all", &[]).status, 303);
    // And now it is answered at once, by a shard that is away.
    for cookie in ["edgemint-session", "edgemint-others"] {
        site.forget_cookie(cookie);
    }
    let page = site.authorize("demo-web", &[]);
    site.world.fate("GRANTS", &[Fate::Lost; 16]);
    let answer = site.sign_in(&page, "alice", "wonderland");
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
    site.world.fate("GRANTS", &[]);
    assert!(is_in(&site), "the browser has the session that was made");
}

#[test]
fn a_fifth_persons_session_in_a_browser_is_over_and_not_only_forgotten() {
    let site = Site::new();
    let mut sessions = Vec::new();
    for number in 0..6 {
        let name = format!("user-{number}");
        let body = json!({ "username": name, "password": "open the doors" });
        assert_eq!(site.admin(Method::POST, "/admin/users", &body).0, 201);
        let page = site.authorize("demo-web", &[("prompt", "login")]);
        site.sign_in(&page, &name, "open the doors");
        sessions.push(session(&site));
    }
    let stands = |session: &SessionRef| {
        tell(&site, session, &json!({ "Session": tree(session) }))["Person"].is_object()
    };
    assert_eq!(sessions.iter().map(stands).collect::<Vec<_>>(), [false, true, true, true, true, true]);
}

#[test]
fn what_a_client_may_not_have_notes_nothing() {
    let site = Site::new();
    let out = json!({ "backchannel_logout_uri": "https://one.test/out" });
    client(&site, "shop", &out);
    let uri = ("redirect_uri", "https://app.test/cb");
    let ask = |more: &[(&str, &str)]| {
        let mut all = vec![uri, ("scope", "openid"), ("prompt", "none")];
        all.extend(more);
        parameter(&site.authorize("shop", &all), "error")
    };
    sign_in(&site, "shop", "openid");
    site.world
        .put_elsewhere("https://one.test/out", edgemint::host::Fetched { status: 200, ..Default::default() });
    let sign_out = || {
        let seal = field(&logout(&site, &[]), "seal");
        site.submit("/logout", &[("seal", &seal)]);
        site.world.asked();
        site.world.ring();
        site.world.asked().len()
    };
    assert_eq!(sign_out(), 1);
    enter(&site);
    site.world.pass(Seconds(100));
    let before = site.world.dump();
    assert_eq!(ask(&[("max_age", "10")]).as_deref(), Some("login_required"));
    let sub = |sub: &str| json!({ "id_token": { "sub": { "value": sub } } }).to_string();
    assert_eq!(ask(&[("claims", &sub("somebody else"))]).as_deref(), Some("login_required"));
    assert_eq!(site.world.dump(), before);
    assert_eq!(sign_out(), 0, "it is not signed in to");
    // And a sign-in of somebody else than is asked for is one here, and none there.
    let page = site.authorize("shop", &[uri, ("scope", "openid"), ("claims", &sub("somebody else"))]);
    let answer = site.sign_in(&page, "alice", "wonderland");
    assert_eq!(parameter(&answer, "error").as_deref(), Some("login_required"));
    assert!(is_in(&site));
    assert_eq!(sign_out(), 0);
}

#[test]
fn who_was_never_allowed_anything_learns_of_nobody_that_they_are_signed_in() {
    let site = Site::new();
    client(&site, "shop", &json!({}));
    enter(&site);
    let alice = session(&site).sub;
    let ask = |sub: &str| {
        let claims = json!({ "id_token": { "sub": { "value": sub } } }).to_string();
        let uri = ("redirect_uri", "https://app.test/cb");
        let answer =
            site.authorize("shop", &[uri, ("scope", "openid"), ("prompt", "none"), ("claims", &claims)]);
        (parameter(&answer, "error").unwrap(), parameter(&answer, "error_description").unwrap())
    };
    let (one, other) = (ask(&alice), ask("somebody else"));
    assert_eq!((one.0.as_str(), other.0.as_str()), ("login_required", "login_required"));
    assert_eq!(one.1.split(" (trace").next(), other.1.split(" (trace").next());
}

#[test]
fn who_allows_goes_back_and_denies_is_asked_again() {
    let site = Site::new();
    enter(&site);
    let page = site.authorize("demo-web", &[]);
    let code = parameter(&site.decide(&page, "all", &[]), "code").unwrap();
    assert_eq!(parameter(&site.decide(&page, "deny", &[]), "error").as_deref(), Some("access_denied"));
    assert_eq!(site.redeem(&code).1["error"], "invalid_grant");
    assert!(text(&site.authorize("demo-web", &[])).contains("consent-allow"));
    // Who denies what was never allowed on that page takes back nothing.
    site.world.pass(Seconds(1));
    let page = site.authorize("demo-web", &[]);
    site.tokens();
    site.decide(&page, "deny", &[]);
    assert!(parameter(&site.authorize("demo-web", &[]), "code").is_some());
}

#[test]
fn one_host_hears_of_ten_ends_at_a_time() {
    let site = Site::new();
    for number in 0..24 {
        let out = format!("https://one.test/{number}");
        client(&site, &format!("c{number}"), &json!({ "backchannel_logout_uri": out }));
        site.world.put_elsewhere(&out, edgemint::host::Fetched { status: 200, ..Default::default() });
    }
    client(&site, "other", &json!({ "backchannel_logout_uri": "https://two.test/" }));
    site.world
        .put_elsewhere("https://two.test/", edgemint::host::Fetched { status: 200, ..Default::default() });
    for number in 0..24 {
        sign_in(&site, &format!("c{number}"), "openid");
    }
    sign_in(&site, "other", "openid");
    let seal = field(&logout(&site, &[]), "seal");
    site.submit("/logout", &[("seal", &seal)]);
    site.world.asked();
    let told: Vec<usize> = (0..4)
        .map(|_| {
            site.world.ring();
            site.world.asked().len()
        })
        .collect();
    assert_eq!(told, [11, 10, 4, 0], "and the other host need not wait");
}
