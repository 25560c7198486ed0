//! The keys that sign: made once, published before they sign, kept until their last token is dead, gone when somebody else
//! has one.

mod away;
mod forgeries;

use self::forgeries::with_header;
use crate::world::*;
use edgemint::{
    context::{Config, Context, Memory, config::Vars},
    error::Code,
    host::{Algorithm, Seconds},
    jws,
    model::keyring::Key,
    wire::Response,
};
use http::Method;
use serde_json::{Map, Value, json};

const ALL: [Algorithm; 4] = [Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa];
const TYP: &str = "test+jwt";
const DAY: u64 = 86_400;

/// An isolate from inside: what it remembers, and how it is configured.
struct Isolate {
    world: World,
    config: Config,
    memory: Memory,
}

impl Isolate {
    fn of(site: &Site) -> Self {
        Self::with(&site.world, &development())
    }

    fn with(world: &World, vars: &Vars) -> Self {
        let config = Config::read(vars).expect("variables that make sense");
        Self { world: world.clone(), config, memory: Memory::default() }
    }

    /// What one request would see.
    fn at<T>(&self, wish: impl AsyncFnOnce(&Context<'_, World>) -> T) -> T {
        now(wish(&Context::new(&self.world, &self.config, &self.memory)))
    }

    fn sign_for(&self, algorithm: Algorithm, lifetime: u64) -> Result<String, Code> {
        self.at(async |cx| {
            let now = cx.now.seconds();
            let claims = json!({ "iss": self.config.issuer, "iat": now, "exp": now + lifetime });
            jws::sign(cx, algorithm, TYP, claims.as_object().unwrap()).await.map_err(|error| error.code)
        })
    }

    fn sign(&self) -> String {
        self.sign_for(Algorithm::Es256, 3600).expect("a token")
    }

    fn open(&self, token: &str) -> Result<Option<Map<String, Value>>, Code> {
        self.at(async |cx| jws::open(cx, TYP, token).await.map_err(|error| error.code))
    }

    fn is_good(&self, token: &str) -> bool {
        self.open(token).expect("an answer").is_some()
    }

    /// The key that signs `ES256` now.
    fn signer(&self) -> Key {
        self.at(async |cx| cx.signing_key(Algorithm::Es256, Seconds(1)).await)
            .unwrap_or_else(|_| panic!("a key"))
    }
}

fn part(token: &str, at: usize) -> Value {
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    let bytes = Base64UrlUnpadded::decode_vec(token.split('.').nth(at).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn kid(token: &str) -> String {
    string(&part(token, 0), "kid")
}

fn listed(answer: &Response) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", text(answer));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["keys"].as_array().unwrap().iter().map(|key| string(key, "kid")).collect()
}

fn published(site: &Site) -> Vec<String> {
    listed(&site.get("/jwks"))
}

fn rotate(site: &Site, algorithm: &str) -> Value {
    let (status, key) = site.admin(Method::POST, "/admin/keys", &json!({ "algorithm": algorithm }));
    assert_eq!(status, 201, "{key}");
    key
}

fn keys(site: &Site) -> Vec<Value> {
    let (status, page) = site.admin(Method::GET, "/admin/keys?limit=200", &Value::Null);
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().clone()
}

fn state(site: &Site, kid: &str) -> Value {
    site.admin(Method::GET, &format!("/admin/keys/{kid}"), &Value::Null).1["state"].clone()
}

#[test]
fn twenty_isolates_that_are_asked_first_make_one_key() {
    let site = Site::new();
    let kids: Vec<String> =
        (0..20)
            .map(|at| {
                if at % 2 == 0 {
                    published(&site.beside()).remove(0)
                } else {
                    kid(&Isolate::of(&site).sign())
                }
            })
            .collect();
    assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
    assert_eq!(keys(&site).len(), 1);
}

#[test]
fn of_keys_that_were_made_at_the_same_moment_one_is_kept_and_all_sign_with_it() {
    let site = Site::new();
    let isolates: Vec<Isolate> = (0..20).map(|_| Isolate::of(&site)).collect();
    // Each has seen that there is none before the first was made.
    for isolate in &isolates {
        isolate.at(async |cx| assert!(cx.keyring().await.unwrap_or_else(|_| panic!("keys")).keys.is_empty()));
    }
    let kids: Vec<String> = isolates.iter().map(|isolate| kid(&isolate.sign())).collect();
    assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
    assert_eq!(published(&site), [kids[0].clone()]);
}

#[test]
fn after_a_restart_the_keys_are_the_same_and_sign_on() {
    let site = Site::new();
    let tokens = ALL.map(|algorithm| Isolate::of(&site).sign_for(algorithm, 3600).unwrap());
    let before = site.get("/jwks").body.clone();
    site.world.forget_keys();
    assert_eq!(site.beside().get("/jwks").body, before);
    let isolate = Isolate::of(&site);
    for (algorithm, token) in ALL.into_iter().zip(&tokens) {
        assert!(isolate.is_good(token), "{}", algorithm.name());
        assert_eq!(kid(&isolate.sign_for(algorithm, 3600).unwrap()), kid(token));
    }
    assert_eq!(keys(&site).len(), 4);
}

#[test]
fn what_is_published_is_public_has_its_thumbprint_and_says_what_it_is_for() {
    let site = Site::new();
    for algorithm in ALL {
        rotate(&site, algorithm.name());
    }
    let answer = site.get("/jwks");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let keys = body["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 4);
    for key in keys {
        let mut names: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        let expected: &[&str] = match key["kty"].as_str().unwrap() {
            "EC" => &["alg", "crv", "kid", "kty", "use", "x", "y"],
            "RSA" => &["alg", "e", "kid", "kty", "n", "use"],
            _ => &["alg", "crv", "kid", "kty", "use", "x"],
        };
        assert_eq!((names.as_slice(), &key["use"]), (expected, &json!("sig")));
    }
    // The administrator sees no more of it.
    for key in self::keys(&site) {
        let names: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["algorithm", "created_at", "gone_at", "kid", "retired_at", "signs_at", "state"]);
    }
}

#[test]
fn nothing_that_is_kept_has_a_private_member_in_clear() {
    let site = Site::new();
    for algorithm in ALL {
        Isolate::of(&site).sign_for(algorithm, 60).unwrap();
    }
    let dump = site.world.dump().replace('\\', "");
    assert!(dump.contains("\"kty\":\"RSA\""), "the public ones are there");
    for member in ["d", "p", "q", "dp", "dq", "qi", "k"] {
        assert!(!dump.contains(&format!("\"{member}\":")), "{member}");
    }
}

#[test]
fn a_new_key_is_in_every_copy_before_it_signs_and_the_old_one_stays() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "keys.publishSeconds": 400 }));
    let (one, other) = (site.beside(), Isolate::of(&site));
    let old = kid(&other.sign());
    published(&one);
    let new = string(&rotate(&site, "ES256"), "kid");
    // Who made it knows it at once, others when their copies are read again, all in a quarter of the time.
    assert_eq!(published(&site), [old.clone(), new.clone()]);
    assert_eq!((published(&one), kid(&other.sign())), (vec![old.clone()], old.clone()));
    site.world.pass(Seconds(50));
    assert_eq!(published(&one), [old.clone(), new.clone()]);
    assert_eq!(kid(&other.sign()), old);
    assert_eq!((state(&site, &old), state(&site, &new)), (json!("signing"), json!("published")));
    site.world.pass(Seconds(350));
    let token = other.sign();
    assert_eq!(kid(&token), new);
    assert_eq!((state(&site, &old), state(&site, &new)), (json!("retired"), json!("signing")));
    assert_eq!(published(&one), [old, new]);
    assert!(Isolate::of(&site).is_good(&token));
}

#[test]
fn others_may_keep_the_published_keys_for_a_quarter_of_the_time_before_they_sign() {
    let site = Site::new();
    for (lead, expected) in [(1, 0), (400, 100), (DAY, 3600), (30 * DAY, 3600)] {
        site.patch("/admin/settings", &json!({ "keys.publishSeconds": lead }));
        let answer = site.get("/jwks");
        assert_eq!(answer.header("cache-control"), Some(format!("public, max-age={expected}").as_str()));
    }
}

#[test]
fn a_key_is_followed_by_the_next_in_its_time_and_goes_when_its_last_token_is_dead() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "keys.rotationDays": 10, "keys.publishSeconds": DAY }));
    let isolate = Isolate::of(&site);
    let first = isolate.sign_for(Algorithm::Es256, 2 * DAY).unwrap();
    site.world.pass(Seconds(9 * DAY - 1));
    isolate.sign();
    assert_eq!(keys(&site).len(), 1);
    // A day before its time is over the next one is published.
    site.world.pass(Seconds(1));
    assert_eq!(kid(&isolate.sign()), kid(&first));
    assert_eq!(keys(&site).len(), 2);
    site.world.pass(Seconds(DAY - 1));
    let last = isolate.sign_for(Algorithm::Es256, 2 * DAY).unwrap();
    assert_eq!(kid(&last), kid(&first));
    site.world.pass(Seconds(1));
    let second = kid(&isolate.sign());
    assert_ne!(second, kid(&first));
    // Two days on, the last token that it signed has been dead for a second.
    site.world.pass(Seconds(2 * DAY - 2));
    assert!(isolate.is_good(&last));
    site.world.pass(Seconds(120));
    assert_eq!(published(&site), [second]);
    assert!(!isolate.is_good(&last));
}

#[test]
fn no_more_keys_are_made_than_are_read_and_the_next_one_is_a_conflict() {
    let site = Site::new();
    for _ in 0..20 {
        rotate(&site, "EdDSA");
    }
    let (status, problem) = site.admin(Method::POST, "/admin/keys", &json!({ "algorithm": "EdDSA" }));
    assert_eq!((status, &problem["field"]), (409, &json!("algorithm")));
    assert_eq!(string(&rotate(&site, "ES256"), "state"), "signing", "another algorithm has its own");
    let (_, page) = site.admin(Method::GET, "/admin/keys?limit=3&q=EdDSA", &Value::Null);
    let next = string(&page, "next");
    assert_eq!(page["items"][2]["kid"], json!(next));
    let (_, rest) =
        site.admin(Method::GET, &format!("/admin/keys?limit=200&q=EdDSA&after={next}"), &Value::Null);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (17, &Value::Null));
}

#[test]
fn a_rotation_says_what_it_made_and_refuses_what_it_does_not_know() {
    let site = Site::new();
    let response = site.send(&request(
        Method::POST,
        "/admin/keys",
        &[("authorization", &format!("Bearer {ADMIN_TOKEN}"))],
        "",
    ));
    let key: Value = serde_json::from_slice(&response.body).unwrap();
    let path = format!("/admin/keys/{}", string(&key, "kid"));
    assert_eq!(response.status, 201);
    assert_eq!(response.header("location"), Some(format!("{ISSUER}{path}").as_str()));
    assert_eq!(
        (&key["algorithm"], &key["state"], &key["gone_at"]),
        (&json!("ES256"), &json!("signing"), &Value::Null)
    );
    assert_eq!(site.admin(Method::GET, &path, &Value::Null), (200, key));
    for (body, field) in [
        (json!({ "algorithm": "HS256" }), "algorithm"),
        (json!({ "algorithm": "none" }), "algorithm"),
        (json!({ "algorithm": 7 }), "algorithm"),
        (json!({ "d": "x" }), "d"),
    ] {
        let (status, problem) = site.admin(Method::POST, "/admin/keys", &body);
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{body}");
    }
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(site.admin(method, "/admin/keys/unknown", &Value::Null).0, 404);
    }
    assert_eq!(site.admin(Method::GET, "/admin/keys?after=unknown", &Value::Null).0, 400);
    assert_eq!(keys(&site).len(), 1);
}

#[test]
fn what_a_removed_key_signed_is_refused_here_at_once_and_elsewhere_within_a_minute() {
    let site = Site::new();
    let (near, far) = (Isolate::of(&site), Isolate::of(&site));
    let token = near.sign();
    assert!(far.is_good(&token));
    let path = format!("/admin/keys/{}", kid(&token));
    assert_eq!(site.admin(Method::DELETE, &path, &Value::Null).0, 204);
    assert_eq!(site.admin(Method::DELETE, &path, &Value::Null).0, 404);
    assert!(!Isolate::of(&site).is_good(&token));
    assert_ne!(published(&site), [kid(&token)], "another one signs");
    site.world.pass(Seconds(60));
    assert!(!near.is_good(&token) && !far.is_good(&token));
    assert_ne!(kid(&far.sign()), kid(&token));
    let (_, audit) = site.admin(Method::GET, "/admin/audit?q=key.removed", &Value::Null);
    assert_eq!(audit["items"][0]["target"], json!(format!("key/{}", kid(&token))));
}

#[test]
fn the_isolate_that_removed_a_key_knows_it_no_more() {
    let site = Site::new();
    let old = published(&site).remove(0);
    site.admin(Method::DELETE, &format!("/admin/keys/{old}"), &Value::Null);
    assert!(!published(&site).contains(&old));
    // Where no answer came, what was known is not gone by.
    let key = published(&site).remove(0);
    site.world.fate("REGISTRY", &[Fate::Answered, Fate::Unanswered, Fate::Unanswered]);
    assert_eq!(site.admin(Method::DELETE, &format!("/admin/keys/{key}"), &Value::Null).0, 503);
    assert!(!published(&site).contains(&key));
}

#[test]
fn a_kid_that_nobody_knows_is_asked_about_once_in_five_seconds() {
    let site = Site::new();
    let isolate = Isolate::of(&site);
    let token = isolate.sign();
    let header = format!("{{\"alg\":\"ES256\",\"typ\":\"{TYP}\",\"kid\":\"unknown\"}}");
    let forged = with_header(&token, &header);
    site.world.pass(Seconds(6));
    site.world.operations();
    for _ in 0..100 {
        assert!(!isolate.is_good(&forged));
    }
    assert_eq!(site.world.operations(), ["REGISTRY"]);
    site.world.pass(Seconds(5));
    for _ in 0..100 {
        assert!(!isolate.is_good(&forged));
    }
    assert_eq!(site.world.operations(), ["REGISTRY"]);
    // One that is new is found.
    site.world.pass(Seconds(5));
    let new = Isolate::of(&site).sign_for(Algorithm::EdDsa, 60).unwrap();
    assert!(isolate.is_good(&new));
}

#[test]
fn while_the_registry_is_away_a_copy_is_gone_by_for_as_long_as_others_may_keep_it() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "keys.publishSeconds": 4000 }));
    let isolate = Isolate::of(&site);
    let token = isolate.sign();
    let before = published(&site);
    let away = || site.world.fate("REGISTRY", &[Fate::Lost; 100]);
    away();
    site.world.pass(Seconds(900));
    assert_eq!(published(&site), before);
    assert!(isolate.is_good(&token));
    assert_eq!(kid(&isolate.sign()), kid(&token));
    // Nobody waits for it again and again.
    site.world.operations();
    published(&site);
    assert!(!site.world.operations().contains(&"REGISTRY".to_owned()));
    site.world.pass(Seconds(101));
    away();
    let answer = site.get("/jwks");
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(isolate.open(&token), Err(Code::TemporarilyUnavailable));
    assert_eq!(isolate.sign_for(Algorithm::Es256, 3600), Err(Code::TemporarilyUnavailable));
    site.world.fate("REGISTRY", &[]);
    site.world.pass(Seconds(5));
    assert!(published(&site) == before && isolate.is_good(&token));
}

#[test]
fn a_longer_time_before_a_key_signs_holds_also_for_who_has_not_heard_of_it() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "keys.publishSeconds": 10 }));
    let behind = site.beside();
    published(&behind);
    site.patch("/admin/settings", &json!({ "keys.publishSeconds": DAY }));
    let key = rotate(&behind, "ES256");
    assert_eq!(key["signs_at"].as_u64(), key["created_at"].as_u64().map(|made| made + DAY));
}

/// The same deployment with these master keys: its isolates are new.
fn sealed_by(keys: &str) -> Vars {
    Vars { master_key: Some(keys.to_owned()), ..development() }
}

#[test]
fn keys_move_to_a_new_master_key_before_the_old_one_is_gone_and_sign_on() {
    let site = Site::new();
    let token = Isolate::of(&site).sign();
    let rare = Isolate::of(&site).sign_for(Algorithm::EdDsa, 3600).unwrap();
    let next = string(&rotate(&site, "ES256"), "kid");
    let sealed = || site.world.dump().replace('\\', "").matches("\"private\":\"b.").count();
    assert_eq!(sealed(), 0);
    let both = Isolate::with(&site.world, &sealed_by(&format!("{KEY_B},{KEY_A}")));
    assert!(both.is_good(&token));
    both.sign();
    assert_eq!(sealed(), 3, "those that have not signed, too");
    site.world.forget_keys();
    let alone = Isolate::with(&site.world, &sealed_by(KEY_B));
    assert!(alone.is_good(&token) && alone.is_good(&rare));
    assert_eq!(kid(&alone.sign()), kid(&token));
    assert_eq!(kid(&alone.sign_for(Algorithm::EdDsa, 60).unwrap()), kid(&rare));
    site.world.pass(Seconds(DAY));
    assert_eq!(kid(&alone.sign()), next);
}

#[test]
fn where_the_master_key_is_lost_another_key_signs_and_what_the_old_one_signed_is_good() {
    for skew in [0, 3000, -3000] {
        let site = Site::new();
        let token = Isolate::of(&site).sign();
        site.world.forget_keys();
        site.world.skew(skew);
        let lost = Isolate::with(&site.world, &sealed_by(KEY_B));
        let new = lost.sign();
        assert_ne!(kid(&new), kid(&token));
        assert!(lost.is_good(&new) && lost.is_good(&token));
        // Whatever the clocks say, one is enough.
        for _ in 0..5 {
            assert_eq!(kid(&Isolate::with(&site.world, &sealed_by(KEY_B)).sign()), kid(&new));
            site.world.pass(Seconds(1));
        }
        assert_eq!(lost.signer().kid, kid(&new));
    }
}

#[test]
fn under_another_issuer_another_key_signs() {
    let site = Site::new();
    let token = Isolate::of(&site).sign();
    site.world.forget_keys();
    let vars = Vars { issuer: Some("http://localhost:8788".to_owned()), ..development() };
    let moved = Isolate::with(&site.world, &vars);
    let new = moved.sign();
    assert!(kid(&new) != kid(&token) && moved.is_good(&new));
    assert!(!moved.is_good(&token), "it names the other issuer");
}

#[test]
fn isolates_with_other_master_keys_do_not_outdo_each_other() {
    let site = Site::new();
    for _ in 0..30 {
        Isolate::of(&site).sign();
        Isolate::with(&site.world, &sealed_by(KEY_B)).sign();
        site.world.pass(Seconds(1));
    }
    assert_eq!(keys(&site).len(), 2);
}
