//! What begins together, and what must be true of every order of it.

use super::{
    administration, boot,
    course::{Plan, Steps, Wish},
    registration,
    trial::{Reply, Trial, Verdict, demand, is_dead, is_refused, is_spent},
};
use crate::world::*;
use edgemint::wire::Request;
use http::Method;
use serde_json::{Value, json};
use std::rc::Rc;

/// What an answer must mean in the world at the moment it goes out.
pub type Meaning = Box<dyn Fn(usize, &Reply, &Site) -> Verdict>;

/// What the end must be, whatever came before.
pub type Law = Box<dyn Fn(&Trial) -> Verdict>;

/// One line of the table.
pub struct Scene {
    /// Its name.
    pub name: &'static str,
    /// What happens.
    pub plan: Plan,
    /// What an answer means.
    pub meaning: Meaning,
    /// How it may end.
    pub law: Law,
    /// What every run explores of it, and what the long one adds.
    pub explored: (&'static [Mode], &'static [Mode]),
}

/// How finely, and with how many faults.
pub type Mode = (Steps, usize);

pub const PLAIN: Mode = (Steps::Meeting, 0);
pub const EVERY: Mode = (Steps::Every, 0);
pub const FAULT: Mode = (Steps::Meeting, 1);
pub const FAULTS: Mode = (Steps::Meeting, 2);

/// Two that meet in one object only.
pub const SMALL: (&[Mode], &[Mode]) = (&[PLAIN, EVERY, FAULT], &[FAULTS]);
/// Three of those.
pub const TRIPLE: (&[Mode], &[Mode]) = (&[PLAIN, FAULT], &[EVERY, FAULTS]);
/// Two that read copies as well.
pub const COLD: (&[Mode], &[Mode]) = (&[PLAIN], &[EVERY, FAULT, FAULTS]);
/// Those that meet in several.
pub const WIDE: (&[Mode], &[Mode]) = (&[PLAIN], &[FAULT]);
/// Those that share an isolate.
pub const SHARED: (&[Mode], &[Mode]) = (&[EVERY], &[(Steps::Every, 1)]);

pub fn scene(name: &'static str, site: &Site, requests: Vec<Request>, law: Law) -> Scene {
    let plan = Plan {
        world: site.world.fork(),
        wishes: requests.into_iter().map(|request| Rc::new(Wish::Request(request))).collect(),
        copies_at_once: false,
        alarms_at_once: false,
        before: Vec::new(),
        one_isolate: false,
    };
    Scene { name, plan, meaning: Box::new(|_, _, _| Ok(())), law, explored: WIDE }
}

impl Scene {
    /// Its isolates know settings and clients as they are at the beginning.
    pub fn warm(mut self) -> Self {
        self.plan.before = vec![refreshing("no token"), inspecting("no token")];
        self
    }

    /// Its isolates know the settings, and no client.
    pub fn half_warm(mut self) -> Self {
        self.plan.before = vec![request(Method::GET, "/healthz", &[], "")];
        self
    }

    /// Its copies are written at once: their order is explored where they are not.
    pub fn copies_at_once(mut self) -> Self {
        self.plan.copies_at_once = true;
        self
    }

    /// Its requests share one isolate.
    fn in_one_isolate(mut self) -> Self {
        self.plan.one_isolate = true;
        self.explored(SHARED)
    }

    /// What is explored of it.
    pub fn explored(mut self, explored: (&'static [Mode], &'static [Mode])) -> Self {
        self.explored = explored;
        self
    }

    pub fn meaning(mut self, meaning: Meaning) -> Self {
        self.meaning = meaning;
        self
    }
}

pub fn redeeming(code: &str) -> Request {
    post("/token", WEB, &redemption(code))
}

pub fn refreshing(token: &str) -> Request {
    post("/token", WEB, &[("grant_type", "refresh_token"), ("refresh_token", token)])
}

fn inspecting(token: &str) -> Request {
    post("/introspect", "demo-api:demo-api-secret", &[("token", token)])
}

fn revoking(token: &str) -> Request {
    post("/revoke", WEB, &[("token", token)])
}

pub fn administering(method: Method, target: &str, more: &[(&str, &str)], body: &Value) -> Request {
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let mut headers = vec![("content-type", "application/json"), ("authorization", authorization.as_str())];
    headers.extend(more);
    request(method, target, &headers, &body.to_string())
}

/// The decision of the person whose browser this is, on the page it was shown.
pub fn deciding(site: &Site, pending: &str, decision: &str) -> Request {
    let cookie = |name: &str| format!("{name}={}", site.cookie(name).unwrap());
    let cookies = format!("{}; {}", cookie("edgemint-session"), cookie("edgemint-browser"));
    let fields = form(&[("pending", pending), ("decision", decision)]);
    request(Method::POST, "/consent", &[("content-type", FORM), ("cookie", &cookies)], &fields)
}

/// All of them. `base`: alice is signed in, and nothing was granted.
pub fn all(base: &Site) -> Vec<Scene> {
    let mut scenes = redemptions(base);
    scenes.extend(refreshes(base));
    scenes.extend(revocations(base));
    scenes.extend(consents(base));
    scenes.extend(administration::disablings(base));
    scenes.extend(administration::changes(base));
    scenes.extend(registration::scenes(base));
    scenes.extend(boot::boots());
    scenes
}

fn redemptions(base: &Site) -> Vec<Scene> {
    let once = || -> Law {
        Box::new(|trial| {
            let winners = trial.winners();
            demand(winners.len() <= 1, || "never two winners".to_owned())?;
            demand(winners.len() == 1 || trial.unknown(), || "one winner".to_owned())?;
            for loser in trial.replies.iter().filter(|reply| reply.status != 200) {
                demand(loser.body["error"] == "invalid_grant", || {
                    "the others are told invalid_grant".to_owned()
                })?;
            }
            let grant = trial.only_grant()?;
            demand(grant["state"]["Live"]["generation"] == 1, || format!("the grant lives: {grant}"))?;
            for winner in winners {
                trial.is_active(&winner.text("access_token"))?;
                trial.is_active(&winner.text("refresh_token"))?;
            }
            Ok(())
        })
    };
    let site = base.fork();
    let code = site.code("demo-web", &[]);
    let of = |name, count| scene(name, &site, vec![redeeming(&code); count], once()).warm();
    let strict = base.fork();
    strict.patch("/admin/settings", &json!({ "authCode.retrySeconds": 0 }));
    let spent = strict.code("demo-web", &[]);
    let ended: Law = Box::new(|trial| {
        demand(trial.winners().len() <= 1, || "never two winners".to_owned())?;
        demand(trial.winners().len() == 1 || trial.unknown(), || "one winner".to_owned())?;
        let grant = trial.only_grant()?;
        demand(grant["state"].get("Ended").is_some(), || format!("a code used twice ends all: {grant}"))?;
        for winner in trial.winners() {
            trial.is_dead(&winner.text("access_token"))?;
            trial.is_dead(&winner.text("refresh_token"))?;
        }
        Ok(())
    });
    vec![
        of("redeem, redeem", 2).explored(SMALL),
        of("redeem, redeem, redeem", 3).explored(TRIPLE),
        scene("redeem, redeem (isolates know nothing)", &site, vec![redeeming(&code); 2], once())
            .explored(COLD),
        of("redeem, redeem (in one isolate)", 2).half_warm().in_one_isolate(),
        scene("redeem, redeem (no retry)", &strict, vec![redeeming(&spent); 2], ended).warm().explored(SMALL),
    ]
}

fn refreshes(base: &Site) -> Vec<Scene> {
    let same = || -> Law {
        Box::new(|trial| {
            let successors: Vec<_> =
                trial.winners().iter().map(|winner| winner.text("refresh_token")).collect();
            demand(successors.len() == trial.replies.len(), || {
                "within the grace everyone is answered".to_owned()
            })?;
            demand(successors.windows(2).all(|two| two[0] == two[1]), || "one successor".to_owned())?;
            let grant = trial.only_grant()?;
            demand(grant["state"]["Live"]["generation"] == 2, || format!("one rotation: {grant}"))?;
            for winner in trial.winners() {
                trial.is_active(&winner.text("access_token"))?;
            }
            trial.is_active(&successors[0])
        })
    };
    let site = base.fork();
    let token = string(&site.tokens(), "refresh_token");
    let of = |name, count| scene(name, &site, vec![refreshing(&token); count], same()).warm();
    let strict = base.fork();
    strict.patch("/admin/settings", &json!({ "refresh.graceSeconds": 0 }));
    let strict_token = string(&strict.tokens(), "refresh_token");
    let ended: Law = Box::new(|trial| {
        demand(trial.winners().len() <= 1, || "never two winners".to_owned())?;
        demand(trial.winners().len() == 1 || trial.unknown(), || "one winner".to_owned())?;
        let grant = trial.only_grant()?;
        demand(grant["state"].get("Ended").is_some(), || format!("reuse ends the family: {grant}"))?;
        for winner in trial.winners() {
            trial.is_dead(&winner.text("access_token"))?;
            is_refused(&trial.site, &winner.text("refresh_token"))?;
        }
        Ok(())
    });
    vec![
        of("refresh, refresh", 2).explored(SMALL),
        of("refresh, refresh, refresh", 3).explored(TRIPLE),
        scene("refresh, refresh (isolates know nothing)", &site, vec![refreshing(&token); 2], same())
            .explored(COLD),
        of("refresh, refresh (in one isolate)", 2).half_warm().in_one_isolate(),
        scene("refresh, refresh (no grace)", &strict, vec![refreshing(&strict_token); 2], ended)
            .warm()
            .explored(SMALL),
        counted(base),
    ]
}

/// A family without rotation that has three refreshes.
fn counted(base: &Site) -> Scene {
    let site = base.fork();
    let token = string(&site.legacy_tokens(), "refresh_token");
    let refreshing = post("/token", LEGACY, &[("grant_type", "refresh_token"), ("refresh_token", &token)]);
    let law: Law = Box::new(|trial| {
        let grant = trial.only_grant()?;
        let left = grant["state"]["Live"]["remaining"].as_u64();
        // Who was told 503 does not know whether it counted.
        let fits = if trial.unknown() { left <= Some(1) } else { left == Some(1) };
        demand(fits, || format!("each refresh counts once: of three, two were used; {left:?} are left"))?;
        demand(trial.winners().len() == 2 || trial.unknown(), || "both are answered".to_owned())
    });
    let before = post("/token", LEGACY, &[("grant_type", "refresh_token"), ("refresh_token", "none")]);
    let mut scene = scene("refresh, refresh (counted)", &site, vec![refreshing; 2], law).explored(SMALL);
    scene.plan.before = vec![before];
    scene
}

fn revocations(base: &Site) -> Vec<Scene> {
    let site = base.fork();
    let tokens = site.tokens();
    let (access, refresh) = (string(&tokens, "access_token"), string(&tokens, "refresh_token"));
    // Of these requests the last one revokes.
    let law = || -> Law {
        let (access, refresh) = (access.clone(), refresh.clone());
        Box::new(move |trial| {
            let (revoked, others) = trial.replies.split_last().unwrap();
            demand(revoked.status == 200, || {
                format!("a revocation is answered 200, not {}", revoked.status)
            })?;
            trial.is_dead(&access)?;
            trial.is_dead(&refresh)?;
            is_refused(&trial.site, &refresh)?;
            for other in others.iter().filter(|other| other.status == 200 && other.body["active"].is_null()) {
                trial.is_dead(&other.text("access_token"))?;
                trial.is_dead(&other.text("refresh_token"))?;
            }
            for other in others.iter().filter(|other| other.acted_after(revoked) && !other.turns.is_empty()) {
                let nothing = other.status == 400 || other.body == dead();
                demand(nothing, || {
                    format!("nothing is or becomes active after a revocation's 200: {}", other.body)
                })?;
            }
            Ok(())
        })
    };
    let meaning = |last: usize| -> Meaning {
        let (access, refresh) = (access.clone(), refresh.clone());
        Box::new(move |who, reply, site| {
            if who != last || reply.status != 200 {
                return Ok(());
            }
            is_dead(site, &access)?;
            is_dead(site, &refresh)?;
            is_refused(site, &refresh)
        })
    };
    let (one, two) = (refreshing(&refresh), revoking(&refresh));
    let of = |name, requests: Vec<Request>| {
        let last = requests.len() - 1;
        scene(name, &site, requests, law()).warm().meaning(meaning(last))
    };
    vec![
        of("refresh, revoke", vec![one.clone(), two.clone()]).explored(SMALL),
        of("refresh, refresh, revoke", vec![one.clone(), one, two.clone()]).explored(TRIPLE),
        of("introspect, revoke", vec![inspecting(&access), two.clone()]).explored(SMALL),
        of("introspect the refresh token, revoke", vec![inspecting(&refresh), two]).explored(SMALL),
        own_token(base),
    ]
}

/// A client's own token has no grant: its end is a row of its own.
fn own_token(base: &Site) -> Scene {
    let site = base.fork();
    let token = string(&site.token(MACHINE, &OWN).1, "access_token");
    let kept = token.clone();
    let law: Law = Box::new(move |trial| {
        let [seen, revoked] = trial.replies.as_slice() else { return Err("two".to_owned()) };
        demand(revoked.status == 200, || format!("a revocation is answered 200, not {}", revoked.status))?;
        trial.is_dead(&kept)?;
        demand(!seen.acted_after(revoked) || seen.body == dead(), || "inactive after the 200".to_owned())
    });
    let requests = vec![inspecting(&token), post("/revoke", MACHINE, &[("token", &token)])];
    let meaning: Meaning =
        Box::new(
            move |who, reply, site| {
                if who == 1 && reply.status == 200 { is_dead(site, &token) } else { Ok(()) }
            },
        );
    // The shard has not joined: what it asks the registry is under way meanwhile.
    let mut scene = scene("introspect, revoke a client's own token", &site, requests, law).meaning(meaning);
    scene.plan.before = vec![inspecting("no token"), post("/revoke", MACHINE, &[("token", "none")])];
    scene
}

fn consents(base: &Site) -> Vec<Scene> {
    let site = base.fork();
    let pending = field(&site.authorize("demo-web", &[("prompt", "consent")]), "pending");
    let (allow, deny) = (deciding(&site, &pending, "all"), deciding(&site, &pending, "deny"));
    let one_code: Law = Box::new(|trial| {
        let codes: Vec<_> = trial.replies.iter().filter_map(|reply| reply.code.as_deref()).collect();
        demand(codes.len() == 2 && codes[0] == codes[1], || "both are given the same code".to_owned())?;
        trial.only_grant()?;
        demand(trial.site.redeem(codes[0]).0 == 200, || "the code is good".to_owned())?;
        demand(trial.site.redeem(codes[0]).0 == 400, || "once".to_owned())
    });
    let last_word: Law = Box::new(|trial| {
        let [allowed, denied] = trial.replies.as_slice() else { return Err("two".to_owned()) };
        demand(denied.error.as_deref() == Some("access_denied"), || "whoever denies has denied".to_owned())?;
        let Some(code) = &allowed.code else {
            // Or who allows is to sign in again, because what they allowed was withdrawn as they did.
            let fits = allowed.status == 400 || allowed.signs_in;
            return demand(fits, || format!("a code or no code, not {}", allowed.status));
        };
        trial.only_grant()?;
        demand(!denied.turns.is_empty() || denied.unknown, || "a denial is told to the shard".to_owned())?;
        let (first, last) = (allowed.turns.first(), denied.turns.last());
        if first < last && last.is_some() {
            return is_spent(&trial.site, code);
        }
        demand(trial.site.redeem(code).0 == 200 || trial.unknown(), || "the last word was Allow".to_owned())
    });
    let given = parameter(&site.fork().send(&allow), "code").unwrap();
    let later = site.fork();
    assert_eq!(parameter(&later.send(&allow), "code").as_ref(), Some(&given));
    let again = later.fork();
    let replay: Law = Box::new(move |trial| {
        let [redeemed, allowed] = trial.replies.as_slice() else { return Err("two".to_owned()) };
        let fits = allowed.status == 400 || allowed.code.as_ref() == Some(&given);
        demand(fits, || format!("the same code or none, not {:?}", allowed.code))?;
        let grant = trial.only_grant()?;
        demand(grant["state"].get("Live").is_some(), || format!("the grant lives: {grant}"))?;
        demand(redeemed.status == 200 || redeemed.unknown, || "the code is redeemed".to_owned())?;
        if redeemed.status == 200 { trial.is_active(&redeemed.text("access_token")) } else { Ok(()) }
    });
    let code = parameter(&later.send(&allow), "code").unwrap();
    let old = base.fork();
    let asked = [("response_type", "token"), ("redirect_uri", "http://127.0.0.1:9999/legacy")];
    let page = old.authorize("demo-legacy", &asked);
    let at_once = deciding(&old, &field(&page, "pending"), "all");
    let one_grant: Law = Box::new(|trial| {
        let tokens: Vec<_> = trial.replies.iter().filter_map(|reply| reply.token.as_deref()).collect();
        demand(tokens.len() == 2, || "both are given an access token".to_owned())?;
        trial.only_grant()?;
        tokens.iter().try_for_each(|token| trial.is_active(token))
    });
    vec![
        scene("allow a token, allow a token", &old, vec![at_once; 2], one_grant)
            .warm()
            .explored((&[PLAIN], &[])),
        scene("allow, allow", &site, vec![allow.clone(); 2], one_code).warm(),
        scene("allow, deny", &site, vec![allow.clone(), deny], last_word).warm(),
        scene("redeem, replayed allow", &again, vec![redeeming(&code), allow], replay)
            .warm()
            .explored(TRIPLE),
    ]
}
