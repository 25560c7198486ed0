//! What is asked of the end of a history, and at every answer on the way there.

use super::course::{Outcome, Wish};
use crate::world::{CALLBACK, Site, World, dead, parameter, string, text};
use edgemint::{
    host::{Seconds, Store},
    wire::Response,
};
use serde_json::Value;
use std::rc::Rc;

/// Good, or what was expected.
pub type Verdict = Result<(), String>;

/// Good where it holds.
pub fn demand(holds: bool, expected: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(expected()) }
}

/// An answer, read.
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its JSON.
    pub body: Value,
    /// The code that its redirect carries.
    pub code: Option<String>,
    /// The access token that its redirect carries.
    pub token: Option<String>,
    /// The error that its redirect carries.
    pub error: Option<String>,
    /// Whether it is the page to sign in.
    pub signs_in: bool,
    /// Whether this request, or its repetition, was told 503 before.
    pub unknown: bool,
    /// The step at which it went out; of a last repetition, the end.
    pub at: usize,
    /// The steps at which it had turns in shards of grants.
    pub turns: Vec<usize>,
}

impl Reply {
    /// Reads one.
    pub fn of(response: &Response) -> Self {
        Self {
            status: response.status.as_u16(),
            body: serde_json::from_slice(&response.body).unwrap_or_default(),
            code: parameter(response, "code"),
            token: parameter(response, "access_token"),
            error: parameter(response, "error"),
            signs_in: text(response).contains("login-submit"),
            unknown: false,
            at: 0,
            turns: Vec::new(),
        }
    }

    /// A member of its JSON.
    pub fn text(&self, name: &str) -> String {
        string(&self.body, name)
    }

    /// True where all its turns in shards of grants came after that answer.
    pub fn acted_after(&self, other: &Self) -> bool {
        self.turns.iter().all(|turn| *turn > other.at)
    }
}

/// The end of a history, with all well again.
pub struct Trial {
    /// An isolate that remembers nothing.
    pub site: Site,
    /// The answers. Where nobody knew what happened, that to a last repetition.
    pub replies: Vec<Reply>,
}

impl Trial {
    /// Repeats what is still unknown.
    pub fn of(site: Site, wishes: &[Rc<Wish>], outcomes: &[Outcome]) -> Self {
        let settle = |(outcome, wish): (&Outcome, &Rc<Wish>)| {
            let answer = outcome.answer.as_ref().expect("every request has its answer");
            let mut reply = Reply { at: outcome.at, ..Reply::of(answer) };
            if reply.status == 503 {
                reply = match &**wish {
                    Wish::Request(request) => Reply::of(&site.send(request)),
                    // Who finds no data makes it.
                    Wish::Messages(_) => Reply::of(&site.get("/healthz")),
                };
                reply.at = usize::MAX;
            }
            Reply { unknown: outcome.unknown, turns: outcome.turns.clone(), ..reply }
        };
        let replies = outcomes.iter().zip(wishes).map(settle).collect();
        Self { site, replies }
    }

    /// What can be told apart of two ends: what each request was told, and what is kept of grants.
    pub fn digest(&self) -> String {
        let replies = self.replies.iter().map(|reply| {
            let Reply { status, body, code, error, unknown, .. } = reply;
            let active = &body["active"];
            format!("{status} {} {active} {} {error:?} {unknown}", body["error"], code.is_some())
        });
        let kept = grants(&self.site.world).into_iter().map(|grant| {
            let live = &grant["state"]["Live"];
            format!("{} {} {}", grant["state"].get("Ended").is_some(), live["generation"], live["remaining"])
        });
        replies.chain(kept).collect::<Vec<_>>().join("; ")
    }

    /// What holds at the end of every history: nobody was told 500, nobody is told 503 now, and without a fault nobody was.
    pub fn is_regular(&self, faults: usize) -> Verdict {
        for reply in &self.replies {
            demand(reply.status != 503 && reply.status != 500, || {
                format!("with all well a repetition is answered; it is told {} {}", reply.status, reply.body)
            })?;
            demand(faults > 0 || !reply.unknown, || "without a fault nobody is told 503".to_owned())?;
        }
        Ok(())
    }

    /// How many were told 200.
    pub fn winners(&self) -> Vec<&Reply> {
        self.replies.iter().filter(|reply| reply.status == 200).collect()
    }

    /// Whether somebody was told 503 on the way.
    pub fn unknown(&self) -> bool {
        self.replies.iter().any(|reply| reply.unknown)
    }

    /// The one grant that there is.
    pub fn only_grant(&self) -> Result<Value, String> {
        let mut grants = grants(&self.site.world);
        demand(grants.len() == 1, || format!("one grant: there are {}", grants.len()))?;
        Ok(grants.remove(0))
    }

    /// What is good for nothing.
    pub fn is_dead(&self, token: &str) -> Verdict {
        is_dead(&self.site, token)
    }

    /// What is good.
    pub fn is_active(&self, token: &str) -> Verdict {
        let said = self.site.inspect(token);
        demand(said["active"] == true, || format!("the token is active; introspection says {said}"))
    }

    /// Once alarms have rung, nothing is owed any more, and every copy is the truth's.
    pub fn settles(&self) -> Verdict {
        let world = &self.site.world;
        let owes = || {
            let disks = ["REGISTRY", "ACCOUNTS"].into_iter().flat_map(|binding| world.disks(binding));
            disks.map(|(_, disk)| disk.scan("outbox", None, None, usize::MAX).unwrap().len()).sum::<usize>()
        };
        for _ in 0..6 {
            if owes() == 0 {
                break;
            }
            world.pass(Seconds(61));
            world.ring();
        }
        demand(owes() == 0, || format!("alarms send what is owed; {} are still owed", owes()))?;
        for (_, registry) in world.disks("REGISTRY") {
            for (id, _, row) in registry.scan("clients", None, None, usize::MAX).unwrap() {
                is_copied(world, &format!("client:{id}"), &row)?;
            }
            if let Some(row) = registry.get("policy", "", "").unwrap() {
                is_copied(world, "policy", &row)?;
            }
        }
        Ok(())
    }
}

/// A copy is the truth's, but for the wishes that changed nothing: those are not copied.
fn is_copied(world: &World, key: &str, row: &str) -> Verdict {
    let read = |text: &str| {
        let mut record: Value = serde_json::from_str(text).unwrap();
        record.as_object_mut().unwrap().remove("attempts");
        record
    };
    let copy = world.copy(key);
    let same = copy.as_deref() == Some(row) || copy.is_some_and(|copy| read(&copy) == read(row));
    demand(same, || format!("the copy {key} is the truth's"))
}

/// What is good for nothing.
pub fn is_dead(site: &Site, token: &str) -> Verdict {
    let said = site.inspect(token);
    demand(said == dead(), || format!("the token is inactive; introspection says {said}"))
}

/// A refresh that is refused.
pub fn is_refused(site: &Site, refresh_token: &str) -> Verdict {
    let (status, body) = site.refresh(refresh_token);
    demand((400..500).contains(&status), || format!("a refresh is refused; it is answered {status} {body}"))
}

/// A redemption that is refused.
pub fn is_spent(site: &Site, code: &str) -> Verdict {
    let (status, body) = site.redeem(code);
    demand((400..500).contains(&status), || {
        format!("the code at {CALLBACK} is good for nothing; it is answered {status} {body}")
    })
}

/// Every grant there is.
pub fn grants(world: &World) -> Vec<Value> {
    let mut found = Vec::new();
    for (_, disk) in world.disks("GRANTS") {
        for table in disk.tables().unwrap().iter().filter(|table| table.starts_with("grants")) {
            let rows = disk.scan(table, None, None, usize::MAX).unwrap();
            found.extend(rows.iter().map(|(.., row)| serde_json::from_str::<Value>(row).unwrap()));
        }
    }
    found
}
