//! Changes by administrators: of one client at the same time, and a client that others ask about while it is registered.

use super::{
    scenes::{
        EVERY, FAULT, FAULTS, Law, Meaning, PLAIN, Scene, administering, deciding, redeeming, refreshing,
        scene,
    },
    trial::{Reply, Trial, Verdict, demand, grants, is_dead, is_refused, is_spent},
};
use crate::world::*;
use edgemint::{host::Store as _, wire::Request};
use http::Method;
use serde_json::{Value, json};

const CLIENT: &str = "/admin/clients/demo-web";
const ALICE: &str = "/admin/users/alice";

/// Of one client, and a registration.
pub fn changes(base: &Site) -> Vec<Scene> {
    vec![registration(base), tagged_changes(base), harmless_changes(base), switches(base)]
}

/// Asks for a token as a client without a secret: told `invalid_client` where there is none, `invalid_grant` where there is.
fn asking() -> Request {
    post("/token", "newcomer", &[("grant_type", "authorization_code"), ("code", "none")])
}

fn registration(base: &Site) -> Scene {
    let registering = administering(
        Method::POST,
        "/admin/clients",
        &[],
        &json!({ "client_id": "newcomer", "token_endpoint_auth_method": "none", "scope": "reports",
                 "redirect_uris": [CALLBACK] }),
    );
    let known = |site: &Site| -> Verdict {
        let (status, body) =
            site.token("newcomer", &[("grant_type", "authorization_code"), ("code", "none")]);
        demand(status == 400 && body["error"] == "invalid_grant", || {
            format!("once it is registered everyone knows it: {status} {body}")
        })
    };
    let law: Law = Box::new(move |trial| {
        let [registered, asked] = trial.replies.as_slice() else { return Err("two".to_owned()) };
        // Who repeats what was done already is told so.
        let fits = registered.status == 201 || (registered.unknown && registered.status == 409);
        demand(fits, || format!("201, not {} {}", registered.status, registered.body))?;
        let error = asked.body["error"].as_str();
        demand(matches!(error, Some("invalid_grant" | "invalid_client")), || {
            format!("there is such a client or there is none: {} {}", asked.status, asked.body)
        })?;
        known(&trial.site)
    });
    let meaning: Meaning =
        Box::new(move |who, reply, site| if who == 0 && reply.status == 201 { known(site) } else { Ok(()) });
    scene("register, ask for a token", base, vec![registering, asking()], law).meaning(meaning).half_warm()
}

/// The client as the registry holds it.
fn record(site: &Site) -> Value {
    let registry = site.world.disk("REGISTRY", "registry");
    serde_json::from_str(&registry.get("clients", "demo-web", "").unwrap().unwrap()).unwrap()
}

/// Every shard that holds a mark of the client holds the last one.
fn marks_agree(trial: &Trial) -> Verdict {
    trial.settles()?;
    let of = |disk: &Disk| disk.get("marks", "client", "demo-web").unwrap();
    let truth = of(&trial.site.world.disk("REGISTRY", "registry"));
    for (name, disk) in trial.site.world.disks("GRANTS") {
        demand(of(&disk) == truth, || format!("{name} holds the mark of the registry, {truth:?}"))?;
    }
    Ok(())
}

/// Both know the same version: one of them is told that it is not any more.
fn tagged_changes(base: &Site) -> Scene {
    let site = base.fork();
    let tag = format!("\"{}\"", record(&site)["version"]);
    let naming = |name: &str| {
        administering(Method::PATCH, CLIENT, &[("if-match", tag.as_str())], &json!({ "client_name": name }))
    };
    let law: Law = Box::new(|trial| {
        let winners = trial.winners();
        demand(winners.len() <= 1, || "never two winners".to_owned())?;
        demand(winners.len() == 1 || trial.unknown(), || "one winner".to_owned())?;
        for loser in trial.replies.iter().filter(|reply| reply.status != 200) {
            demand(loser.status == 412, || format!("the other is told 412, not {}", loser.status))?;
        }
        let name = &record(&trial.site)["metadata"]["client_name"];
        match winners.first() {
            Some(winner) => {
                demand(*name == winner.body["client_name"], || format!("the winner's is written, not {name}"))
            }
            None => demand(name == "One" || name == "Two", || format!("one of them is written, not {name}")),
        }
    });
    scene("change, change (of one version)", &site, vec![naming("One"), naming("Two")], law).half_warm()
}

/// One takes away, the other gives back.
fn switches(base: &Site) -> Scene {
    let site = base.fork();
    site.tokens();
    let switching = |enabled: bool| administering(Method::PATCH, CLIENT, &[], &json!({ "enabled": enabled }));
    let law: Law = Box::new(|trial| {
        for reply in &trial.replies {
            demand(reply.status == 200, || format!("200, not {} {}", reply.status, reply.body))?;
        }
        marks_agree(trial)
    });
    let meaning: Meaning = Box::new(|who, reply, site| {
        if reply.status != 200 {
            return Ok(());
        }
        demand(reply.body["enabled"] == (who == 1), || "an answer shows what was asked for".to_owned())?;
        // What is disabled at this moment by an answered change is disabled in every shard.
        let version = record(site)["version"].as_u64();
        let told = |disk: &Disk| {
            let mark = disk.get("marks", "client", "demo-web").unwrap()?;
            serde_json::from_str::<Value>(&mark).unwrap()["version"].as_u64()
        };
        let holds = site.world.disks("GRANTS").iter().all(|(_, disk)| told(disk) >= version);
        let last = record(site)["metadata"]["enabled"] == reply.body["enabled"];
        demand(who == 1 || !last || holds, || "every shard holds what was answered 200".to_owned())
    });
    let mut scene = scene("disable, enable", &site, vec![switching(false), switching(true)], law).half_warm();
    // Copies have an order of their own: that of the changes above and below.
    scene.plan.copies_at_once = true;
    scene.meaning(meaning).explored((&[PLAIN], &[]))
}

/// Two that take nothing away: no shard is told, and both write the same copy.
fn harmless_changes(base: &Site) -> Scene {
    let naming = |name: &str| administering(Method::PATCH, CLIENT, &[], &json!({ "client_name": name }));
    let law: Law = Box::new(|trial| {
        for reply in &trial.replies {
            demand(reply.status == 200, || format!("200, not {} {}", reply.status, reply.body))?;
        }
        let name = &record(&trial.site)["metadata"]["client_name"];
        demand(name == "One" || name == "Two", || format!("one of them is written last, not {name}"))
    });
    scene("change, change", base, vec![naming("One"), naming("Two")], law).half_warm()
}

fn disabling(target: &str) -> Request {
    administering(Method::PATCH, target, &[], &json!({ "enabled": false }))
}

/// Of clients and people, while they are at work.
pub fn disablings(base: &Site) -> Vec<Scene> {
    let site = base.fork();
    let tokens = site.tokens();
    let (access, refresh) = (string(&tokens, "access_token"), string(&tokens, "refresh_token"));
    let offered = base.fork();
    let code = offered.code("demo-web", &[]);
    let asked = base.fork();
    asked.tokens();
    let pending = field(&asked.authorize("demo-web", &[("prompt", "consent")]), "pending");
    let allow = deciding(&asked, &pending, "all");
    // A page whose grant would lie in the shard that holds one already.
    let near = std::iter::repeat_with(|| {
        let page = asked.authorize("demo-web", &[("prompt", "consent")]);
        deciding(&asked, &field(&page, "pending"), "all")
    })
    .find(|allow| {
        let there = asked.fork();
        there.send(allow);
        there.world.disks("GRANTS").len() == 1
    })
    .expect("shards are drawn");
    // The first disables; the second is what it takes away.
    let law = || -> Law {
        Box::new(|trial| {
            let [disabled, other] = trial.replies.as_slice() else { return Err("two".to_owned()) };
            demand(disabled.status == 200, || format!("disabling is answered 200, not {}", disabled.status))?;
            if other.acted_after(disabled) {
                let nothing = other.code.is_none() && other.body["access_token"].is_null();
                demand(nothing, || "disabled means disabled".to_owned())?;
            }
            if let Some(code) = &other.code {
                is_spent(&trial.site, code)?;
            }
            if other.status == 200 && other.body.is_object() {
                trial.is_dead(&other.text("access_token"))?;
                trial.is_dead(&other.text("refresh_token"))?;
                is_refused(&trial.site, &other.text("refresh_token"))?;
            }
            Ok(())
        })
    };
    let ended = || -> Meaning {
        let (access, refresh) = (access.clone(), refresh.clone());
        Box::new(move |who, reply, site| {
            if who != 0 || reply.status != 200 {
                return Ok(());
            }
            is_dead(site, &access)?;
            is_refused(site, &refresh)
        })
    };
    let spent: Meaning = {
        let code = code.clone();
        Box::new(
            move |who, reply, site| {
                if who == 0 && reply.status == 200 { is_spent(site, &code) } else { Ok(()) }
            },
        )
    };
    let client = || disabling(CLIENT);
    let person = || disabling(ALICE);
    let alone = |name, request| {
        let law: Law =
            Box::new(|trial| demand(trial.winners().len() == 1, || "disabling is answered 200".to_owned()));
        let scene = scene(name, &site, vec![request], law).meaning(ended()).half_warm();
        scene.copies_at_once()
    };
    vec![
        alone("disable client", client()).explored((&[PLAIN, FAULT], &[FAULTS])),
        // The note for the log goes out beside the marks: faults of several at once would be millions of orders.
        alone("disable person", person()).explored((&[PLAIN], &[FAULT])),
        scene("disable client, refresh", &site, vec![client(), refreshing(&refresh)], law())
            .meaning(ended())
            .warm()
            .explored((&[PLAIN], &[])),
        scene(
            "disable client, refresh (no client is known)",
            &site,
            vec![client(), refreshing(&refresh)],
            law(),
        )
        .meaning(ended())
        .half_warm()
        .explored((&[PLAIN], &[])),
        scene("disable client, redeem", &offered, vec![client(), redeeming(&code)], law())
            .meaning(spent)
            .warm()
            .copies_at_once(),
        scene("disable person, refresh", &site, vec![person(), refreshing(&refresh)], law())
            .meaning(ended())
            .warm()
            .explored((&[PLAIN], &[FAULT, EVERY])),
        scene("disable person, allow", &asked, vec![person(), allow], law())
            .meaning(Box::new(is_marked))
            .warm()
            .explored((&[], &[PLAIN])),
        scene("disable person, allow (where she gave before)", &asked, vec![person(), near], law())
            .meaning(Box::new(is_marked))
            .warm(),
    ]
}

/// Once alice is disabled the shards that hold her grants know it.
fn is_marked(who: usize, reply: &Reply, site: &Site) -> Verdict {
    if who != 0 || reply.status != 200 {
        return Ok(());
    }
    let shards = site.world.disks("GRANTS");
    let marks = shards.iter().map(|(_, disk)| disk.scan("marks", Some("person"), None, 9).unwrap().len());
    demand(marks.sum::<usize>() > 0 || grants(&site.world).is_empty(), || {
        "the shards of her grants are told before she is disabled".to_owned()
    })
}
