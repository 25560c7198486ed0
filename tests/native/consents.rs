//! What a person allowed a client is remembered: for whom, for how much, and until when; and who of several people in a
//! browser is asked.

use crate::{
    registration::{application, register},
    world::*,
};
use edgemint::{
    host::{Host, Seconds},
    json::tree,
    objects::protocol::account_shard::AccountShard,
    wire::Response,
};
use http::Method;
use serde_json::{Value, json};

fn code(response: &Response) -> Option<String> {
    parameter(response, "code")
}

fn is_page(response: &Response) -> bool {
    text(response).contains("consent-allow")
}

/// A client that an administrator registered, and what alice is shown by it.
#[allow(clippy::needless_pass_by_value)] // Written in place.
fn client(site: &Site, id: &str, members: Value) {
    let mut body = json!({ "client_id": id, "redirect_uris": [CALLBACK], "scope": "orders.read reports" });
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    let (status, answer) = site.admin(Method::POST, "/admin/clients", &body);
    assert_eq!(status, 201, "{answer}");
}

/// A browser in which alice is signed in.
fn signed_in() -> Site {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    site.sign_in(&page, "alice", "wonderland");
    site
}

#[test]
fn what_was_allowed_is_answered_at_once_with_the_same_checks_and_one_event() {
    let site = signed_in();
    site.code("demo-web", &[]);
    site.world.events();
    let answer = site.authorize("demo-web", &[("scope", "reports")]);
    assert_eq!((answer.status.as_u16(), parameter(&answer, "state").as_deref()), (303, Some("a state")));
    assert_eq!(parameter(&answer, "iss").as_deref(), Some(ISSUER));
    let event = site.world.events().remove(0);
    assert_eq!(
        (event["event"].as_str(), event["client"].as_str()),
        (Some("consent.remembered"), Some("demo-web"))
    );
    assert!(event["sub"].is_string() && event["grant"].is_string(), "{event}");
    let (status, tokens) = site.redeem(&code(&answer).unwrap());
    assert_eq!((status, tokens["scope"].as_str()), (200, Some("reports")));
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["username"], "alice");
}

#[test]
fn more_than_was_allowed_is_asked_for_and_what_is_allowed_is_added() {
    let site = signed_in();
    site.code("demo-web", &[("scope", "reports")]);
    let page = site.authorize("demo-web", &[("scope", "reports orders.read")]);
    let shown = text(&page);
    assert!(shown.contains("value=\"reports\"") && shown.contains("value=\"orders.read\""));
    assert!(code(&site.decide(&page, "deny", &[])).is_none());
    assert!(code(&site.authorize("demo-web", &[("scope", "reports")])).is_some(), "deny forgets nothing");
    assert!(is_page(&site.authorize("demo-web", &[("scope", "orders.read")])), "and gives nothing");
    site.decide(&page, "allow", &["orders.read", "reports"]);
    assert!(code(&site.authorize("demo-web", &[("scope", "reports orders.read")])).is_some());
    assert!(is_page(&site.authorize("demo-web", &[])), "orders.write was never allowed");
}

#[test]
fn what_is_unticked_later_is_not_remembered_any_more_and_what_was_not_asked_stays() {
    let site = signed_in();
    let both = ("scope", "reports orders.read");
    let listed = |site: &Site| text(&site.get("/account"));
    site.code("demo-web", &[both]);
    let page = site.authorize("demo-web", &[both, ("prompt", "consent")]);
    assert!(code(&site.decide(&page, "allow", &["orders.read"])).is_some());
    assert!(is_page(&site.authorize("demo-web", &[both])), "the last decision is that which holds");
    assert!(is_page(&site.authorize("demo-web", &[("scope", "reports")])));
    assert!(code(&site.authorize("demo-web", &[("scope", "orders.read")])).is_some());
    assert!(listed(&site).contains("orders.read") && !listed(&site).contains("reports"), "{}", listed(&site));
    // The same page sent once more decides nothing, also later and otherwise.
    site.world.pass(Seconds(1));
    site.decide(&page, "allow", &["reports"]);
    assert!(code(&site.authorize("demo-web", &[("scope", "orders.read")])).is_some());
    // Of what was not asked it says nothing, and an answer of before decides nothing.
    site.code("demo-web", &[("scope", "orders.write")]);
    assert!(code(&site.authorize("demo-web", &[("scope", "orders.read orders.write")])).is_some());
    let page = site.authorize("demo-web", &[("scope", "reports orders.write"), ("prompt", "consent")]);
    assert!(code(&site.decide(&page, "allow", &["reports"])).is_some());
    assert!(code(&site.authorize("demo-web", &[both])).is_some());
    assert!(is_page(&site.authorize("demo-web", &[("scope", "orders.write")])));
}

#[test]
fn an_old_page_brings_nothing_back_that_was_unticked_or_withdrawn_since() {
    let site = signed_in();
    let both = ("scope", "reports orders.read");
    let asks = |scope: &str| site.authorize("demo-web", &[("scope", scope), ("prompt", "consent")]);
    let old = asks("reports orders.read");
    assert_eq!(site.redeem(&code(&site.decide(&old, "all", &[])).unwrap()).0, 200);
    site.world.pass(Seconds(10));
    assert!(code(&site.decide(&asks("reports orders.read"), "allow", &["reports"])).is_some());
    site.world.pass(Seconds(10));
    assert_eq!(site.decide(&old, "all", &[]).status, 400, "it was decided before");
    assert!(is_page(&site.authorize("demo-web", &[both])), "nor is it remembered");
    assert!(code(&site.authorize("demo-web", &[("scope", "reports")])).is_some());
    // Of a page that was not answered before the grant is new, and what was decided meanwhile stays.
    let (first, second) = (asks("orders.write"), asks("reports"));
    site.world.pass(Seconds(10));
    assert!(code(&site.decide(&second, "all", &[])).is_some());
    assert!(code(&site.decide(&first, "all", &[])).is_some());
    assert!(is_page(&site.authorize("demo-web", &[("scope", "orders.write")])));
    let seal = field(&site.get("/account"), "seal");
    site.submit("/account", &[("seal", &seal), ("act", "withdraw"), ("client", "demo-web")]);
    site.world.pass(Seconds(10));
    assert_eq!(site.decide(&old, "all", &[]).status, 400);
    assert!(is_page(&site.authorize("demo-web", &[("scope", "reports")])), "what was withdrawn stays so");
}

#[test]
fn who_wishes_to_be_asked_is_asked_also_after_signing_in() {
    let site = signed_in();
    site.code("demo-web", &[]);
    assert!(is_page(&site.authorize("demo-web", &[("prompt", "consent")])));
    site.forget_cookie("edgemint-session");
    let page = site.authorize("demo-web", &[("prompt", "consent")]);
    assert!(is_page(&site.sign_in(&page, "alice", "wonderland")));
    // Else signing in is enough.
    site.forget_cookie("edgemint-session");
    let page = site.authorize("demo-web", &[]);
    let answer = site.sign_in(&page, "alice", "wonderland");
    assert_eq!(site.redeem(&code(&answer).unwrap()).0, 200);
    assert!(site.cookie("edgemint-session").is_some());
}

#[test]
fn a_consent_is_for_one_client_and_one_person_and_one_life_of_the_clients_id() {
    let site = signed_in();
    client(&site, "app-x", json!({}));
    client(&site, "app-y", json!({}));
    site.code("app-x", &[]);
    assert!(is_page(&site.authorize("app-y", &[])));
    let bob = site.beside();
    let page = bob.authorize("app-x", &[]);
    assert!(is_page(&bob.sign_in(&page, "bob", "builder")));
    assert_eq!(site.admin(Method::DELETE, "/admin/clients/app-x", &Value::Null).0, 204);
    assert_eq!(site.authorize("app-x", &[]).status, 400);
    client(&site, "app-x", json!({}));
    assert!(is_page(&site.authorize("app-x", &[])), "another that has its id");
}

#[test]
fn a_client_that_anybody_could_pretend_to_be_is_asked_for_each_time() {
    let site = signed_in();
    site.patch("/admin/settings", &json!({ "registration.open": 2 }));
    let public = json!({ "token_endpoint_auth_method": "none" });
    let at = |uri: &str| {
        let mut members = public.clone();
        members["redirect_uris"] = json!([uri]);
        members
    };
    client(&site, "app-native", at("com.example.app:/cb"));
    client(&site, "app-loopback", at("http://127.0.0.1/cb"));
    client(&site, "app-localhost", at("https://localhost/cb"));
    client(&site, "app-site", at("https://app.test/cb"));
    client(&site, "app-secret", json!({ "redirect_uris": ["com.example.app:/cb"] }));
    let registered = string(&register(&site, &application()), "client_id");
    for (id, uri, spared) in [
        ("app-native", "com.example.app:/cb", false),
        ("app-loopback", "http://127.0.0.1:51234/cb", false),
        ("app-localhost", "https://localhost/cb", false),
        (registered.as_str(), application()["redirect_uris"][0].as_str().unwrap(), false),
        ("app-site", "https://app.test/cb", true),
        ("app-secret", "com.example.app:/cb", true),
    ] {
        let more = [("redirect_uri", uri), ("scope", "reports")];
        let page = site.authorize(id, &more);
        assert!(is_page(&page), "{id}: {}", text(&page));
        assert!(code(&site.decide(&page, "all", &[])).is_some(), "{id}");
        assert_eq!(code(&site.authorize(id, &more)).is_some(), spared, "{id}");
    }
}

#[test]
fn what_administers_and_a_token_that_goes_out_at_once_is_asked_for_each_time() {
    let site = signed_in();
    site.patch("/admin/clients/demo-web", &json!({ "scope": "reports admin admin.read" }));
    for scope in ["admin", "admin.read reports"] {
        let page = site.authorize("demo-web", &[("scope", scope)]);
        assert!(code(&site.decide(&page, "all", &[])).is_some());
        assert!(is_page(&site.authorize("demo-web", &[("scope", scope)])), "{scope}");
    }
    assert!(code(&site.authorize("demo-web", &[("scope", "reports")])).is_some());
    let more = [
        ("response_type", "token"),
        ("code_challenge", ""),
        ("code_challenge_method", ""),
        ("scope", "reports"),
    ];
    let page = site.authorize("demo-legacy", &more);
    assert!(parameter(&site.decide(&page, "all", &[]), "access_token").is_some());
    assert!(is_page(&site.authorize("demo-legacy", &more)));
}

#[test]
fn what_was_taken_away_is_not_given_by_what_is_remembered() {
    let site = signed_in();
    site.code("demo-web", &[]);
    site.patch("/admin/clients/demo-web", &json!({ "scope": "reports" }));
    let refused = site.authorize("demo-web", &[("scope", "reports orders.read")]);
    assert_eq!(parameter(&refused, "error").as_deref(), Some("invalid_scope"));
    // A location that has not heard of it hears it from the shard.
    site.patch("/admin/clients/demo-web", &json!({ "scope": "reports orders.read" }));
    site.code("demo-web", &[]);
    site.world.freeze_replica(true);
    let other = site.beside();
    assert_eq!(other.admin(Method::PATCH, "/admin/clients/demo-web", &json!({ "scope": "reports" })).0, 200);
    let refused = site.authorize("demo-web", &[("scope", "orders.read")]);
    assert_eq!(parameter(&refused, "error").as_deref(), Some("invalid_scope"), "{}", text(&refused));
    assert_eq!(other.admin(Method::PATCH, "/admin/clients/demo-web", &json!({ "enabled": false })).0, 200);
    let refused = site.authorize("demo-web", &[("scope", "reports")]);
    assert_eq!((refused.status.as_u16(), refused.header("location")), (400, None));
    site.patch("/admin/users/alice", &json!({ "enabled": false }));
    site.patch("/admin/users/alice", &json!({ "enabled": true }));
    site.patch("/admin/clients/demo-web", &json!({ "enabled": true }));
    site.world.freeze_replica(false);
    assert!(text(&site.beside().authorize("demo-web", &[])).contains("login-submit"));
}

#[test]
fn twenty_requests_at_once_are_twenty_grants_and_each_code_works_once() {
    let site = signed_in();
    site.code("demo-web", &[]);
    let query = form(&authorization("demo-web", &[]));
    let cookies = ["edgemint-browser", "edgemint-session"].map(|name| (name, site.cookie(name).unwrap()));
    let cookies = cookies.map(|(name, value)| format!("{name}={value}")).join("; ");
    let asked = request(Method::GET, &format!("/authorize?{query}"), &[("cookie", &cookies)], "");
    let all = (0..20).map(|_| site.server.respond(&site.world, &asked));
    let answers = now(edgemint::waiting::all(all));
    let mut codes: Vec<String> = answers.iter().map(|answer| code(answer).unwrap()).collect();
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), 20);
    assert!(codes.iter().all(|code| site.redeem(code).0 == 200));
}

#[test]
fn an_account_that_does_not_answer_gives_nothing_and_a_lost_answer_is_made_good() {
    let site = signed_in();
    site.code("demo-web", &[]);
    site.world.fate("ACCOUNTS", &[Fate::Lost; 2]);
    assert_eq!(site.authorize("demo-web", &[]).status, 503);
    site.world.fate("ACCOUNTS", &[Fate::Unanswered]);
    site.world.fate("GRANTS", &[Fate::Unanswered]);
    let answer = site.authorize("demo-web", &[]);
    assert_eq!(site.redeem(&code(&answer).unwrap()).0, 200);
}

#[test]
fn an_allowance_that_arrives_again_after_it_was_withdrawn_is_not_remembered() {
    let site = signed_in();
    site.code("demo-web", &[]);
    let session = crate::account::session(&site);
    let shard = edgemint::model::account::shard_of_sub(&session.sub).unwrap();
    let message = |command: &Value| {
        let attempt = edgemint::crypto::text(&site.world.random::<12>());
        json!({ "format": 1, "attempt": attempt, "command": command }).to_string()
    };
    let deliver = |message: &str| site.world.deliver_raw::<AccountShard>(&shard, message);
    let tell = |command: &Value| deliver(&message(command));
    let wanted = json!({ "client": "x", "incarnation": "1", "name": "X", "scope": "a", "at": tree(&site.world.now()) });
    let note = json!({ "Note": { "session": tree(&session), "shard": "weur-0", "wanted": wanted } });
    let recall =
        json!({ "Recall": { "session": tree(&session), "recall": { "wanted": wanted, "shard": "weur-0" } } });
    let allow = message(&note);
    assert!(deliver(&allow).contains("Person") && tell(&recall).contains("Remembered"));
    site.world.pass(Seconds(1));
    let withdraw = |done| json!({ "Own": { "session": tree(&session), "act": { "Withdraw": { "client": "x", "done": done, "at": tree(&site.world.now()) } } } });
    let first = message(&withdraw(false));
    assert!(deliver(&first).contains("Own"));
    assert!(!tell(&recall).contains("Remembered"), "from the moment it is being withdrawn");
    tell(&withdraw(true));
    deliver(&allow);
    assert!(!tell(&recall).contains("Remembered"), "the message of before");
    // What is allowed later holds, whatever of before arrives again.
    site.world.pass(Seconds(1));
    let mut later = note;
    later["Note"]["wanted"]["at"] = tree(&site.world.now());
    tell(&later);
    deliver(&first);
    assert!(tell(&recall).contains("Remembered"));
    // Nobody without the session's proof learns or changes anything.
    let mut forged = recall.clone();
    forged["Recall"]["session"]["proof"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
    assert!(tell(&forged).contains("NoSession"));
}

#[test]
fn a_decision_that_arrives_late_undoes_no_later_one() {
    let site = signed_in();
    let session = crate::account::session(&site);
    let shard = edgemint::model::account::shard_of_sub(&session.sub).unwrap();
    let (session, since) = (tree(&session), site.world.now());
    let tell = |command: &Value| {
        let attempt = edgemint::crypto::text(&site.world.random::<12>());
        let message = json!({ "format": 1, "attempt": attempt, "command": command }).to_string();
        site.world.deliver_raw::<AccountShard>(&shard, &message)
    };
    let wanted = |scope: &str, asked: &str, at: u64| json!({ "client": "x", "incarnation": "1", "name": "X", "scope": scope, "asked": asked, "at": tree(&since.plus(Seconds(at))) });
    let decide = |scope: &str, asked: &str, at: u64| {
        let note = json!({ "session": session, "shard": "weur-0", "wanted": wanted(scope, asked, at) });
        assert!(tell(&json!({ "Note": note })).contains("Person"));
    };
    let holds = |scope: &str| {
        let recall = json!({ "wanted": wanted(scope, "", 0), "shard": "weur-0" });
        tell(&json!({ "Recall": { "session": session, "recall": recall } })).contains("Remembered")
    };
    site.world.pass(Seconds(100));
    decide("a b", "a b", 1);
    decide("a", "a b", 3);
    decide("a b", "a b", 2);
    assert!(holds("a") && !holds("b"), "what was allowed before it was unticked");
    decide("a b", "a b", 5);
    decide("a", "a b", 4);
    assert!(holds("a b"), "what was unticked before it was allowed");
    // Also where the later one changed nothing.
    decide("a b", "a b", 7);
    decide("b", "a b", 6);
    assert!(holds("a b"));
    // A location that does not say yet what was asked takes nothing back.
    let mut before = wanted("c", "", 8);
    before.as_object_mut().unwrap().remove("asked");
    assert!(
        tell(&json!({ "Note": { "session": session, "shard": "weur-0", "wanted": before } }))
            .contains("Person")
    );
    assert!(holds("a b c"));
}

/// The page to choose at: whom it names.
fn choices(page: &Response) -> Vec<String> {
    let html = text(page);
    let buttons = html.split("name=\"account\" value=\"").skip(1);
    buttons.map(|rest| rest.split(['>', '<']).nth(1).unwrap().to_owned()).collect()
}

fn choose(site: &Site, page: &Response, name: &str) -> Response {
    let html = text(page);
    let id = html.split("name=\"account\" value=\"").find_map(|rest| {
        let (id, rest) = rest.split_once('"')?;
        rest.starts_with(&format!(">{name}<")).then(|| id.to_owned())
    });
    let pending = field(page, "pending");
    site.submit("/choose", &[("pending", &pending), ("account", &id.unwrap_or_default())])
}

#[test]
fn who_signs_in_as_somebody_else_stays_signed_in_as_both_and_chooses() {
    let site = signed_in();
    site.code("demo-web", &[]);
    let page = site.authorize("demo-web", &[("prompt", "consent")]);
    let page = site.decide(&page, "switch", &[]);
    assert!(text(&page).contains("login-submit"), "there is nobody else to choose");
    let page = site.sign_in(&page, "bob", "builder");
    assert!(text(&page).contains("id=\"consent-username\">bob<"));
    // Back to alice, without her password: what she allowed is answered at once.
    let page = site.decide(&site.authorize("demo-web", &[]), "switch", &[]);
    assert_eq!(choices(&page), ["alice"]);
    let (_, tokens) = site.redeem(&code(&choose(&site, &page, "alice")).unwrap());
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["username"], "alice");
    // It is she who is signed in now; bob is still there.
    assert!(code(&site.authorize("demo-web", &[])).is_some());
    let page = site.authorize("demo-web", &[("prompt", "select_account")]);
    assert_eq!(choices(&page), ["alice", "bob"]);
    assert!(is_page(&choose(&site, &page, "bob")));
    // Somebody else signs in.
    let page = site.authorize("demo-web", &[("prompt", "select_account")]);
    assert!(text(&choose(&site, &page, "nobody")).contains("login-submit"));
}

#[test]
fn who_is_disabled_is_no_choice_and_who_signs_out_leaves_nobody_signed_in() {
    let both = || {
        let site = signed_in();
        let page = site.authorize("demo-web", &[("prompt", "consent")]);
        let page = site.decide(&page, "switch", &[]);
        site.sign_in(&page, "bob", "builder");
        site
    };
    let site = both();
    site.patch("/admin/users/bob", &json!({ "enabled": false }));
    let page = site.authorize("demo-web", &[]);
    assert_eq!(choices(&page), ["alice"], "nobody is signed in, and she can be at once");
    assert!(is_page(&choose(&site, &page, "alice")));
    site.patch("/admin/users/alice", &json!({ "enabled": false }));
    assert!(text(&site.authorize("demo-web", &[("prompt", "select_account")])).contains("login-submit"));
    let site = both();
    let seal = field(&site.get("/account"), "seal");
    assert_eq!(site.submit("/account", &[("seal", &seal), ("act", "sign-out")]).status, 303);
    assert!(text(&site.authorize("demo-web", &[("prompt", "select_account")])).contains("login-submit"));
}

#[test]
fn a_consent_form_after_signing_out_gives_nothing() {
    let site = signed_in();
    let page = site.authorize("demo-web", &[]);
    let seal = field(&site.get("/account"), "seal");
    let session = site.cookie("edgemint-session").unwrap();
    site.submit("/account", &[("seal", &seal), ("act", "sign-out")]);
    assert!(text(&site.decide(&page, "all", &[])).contains("login-submit"));
    // Nor does the cookie that somebody kept.
    let browser = site.cookie("edgemint-browser").unwrap();
    let cookies = format!("edgemint-browser={browser}; edgemint-session={session}");
    let pending = field(&page, "pending");
    let fields = form(&[("pending", pending.as_str()), ("decision", "all")]);
    let headers = [("content-type", FORM), ("cookie", cookies.as_str())];
    assert!(text(&site.send(&request(Method::POST, "/consent", &headers, &fields))).contains("login-submit"));
    assert!(site.world.disks("GRANTS").is_empty());
}

#[test]
fn a_browser_holds_five_people_and_its_cookies_stay_small() {
    let site = signed_in();
    for number in 0..7 {
        let name = format!("user-{number}");
        let body = json!({ "username": name, "password": "open the doors" });
        assert_eq!(site.admin(Method::POST, "/admin/users", &body).0, 201);
        let page = site.authorize("demo-web", &[("prompt", "select_account")]);
        let page = choose(&site, &page, "another");
        site.sign_in(&page, &name, "open the doors");
    }
    let page = site.authorize("demo-web", &[("prompt", "select_account")]);
    assert_eq!(choices(&page), ["user-6", "user-5", "user-4", "user-3", "user-2"]);
    assert!(site.cookie("edgemint-others").unwrap().len() < 1000);
    assert!(edgemint::session::is_own_cookie("__Host-edgemint-others=x"));
}

#[test]
fn a_choice_counts_in_its_browser_for_its_step_and_from_no_other_site() {
    let site = signed_in();
    let page = site.authorize("demo-web", &[("prompt", "select_account")]);
    let pending = field(&page, "pending");
    let consent = site.authorize("demo-web", &[]);
    let fields = [("pending", pending.as_str()), ("account", "x")];
    assert_eq!(site.submit("/choose", &[("pending", &field(&consent, "pending"))]).status, 400);
    assert_eq!(site.submit("/consent", &[("pending", &pending), ("decision", "all")]).status, 400);
    let headers = [("content-type", FORM), ("sec-fetch-site", "cross-site")];
    assert_eq!(site.browse(request(Method::POST, "/choose", &headers, &form(&fields))).status, 400);
    let other = site.beside();
    other.authorize("demo-web", &[]);
    assert_eq!(other.submit("/choose", &fields).status, 400);
}
