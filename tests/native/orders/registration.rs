//! Clients that register and manage themselves: places that two want, changes and ends at the same time.

use super::{
    scenes::{EVERY, FAULT, Law, Mode, PLAIN, Scene, WIDE, scene},
    trial::{Reply, Verdict, demand},
};
use crate::{
    registration::{application, managed, register, with},
    world::*,
};
use edgemint::{host::Store as _, wire::Request};
use http::Method;
use serde_json::{Value, json};

/// Two that meet in the registry alone.
const MEETING: (&[Mode], &[Mode]) = (&[PLAIN, EVERY], &[FAULT]);

/// All of them.
pub fn scenes(base: &Site) -> Vec<Scene> {
    vec![places(base), changes(base), change_and_end(base), end_and_redemption(base)]
}

fn sending(method: Method, target: &str, token: &str, body: &Value) -> Request {
    let authorization = format!("Bearer {token}");
    let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    request(method, target, &headers, &body)
}

/// How many clients there are that registered themselves.
fn registered(site: &Site) -> usize {
    let registry = site.world.disk("REGISTRY", "registry");
    let clients = registry.scan("clients", None, None, usize::MAX).unwrap();
    clients.iter().filter(|(id, ..)| !id.starts_with("demo-")).count()
}

/// What a client says of itself from now on.
fn said(client: &Value, name: &str) -> Value {
    with(application(), json!({ "client_id": client["client_id"], "client_name": name }))
}

/// Whether a client manages itself by this token.
fn manages(site: &Site, target: &str, token: &str) -> bool {
    let response = site.send(&sending(Method::GET, target, token, &Value::Null));
    response.status == 200
}

/// An open deployment with a client that has registered itself.
fn with_client(base: &Site) -> (Site, Value) {
    let site = base.fork();
    site.patch("/admin/settings", &json!({ "registration.open": 2 }));
    let client = register(&site, &application());
    (site, client)
}

/// One place, and two who want it.
fn places(base: &Site) -> Scene {
    let site = base.fork();
    site.patch("/admin/settings", &json!({ "registration.open": 1 }));
    let (status, token) = site.admin(Method::POST, "/admin/registration-tokens", &json!({ "uses": 1 }));
    assert_eq!(status, 201, "{token}");
    let token = string(&token, "token");
    let registering = || sending(Method::POST, "/register", &token, &application());
    let law: Law = Box::new(|trial| {
        let made = trial.replies.iter().filter(|reply| reply.status == 201).count();
        demand(registered(&trial.site) <= 1, || "never two clients for one place".to_owned())?;
        demand(made <= registered(&trial.site), || "who is told 201 is registered".to_owned())?;
        demand(trial.unknown() || made == 1, || format!("one is registered, not {made}"))?;
        for other in trial.replies.iter().filter(|reply| reply.status != 201) {
            demand(other.status == 401, || format!("the other is told 401, not {}", other.status))?;
        }
        Ok(())
    });
    scene("register, register (one place)", &site, vec![registering(), registering()], law)
        .half_warm()
        .explored(MEETING)
}

/// Two changes by one registration access token: whoever is answered can go on.
fn changes(base: &Site) -> Scene {
    let (site, client) = with_client(base);
    let (target, token) = managed(&client);
    let changing = |name: &str| sending(Method::PUT, &target, &token, &said(&client, name));
    let requests = vec![changing("One"), changing("Two")];
    let law: Law = Box::new(move |trial| {
        let winners = trial.winners();
        let tokens = winners.iter().map(|winner| winner.text("registration_access_token"));
        let tokens: Vec<String> = tokens.chain([token.clone()]).collect();
        demand(tokens.iter().any(|token| manages(&trial.site, &target, token)), || {
            "some token that it was given still manages the client".to_owned()
        })?;
        let shown = |reply: &&&Reply| ["One", "Two"].contains(&reply.text("client_name").as_str());
        demand(winners.iter().filter(shown).count() == winners.len(), || {
            "each is told its own change".to_owned()
        })
    });
    scene("change oneself, change oneself", &site, requests, law).half_warm().explored(MEETING)
}

/// Once its end is answered, no change brings it back.
fn change_and_end(base: &Site) -> Scene {
    let (site, client) = with_client(base);
    let (target, token) = managed(&client);
    let requests = vec![
        sending(Method::PUT, &target, &token, &said(&client, "One")),
        sending(Method::DELETE, &target, &token, &Value::Null),
    ];
    let law: Law = Box::new(move |trial| {
        let [changed, ended] = trial.replies.as_slice() else { return Err("two".to_owned()) };
        let fits = |reply: &Reply, good: u16| reply.status == good || reply.status == 401;
        demand(fits(changed, 200) && fits(ended, 204), || {
            format!("each succeeds or is told 401: {} {}", changed.status, ended.status)
        })?;
        if ended.status == 204 {
            let newer = changed.body["registration_access_token"].as_str().unwrap_or_default();
            let lives = [token.as_str(), newer].iter().any(|token| manages(&trial.site, &target, token));
            demand(!lives && registered(&trial.site) == 0, || "what has ended is gone".to_owned())?;
        }
        Ok(())
    });
    scene("change oneself, end oneself", &site, requests, law).half_warm().explored(MEETING)
}

/// Once its end is answered, nothing that it got is good.
fn end_and_redemption(base: &Site) -> Scene {
    let (site, client) = with_client(base);
    let (target, token) = managed(&client);
    let id = string(&client, "client_id");
    let back = "https://app.test/cb";
    let code = site.code(&id, &[("redirect_uri", back)]);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", back),
        ("code_verifier", VERIFIER),
        ("client_id", id.as_str()),
    ];
    let redeeming = post("/token", &id, &fields[..4]);
    let requests = vec![sending(Method::DELETE, &target, &token, &Value::Null), redeeming];
    let law: Law = Box::new(|trial| -> Verdict {
        let [ended, redeemed] = trial.replies.as_slice() else { return Err("two".to_owned()) };
        demand(ended.status == 204 || (ended.unknown && ended.status == 401), || {
            format!("it ends: {} {}", ended.status, ended.body)
        })?;
        demand([200, 400, 401].contains(&redeemed.status), || {
            format!("tokens, or none: {}", redeemed.status)
        })?;
        match redeemed.body["access_token"].as_str() {
            Some(token) => trial.is_dead(token),
            None => Ok(()),
        }
    });
    scene("end oneself, redeem", &site, requests, law).half_warm().explored(WIDE)
}
