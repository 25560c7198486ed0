//! Tokens of a client's own. Nobody is asked when they are issued, so they may be issued by a record that is out of date;
//! the shard that is asked about them later must not be taken in.

use super::{Judged, Life, SHARDS};
use crate::model::message;
use edgemint::{
    host::{Answer, Host, SKEW, Seconds, Timestamp},
    model::{
        grant::Reply,
        place::Shard,
        scope::Scope,
        ticket::{Claims, Subject},
    },
    objects::protocol::grant_shard::{self, GrantShard, Wish},
};

/// Longer than a history.
const LIFETIME: Seconds = Seconds(100_000);

/// A token, and how it came about.
pub struct Own {
    client: &'static str,
    life: usize,
    version: u64,
    claims: Claims,
}

/// What the shard must say of it.
#[derive(Debug)]
enum Verdict {
    Dead,
    Good(Scope),
    /// It was issued as something was taken away, by clocks that may differ.
    Either,
}

impl Life {
    /// A location issues a token by the record as it was some changes ago.
    pub fn issue(&mut self, client: &'static str, behind: usize) {
        let history = self.oracle.history.get(client).map(Vec::as_slice).unwrap_or_default();
        let Some((known, _)) = history.len().checked_sub(behind + 1).and_then(|at| history.get(at)) else {
            return;
        };
        if !known.enabled || known.scopes.is_empty() {
            return;
        }
        let (number, issued) = (self.own.len(), self.world.now());
        let claims = Claims {
            subject: Subject::Client {
                shard: Shard::parse(SHARDS[number % SHARDS.len()]).unwrap(),
                client: client.into(),
                incarnation: known.incarnation(client),
                version: known.version,
            },
            scope: Scope::of(known.scopes.iter().copied()),
            issued,
            expires: issued.plus(LIFETIME),
            id: number.to_string(),
        };
        let (life, version, scope) = (known.life, known.version, claims.scope.to_string());
        self.story.step(format!(
            "(token {number}) {client} gets a token of its own for \"{scope}\", by its record v{version}"
        ));
        self.own.push(Own { client, life, version, claims });
    }

    /// 14: what was issued after something was taken away, by who had not heard of it, is dead from the start; what was
    /// issued before lives on, with what is left, while its client is enabled.
    fn expected(&self, own: &Own) -> Verdict {
        let since = |(known, at): &(super::Known, Timestamp)| {
            (known.version > own.version).then_some((known.ends, known.taken, *at))
        };
        let later: Vec<_> = self.oracle.history[own.client].iter().filter_map(since).collect();
        let issued = own.claims.issued;
        let Some(client) = self.oracle.clients.get(own.client) else { return Verdict::Dead };
        let left = own.claims.scope.common(&Scope::of(client.scopes.iter().copied()));
        if !client.enabled
            || left.is_empty()
            || later.iter().any(|(ended, taken, at)| *ended || (*taken && issued >= *at))
        {
            Verdict::Dead
        } else if later.iter().any(|(_, taken, at)| *taken && issued.plus(SKEW) >= *at) {
            Verdict::Either
        } else {
            Verdict::Good(left)
        }
    }

    /// Every token is asked about, once all is told; then every other one is revoked.
    pub fn judge_own(&mut self) -> Judged {
        for number in 0..self.own.len() {
            let own = &self.own[number];
            let (expected, other) = (self.expected(own), if own.client == "app" { "tool" } else { "app" });
            let (client, claims) = (own.client, own.claims.clone());
            self.story.step(format!("whether token {number} is good"));
            let reply = self.about(&claims, client, Wish::Inspect(false));
            let kept = match (&expected, &reply) {
                (Verdict::Dead, Reply::Inactive) | (Verdict::Either, Reply::Inactive | Reply::Active(_)) => {
                    true
                }
                (Verdict::Good(scope), Reply::Active(active)) => active.scope == *scope,
                _ => false,
            };
            self.story.hold(kept, "behaviour 14: no token outruns what was taken from its client", || {
                format!("expected {expected:?}, got {reply:?}")
            })?;
            let reply = self.about(&claims, other, Wish::Revoke);
            self.story.hold(
                matches!(reply, Reply::Foreign),
                "behaviour 12: it is another client's",
                || format!("{reply:?}"),
            )?;
            // A client that is gone asks for nothing.
            let own = &self.own[number];
            let lives = self.oracle.clients.get(own.client).is_some_and(|known| known.life == own.life);
            if number % 2 == 0 && lives {
                self.about(&claims, client, Wish::Revoke);
                let reply = self.about(&claims, client, Wish::Inspect(false));
                let dead = matches!(reply, Reply::Inactive);
                self.story
                    .hold(dead, "behaviour 12: revoking a token ends it at once", || format!("{reply:?}"))?;
            }
        }
        Ok(())
    }

    fn about(&self, claims: &Claims, caller: &str, wish: Wish) -> Reply {
        let newest = self.oracle.newest;
        let caller = self.oracle.reference(caller, newest);
        let command = grant_shard::Command::Token { claims: claims.clone(), policy: newest, caller, wish };
        let message = message("", None, command);
        let text = self.world.deliver_raw::<GrantShard>(&claims.shard().to_string(), &message);
        let answer: Answer<grant_shard::Reply> = edgemint::json::read(&text).unwrap();
        match answer.reply {
            Ok(grant_shard::Reply::Grant(reply)) => reply,
            other => unreachable!("{other:?}"),
        }
    }
}
