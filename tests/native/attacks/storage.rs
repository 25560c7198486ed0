//! Storage on Workers: answers that are lost, shards that are away, clocks that differ, first starts.

use super::*;
use edgemint::{context::config::Vars, host::Seconds};
use serde_json::json;

#[test]
fn a_redemption_that_nobody_heard_of_happened_with_tokens_that_verify_or_not_at_all() {
    // It was never reached: the code is as good as before.
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    assert_eq!(unchanged(&site, "lost", || site.redeem(&code)).0, 503);
    assert_eq!(site.redeem(&code).0, 200);
    // It was, and the answer came at the second try: the tokens are the grant's.
    let code = site.code("demo-web", &[]);
    site.world.fate("GRANTS", &[Fate::Unanswered, Fate::Answered]);
    let (status, tokens) = site.redeem(&code);
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["active"], true);
    assert_eq!(site.refresh(&string(&tokens, "refresh_token")).0, 200);
    // It was, and nobody heard: there is one family, and the code is no second one's.
    let code = site.code("demo-web", &[]);
    site.world.fate("GRANTS", &[Fate::Unanswered, Fate::Unanswered]);
    assert_eq!(site.redeem(&code).0, 503);
    assert_eq!(refusal(&unchanged(&site, "again", || site.redeem(&code))), INVALID_GRANT);
    site.world.pass(Seconds(10));
    assert_eq!(refusal(&site.redeem(&code)), INVALID_GRANT);
    assert_eq!(site.world.events().last().unwrap()["reason"], "invalid_grant: Replayed");
}

/// What is asked, of which binding, and how.
type Ask<'a> = (&'a str, &'static str, Box<dyn Fn() -> Response + 'a>);

#[test]
fn an_object_that_is_away_is_503_with_retry_after_everywhere_and_where_it_was_not_reached_nothing_changed() {
    let site = Site::new();
    let login = site.authorize("demo-web", &[]);
    let code = site.code("demo-web", &[]);
    let tokens = site.tokens();
    let consent = site.authorize("demo-web", &[("prompt", "consent")]);
    let grant = site.admin(Method::GET, "/admin/grants", &Value::Null).1["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (access, refresh) = (string(&tokens, "access_token"), string(&tokens, "refresh_token"));
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let admin = |method: Method, target: &str, body: &str| {
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        site.send(&request(method, target, &headers, body))
    };
    let client = json!({ "redirect_uris": [CALLBACK] }).to_string();
    let refreshing = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let asks: Vec<Ask> = vec![
        ("redeem", "GRANTS", Box::new(|| site.send(&post("/token", WEB, &redemption(&code))))),
        ("refresh", "GRANTS", Box::new(|| site.send(&post("/token", WEB, &refreshing)))),
        ("revoke", "GRANTS", Box::new(|| site.send(&post("/revoke", WEB, &[("token", &access)])))),
        ("introspect", "GRANTS", Box::new(|| site.send(&post("/introspect", API, &[("token", &access)])))),
        ("deny", "GRANTS", Box::new(|| site.decide(&consent, "deny", &[]))),
        ("authorize", "ACCOUNTS", Box::new(|| site.authorize("demo-web", &[]))),
        ("login", "ACCOUNTS", Box::new(|| site.sign_in(&login, "alice", "wonderland"))),
        ("allow", "ACCOUNTS", Box::new(|| site.decide(&consent, "all", &[]))),
        ("unknown", "REGISTRY", Box::new(|| site.beside().send(&post("/token", "app-unknown:x", &OWN)))),
        ("list", "REGISTRY", Box::new(|| admin(Method::GET, "/admin/clients", ""))),
        ("client", "REGISTRY", Box::new(|| admin(Method::POST, "/admin/clients", &client))),
        (
            "patch",
            "REGISTRY",
            Box::new(|| admin(Method::PATCH, "/admin/clients/demo-web", r#"{"enabled":false}"#)),
        ),
        (
            "settings",
            "REGISTRY",
            Box::new(|| admin(Method::PATCH, "/admin/settings", r#"{"refresh.graceSeconds":1}"#)),
        ),
        ("user", "ACCOUNTS", Box::new(|| admin(Method::PATCH, "/admin/users/alice", r#"{"enabled":false}"#))),
        ("grants", "GRANTS", Box::new(|| admin(Method::GET, "/admin/grants", ""))),
        ("withdraw", "GRANTS", Box::new(|| admin(Method::DELETE, &format!("/admin/grants/{grant}"), ""))),
    ];
    for (what, binding, ask) in asks {
        site.world.fate(binding, &[Fate::Lost; 16]);
        let answer = unchanged(&site, what, &ask);
        site.world.fate(binding, &[]);
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (503, Some("1")),
            "{what} {}",
            text(&answer)
        );
        assert!(answer.header("location").is_none(), "{what}");
    }
    // All of it is as good as before.
    assert_eq!(site.redeem(&code).0, 200);
    assert_eq!(site.refresh(&refresh).0, 200);
    assert!(parameter(&site.decide(&consent, "all", &[]), "code").is_some());
}

#[test]
fn a_consent_whose_shard_is_away_leaves_no_grant_and_can_be_sent_again() {
    let site = Site::new();
    let consent = site.sign_in(&site.authorize("demo-web", &[]), "alice", "wonderland");
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    let away = site.decide(&consent, "all", &[]);
    assert_eq!((away.status.as_u16(), away.header("retry-after")), (503, Some("1")));
    assert!(!site.world.dump().contains("\"grants_"), "a grant was made");
    let code = parameter(&site.decide(&consent, "all", &[]), "code").unwrap();
    assert_eq!(site.redeem(&code).0, 200);
}

#[test]
fn clocks_of_edge_and_objects_that_differ_make_no_token_live_longer_or_shorter_than_they_differ() {
    for skew in [-5_000_i64, 5_000] {
        let site = Site::new();
        site.world.skew(skew);
        let own = string(&site.token(MACHINE, &OWN).1, "access_token");
        let grants = string(&site.tokens(), "access_token");
        for token in [&own, &grants] {
            assert_eq!(
                site.inspect(token)["active"],
                true,
                "{skew}: issued in what is the future for who looks"
            );
        }
        site.world.pass(Seconds(3594));
        for token in [&own, &grants] {
            assert_eq!(site.inspect(token)["active"], true, "{skew}");
        }
        site.world.pass(Seconds(12));
        for token in [&own, &grants] {
            assert_eq!(site.inspect(token), dead(), "{skew}");
        }
    }
}

#[test]
fn an_attempt_to_sign_in_whose_answer_was_lost_is_charged_once() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    for _ in 0..10 {
        site.world.fate("ACCOUNTS", &[Fate::Unanswered]);
        assert_eq!(site.sign_in(&page, "alice", "wrong").status, 400);
    }
    assert_eq!(site.sign_in(&page, "alice", "wrong").status, 429);
}

#[test]
fn a_development_that_began_is_never_served_as_production() {
    for reached in 0..8 {
        let world = World::new();
        let site = Site::with(&world, &development());
        let mut fates = vec![Fate::Answered; reached];
        fates.extend([Fate::Lost; 8]);
        world.fate("REGISTRY", &fates);
        site.get("/healthz");
        world.fate("REGISTRY", &[]);
        world.pass(Seconds(60));
        world.ring();
        let vars = Vars { mode: None, issuer: Some("https://as.test".into()), ..development() };
        let production = Site::with(&world, &vars);
        let healthy = production.get("/healthz").status == 200;
        let people = !world.disks("ACCOUNTS").is_empty();
        assert!(!(healthy && people), "after {reached} answers");
    }
}

#[test]
fn a_second_seeding_keeps_clients_alive_and_marks_true() {
    let site = Site::new();
    site.patch("/admin/clients/demo-landing", &json!({ "access_token_lifetime": 600 }));
    let moved = Vars { issuer: Some("http://localhost:9000".into()), ..development() };
    let mut healthz = request(Method::GET, "/healthz", &[], "");
    healthz.host = "localhost:9000".into();
    assert_eq!(Site::with(&site.world, &moved).send(&healthz).status, 200);
    let back = Site::with(&site.world, &development());
    let redirect_uri = format!("{ISSUER}/dev/callback");
    for _ in 0..4 {
        let code = back.code("demo-landing", &[("redirect_uri", &redirect_uri)]);
        let mut fields = redemption(&code).to_vec();
        fields.retain(|(name, _)| *name != "redirect_uri");
        fields.push(("redirect_uri", &redirect_uri));
        assert_eq!(back.token("demo-landing", &fields).0, 200);
    }
}

#[test]
fn a_seeding_for_another_port_does_not_bring_back_a_description() {
    let site = Site::new();
    site.patch("/admin/scopes/reports", &json!({ "description": "Everything we sell" }));
    let moved = Vars { issuer: Some("http://localhost:9000".into()), ..development() };
    let mut healthz = request(Method::GET, "/healthz", &[], "");
    healthz.host = "localhost:9000".into();
    assert_eq!(Site::with(&site.world, &moved).send(&healthz).status, 200);
    let back = Site::with(&site.world, &development());
    let (_, scope) = back.admin(Method::GET, "/admin/scopes/reports", &Value::Null);
    assert_eq!(scope["description"], "Everything we sell");
    let page = back.sign_in(&back.authorize("demo-web", &[]), "alice", "wonderland");
    assert!(text(&page).contains("Everything we sell"), "{}", text(&page));
}
