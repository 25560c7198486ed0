//! Clients that register themselves, in the registry: what they do, administrators, time, alarms, and messages that come
//! again, in any order.

use super::{Broken, Effort, Story, message, prove};
use crate::world::World;
use edgemint::{
    crypto::Secret,
    host::{Answer, FORMAT, Host as _, PATIENCE, Row, SKEW, Seconds, Store as _, Timestamp},
    model::{
        client::Client,
        metadata::{AuthMethod, Metadata},
        profile::Profile,
        registration::InitialToken,
        ticket::Registration,
    },
    objects::protocol::registry::{Command, NAME, Registry, Reply, Wish},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const EFFORT: Effort = Effort { short: 300, long: 4_000 };
/// As many lie unused as may.
const MOST: u64 = 3;
const UNUSED: Seconds = Seconds(3600);
const USED: Seconds = Seconds(172_800);
const DAY: Seconds = Seconds(86_400);
/// Uses of the initial access token.
const USES: u32 = 2;

#[derive(Clone, Debug)]
enum Act {
    Register {
        invited: bool,
    },
    /// By a token so many generations old; 0 is the newest.
    Manage {
        client: usize,
        old: u32,
        what: What,
    },
    Use(usize),
    Enable(usize, bool),
    Wait(u64),
    Ring,
    Again(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Read,
    Rename(u8),
    Nonsense,
    End,
}

fn act() -> impl Strategy<Value = Act> {
    let what = prop_oneof![
        3 => Just(What::Read),
        2 => (0..3_u8).prop_map(What::Rename),
        1 => Just(What::Nonsense),
        1 => Just(What::End),
    ];
    let wait =
        prop_oneof![4 => 0..20_u64, 2 => 600..4000_u64, 1 => 40_000..100_000_u64, 1 => 170_000..180_000_u64];
    prop_oneof![
        4 => any::<bool>().prop_map(|invited| Act::Register { invited }),
        6 => (0..4_usize, 0..4_u32, what).prop_map(|(client, old, what)| Act::Manage { client, old, what }),
        4 => (0..4_usize).prop_map(Act::Use),
        1 => (0..4_usize, any::<bool>()).prop_map(|(client, enabled)| Act::Enable(client, enabled)),
        3 => wait.prop_map(Act::Wait),
        2 => Just(Act::Ring),
        2 => (0..3_usize).prop_map(Act::Again),
    ]
}

/// A client, as the oracle has it.
#[derive(Clone, Debug)]
struct Known {
    id: String,
    name: Option<String>,
    enabled: bool,
    unused: bool,
    ended: bool,
    expires: Timestamp,
    /// The newest, and what each that was given was proved by.
    newest: u32,
    proofs: BTreeMap<u32, Secret>,
}

struct Life {
    story: Story,
    world: World,
    clients: Vec<Known>,
    uses: u32,
    token: Registration,
    sent: Vec<(String, Timestamp, bool)>,
    /// Nothing has happened since the last message, so what was refused then is refused now.
    quiet: bool,
}

type Judged = Result<(), Broken>;

impl Life {
    fn new() -> Self {
        let token = Registration { id: "invitation".into(), generation: 0, proof: Secret::default() };
        let (story, world) = (Story::default(), World::new());
        let mut life =
            Self { story, world, clients: Vec::new(), uses: USES, token, sent: Vec::new(), quiet: true };
        let settings = json!({
            "registration.unusedMost": MOST,
            "registration.unusedSeconds": UNUSED.0,
            "registration.usedSeconds": USED.0,
            "registration.open": 2,
        });
        let patch = settings.as_object().cloned().unwrap_or_default();
        life.ask("the settings are made", Command::ChangePolicy { patch, expected: None }).unwrap();
        let made = InitialToken {
            format: FORMAT,
            id: "invitation".into(),
            description: String::new(),
            issued: Timestamp::default(),
            expires: life.world.now().plus(Seconds(31_536_000)),
            uses: USES,
            secret: Secret::default(),
            ended: None,
        };
        let reply =
            life.ask("an initial token is made", Command::CreateInitialToken(Box::new(made))).unwrap();
        let Reply::InitialTokens(tokens, false) = reply else { panic!("{reply:?}") };
        life.token.proof = tokens[0].proof();
        life
    }

    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn ask(&mut self, words: &str, command: Command) -> Result<Reply, Broken> {
        let (id, at) = (self.sent.len(), self.now());
        let message = message(&id.to_string(), Some(at), command);
        self.story.step(format!("(message {id}) {words}"));
        let text = self.world.deliver_raw::<Registry>(NAME, &message);
        let answer: Answer<Reply> = edgemint::json::read(&text).unwrap();
        self.story.hold(answer.reply.is_ok(), "no input is a fault", || text)?;
        let reply = answer.reply.unwrap();
        self.story.came(short(&reply));
        let accepted =
            !matches!(reply, Reply::Unknown | Reply::Invalid(_) | Reply::Full(_) | Reply::Client(None));
        self.sent.push((message, at, accepted));
        self.quiet = true;
        Ok(reply)
    }

    fn expect(&self, kept: bool, reply: &Reply, expected: &str) -> Judged {
        self.story.hold(kept, "behaviour 29: a client is what it made of itself, as long as it lives", || {
            format!("expected {expected}, and it answers {}", short(reply))
        })
    }

    fn is_live(&self, known: &Known) -> bool {
        !known.ended && known.enabled && self.now() < known.expires
    }

    fn play(&mut self, act: &Act) -> Judged {
        match act {
            Act::Register { invited } => self.register(*invited)?,
            Act::Manage { client, old, what } => self.manage(*client, *old, *what)?,
            Act::Use(client) => self.use_one(*client)?,
            Act::Enable(client, enabled) => self.enable(*client, *enabled)?,
            Act::Wait(seconds) => {
                self.quiet = false;
                self.world.pass(Seconds(*seconds));
                self.story.step(format!("{seconds} s pass"));
            }
            Act::Ring => {
                self.quiet = false;
                self.world.ring();
                self.story.step("alarms ring");
            }
            Act::Again(back) => self.again(*back)?,
        }
        self.look()
    }

    fn register(&mut self, invited: bool) -> Judged {
        let id = format!("client {}", self.clients.len());
        let metadata = Metadata {
            redirect_uris: vec!["https://app.test/cb".into()],
            token_endpoint_auth_method: AuthMethod::None,
            ..Metadata::template(Profile::Oauth21)
        };
        let client = Box::new(Client::new(id.clone(), [7; 8], metadata, None));
        let (full, ends) = (self.taken() >= MOST, self.now().plus(UNUSED));
        let initial = invited.then(|| self.token.clone());
        let words = format!("{id} registers{}", if invited { ", invited" } else { "" });
        let reply = self.ask(&words, Command::Register { client, initial })?;
        if invited && self.uses == 0 {
            return self.expect(matches!(reply, Reply::Unknown), &reply, "that the token is used up");
        }
        if !invited && full {
            return self.expect(matches!(reply, Reply::Full(_)), &reply, "that there is no place");
        }
        let Reply::Registered(client, _, generation, proof) = &reply else {
            return self.expect(false, &reply, "the client");
        };
        self.uses -= u32::from(invited);
        let right = client.expires == Some(ends) && client.unused && *generation == 1;
        self.clients.push(Known {
            id,
            name: None,
            enabled: true,
            unused: true,
            ended: false,
            expires: ends,
            newest: 1,
            proofs: BTreeMap::from([(1, proof.clone())]),
        });
        self.expect(right, &reply, "an unused client with its first token")
    }

    fn manage(&mut self, at: usize, old: u32, what: What) -> Judged {
        let Some(known) = self.clients.get(at).cloned() else { return Ok(()) };
        let generation = known.newest.saturating_sub(old);
        let Some(proof) = known.proofs.get(&generation).cloned() else { return Ok(()) };
        let said = |name: u8| -> Map<String, Value> {
            let said = json!({ "redirect_uris": ["https://app.test/cb"], "client_name": name.to_string() });
            said.as_object().cloned().unwrap_or_default()
        };
        let wish = match what {
            What::Read => Wish::Read,
            What::End => Wish::End,
            What::Rename(name) => Wish::Replace { said: said(name), secret: None },
            What::Nonsense => Wish::Replace { said: Map::new(), secret: None },
        };
        let token = Registration { id: known.id.clone(), generation, proof };
        let words = format!("{}, by generation {generation} of {}: {what:?}", known.id, known.newest);
        let reply = self.ask(&words, Command::Manage { token, wish })?;
        // 29: the newest, and the one whose answer may have been lost.
        if !self.is_live(&known) || generation + 1 < known.newest {
            return self.expect(matches!(reply, Reply::Unknown), &reply, "that the token is not good");
        }
        if what == What::Nonsense {
            return self.expect(matches!(reply, Reply::Invalid(_)), &reply, "that a redirect URI is missing");
        }
        if what == What::End {
            self.clients[at].ended = true;
            return self.expect(matches!(reply, Reply::Deleted { .. }), &reply, "its end");
        }
        let Reply::Registered(client, _, newest, proof) = &reply else {
            return self.expect(false, &reply, "the client");
        };
        let known = &mut self.clients[at];
        known.newest += u32::from(generation == known.newest);
        if let What::Rename(name) = what {
            known.name = Some(name.to_string());
        }
        let same = known.proofs.insert(known.newest, proof.clone()).is_none_or(|before| before == *proof);
        let right = *newest == known.newest && client.metadata.client_name == known.name && same;
        self.expect(right, &reply, "the client, and the same successor to the same token")
    }

    fn use_one(&mut self, at: usize) -> Judged {
        let Some(known) = self.clients.get(at).cloned() else { return Ok(()) };
        let reply = self.ask(&format!("{} is used", known.id), Command::Use(known.id.clone()))?;
        let Reply::Client(client) = &reply else { return self.expect(false, &reply, "the client, or none") };
        if !self.is_live(&known) {
            return self.expect(client.is_none(), &reply, "nobody");
        }
        let until = self.now().plus(USED);
        // Once a day.
        let slides = known.unused || until.since(known.expires) >= DAY;
        let expires = if slides { until } else { known.expires };
        (self.clients[at].expires, self.clients[at].unused) = (expires, false);
        let right = client.as_ref().is_some_and(|client| client.expires == Some(expires) && !client.unused);
        self.expect(right, &reply, &format!("that it lives until {expires:?}"))
    }

    fn enable(&mut self, at: usize, enabled: bool) -> Judged {
        let Some(known) = self.clients.get(at).cloned() else { return Ok(()) };
        let there = self.row(&known.id).is_some();
        let patch = json!({ "enabled": enabled }).as_object().cloned().unwrap_or_default();
        let command = Command::Change { id: known.id.clone(), patch, whole: false, expected: None };
        let reply = self.ask(&format!("{} is enabled: {enabled}", known.id), command)?;
        if !there {
            return self.expect(matches!(reply, Reply::Unknown), &reply, "nobody");
        }
        self.clients[at].enabled = enabled;
        self.expect(matches!(reply, Reply::Changed(..)), &reply, "the client")
    }

    /// What was done is not done again; who asks again at once is answered the same.
    fn again(&mut self, back: usize) -> Judged {
        let Some(id) = self.sent.len().checked_sub(back + 1) else { return Ok(()) };
        let (message, at, accepted) = self.sent[id].clone();
        let last = self.quiet && id + 1 == self.sent.len();
        if !accepted && !last {
            return Ok(());
        }
        let given_up = self.now() > at.plus(PATIENCE).plus(PATIENCE).plus(SKEW);
        self.story.step(format!("message {id} arrives once more"));
        let before = self.kept();
        let text = self.world.deliver_raw::<Registry>(NAME, &message);
        let answer: Answer<Reply> = edgemint::json::read(&text).unwrap();
        self.story.came(answer.reply.as_ref().map_or_else(Clone::clone, short));
        let same = self.kept() == before;
        self.story.hold(same, "one wish has one effect", || "something changed".to_owned())?;
        self.story.hold(!given_up || answer.reply.is_err(), "nobody waits for it any more", || text)
    }

    /// All rows of the registry, but for what it has still to tell others.
    fn kept(&self) -> Vec<(String, Vec<Row>)> {
        let disk = self.world.disk("REGISTRY", "registry");
        let tables = disk.tables().unwrap().into_iter().filter(|table| table != "outbox");
        tables.map(|table| (table.clone(), disk.scan(&table, None, None, usize::MAX).unwrap())).collect()
    }

    fn row(&self, id: &str) -> Option<Client> {
        let row = self.world.disk("REGISTRY", "registry").get("clients", id, "").unwrap();
        row.map(|row| edgemint::json::read(&row).unwrap())
    }

    fn ends(&self) -> Vec<(String, String, String)> {
        self.world.disk("REGISTRY", "registry").scan("ends", None, None, usize::MAX).unwrap()
    }

    fn taken(&self) -> u64 {
        let text = self.world.disk("REGISTRY", "registry").get("meta", "", "unused").unwrap();
        text.map_or(0, |text| text.parse().unwrap())
    }

    /// What must be true of the rows, whatever happened.
    fn look(&mut self) -> Judged {
        let ends = self.ends();
        let unused = ends.iter().filter(|(.., what)| what == "unused").count() as u64;
        let (taken, story) = (self.taken(), &self.story);
        story.hold(
            unused == taken && taken <= MOST,
            "no more lie unused than may, and all are counted",
            || format!("{taken} are counted, of {unused}"),
        )?;
        for known in &mut self.clients {
            let row = self.world.disk("REGISTRY", "registry").get("clients", &known.id, "").unwrap();
            let row: Option<Client> = row.map(|row| edgemint::json::read(&row).unwrap());
            let own = ends.iter().filter(|(_, id, _)| *id == known.id).count();
            story.hold(own <= 1, "a client ends once", || format!("{own} ends of {}", known.id))?;
            let Some(row) = row else {
                // Swept, in time; or it ended itself.
                let over = known.ended || self.world.now() >= known.expires;
                story.hold(over && known.enabled | known.ended, "nobody ends before their time", || {
                    known.id.clone()
                })?;
                known.ended = true;
                continue;
            };
            story.hold(!known.ended && own == 1, "what has ended is gone, what lives has an end", || {
                known.id.clone()
            })?;
            if !known.enabled && self.world.now() >= known.expires {
                // What is disabled does not end: it was put off.
                known.expires = row.expires.unwrap_or_default();
                known.unused = row.unused;
            }
            let same = row.expires == Some(known.expires) && row.unused == known.unused;
            story.hold(same, "it ends when it was said to end", || format!("{row:?} is {known:?}"))?;
        }
        Ok(())
    }

    /// When all time is over nothing is left of anybody who is not disabled.
    fn finish(&mut self) -> Judged {
        for _ in 0..4 {
            self.world.pass(Seconds(USED.0 + 61));
            self.world.ring();
            self.look()?;
        }
        let left: Vec<&Known> =
            self.clients.iter().filter(|known| self.row(&known.id).is_some() && known.enabled).collect();
        self.story.hold(left.is_empty(), "a flood leaves nothing", || format!("{left:?}"))?;
        let disk = self.world.disk("REGISTRY", "registry");
        let disabled = self.clients.iter().filter(|known| !known.enabled && !known.ended).count();
        let tokens = disk.scan("registered", None, None, usize::MAX).unwrap();
        self.story.hold(tokens.len() == disabled, "a flood leaves nothing", || format!("{tokens:?}"))
    }
}

fn short(reply: &Reply) -> String {
    match reply {
        Reply::Registered(client, _, generation, _) => format!("{} with generation {generation}", client.id),
        other => format!("{other:?}").chars().take(80).collect(),
    }
}

#[test]
fn whatever_clients_do_to_themselves_they_are_what_the_oracle_says_and_end_in_time() {
    prove(EFFORT, prop::collection::vec(act(), 1..40), |acts| {
        let mut life = Life::new();
        acts.iter().try_for_each(|act| life.play(act))?;
        life.finish()
    });
}

#[test]
fn a_client_that_ended_itself_does_not_come_back_by_a_message_of_before() {
    let mut life = Life::new();
    let acts = [
        Act::Register { invited: false },
        Act::Manage { client: 0, old: 0, what: What::End },
        Act::Again(1),
        Act::Again(0),
    ];
    let lived = acts.iter().try_for_each(|act| life.play(act)).and_then(|()| life.finish());
    assert!(lived.is_ok(), "{lived:?}");
}
