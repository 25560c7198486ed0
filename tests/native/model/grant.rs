//! One grant, in its shard, by the messages that an edge sends: whatever the order of wishes, clocks, repetitions,
//! thieves and administrators, it answers as the oracle says.

mod acts;
mod answers;
mod asks;
mod oracle;

use self::{
    acts::{Act, Copy, Pick, Who, act, change},
    answers::{fits, same, told},
    asks::{ACCESS, Ask, Given, Profile, Redemption, TokenRef, Wish, With, profiles},
    oracle::{Change, Oracle, Verdict},
};
use super::{Broken, Effort, Story, prove};
use crate::world::World;
use edgemint::{
    host::{Answer, Host, PATIENCE, SKEW, Seconds, Store, Timestamp},
    model::{
        grant::{Issued, Reply},
        mark::{Mark, Standing},
        place::{Address, Shard, Table},
        scope::Scope,
        ticket::{Claims, Subject},
    },
    objects::protocol::grant_shard::{self, GrantShard},
};
use proptest::{prelude::*, sample::select};
use serde_json::json;

const EFFORT: Effort = Effort { short: 800, long: 10_000 };

fn number(of: usize) -> u32 {
    u32::try_from(of).expect("a history is short")
}

/// A message that was sent.
struct Sent {
    ask: Ask,
    words: String,
    message: String,
    at: Timestamp,
    /// Whether it changed the grant, and as the how-manyth.
    effect: Option<usize>,
    answer: Option<Reply>,
    /// What had been changed by administrators then.
    changes: usize,
}

struct Life {
    story: Story,
    world: World,
    /// Milliseconds that the edge's clock, which counts seconds here, does not show.
    fraction: u64,
    skew: i64,
    profile: Profile,
    address: Address,
    oracle: Oracle,
    given: Given,
    sent: Vec<Sent>,
    effects: usize,
    marks: Vec<String>,
    strict: bool,
    waited: u64,
}

impl Life {
    fn new(profile: Profile) -> Self {
        let mut story = Story::default();
        story.step(format!("there is {}: {profile:?}", profile.name));
        let shard = Shard::parse("weur-0").unwrap();
        let end = profile.absolute.map(|_| Timestamp(1_800_600_000_000));
        let table = Table::for_end(end, Timestamp(1_800_000_000_000));
        Self {
            story,
            world: World::new(),
            fraction: 0,
            skew: 0,
            address: Address { shard, table, owner: "sub".into(), key: "key".into() },
            oracle: Oracle::new(profile.clone(), Scope::parse("read write admin").unwrap()),
            profile,
            given: Given::default(),
            sent: Vec::new(),
            effects: 0,
            marks: Vec::new(),
            strict: false,
            waited: 0,
        }
    }

    /// How far the object's clock is from the edge's.
    fn ahead(&self) -> i64 {
        self.skew.saturating_add_unsigned(self.fraction)
    }

    fn set_clock(&self) {
        self.world.skew(self.ahead());
    }

    /// The object's clock.
    fn now(&self) -> Timestamp {
        Timestamp(self.world.now().0.saturating_add_signed(self.ahead()))
    }

    fn row(&self) -> Option<String> {
        let Address { table, owner, key, .. } = &self.address;
        self.world.disk("GRANTS", "weur-0").get(&table.name("grants"), owner, key).unwrap()
    }

    fn play(&mut self, act: &Act) -> Result<(), Broken> {
        match act {
            Act::Wait(milliseconds) => {
                self.waited += milliseconds;
                self.fraction += milliseconds;
                self.world.pass(Seconds(self.fraction / 1000));
                self.fraction %= 1000;
                self.set_clock();
                return Ok(());
            }
            Act::Clock(milliseconds) => {
                self.skew = *milliseconds;
                self.set_clock();
                self.step(&format!("the object's clock is {milliseconds} ms from the edge's"));
                return Ok(());
            }
            Act::Strict(strict) => {
                self.strict = *strict;
                return self.change(&Change::Settings);
            }
            Act::Change(change) => return self.change(change),
            Act::MarkAgain(back) => return self.mark_again(*back),
            Act::Again(back) => return self.again(*back),
            _ => {}
        }
        let Some((ask, words)) = self.ask(act) else { return Ok(()) };
        let (id, at) = (self.sent.len(), self.world.now());
        let message = self.given.message(&ask, &self.oracle.allowed, &self.profile, &self.address, at, id);
        self.step(&format!("(message {id}) {words}"));
        let changes = self.marks.len();
        self.sent.push(Sent { ask, words, message, at, effect: None, answer: None, changes });
        self.deliver(id)
    }

    fn step(&mut self, words: &str) {
        let waited = std::mem::take(&mut self.waited);
        let after = if waited > 0 { format!("after {waited} ms ") } else { String::new() };
        self.story.step(format!("{after}{words}"));
    }

    /// What is meant by an act, where it means anything yet.
    fn ask(&self, act: &Act) -> Option<(Ask, String)> {
        let token = |pick: Pick| match pick {
            Pick::Refresh(back) => self
                .given
                .refresh
                .len()
                .checked_sub(back)
                .filter(|n| *n > 0)
                .map(|n| TokenRef::Refresh(number(n))),
            Pick::Access(back) => self.given.access.len().checked_sub(back + 1).map(TokenRef::Access),
        };
        let window = |own: Seconds| if self.strict { Seconds(0) } else { own };
        let scope = |text: &str| Scope::parse(text).unwrap_or_default();
        let (who, forged, copy, wish) = match act {
            Act::Offer { scope: asked, old_person, at_once, copy } => {
                let person = if *old_person { 1 } else { self.oracle.person_version };
                let (scope, retry) = (scope(asked), window(self.profile.retry));
                let wish = match at_once {
                    true => Wish::Give { scope, person, retry },
                    false => Wish::Offer { scope, person },
                };
                (Who::Client, false, *copy, wish)
            }
            Act::Redeem { who, with, forged, copy } => {
                let retry = window(self.profile.retry);
                let redemption = Redemption { with: *with, retry, refreshes: self.profile.refreshes };
                (*who, *forged, *copy, Wish::Redeem(redemption))
            }
            Act::Refresh { back, who, forged, scope: asked, copy } => {
                let TokenRef::Refresh(token) = token(Pick::Refresh(*back))? else { return None };
                let grace = window(self.profile.grace);
                (*who, *forged, *copy, Wish::Refresh { token, scope: asked.map(scope), grace })
            }
            Act::Inspect { token: pick, who, forged, copy } => {
                (*who, *forged, *copy, Wish::Inspect(token(*pick)?))
            }
            Act::Revoke { token: pick, who, forged, whole, copy } => {
                (*who, *forged, *copy, Wish::Revoke { token: token(*pick)?, whole: *whole })
            }
            Act::Withdraw => (Who::Client, false, Copy::Fresh, Wish::Withdraw),
            Act::End => (Who::Client, false, Copy::Fresh, Wish::End),
            _ => return None,
        };
        let client = match who {
            Who::Client => "app",
            Who::Other => "other",
            Who::Api => "api",
        };
        let old = |version: u64, kind| if copy == kind { version.saturating_sub(1).max(1) } else { version };
        let version = if client == "app" { old(self.oracle.client_version, Copy::OldClient) } else { 1 };
        let policy = old(self.oracle.policy_version, Copy::OldSettings);
        // Nobody can hold a code that was not given, also if it is given before this message arrives again.
        let forged = forged || (matches!(wish, Wish::Redeem(_)) && self.given.code.is_none());
        let ask = Ask { client, life: self.oracle.life, version, policy, forged, wish };
        let known = (ask.client != "app" || version == self.oracle.client_version)
            && policy == self.oracle.policy_version;
        let by = if known { "" } else { ", by a record that is out of date" };
        let words = format!("{}{by}", ask.words());
        Some((ask, words))
    }

    /// Tells the shard what the administrator changed, as registry and accounts do before they answer.
    fn change(&mut self, change: &Change) -> Result<(), Broken> {
        let now = self.now();
        self.oracle.change(change, now);
        if let Change::Rotate(rotate) = change {
            self.profile.rotate = *rotate;
        }
        let [client, person] = self.oracle.standings().map(|(enabled, min_version, not_before)| Mark {
            standing: if enabled { Standing::Enabled } else { Standing::Disabled },
            min_version,
            not_before,
            ..Mark::default()
        });
        let (id, mark) = match change {
            Change::DisablePerson | Change::EnablePerson | Change::CutPerson(_) => {
                ("person/sub", Mark { version: self.oracle.person_version, groups: Some(vec![]), ..person })
            }
            Change::Settings => ("policy/", Mark { version: self.oracle.policy_version, ..Mark::default() }),
            _ => {
                let (incarnation, scope) =
                    (Some(format!("life {}", self.oracle.life)), Some(self.oracle.allowed.clone()));
                ("client/app", Mark { version: self.oracle.client_version, incarnation, scope, ..client })
            }
        };
        let message = json!({ "format": 1, "attempt": format!("mark {}", self.marks.len()),
            "command": { "Mark": { "id": id, "mark": edgemint::json::tree(&mark) } } });
        self.marks.push(message.to_string());
        self.step(&format!("the administrator: {change:?}, which the shard hears as v{}", mark.version));
        let answer = self.world.deliver_raw::<GrantShard>("weur-0", &message.to_string());
        self.story.hold(answer.contains("Acknowledged"), "a mark is acknowledged", || answer.clone())
    }

    fn mark_again(&mut self, back: usize) -> Result<(), Broken> {
        let Some(at) = self.marks.len().checked_sub(back + 1) else { return Ok(()) };
        self.step(&format!("mark {at} arrives once more"));
        let before = self.world.dump();
        let answer = self.world.deliver_raw::<GrantShard>("weur-0", &self.marks[at]);
        let kept = answer.contains("Acknowledged") && self.world.dump() == before;
        self.story
            .hold(kept, "behaviour 14: an old mark that arrives late takes back nothing", || answer.clone())
    }

    /// Message `id` arrives (once more).
    fn again(&mut self, back: usize) -> Result<(), Broken> {
        let Some(id) = self.sent.len().checked_sub(back + 1) else { return Ok(()) };
        let words = &self.sent[id].words;
        self.step(&format!("message {id} arrives once more ({words})"));
        let sent = &self.sent[id];
        let given_up = self.now() > sent.at.plus(PATIENCE).plus(PATIENCE).plus(SKEW);
        let Some(effect) = sent.effect.filter(|_| !given_up) else {
            if given_up {
                let answer = self.send(id, "one effect: nobody waits for this message any more")?;
                return self
                    .story
                    .hold(answer.is_err(), "a message of long ago is refused", || format!("{answer:?}"));
            }
            // What changed nothing left no trace, and is judged anew.
            return self.deliver(id);
        };
        let answer = self.send(id, "one effect: a message that arrives again changes nothing")?;
        let Ok(reply) = answer else {
            let late = effect < self.effects;
            return self
                .story
                .hold(late, "one effect: the newest message is answered again", || "a fault".into());
        };
        self.story.hold(
            effect == self.effects,
            "one effect: a message that arrives after others is told so",
            || format!("{reply:?}"),
        )?;
        let sent = &self.sent[id];
        let first = sent.answer.as_ref().map(same).unwrap_or_default();
        let issued = matches!(sent.answer, Some(Reply::Issued(_)));
        let undisturbed = sent.changes == self.marks.len() && !self.oracle.is_over() && !self.has_run_out();
        // Tokens that were given are given again, whatever record is newer by now: it is no other wish.
        let refused = matches!(reply, Reply::Refused(_)) || (!issued && matches!(reply, Reply::Stale));
        let kept = same(&reply) == first || (!undisturbed && refused);
        self.story.hold(
            kept,
            "one effect, one answer: a message that arrives again is answered as before",
            || format!("{first}, then {reply:?}"),
        )?;
        let over = self.oracle.is_over() && matches!(reply, Reply::Issued(_));
        self.story.hold(!over, "behaviour 11: nothing becomes active after the end", || format!("{reply:?}"))
    }

    /// True where the code or the newest refresh token would be too old by now.
    fn has_run_out(&mut self) -> bool {
        let (life, version, policy) =
            (self.oracle.life, self.oracle.client_version, self.oracle.policy_version);
        let token = TokenRef::Refresh(number(self.given.refresh.len()));
        let wish = Wish::Inspect(token);
        let ask = Ask { client: "app", life, version, policy, forged: false, wish };
        let now = self.now();
        self.given.refresh.is_empty() || self.oracle.judge(&ask, now) == Verdict::Inactive
    }

    /// Delivers message `id`, which is to change nothing.
    fn send(&mut self, id: usize, promise: &str) -> Result<Result<Reply, String>, Broken> {
        let before = self.world.dump();
        let answer = self.answer(id);
        self.story.hold(self.world.dump() == before, promise, || "the shard's rows changed".into())?;
        Ok(answer)
    }

    fn answer(&mut self, id: usize) -> Result<Reply, String> {
        let text = self.world.deliver_raw::<GrantShard>("weur-0", &self.sent[id].message);
        let answer: Answer<grant_shard::Reply> = edgemint::json::read(&text).expect("an answer");
        let reply = answer.reply.map(|reply| match reply {
            grant_shard::Reply::Grant(reply) => reply,
            other => unreachable!("{other:?}"),
        });
        self.story.came(match &reply {
            Ok(reply) => told(reply),
            Err(fault) => fault.clone(),
        });
        reply
    }

    /// Delivers message `id` as a wish of its own, and holds what comes of it against the oracle.
    fn deliver(&mut self, id: usize) -> Result<(), Broken> {
        let (before, now) = (self.row(), self.now());
        let ask = self.sent[id].ask.clone();
        let reply = match self.answer(id) {
            Ok(reply) => reply,
            Err(fault) => return self.story.hold(false, "no input is a fault", || fault),
        };
        let (started, at) = (self.oracle.is_over(), self.oracle.at(now));
        let verdict = self.oracle.judge(&ask, now);
        let (promise, kept) = fits(&ask, &verdict, &reply, at);
        let after = self.row();
        self.story.hold(kept, promise, || format!("the oracle expected {verdict:?}"))?;
        let still = match &verdict {
            Verdict::Tokens { again, .. } => *again,
            Verdict::Refused
            | Verdict::Active { .. }
            | Verdict::Inactive
            | Verdict::Foreign
            | Verdict::Stale => true,
            _ => false,
        };
        self.story.hold(
            !still || after == before,
            "behaviour 2, 3, 7: what is refused, asked or answered again writes nothing",
            || format!("{verdict:?} changed the row"),
        )?;
        let over = started && matches!(reply, Reply::Issued(_) | Reply::Active(_));
        self.story
            .hold(!over, "behaviour 11: nothing is or becomes active after the end", || told(&reply))?;
        match &reply {
            Reply::Issued(issued) => self.receive(issued)?,
            Reply::Offered(proof) => {
                let first = self.given.code.get_or_insert_with(|| proof.clone()).clone();
                self.story.hold(
                    first == *proof,
                    "behaviour 22: a double submit gets the same code",
                    || "another code".into(),
                )?;
            }
            _ => {}
        }
        if after != before {
            self.effects += 1;
            self.sent[id].effect = Some(self.effects);
        }
        self.sent[id].answer = Some(reply);
        Ok(())
    }

    /// Keeps what was handed out, as `issue` makes it.
    fn receive(&mut self, issued: &Issued) -> Result<(), Broken> {
        if let Some(token) = &issued.refresh {
            let at = token.generation as usize - 1;
            let known = self.given.refresh.get(at).cloned();
            let same =
                known.as_ref().is_none_or(|known| *known == token.proof) && at <= self.given.refresh.len();
            self.story.hold(same, "behaviour 6, 7: a number is one refresh token", || {
                format!("another token {}", at + 1)
            })?;
            if known.is_none() {
                self.given.refresh.push(token.proof.clone());
            }
        }
        let expires = issued.until.unwrap_or(Timestamp(u64::MAX)).min(issued.at.plus(ACCESS));
        let number = self.oracle.give(issued.scope.clone(), expires);
        let subject = Subject::Grant(self.address.clone());
        let claims = Claims {
            subject,
            scope: issued.scope.clone(),
            issued: issued.at,
            expires,
            id: number.to_string(),
        };
        let proof = issued.access_key.proof(&[&claims.bytes().unwrap()]);
        self.given.access.push((claims, proof));
        Ok(())
    }

    /// At last everything that was handed out is asked about.
    fn settle(&mut self) -> Result<(), Broken> {
        let (refresh, access) = (self.given.refresh.len(), self.given.access.len());
        let picks = (0..refresh).map(Pick::Refresh).chain((0..access).map(Pick::Access));
        for token in picks.collect::<Vec<_>>() {
            self.play(&Act::Inspect { token, who: Who::Api, forged: false, copy: Copy::Fresh })?;
        }
        if self.oracle.is_over() {
            for back in 0..refresh {
                self.play(&Act::Refresh {
                    back,
                    who: Who::Client,
                    forged: false,
                    scope: None,
                    copy: Copy::Fresh,
                })?;
            }
            self.play(&Act::Redeem { who: Who::Client, with: With::All, forged: false, copy: Copy::Fresh })?;
        }
        Ok(())
    }
}

#[test]
fn whatever_happens_to_a_grant_it_answers_as_the_oracle_says() {
    let before = prop::collection::vec(change().prop_map(Act::Change), 0..3);
    let after = prop::collection::vec(act(), 1..45);
    let begun = (prop::bool::weighted(0.2), prop::bool::weighted(0.8), prop::bool::weighted(0.2));
    let histories = (select(profiles()), begun, before, after);
    prove(EFFORT, histories, |(profile, (troubled, redeemed, at_once), before, after)| {
        let mut life = Life::new(profile);
        for act in before.iter().filter(|_| troubled) {
            life.play(act)?;
        }
        life.play(&Act::Offer { scope: "read write", old_person: false, at_once, copy: Copy::Fresh })?;
        if redeemed && !at_once {
            life.play(&Act::Redeem { who: Who::Client, with: With::All, forged: false, copy: Copy::Fresh })?;
        }
        for act in &after {
            life.play(act)?;
        }
        life.settle()
    });
}
