//! Sessions: how many there are, what each client knows of them, and that none is left that nobody can end.

use crate::{
    account::session,
    logout::{client, is_in, logout, sign_in},
    openid::jws_claims,
    world::*,
};
use edgemint::{
    host::{Host as _, Seconds, Store as _},
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
    unheard(&tell(site, session, &json!({ "SignOut": tree(session) })))
}

fn unheard(answer: &Value) -> Vec<(String, String)> {
    let listeners = answer["Unheard"]["listeners"].as_array().unwrap_or_else(|| panic!("{answer}"));
    listeners.iter().map(|who| (string(who, "sid"), string(who, "client"))).collect()
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
fn one_host_hears_of_two_ends_at_a_time_and_five_letters_are_under_way() {
    let site = Site::new();
    let good = || edgemint::host::Fetched { status: 200, ..Default::default() };
    for number in 0..6 {
        // Another port is the same host.
        let out = format!("https://one.test:{}/", 8000 + number);
        client(&site, &format!("c{number}"), &json!({ "backchannel_logout_uri": out }));
        site.world.put_elsewhere(&out, good());
        let other = format!("https://host-{number}.test/");
        client(&site, &format!("d{number}"), &json!({ "backchannel_logout_uri": other }));
        site.world.put_elsewhere(&other, good());
    }
    for number in 0..6 {
        sign_in(&site, &format!("c{number}"), "openid");
        sign_in(&site, &format!("d{number}"), "openid");
    }
    let seal = field(&logout(&site, &[]), "seal");
    site.submit("/logout", &[("seal", &seal)]);
    site.world.asked();
    let mut told = Vec::new();
    for _ in 0..6 {
        site.world.ring();
        let asked = site.world.asked();
        let one = asked.iter().filter(|asked| asked.address.contains("one.test")).count();
        assert!(one <= 2 && asked.len() <= 5, "{asked:?}");
        told.push(asked.len());
    }
    assert_eq!(told.iter().sum::<usize>(), 12, "{told:?}");
}

#[test]
fn who_is_never_there_is_owed_a_hundred_letters_and_the_newest() {
    let site = Site::new();
    enter(&site);
    let own = session(&site);
    for number in 0..130 {
        site.world.pass(Seconds(1));
        let other = admit(&site, &own, &format!("s{number:03}"), None);
        allow(&site, &other, "shop");
        let until = site.world.now().plus(Seconds(7200));
        let letter = json!({ "sid": other.id, "client": "shop", "to": "https://one.test/", "tokens": [[until, "a.b.c"]] });
        let end = json!({ "End": { "command": { "SignOut": other }, "letters": [letter], "force": false } });
        assert_eq!(tell(&site, &other, &end), json!("NoSession"));
    }
    let disk = site.world.disk("ACCOUNTS", &shard_of_sub(&own.sub).unwrap());
    let letters = disk.rows_of("letters");
    assert_eq!(letters.len(), 100);
    let has = |sid: &str| letters.iter().any(|row| row.contains(sid));
    assert!(!has("s029") && has("s030") && has("s129"));
    // Those that went for newer ones are one line of the log, and one row until the alarm writes it.
    assert_eq!(disk.rows_of("outbox").len(), 101);
    site.world.events();
    site.world.ring();
    let untold = untold(&site);
    assert_eq!((untold.len(), &untold[0]["client"]), (1, &json!("shop")), "{untold:?}");
    assert!(string(&untold[0], "reason").starts_with("of 30 ends"), "{untold:?}");
    assert_eq!(disk.rows_of("outbox").len(), 100);
}

/// What the log says of clients that are not told.
fn untold(site: &Site) -> Vec<Value> {
    site.world.events().into_iter().filter(|event| event["event"] == "logout.untold").collect()
}

#[test]
fn of_more_who_listen_than_letters_are_written_for_one_wish_the_log_names_those_who_are_not_told() {
    let site = Site::new();
    let out = "https://one.test/out";
    client(&site, "shop", &json!({ "backchannel_logout_uri": out }));
    sign_in(&site, "shop", "openid");
    let own = session(&site);
    let row = site.world.disk("REGISTRY", "registry").get("clients", "shop", "").unwrap().unwrap();
    let incarnation = serde_json::from_str::<Value>(&row).unwrap()["incarnation"].clone();
    for number in 0..30 {
        let other = admit(&site, &own, &format!("s{number:02}"), None);
        let mut wanted = wanted(&site, "shop");
        wanted["incarnation"] = incarnation.clone();
        let note = json!({ "session": tree(&other), "shard": "weur-0", "wanted": wanted });
        assert!(tell(&site, &other, &json!({ "Note": note }))["Person"].is_object());
        // Others that are gone from here: nothing is sent to them, and their letters count all the same.
        for client in ["a", "b", "c"] {
            allow(&site, &other, client);
        }
    }
    site.world.events();
    site.patch("/admin/users/alice", &json!({ "enabled": false }));
    assert!(!is_in(&site), "they are signed out all the same");
    let disk = site.world.disk("ACCOUNTS", &shard_of_sub(&own.sub).unwrap());
    let letters = disk.rows_of("letters").len();
    assert_eq!(untold(&site), Vec::<Value>::new(), "no turn writes the log");
    site.world.ring();
    let told = untold(&site);
    let count = |line: &Value| {
        let reason = string(line, "reason");
        reason
            .split(' ')
            .nth(1)
            .and_then(|count| count.parse::<usize>().ok())
            .unwrap_or_else(|| panic!("{reason}"))
    };
    assert_eq!(told.iter().map(count).sum::<usize>(), 121 - 100, "{told:?}");
    let shops: usize = told.iter().filter(|line| line["client"] == "shop").map(count).sum();
    assert_eq!(letters + shops, 31, "each end has its letter, or its line");
    site.world.ring();
    assert_eq!(untold(&site), Vec::<Value>::new(), "once");
}

#[test]
fn who_ends_one_session_is_told_of_that_one_alone() {
    let site = Site::new();
    enter(&site);
    let own = session(&site);
    for name in ["one", "two"] {
        let other = admit(&site, &own, name, None);
        allow(&site, &other, &format!("client of {name}"));
    }
    let end = |which: Option<&str>| json!({ "Own": { "session": own, "act": { "End": which } } });
    let one = unheard(&tell(&site, &own, &end(Some("one"))));
    assert_eq!(one, [("one".to_owned(), "client of one".to_owned())]);
    assert_eq!(unheard(&tell(&site, &own, &end(None))).len(), 2);
}

#[test]
fn a_form_that_is_sent_twice_leaves_who_was_to_hear_of_the_end_with_the_session_that_is_left() {
    let site = Site::new();
    enter(&site);
    let before = session(&site);
    allow(&site, &before, "shop");
    let one = admit(&site, &before, "one", Some(&before));
    let two = admit(&site, &before, "two", Some(&before));
    let stands =
        |session: &SessionRef| tell(&site, session, &json!({ "Session": session }))["Person"].is_object();
    assert_eq!([stands(&before), stands(&one), stands(&two)], [false, false, true]);
    assert_eq!(listeners(&site, &two), [(before.id, "shop".to_owned())]);
}

#[test]
fn who_signed_in_is_signed_in_once_although_what_followed_was_decided_by_a_copy() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[("scope", "orders.read")]);
    site.decide(&site.sign_in(&page, "alice", "wonderland"), "all", &[]);
    let other = site.beside();
    let page = other.authorize("demo-web", &[("scope", "orders.read")]);
    // Shards hear of it, and the copy that this isolate has is older.
    site.world.freeze_replica(true);
    let elsewhere = Site::with(&site.world, &development());
    elsewhere.patch(
        "/admin/clients/demo-web",
        &json!({ "client_name": "Another", "scope": "orders.read orders.write" }),
    );
    let answer = other.sign_in(&page, "alice", "wonderland");
    assert!(answer.status == 200 && text(&answer).contains("consent-allow"), "{}", text(&answer));
    let own = session(&other);
    assert_eq!(looked(&site, &own)["sessions"].as_array().unwrap().len(), 2, "hers of before, and one");
    site.world.freeze_replica(false);
    let answer = other.decide(&answer, "allow", &["orders.read"]);
    assert!(parameter(&answer, "code").is_some(), "{}", text(&answer));
}

#[test]
fn who_leaves_leaves_as_far_as_shards_answer() {
    let site = Site::new();
    enter(&site);
    let alice = session(&site);
    let page = site.authorize("demo-web", &[("prompt", "login")]);
    site.sign_in(&page, "bob", "builder");
    let seal = field(&site.get("/account"), "seal");
    // Bob's shard answers, and that of alice does not.
    site.world.fate("ACCOUNTS", &[Fate::Answered, Fate::Answered, Fate::Lost, Fate::Lost]);
    let answer = site.submit("/account", &[("seal", &seal), ("act", "sign-out")]);
    site.world.fate("ACCOUNTS", &[]);
    assert_eq!(answer.status, 503, "{}", text(&answer));
    assert_eq!(site.cookie("edgemint-session").as_deref(), Some(""));
    let page = site.authorize("demo-web", &[]);
    assert!(text(&page).contains(&format!("value=\"{}\"", alice.id)), "she is there to be signed out again");
}

#[test]
fn whoever_gets_the_id_of_a_client_that_is_gone_hears_of_nothing_that_was_before() {
    let site = Site::new();
    let out = json!({ "backchannel_logout_uri": "https://one.test/out" });
    client(&site, "shop", &out);
    sign_in(&site, "shop", "openid");
    assert_eq!(site.admin(Method::DELETE, "/admin/clients/shop", &Value::Null).0, 204);
    client(&site, "shop", &out);
    site.world
        .put_elsewhere("https://one.test/out", edgemint::host::Fetched { status: 200, ..Default::default() });
    let seal = field(&logout(&site, &[]), "seal");
    site.submit("/logout", &[("seal", &seal)]);
    site.world.asked();
    site.world.ring();
    assert!(site.world.asked().is_empty());
    assert!(!is_in(&site));
}
