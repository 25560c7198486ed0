//! The grant as a state machine, against a small oracle: whatever the order of commands, clocks, retries and thieves.

use edgemint::{
    crypto::Secret,
    host::{Attempt, Seconds, Timestamp},
    model::{
        grant::{Binding, Command, Grant, Instant, Offer, Person, Refusal, Reply, Terms, handle},
        mark::{ClientRef, Mark, Marks, Standing},
        pkce::Challenge,
        scope::Scope,
    },
};
use proptest::prelude::*;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const URI: &str = "https://app.test/cb";

/// What somebody does.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// The client redeems; a thief lacks the verifier.
    Redeem { thief: bool },
    /// Somebody refreshes with a token that was given out, by its number; another client or the right one.
    Refresh { which: usize, stranger: bool },
    /// The last message arrives again.
    Repeat,
    /// Time passes, in seconds.
    Wait(u64),
    /// The client revokes by a token that was given out.
    Revoke { which: usize },
    /// The client is disabled.
    Disable,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => any::<bool>().prop_map(|thief| Act::Redeem { thief }),
        8 => (0..6_usize, prop::bool::weighted(0.2)).prop_map(|(which, stranger)| Act::Refresh { which, stranger }),
        3 => Just(Act::Repeat),
        4 => prop_oneof![0..12_u64, 50..70_u64, 2_000_000..8_000_000_u64].prop_map(Act::Wait),
        1 => (0..6_usize).prop_map(|which| Act::Revoke { which }),
        1 => Just(Act::Disable),
    ]
}

struct Story {
    row: Option<Grant>,
    marks: Marks,
    now: Timestamp,
    attempts: u64,
    code: Secret,
    /// Every refresh token given out, oldest first, without repetitions.
    given: Vec<(u32, Secret)>,
    redeemed: u32,
    over: bool,
    last: Option<Delivery>,
}

/// A message as it was delivered first.
#[derive(Clone)]
struct Delivery {
    command: Command,
    attempt: Attempt,
    answer: String,
    /// Whether it changed the row: then every repetition must answer the same and change nothing.
    changed: bool,
    at: Timestamp,
}

fn client(id: &str) -> ClientRef {
    ClientRef { id: id.into(), incarnation: "life".into(), version: 1 }
}

fn terms() -> Terms {
    Terms {
        allowed: scope(),
        code_retry: Seconds(10),
        grace: Seconds(10),
        idle: Some(Seconds(2_592_000)),
        rotate: true,
        refreshable: true,
        refreshes: None,
        ..Terms::default()
    }
}

fn scope() -> Scope {
    Scope::parse("read write").unwrap()
}

impl Story {
    fn begin() -> Self {
        let offer = Offer {
            client: client("app"),
            person: Person { sub: "sub".into(), username: "ada".into(), version: 1, groups: vec![] },
            scope: scope(),
            binding: Binding {
                challenge: Some(Challenge::of(VERIFIER)),
                redirect_uri: URI.into(),
                redirect_uri_required: true,
            },
            code_lifetime: Seconds(60),
            absolute: Some(Seconds(7_776_000)),
            until: Some(Timestamp(1_900_000_000_000)),
        };
        let mut story = Self {
            row: None,
            marks: Marks::default(),
            now: Timestamp(1_800_000_000_000),
            attempts: 0,
            code: Secret::default(),
            given: Vec::new(),
            redeemed: 0,
            over: false,
            last: None,
        };
        let Reply::Offered(code) = story.tell(Command::Offer(Box::new(offer))) else { panic!("not offered") };
        story.code = code;
        story
    }

    fn tell(&mut self, command: Command) -> Reply {
        self.attempts += 1;
        self.deliver(command, Attempt(self.attempts.to_string()))
    }

    fn deliver(&mut self, command: Command, attempt: Attempt) -> Reply {
        let at = Instant { now: self.now, attempt: attempt.clone(), dice: [7; 32], policy: 1 };
        let before = self.row();
        let reply = handle(&mut self.row, &self.marks, command.clone(), &at);
        let (answer, changed) = (format!("{reply:?}"), self.row() != before);
        self.last = Some(Delivery { command, attempt, answer, changed, at: self.now });
        reply
    }

    fn refresh(&mut self, which: usize, id: &str) -> Option<Reply> {
        let (generation, proof) = self.given.get(which)?.clone();
        let command = Command::Refresh { client: client(id), generation, proof, scope: None, terms: terms() };
        Some(self.tell(command))
    }

    fn row(&self) -> String {
        format!("{:?}", serde_json::to_string(&self.row).unwrap())
    }

    fn receive(&mut self, reply: &Reply) {
        if let Reply::Issued(issued) = reply {
            assert!(!self.over, "tokens after the end");
            let token = issued.refresh.as_ref().expect("this client refreshes");
            match self.given.iter().find(|(generation, _)| *generation == token.generation) {
                Some((_, proof)) => assert_eq!(*proof, token.proof, "one generation, two tokens"),
                None => {
                    assert_eq!(self.given.len() + 1, token.generation as usize, "a generation was left out");
                    self.given.push((token.generation, token.proof.clone()));
                }
            }
        }
        if matches!(reply, Reply::Refused(Refusal::Replayed)) {
            self.over = true;
        }
    }

    fn play(&mut self, act: Act) {
        let before = self.row();
        match act {
            Act::Wait(seconds) => self.now = self.now.plus(Seconds(seconds)),
            Act::Disable => {
                let mark =
                    Mark { version: 2, standing: Standing::Disabled, min_version: 2, ..Mark::default() };
                self.marks.client = Some(mark);
                self.over = true;
            }
            Act::Redeem { thief } => {
                let verifier = (!thief).then(|| VERIFIER.to_owned());
                let reply = self.tell(Command::Redeem {
                    client: client("app"),
                    proof: self.code.clone(),
                    verifier,
                    redirect_uri: Some(URI.into()),
                    terms: terms(),
                });
                if let Reply::Issued(issued) = &reply {
                    assert!(!thief && !issued.again);
                    self.redeemed += 1;
                    assert_eq!(self.redeemed, 1, "a code was redeemed twice");
                }
                assert!(!thief || self.row() == before, "a thief changed something");
                self.receive(&reply);
            }
            Act::Refresh { which, stranger } => {
                let current = self.given.len();
                let id = if stranger { "other" } else { "app" };
                let Some(reply) = self.refresh(which, id) else { return };
                assert!(!stranger || (self.row() == before && matches!(reply, Reply::Refused(_))));
                if matches!(reply, Reply::Issued(_)) {
                    assert!(which + 2 >= current, "an old generation was honoured");
                    assert!(which + 1 == current || self.row() == before, "the grace wrote something");
                }
                if !stranger && which + 2 < current && !self.over && matches!(reply, Reply::Refused(_)) {
                    // Older than the previous one: the family ends, unless it had expired by itself.
                    assert!(
                        matches!(reply, Reply::Refused(Refusal::Replayed | Refusal::Expired)),
                        "{reply:?}"
                    );
                }
                self.receive(&reply);
            }
            Act::Repeat => {
                let Some(first) = self.last.clone() else { return };
                let reply = self.deliver(first.command.clone(), first.attempt.clone());
                // What changed nothing left no trace; after a while it is a new wish.
                if first.changed || first.at == self.now {
                    assert_eq!(self.row(), before, "a repetition had an effect: {}", first.answer);
                    if !self.over && first.answer.contains("Issued") {
                        let same = matches!(reply, Reply::Issued(_) | Reply::Refused(Refusal::Expired));
                        assert!(same, "{} then {reply:?}", first.answer);
                    }
                    self.last = Some(first);
                }
                self.receive(&reply);
            }
            Act::Revoke { which } => {
                let Some((generation, proof)) = self.given.get(which).cloned() else { return };
                let token = edgemint::model::grant::Token::Refresh { generation, proof };
                let reply = self.tell(Command::Revoke { by: Some((client("app"), token, false)) });
                assert!(matches!(reply, Reply::Revoked(false)));
                self.over = true;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_happens_a_code_works_once_and_nothing_outlives_its_end(acts in prop::collection::vec(act(), 1..40)) {
        let mut story = Story::begin();
        for act in acts {
            story.play(act);
        }
        if story.over {
            for which in 0..story.given.len() {
                prop_assert!(!matches!(story.refresh(which, "app"), Some(Reply::Issued(_))));
            }
        }
    }
}
