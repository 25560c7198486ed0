//! One person in their shard of accounts: sign-ins, sessions, changes, and the shards of grants that hear of them,
//! whatever is lost or arrives again.

mod oracle;
mod settle;

use self::oracle::{Failures, LIFETIME, Oracle, What, cut_off, names};
use super::{Broken, Effort, Story, message, prove};
use crate::world::{Fate, World};
use edgemint::{
    host::{Answer, Host, PATIENCE, SKEW, Seconds, Store, Timestamp},
    model::{
        account::{Account, draw_sub, shard_of_name},
        mark::{Mark, Standing},
        throttle::Limit,
    },
    objects::protocol::account_shard::{AccountShard, Command, Reply, SessionRef, Who},
};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

const EFFORT: Effort = Effort { short: 500, long: 6_000 };
const SHARDS: [&str; 3] = ["weur-0", "enam-1", "apac-2"];
#[derive(Clone, Debug)]
enum Act {
    Wait(u64),
    /// Somebody types a password; the right one is followed by the session, unless it stops half-way.
    SignIn {
        right: bool,
        goes_on: bool,
    },
    /// Somebody guesses passwords, of ada or of a name that nobody has.
    Guess {
        stranger: bool,
        times: usize,
    },
    /// The half that was left out, now, with what was known then.
    GoOn(usize),
    Look(usize),
    /// With this session a grant is about to be made in this shard.
    Note(usize, usize),
    Change(Patch),
    SignOut(usize),
    Unlock,
    Again(usize),
    /// The next messages to shards of grants.
    Fate(Vec<Fate>),
    Ring,
}

#[derive(Clone, Debug)]
struct Patch {
    what: What,
    /// `If-Match`: the version, or one that it is not.
    only_if: Option<bool>,
}

fn act() -> impl Strategy<Value = Act> {
    let wait =
        prop_oneof![6 => 0..4_u64, 3 => 28..32_u64, 2 => 298..302_u64, 1 => 14..17_u64, 1 => 3598..3602_u64];
    let what = prop_oneof![
        1 => Just(What::Disable),
        2 => Just(What::Enable),
        1 => Just(What::Password),
        2 => (0..3_u8).prop_map(What::Groups),
        1 => prop_oneof![Just(0_u64), 1..20_u64].prop_map(What::Cut),
        1 => any::<bool>().prop_map(What::End),
        1 => Just(What::Nothing),
        1 => Just(What::Nonsense),
    ];
    let only_if = prop_oneof![4 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let fate = prop::collection::vec(select(vec![Fate::Lost, Fate::Unanswered, Fate::Answered]), 1..6);
    prop_oneof![
        8 => wait.prop_map(Act::Wait),
        12 => (prop::bool::weighted(0.35), prop::bool::weighted(0.8)).prop_map(|(right, goes_on)| Act::SignIn { right, goes_on }),
        4 => (prop::bool::weighted(0.3), 1..8_usize).prop_map(|(stranger, times)| Act::Guess { stranger, times }),
        2 => (0..3_usize).prop_map(Act::GoOn),
        6 => (0..4_usize).prop_map(Act::Look),
        5 => (0..3_usize, 0..3_usize).prop_map(|(session, shard)| Act::Note(session, shard)),
        5 => (what, only_if).prop_map(|(what, only_if)| Act::Change(Patch { what, only_if })),
        1 => (0..4_usize).prop_map(Act::SignOut),
        1 => Just(Act::Unlock),
        8 => (0..4_usize).prop_map(|back| Act::Again(back.saturating_sub(1))),
        3 => fate.prop_map(Act::Fate),
        2 => Just(Act::Ring),
    ]
}

/// Where ada's account lies.
fn shard() -> String {
    shard_of_name("ada").to_string()
}

struct Sent {
    words: String,
    message: String,
    at: Timestamp,
    answer: String,
    /// The how-manyth change of the account it was, if it was one.
    effect: Option<usize>,
}

struct Life {
    story: Story,
    world: World,
    sub: String,
    oracle: Oracle,
    failures: Failures,
    strangers: Failures,
    sessions: Vec<SessionRef>,
    /// Sign-ins that stopped half-way: the version that was read, the password, and which try it was.
    half: Vec<(u64, u32, String)>,
    sent: Vec<Sent>,
    effects: usize,
}

impl Life {
    fn new() -> Result<Self, Broken> {
        let mut life = Self {
            story: Story::default(),
            world: World::new(),
            sub: draw_sub("ada", [3; 16]),
            oracle: Oracle { version: 1, ..Oracle::default() },
            failures: Failures::default(),
            strangers: Failures::default(),
            sessions: Vec::new(),
            half: Vec::new(),
            sent: Vec::new(),
            effects: 1,
        };
        let account = json!({ "format": 1, "sub": life.sub, "username": "ada", "password": "0", "version": 0,
            "min_version": 0, "not_before": 0, "changed": 0, "enabled": true, "groups": [], "roles": [], "claims": {},
            "shards": [], "attempts": [] });
        let account: Account = edgemint::json::take(account).unwrap();
        let reply = life.ask("an account is made", Command::Create(Box::new(account)))?;
        let made = matches!(reply, Reply::Account(..));
        life.story.hold(made, "an account is made", || format!("{reply:?}"))?;
        Ok(life)
    }

    /// A new wish.
    fn ask(&mut self, words: &str, command: Command) -> Result<Reply, Broken> {
        let (id, at) = (self.sent.len(), self.world.now());
        let message = message(&id.to_string(), Some(at), command);
        self.story.step(format!("(message {id}) {words}"));
        self.sent.push(Sent { words: words.into(), message, at, answer: String::new(), effect: None });
        let text = self.deliver(id);
        self.sent[id].answer.clone_from(&text);
        let answer: Answer<Reply> = edgemint::json::read(&text).unwrap();
        let kept = answer.reply.is_ok();
        self.story.hold(kept, "no input is a fault", || text)?;
        Ok(answer.reply.unwrap())
    }

    fn deliver(&mut self, id: usize) -> String {
        let text = self.world.deliver_raw::<AccountShard>(&shard(), &self.sent[id].message);
        let short = text.split("\"password\"").next().unwrap_or_default();
        self.story.came(short.trim_start_matches("{\"format\":1,\"reply\":"));
        text
    }

    fn play(&mut self, act: &Act) -> Result<(), Broken> {
        let now = self.world.now();
        match act {
            Act::Wait(seconds) => {
                self.world.pass(Seconds(*seconds));
                self.story.step(format!("{seconds} s pass"));
                Ok(())
            }
            Act::Fate(fates) => {
                self.world.fate("GRANTS", fates);
                self.story.step(format!("the next messages to shards of grants: {fates:?}"));
                Ok(())
            }
            Act::Ring => {
                self.story.step("alarms ring");
                self.world.ring();
                Ok(())
            }
            Act::SignIn { right, goes_on } => self.sign_in(*right, *goes_on, now),
            Act::Guess { stranger, times } => (0..*times).try_for_each(|_| self.guess(*stranger, now)),
            Act::GoOn(back) => match self.half.len().checked_sub(back + 1) {
                Some(at) => {
                    let (version, password, id) = self.half.remove(at);
                    self.admit(version, password, &id)
                }
                None => Ok(()),
            },
            Act::Look(back) => self.look(*back, now),
            Act::Note(session, shard) => self.note(*session, *shard, now),
            Act::Change(patch) => self.change(patch, now),
            Act::SignOut(back) => self.sign_out(*back),
            Act::Unlock => self.unlock(now),
            Act::Again(back) => self.again(*back, now),
        }
    }

    fn sign_out(&mut self, back: usize) -> Result<(), Broken> {
        let Some(at) = self.sessions.len().checked_sub(back + 1) else { return Ok(()) };
        self.oracle.sessions[at].1 = true;
        self.ask(&format!("session {at} signs out"), Command::SignOut(self.sessions[at].clone())).map(|_| ())
    }

    fn unlock(&mut self, now: Timestamp) -> Result<(), Broken> {
        let (id, before) = (self.sent.len(), self.kept());
        self.failures.forgive(now);
        let command = Command::Lock { sub: self.sub.clone(), limit: LIMIT, open: true };
        let reply = self.ask("an administrator opens the account", command)?;
        if self.kept() != before {
            self.effects += 1;
            self.sent[id].effect = Some(self.effects);
        }
        self.story.hold(matches!(reply, Reply::Locked(None)), "28: an account that is opened is open", || {
            format!("{reply:?}")
        })
    }

    fn guess(&mut self, stranger: bool, now: Timestamp) -> Result<(), Broken> {
        if !stranger {
            return self.sign_in(false, false, now);
        }
        let id = format!("try {}", self.sent.len());
        let reply = self.ask("nobody's name is typed", typed("nobody", &id))?;
        judge(&self.story, &mut self.strangers, &reply, &id, now)?;
        if matches!(reply, Reply::Unknown) { self.fail("nobody", &id, now) } else { Ok(()) }
    }

    /// The password was wrong, and the shard hears of it.
    fn fail(&mut self, name: &str, id: &str, now: Timestamp) -> Result<(), Broken> {
        let command = Command::Failed {
            who: Who::Name(name.into()),
            id: id.into(),
            limit: LIMIT,
            looked: true,
            stranger: name.into(),
        };
        let reply = self.ask("it was wrong", command)?;
        let failures = if name == "ada" { &mut self.failures } else { &mut self.strangers };
        failures.fail(id, now);
        self.story.hold(matches!(reply, Reply::Counted), "a failure is counted", || format!("{reply:?}"))
    }

    fn sign_in(&mut self, right: bool, goes_on: bool, now: Timestamp) -> Result<(), Broken> {
        let id = format!("try {}", self.sent.len());
        let reply = self.ask(&format!("ada's name and a {right} password are typed"), typed("ada", &id))?;
        judge(&self.story, &mut self.failures, &reply, &id, now)?;
        let Reply::Hash { hash, version, .. } = reply else { return Ok(()) };
        let current = hash == self.oracle.password.to_string() && version == self.oracle.version;
        self.story.hold(current, "the password that is compared is the current one", || {
            format!("{hash} of v{version}")
        })?;
        match (right, goes_on) {
            (true, true) => self.admit(version, self.oracle.password, &id),
            (true, false) => {
                self.half.push((version, self.oracle.password, id));
                Ok(())
            }
            (false, _) => self.fail("ada", &id, now),
        }
    }

    fn admit(&mut self, version: u64, password: u32, id: &str) -> Result<(), Broken> {
        let admit = json!({ "sub": self.sub, "version": version, "id": id, "lifetime": LIFETIME.0 });
        let command = edgemint::json::take(json!({ "Admit": admit })).unwrap();
        let reply = self.ask(&format!("the password was right for v{version}: a session"), command)?;
        let may = !self.oracle.disabled && version == self.oracle.version && password == self.oracle.password;
        let kept = matches!(reply, Reply::Admitted(..)) == may;
        self.story.hold(
            kept,
            "behaviour 14: who signs in is enabled, and gave the current password",
            || format!("admitted is to be {may}"),
        )?;
        if let Reply::Admitted(session, person) = reply {
            let kept = person.version == self.oracle.version && person.groups == self.oracle.groups;
            self.story.hold(kept, "the person is as the account is", || format!("{person:?}"))?;
            // A cut-off by time reaches a little further: it may be over at once.
            let now = self.world.now();
            let ended = self.oracle.cut.is_some_and(|cut| now <= cut.plus(SKEW));
            self.oracle.sessions.push((now, ended));
            self.sessions.push(session);
            self.failures.succeed(id, now);
        }
        Ok(())
    }

    fn look(&mut self, back: usize, now: Timestamp) -> Result<(), Broken> {
        let Some(at) = self.sessions.len().checked_sub(back + 1) else { return Ok(()) };
        let reply = self.ask(
            &format!("whose browser is that of session {at}"),
            Command::Session(self.sessions[at].clone()),
        )?;
        let stands = self.oracle.stands(at, now);
        let kept = matches!(reply, Reply::Person(_)) == stands;
        self.story.hold(
            kept,
            "behaviour 14: disabling, a new password and a cut-off end every session before",
            || format!("it is to stand: {stands}"),
        )?;
        let holder = self.ask("and what may they do", Command::Holder(self.sessions[at].clone()))?;
        self.story.hold(
            matches!(holder, Reply::Holder(..)) == stands,
            "behaviour 14: only who is signed in administers",
            || format!("{holder:?}"),
        )?;
        let mut forged = self.sessions[at].clone();
        forged.proof = edgemint::crypto::Secret(vec![1; 16]);
        let reply = self.ask("with a forged proof", Command::Session(forged))?;
        self.story.hold(matches!(reply, Reply::NoSession), "behaviour 3: a forged session is none", || {
            format!("{reply:?}")
        })
    }

    fn note(&mut self, back: usize, shard: usize, now: Timestamp) -> Result<(), Broken> {
        let Some(at) = self.sessions.len().checked_sub(back + 1) else { return Ok(()) };
        let note = json!({ "session": edgemint::json::tree(&self.sessions[at]), "shard": SHARDS[shard] });
        let command = edgemint::json::take(json!({ "Note": note })).unwrap();
        let reply = self.ask(&format!("session {at} gives a grant in {}", SHARDS[shard]), command)?;
        let stands = self.oracle.stands(at, now);
        let kept = matches!(reply, Reply::Person(_)) == stands;
        self.story.hold(kept, "behaviour 14: only who is signed in makes a grant", || {
            format!("it is to stand: {stands}")
        })?;
        if stands && self.oracle.shards.iter().all(|(noted, _)| *noted != shard) {
            self.oracle.shards.push((shard, self.oracle.version));
        }
        Ok(())
    }

    fn change(&mut self, Patch { what, only_if }: &Patch, now: Timestamp) -> Result<(), Broken> {
        let patch = match what {
            What::Disable => json!({ "enabled": false }),
            What::Enable => json!({ "enabled": true }),
            What::Groups(groups) => json!({ "groups": names(*groups) }),
            What::Cut(ago) => json!({ "not_before": cut_off(now, *ago).seconds() }),
            What::Nonsense => json!({ "enabled": "perhaps" }),
            What::Password | What::End(_) | What::Nothing => json!({}),
        };
        let Value::Object(patch) = patch else { unreachable!("an object") };
        let password = (*what == What::Password).then(|| (self.oracle.password + 1).to_string());
        let expected = only_if.map(|right| if right { self.oracle.version } else { self.oracle.version + 1 });
        let sub = self.sub.clone();
        let (command, only_if) = match what {
            What::End(sessions) => (Command::Cut { sub, sessions: *sessions }, &None),
            _ => (Command::Change { sub, patch, whole: false, password, expected }, only_if),
        };
        let id = self.sent.len();
        let reply = self.ask(&format!("an administrator: {what:?}, if it is v{expected:?}"), command)?;
        let story = &self.story;
        if *only_if == Some(false) {
            return story.hold(matches!(reply, Reply::Outdated), "If-Match holds", || format!("{reply:?}"));
        }
        let back = matches!(what, What::Cut(ago) if self.oracle.cut > Some(cut_off(now, *ago)));
        if *what == What::Nonsense || back {
            return story.hold(
                matches!(reply, Reply::Invalid(_)),
                "what does not fit is refused, a cut-off is not taken back",
                || format!("{reply:?}"),
            );
        }
        let Reply::Account(account, told) = reply else {
            return story.hold(false, "a change is answered with the account", || format!("{reply:?}"));
        };
        self.oracle.change(*what, now);
        self.effects += 1;
        self.sent[id].effect = Some(self.effects);
        let as_expected = account.version == self.oracle.version
            && account.enabled != self.oracle.disabled
            && account.password == self.oracle.password.to_string()
            && account.groups.iter().eq(&self.oracle.groups);
        story.hold(
            as_expected,
            "one effect: the account is as it was changed, and its version grows by changes only",
            || format!("expected v{}, got v{}", self.oracle.version, account.version),
        )?;
        story.hold(
            told.of == self.oracle.shards.len(),
            "behaviour 14: exactly the shards that were noted are told",
            || format!("{told:?}"),
        )?;
        if told.acknowledged == told.of { self.everybody_knows() } else { Ok(()) }
    }

    /// Every shard that can hold a grant of this person has heard the truth.
    fn everybody_knows(&self) -> Result<(), Broken> {
        for (shard, noted) in &self.oracle.shards {
            let row = self.world.disk("GRANTS", SHARDS[*shard]).get("marks", "person", &self.sub).unwrap();
            let mark: Option<Mark> = row.map(|row| edgemint::json::read(&row).unwrap());
            let (version, disabled) = (self.oracle.version, self.oracle.disabled);
            let told = mark.as_ref().is_some_and(|mark| {
                mark.version == version
                    && (mark.standing == Standing::Disabled) == disabled
                    && mark.min_version == self.oracle.grants_since
            });
            let knows = told || *noted == version;
            self.story.hold(
                knows,
                "behaviour 14: once the administrator is answered, every shard holds it",
                || format!("{} holds {mark:?}", SHARDS[*shard]),
            )?;
        }
        Ok(())
    }

    fn again(&mut self, back: usize, now: Timestamp) -> Result<(), Broken> {
        let Some(id) = self.sent.len().checked_sub(back + 1) else { return Ok(()) };
        let Sent { words, at, effect, answer: first, message } = &self.sent[id];
        // What changed nothing is not remembered for long: only the last of those is repeated here, and at once.
        let last = id + 1 == self.sent.len();
        if first.contains("Throttled")
            || first.contains("Busy")
            || !(last || effect.is_some() || message.contains("Admit"))
        {
            return Ok(());
        }
        let given_up = now > at.plus(PATIENCE).plus(PATIENCE).plus(SKEW);
        let late = given_up || effect.is_some_and(|effect| effect < self.effects);
        let (first, changed, message) = (first.clone(), effect.is_some(), message.clone());
        let step = format!("message {id} arrives once more ({words})");
        self.story.step(step);
        let before = self.kept();
        let text = self.deliver(id);
        self.story.hold(
            self.kept() == before,
            "one effect: a message that arrives again changes nothing, and is no second failure",
            || "the rows changed".into(),
        )?;
        self.story.hold(
            !late || text.contains("\"Err\""),
            "one effect: a message that arrives late is told so",
            || text.clone(),
        )?;
        // A session may have come to its end in between.
        let is_of = |session: &SessionRef| message.contains(&format!("\"id\":\"{}\"", session.id));
        let ended = (0..self.sessions.len()).any(|at| {
            is_of(&self.sessions[at]) && !self.oracle.stands(at, now) && text.contains("NoSession")
        });
        // How many shards have heard of a change may be more by now.
        let alike = !last || late || changed || ended || text == first;
        self.story.hold(
            alike,
            "one effect, one answer: a message that arrives again is answered as before",
            || format!("{first}, then {text}"),
        )
    }

    /// Every row of the shard but those of the outbox.
    fn kept(&self) -> String {
        let disk = self.world.disk("ACCOUNTS", &shard());
        let tables = disk.tables().unwrap();
        let rows = tables
            .iter()
            .filter(|name| *name != "outbox")
            .map(|name| disk.scan(name, None, None, 99).unwrap());
        format!("{:?}", rows.collect::<Vec<_>>())
    }
}

const LIMIT: Limit = Limit { most: 10, window: Seconds(300) };

fn typed(name: &str, id: &str) -> Command {
    Command::Attempt { who: Who::Name(name.into()), id: id.into(), limit: LIMIT, stranger: name.into() }
}

/// A question that was answered is open until it is known what became of it.
fn judge(
    story: &Story,
    failures: &mut Failures,
    reply: &Reply,
    id: &str,
    now: Timestamp,
) -> Result<(), Broken> {
    let (may, may_wait, may_refuse) = failures.allow(now);
    let seen = || format!("{} failures, {} open", failures.all.len(), failures.open.len());
    match reply {
        Reply::Throttled(_) => story.hold(
            may_refuse,
            "behaviour 28: nobody is refused before ten failures in five minutes",
            seen,
        ),
        Reply::Busy => story.hold(may_wait, "behaviour 28: nobody waits before ten have begun", seen),
        _ => {
            let law =
                "behaviour 28: after ten failures nobody is told anything for the rest of the five minutes";
            story.hold(may, law, seen)?;
            failures.open.push((id.to_owned(), now));
            Ok(())
        }
    }
}

#[test]
fn whatever_happens_to_an_account_it_answers_as_the_oracle_says() {
    prove(EFFORT, prop::collection::vec(act(), 1..60), |acts| {
        let mut life = Life::new()?;
        for act in &acts {
            life.play(act)?;
        }
        life.settle()
    });
}
