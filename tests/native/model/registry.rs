//! The registry, its outbox and its roster: clients, scopes and settings, changed by administrators whose messages come
//! again, while shards join and marks and copies are lost.

mod acts;
mod clients;
mod oracle;
mod own;

pub use self::acts::registration;
use self::{
    acts::{Act, act},
    oracle::{CLIENTS, Known, Oracle, SCOPES, SHARDS},
    own::Own,
};
use super::{Broken, Effort, Story, message, prove};
use crate::world::{Fate, World};
use edgemint::{
    host::{Answer, Host, PATIENCE, SKEW, Seconds, Store, Timestamp},
    model::{
        grant,
        mark::{Mark, Standing},
        scope::Scope,
    },
    objects::protocol::{
        Told,
        grant_shard::{self, GrantShard},
        registry::{Catalogued, Command, NAME, POLICY_KEY, Registry, Reply, client_key, tag_of},
    },
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const EFFORT: Effort = Effort { short: 400, long: 4_000 };
struct Sent {
    words: String,
    message: String,
    at: Timestamp,
    accepted: bool,
}

struct Life {
    story: Story,
    world: World,
    oracle: Oracle,
    sent: Vec<Sent>,
    own: Vec<Own>,
}

type Judged = Result<(), Broken>;

impl Life {
    fn new() -> Result<Self, Broken> {
        let oracle = Oracle { grace: 10, ..Oracle::default() };
        let (story, world) = (Story::default(), World::new());
        let mut life = Self { story, world, oracle, sent: Vec::new(), own: Vec::new() };
        let Reply::Policy(policy) = life.ask("settings and scopes are read", Command::Policy)? else {
            return life.story.hold(false, "there are settings", String::new).map(|()| life);
        };
        life.oracle.newest = policy.version;
        life.oracle.settings = policy.settings_version;
        life.oracle.marked = policy.settings_version;
        Ok(life)
    }

    /// As most histories begin: every scope, every client, two of three shards.
    fn begin(&mut self) -> Judged {
        SCOPES.into_iter().try_for_each(|scope| self.create_scope(scope))?;
        CLIENTS.into_iter().try_for_each(|client| self.create(client, 7))?;
        (0..2).try_for_each(|shard| self.ask_shard(shard, None))
    }

    fn ask(&mut self, words: &str, command: Command) -> Result<Reply, Broken> {
        let (id, at) = (self.sent.len(), self.world.now());
        let message = message(&id.to_string(), Some(at), command);
        self.story.step(format!("(message {id}) {words}"));
        let text = self.world.deliver_raw::<Registry>(NAME, &message);
        let answer: Answer<Reply> = edgemint::json::read(&text).unwrap();
        let accepted = matches!(
            answer.reply,
            Ok(Reply::Changed(..) | Reply::PolicyChanged(..) | Reply::ScopeChanged(..) | Reply::Done)
        );
        self.sent.push(Sent { words: words.into(), message, at, accepted });
        self.story.came(answer.reply.as_ref().map_or_else(Clone::clone, told));
        self.story.hold(answer.reply.is_ok(), "no input is a fault", || text)?;
        Ok(answer.reply.unwrap())
    }

    fn play(&mut self, act: &Act) -> Judged {
        match act {
            Act::Wait(seconds) => {
                self.world.pass(Seconds(*seconds));
                self.story.step(format!("{seconds} s pass"));
                Ok(())
            }
            Act::Fate(fates) => {
                self.world.fate("GRANTS", fates);
                self.story.step(format!("the next marks: {fates:?}"));
                Ok(())
            }
            Act::Refuse(count) => {
                self.world.fail_puts(*count);
                self.story.step(format!("the next {count} writes of the replica fail"));
                Ok(())
            }
            Act::Ring => {
                self.world.ring();
                self.story.step("alarms ring");
                Ok(())
            }
            Act::Create { client, scopes: bits } => self.create(CLIENTS[*client], *bits),
            Act::Change { client, what, only_if } => self.change(CLIENTS[*client], *what, *only_if),
            Act::Rekey { client, overlap } => self.rekey(CLIENTS[*client], *overlap),
            Act::Cut(client) => self.cut(CLIENTS[*client]),
            Act::Delete { client, only_if } => self.delete(CLIENTS[*client], *only_if),
            Act::Issue { client, behind } => {
                self.issue(CLIENTS[*client], *behind);
                Ok(())
            }
            Act::Grace { seconds, only_if } => self.grace(*seconds, *only_if),
            Act::CreateScope(scope) => self.create_scope(SCOPES[*scope]),
            Act::ChangeScope { scope, text, only_if } => self.change_scope(SCOPES[*scope], *text, *only_if),
            Act::DeleteScope { scope, only_if } => self.delete_scope(SCOPES[*scope], *only_if),
            Act::Ask { shard, lost } => self.ask_shard(*shard, *lost),
            Act::Again(back) => self.again(*back),
        }
    }

    /// A new version is newer than everything.
    fn grow(&mut self, version: u64) -> Judged {
        let kept = version > self.oracle.newest;
        self.story.hold(kept, "behaviour 14: versions only grow", || {
            format!("v{version} after v{}", self.oracle.newest)
        })?;
        self.oracle.newest = version;
        Ok(())
    }

    fn expect(&self, kept: bool, reply: &Reply, expected: &str) -> Judged {
        self.story.hold(kept, "one effect, by who knows what it was: as the oracle says", || {
            format!("expected {expected}, and it answers {}", told(reply))
        })
    }

    fn grace(&mut self, seconds: u64, only_if: Option<bool>) -> Judged {
        let expected = only_if.map(|right| self.oracle.settings + u64::from(!right));
        let patch = object(&json!({ "refresh.graceSeconds": seconds }));
        let words = format!("the grace is {seconds} s, if the settings are v{expected:?}");
        let reply = self.ask(&words, Command::ChangePolicy { patch, expected })?;
        if only_if == Some(false) {
            return self.expect(matches!(reply, Reply::Outdated), &reply, "that they have another version");
        }
        if seconds > 60 {
            return self.expect(matches!(reply, Reply::Invalid(_)), &reply, "that it is too long");
        }
        let Reply::PolicyChanged(policy, told) = &reply else {
            return self.expect(false, &reply, "the settings");
        };
        if seconds != self.oracle.grace {
            self.grow(policy.version)?;
            (self.oracle.grace, self.oracle.settings) = (seconds, policy.version);
            self.oracle.marked = policy.version;
        }
        let same =
            policy.settings.refresh_grace == seconds && policy.settings_version == self.oracle.settings;
        self.expect(same, &reply, "the settings as they were changed")?;
        self.told(*told, &[])
    }

    fn create_scope(&mut self, name: &'static str) -> Judged {
        let command = Command::CreateScope { name: name.into(), patch: Map::new() };
        let reply = self.ask(&format!("a scope {name}"), command)?;
        if self.oracle.scopes.contains_key(name) {
            return self.expect(matches!(reply, Reply::Taken), &reply, "that it is taken");
        }
        let Reply::ScopeChanged(scope, told) = &reply else {
            return self.expect(false, &reply, "the scope");
        };
        self.grow(scope.entry.version)?;
        self.oracle.scopes.insert(name, (scope.entry.version, None));
        self.oracle.ended.remove(name);
        self.expect(told.of == 0, &reply, "that nobody need hear of what nobody has")?;
        self.expect(scope.clients.is_empty(), &reply, "that nobody has a new scope")
    }

    fn change_scope(&mut self, name: &'static str, text: u8, only_if: Option<bool>) -> Judged {
        let before = self.oracle.scopes.get(name).copied();
        let expected = only_if.map(|right| self.tag(name, before).wrapping_add(u64::from(!right)));
        let patch = object(&json!({ "description": text.to_string(), "urls": opened(Some(text)) }));
        let words = format!("the scope {name} is described by {text}, if it is v{expected:?}");
        let reply =
            self.ask(&words, Command::ChangeScope { name: name.into(), patch, whole: false, expected })?;
        let Some((version, was)) = before else {
            return self.expect(matches!(reply, Reply::Unknown), &reply, "that there is none");
        };
        if only_if == Some(false) {
            return self.expect(matches!(reply, Reply::Outdated), &reply, "that it has another version");
        }
        let Reply::ScopeChanged(scope, told) = &reply else {
            return self.expect(false, &reply, "the scope");
        };
        if was == Some(text) {
            self.expect(scope.entry.version == version, &reply, "the version as it was")?;
        } else {
            self.grow(scope.entry.version)?;
            self.oracle.scopes.insert(name, (scope.entry.version, Some(text)));
            if opened(was) != opened(Some(text)) {
                self.oracle.marked = scope.entry.version;
            }
        }
        if was == Some(text) || opened(was) != opened(Some(text)) {
            self.told(*told, &[])?;
        }
        self.expect(scope.clients == self.oracle.holders(name), &reply, "exactly the clients that have it")
    }

    /// What an administrator saw last of a scope.
    fn tag(&self, name: &str, known: Option<(u64, Option<u8>)>) -> u64 {
        tag_of(known.map_or(1, |(version, _)| version), self.oracle.holders(name).into_iter())
    }

    fn delete_scope(&mut self, name: &'static str, only_if: Option<bool>) -> Judged {
        let before = self.oracle.scopes.get(name).copied();
        let expected = only_if.map(|right| self.tag(name, before).wrapping_add(u64::from(!right)));
        let words = format!("the scope {name} is deleted, if it is v{expected:?}");
        let reply = self.ask(&words, Command::DeleteScope { name: name.into(), expected })?;
        let holders = self.oracle.holders(name);
        match &reply {
            Reply::Unknown => self.expect(before.is_none(), &reply, "something else: there is one"),
            Reply::Outdated => {
                self.expect(only_if == Some(false), &reply, "something else: it is that version")
            }
            Reply::InUse(clients) => {
                let kept = !holders.is_empty() && *clients == holders;
                self.expect(kept, &reply, &format!("{holders:?}"))
            }
            // It was deleted, and somebody was told that not every shard has heard of it.
            Reply::PolicyChanged(_, told) if before.is_none() => {
                self.expect(self.oracle.ended.contains(name), &reply, "that there is none")?;
                self.told(*told, &[])
            }
            Reply::PolicyChanged(policy, told) => {
                self.oracle.ended.insert(name);
                let may = before.is_some() && only_if != Some(false) && holders.is_empty();
                self.oracle.scopes.remove(name);
                self.expect(may, &reply, &format!("a refusal: {holders:?} have it, or it is another"))?;
                self.grow(policy.version)?;
                if before.is_some_and(|(_, was)| !opened(was).is_empty()) {
                    self.oracle.marked = policy.version;
                    self.told(*told, &[])?;
                }
                Ok(())
            }
            _ => self.expect(false, &reply, "an answer to a deletion"),
        }
    }

    /// 14: an answer that all have acknowledged means that every shard holds it.
    fn told(&self, told: Told, clients: &[&'static str]) -> Judged {
        let kept = told.of == self.oracle.roster.len();
        self.story.hold(kept, "behaviour 14: every shard of the roster must hold it", || {
            format!("{told:?}, of {:?}", self.oracle.roster)
        })?;
        if told.acknowledged < told.of { Ok(()) } else { self.everybody_knows(clients, clients.is_empty()) }
    }

    /// Every shard that has joined holds the truth about these clients, and, if asked, the settings.
    fn everybody_knows(&self, clients: &[&'static str], settings: bool) -> Judged {
        let mark = |shard: &usize, kind: &str, id: &str| {
            let row = self.world.disk("GRANTS", SHARDS[*shard]).get("marks", kind, id).unwrap();
            row.map(|row| edgemint::json::read::<Mark>(&row).unwrap())
        };
        for shard in &self.oracle.joined {
            for id in clients {
                let Some(truth) = self.oracle.newest_of(id) else { continue };
                let mark = mark(shard, "client", id);
                let knows = mark.as_ref().map_or(truth.restricted == 0, |mark| {
                    mark.version >= truth.restricted
                        && (mark.standing == Standing::Enabled) == truth.enabled
                        && mark.incarnation == Some(truth.incarnation(id))
                        && (!truth.enabled || mark.scope == Some(Scope::of(truth.scopes.iter().copied())))
                });
                self.story.hold(
                    knows,
                    "behaviour 14: once the administrator is answered, every shard holds it",
                    || format!("{} holds {mark:?} of {id}, which is {truth:?}", SHARDS[*shard]),
                )?;
            }
            let held = mark(shard, "policy", "").map_or(0, |mark| mark.version);
            let knows = !settings || held == self.oracle.marked;
            self.story.hold(
                knows,
                "behaviour 14: once the administrator is answered, every shard knows the settings",
                || format!("{} has heard of v{held}, they are v{}", SHARDS[*shard], self.oracle.marked),
            )?;
        }
        Ok(())
    }

    /// Whether a client may have a token of its own now, by a fresh record and by one from before something was taken.
    fn ask_shard(&mut self, shard: usize, lost: Option<Fate>) -> Judged {
        let joins = !self.oracle.joined.contains(&shard);
        if let Some(fate) = lost.filter(|_| joins) {
            self.world.fate("REGISTRY", &[fate, fate]);
        }
        let (version, policy) = (self.oracle.newest, self.oracle.newest);
        self.story.step(format!("{} is asked about a client; joining it was {lost:?}", SHARDS[shard]));
        let answer = self.check(shard, "app", version, policy);
        if joins && lost != Some(Fate::Lost) {
            self.oracle.roster.insert(shard);
        }
        if joins && lost.is_some() {
            return self.story.hold(answer.is_err(), "a shard that could not join answers nothing", || {
                format!("{answer:?}")
            });
        }
        self.oracle.joined.insert(shard);
        self.story
            .hold(answer == Ok(true), "behaviour 14: the newest record is good", || format!("{answer:?}"))
    }

    fn check(&self, shard: usize, client: &str, version: u64, policy: u64) -> Result<bool, String> {
        let client = self.oracle.reference(client, version);
        let command = grant_shard::Command::Check { client, policy };
        let message = message("", None, command);
        let text = self.world.deliver_raw::<GrantShard>(SHARDS[shard], &message);
        let answer: Answer<grant_shard::Reply> = edgemint::json::read(&text).unwrap();
        match answer.reply? {
            grant_shard::Reply::Good => Ok(true),
            grant_shard::Reply::Grant(grant::Reply::Stale) => Ok(false),
            other => Err(format!("{other:?}")),
        }
    }

    fn again(&mut self, back: usize) -> Judged {
        let Some(id) = self.sent.len().checked_sub(back + 1) else { return Ok(()) };
        let sent = &self.sent[id];
        // What was refused left no trace: it is repeated only at once, when it must be refused again.
        let last = id + 1 == self.sent.len();
        if !sent.accepted && !last {
            return Ok(());
        }
        let given_up = self.world.now() > sent.at.plus(PATIENCE).plus(PATIENCE).plus(SKEW);
        self.story.step(format!("message {id} arrives once more ({})", sent.words));
        let before = self.kept();
        let text = self.world.deliver_raw::<Registry>(NAME, &sent.message);
        let answer: Answer<Reply> = edgemint::json::read(&text).unwrap();
        self.story.came(answer.reply.as_ref().map_or_else(Clone::clone, told));
        let same = self.kept() == before;
        self.story.hold(same, "one effect: a message that arrives again changes nothing", || {
            "rows changed".into()
        })?;
        let kept = answer.reply.is_err() == given_up || !last;
        self.story.hold(
            kept,
            "one effect: the newest is answered again while somebody waits for it",
            || text.chars().take(200).collect(),
        )?;
        match &answer.reply {
            Ok(Reply::Changed(client, told)) if told.of > 0 && told.acknowledged == told.of => {
                let id: Vec<_> = CLIENTS.into_iter().filter(|id| *id == client.id).collect();
                self.everybody_knows(&id, false)
            }
            Ok(Reply::Deleted { id, told, .. }) if told.of > 0 && told.acknowledged == told.of => {
                let id: Vec<_> = CLIENTS.into_iter().filter(|own| own == id).collect();
                self.everybody_knows(&id, false)
            }
            Ok(Reply::PolicyChanged(_, told)) if told.acknowledged == told.of => {
                self.everybody_knows(&[], true)
            }
            _ => Ok(()),
        }
    }

    /// Every row of the registry but those of the outbox.
    fn kept(&self) -> String {
        let disk = self.world.disk("REGISTRY", NAME);
        let tables = disk.tables().unwrap();
        let rows = tables
            .iter()
            .filter(|name| *name != "outbox")
            .map(|name| disk.scan(name, None, None, 99).unwrap());
        format!("{:?}", rows.collect::<Vec<_>>())
    }

    /// At last nothing is lost any more, alarms ring, every shard joins: all of it is true everywhere.
    fn settle(&mut self) -> Judged {
        self.story.step("nothing is lost any more, and alarms ring");
        self.world.fate("GRANTS", &[]);
        self.world.fail_puts(0);
        for _ in 0..200 {
            self.world.pass(Seconds(1));
            self.world.ring();
        }
        let owed = self.world.disk("REGISTRY", NAME).scan("outbox", None, None, 99).unwrap();
        self.story.hold(owed.is_empty(), "behaviour 14: nothing is owed for ever", || format!("{owed:?}"))?;
        for shard in 0..SHARDS.len() {
            self.ask_shard(shard, None)?;
        }
        self.everybody_knows(&CLIENTS, true)?;
        self.judge_own()?;
        for (id, copy) in CLIENTS.map(|id| (id, self.world.copy(&client_key(id)))) {
            let kept = self.oracle.clients.contains_key(id) || copy.as_deref().is_none_or(str::is_empty);
            self.story
                .hold(kept, "behaviour 14: the replica forgets who was deleted", || format!("{copy:?}"))?;
        }
        for (id, known) in &self.oracle.clients {
            let newer = known.restricted.checked_sub(1).map(|old| self.check(0, id, old, self.oracle.newest));
            self.story.hold(
                newer != Some(Ok(true)),
                "behaviour 14: a record from before a restriction is stale",
                || format!("{id} of before v{}", known.restricted),
            )?;
            let copy = self.copy(&client_key(id));
            self.story.hold(copy == known.version, "behaviour 14: the replica follows", || {
                format!("{id} is v{}, its copy v{copy}", known.version)
            })?;
        }
        for name in SCOPES {
            let reply = self.ask(&format!("who has the scope {name}"), Command::Scope(name.into()))?;
            let Reply::Scope(found) = &reply else { return self.expect(false, &reply, "a scope") };
            let clients = found.as_deref().map(|Catalogued { clients, .. }| clients.clone());
            let known = self.oracle.scopes.contains_key(name).then(|| self.oracle.holders(name));
            let same =
                clients.as_deref().map(|ids| ids.iter().map(String::as_str).collect::<Vec<_>>()) == known;
            self.expect(same, &reply, &format!("{known:?}"))?;
        }
        let Reply::Policy(policy) = self.ask("settings and scopes are read", Command::Policy)? else {
            return Ok(());
        };
        let copy = self.copy(POLICY_KEY);
        self.story.hold(copy == policy.version, "behaviour 14: the replica follows", || {
            format!("the settings are v{}, their copy v{copy}", policy.version)
        })
    }

    fn copy(&self, key: &str) -> u64 {
        let text = self.world.copy(key).filter(|text| !text.is_empty());
        let copy = text.map(|text| serde_json::from_str::<Value>(&text).unwrap());
        copy.map_or(0, |copy| copy["version"].as_u64().unwrap())
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// An answer in words.
fn told(reply: &Reply) -> String {
    match reply {
        Reply::Changed(client, told) => {
            format!("v{}, which {} of {} shards hold", client.version, told.acknowledged, told.of)
        }
        Reply::Deleted { version, told, .. } => {
            format!("ended by v{version}, which {} of {} shards hold", told.acknowledged, told.of)
        }
        Reply::PolicyChanged(policy, told) => {
            format!("v{}, which {} of {} shards hold", policy.version, told.acknowledged, told.of)
        }
        Reply::Policy(policy) => format!("v{}", policy.version),
        other => format!("{other:?}"),
    }
}

#[test]
fn whatever_happens_to_the_registry_it_answers_as_the_oracle_says() {
    let histories = (prop::bool::weighted(0.8), prop::collection::vec(act(), 1..50));
    prove(EFFORT, histories, |(settled, acts)| {
        let mut life = Life::new()?;
        if settled {
            life.begin()?;
        }
        for act in &acts {
            life.play(act)?;
        }
        life.settle()
    });
}

/// What a scope opens that is described so.
fn opened(text: Option<u8>) -> Vec<String> {
    text.map(|text| format!("GET /{}", text / 2)).into_iter().collect()
}
