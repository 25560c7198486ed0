//! The tokens of a connection against a provider that rotates its refresh tokens: whoever asks, whenever calls are lost,
//! late or doubled, and whatever the provider forgives.

use edgemint::{
    crypto::{Keys, Secret, Vault},
    host::{Seconds, Timestamp},
    model::{
        held::{Back, Held, LISTEN, Sent, Step},
        provider::Answer,
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    /// Somebody asks.
    Ask,
    /// Somebody asks whose resource refused the newest token.
    Refused,
    /// The call under way reaches the provider, and its answer comes back.
    Answered,
    /// It reaches the provider, and its answer is lost with who made it.
    Died,
    /// It never reaches the provider, which is away.
    Away,
    /// It reaches the provider, and its answer comes too late for anybody.
    Unheard,
    /// A person goes to the provider and comes back with a code, that is good or not.
    Person(bool),
    /// Time passes.
    Pass(u64),
}

/// The other server: it takes one refresh token, and where it forgives a retry the one before it as well, until the newest
/// has been used.
struct Provider {
    forgives: bool,
    newest: u32,
    calls: u32,
}

impl Provider {
    fn answer(&mut self, sent: &Sent) -> Answer {
        self.calls += 1;
        let good = match sent {
            Sent::Code(code, verifier) => code == "good" && verifier == "verifier",
            Sent::Refresh(token) => {
                let number: u32 = token.strip_prefix("refresh-").unwrap().parse().unwrap();
                number == self.newest || (self.forgives && number + 1 == self.newest)
            }
        };
        if !good {
            return Answer::Refused(400, Some(json!({ "error": "invalid_grant" })));
        }
        self.newest += 1;
        let Value::Object(members) = json!({
            "access_token": format!("access-{}", self.newest), "refresh_token": format!("refresh-{}", self.newest),
            "token_type": "Bearer", "expires_in": 100,
        }) else {
            unreachable!()
        };
        Answer::Tokens(members)
    }
}

struct Course {
    held: Held,
    vault: Vault,
    provider: Provider,
    now: Timestamp,
    life: u32,
    /// The call that somebody makes in this life.
    under_way: Option<u64>,
    persons: u32,
    story: Vec<String>,
    /// The newest refresh token that an answer brought, which is what is held; and what the provider gave besides, unheard.
    heard: u32,
    /// An answer was lost since the last one that was heard.
    unheard: bool,
}

impl Course {
    fn new(forgives: bool) -> Self {
        let keys = Keys::parse("a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "https://as.test");
        let vault = keys.unwrap_or_else(|why| panic!("{why}")).vault("id");
        let mut held = Held { format: 1, ..Held::default() };
        assert!(held.hears(1, &Secret(vec![1])));
        Self {
            held,
            vault,
            provider: Provider { forgives, newest: 0, calls: 0 },
            now: Timestamp(1_800_000_000_000),
            life: 0,
            under_way: None,
            persons: 0,
            story: Vec::new(),
            heard: 0,
            unheard: false,
        }
    }

    fn step(&mut self, step: Step) {
        self.story.push(format!("{} {step:?}", self.now.0));
        match step {
            Step::Call(number) => {
                assert!(self.under_way.is_none(), "one call at a time: {:#?}", self.story);
                self.under_way = Some(number);
            }
            Step::Give => {
                let tokens = self.held.tokens.as_ref().unwrap();
                assert!(self.held.access(&self.vault).is_some());
                assert!(tokens.expires.unwrap() > self.now, "what is given is good: {:#?}", self.story);
            }
            Step::Wait(number) => {
                assert_eq!(self.under_way, Some(number), "who waits, waits for somebody: {:#?}", self.story);
            }
            Step::Broken => {
                let broken = self.held.broken.as_ref().unwrap();
                assert!(broken.since <= self.now && !broken.why.is_empty());
                // Only an answer that nobody heard can leave us with a token that is spent; or two calls that died.
                assert!(self.unheard, "it breaks for a reason: {:#?}", self.story);
            }
            Step::Sealed => panic!("the key is there: {:#?}", self.story),
            Step::Failed | Step::New | Step::Unexpected => {}
        }
    }

    fn life(&self) -> String {
        self.life.to_string()
    }

    fn ask(&mut self, refused: Option<&str>) {
        let life = self.life();
        let step = self.held.ask(&self.vault, (refused, None), self.now, &life);
        self.step(step);
    }

    fn come_back(&mut self, number: u32, good: bool) {
        let (nonce, life) = (format!("nonce-{number}"), self.life());
        let back = Back { nonce: &nonce, code: if good { "good" } else { "bad" }, named: true };
        let step = self.held.come_back(&self.vault, back, self.now, &life).unwrap();
        self.step(step);
    }

    /// The call under way goes out. `None`: there is none.
    fn call(&mut self) -> Option<(u64, Sent)> {
        let number = self.under_way.take()?;
        let sent = self.held.sends(&self.vault, number).expect("the call that is made is known");
        Some((number, sent))
    }

    fn conclude(&mut self, number: u64, answer: Answer) {
        if let Answer::Tokens(_) = &answer {
            (self.heard, self.unheard) = (self.provider.newest, false);
        }
        self.held.conclude((&self.vault, "asked"), (number, self.now), answer, &[]).unwrap();
        self.story.push(format!("{} heard {}", self.held.status(), self.heard));
        if let (Some(tokens), true) = (&self.held.tokens, self.held.broken.is_none()) {
            let held = self.held.access(&self.vault).unwrap();
            assert_eq!(
                held,
                format!("access-{}", self.heard),
                "nothing that was heard is lost: {tokens:?} {:#?}",
                self.story
            );
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Ask => self.ask(None),
            Event::Refused => {
                let newest = self.held.access(&self.vault);
                self.ask(newest.as_deref());
            }
            Event::Person(good) => {
                self.persons += 1;
                let nonce = format!("nonce-{}", self.persons);
                let until = self.now.plus(Seconds(600));
                self.held.expect(&self.vault, nonce, "verifier", until).unwrap();
                self.come_back(self.persons, *good);
                // It waits for a refresh that is under way, and comes again.
                if self.under_way.is_some() && self.held.pending.is_some() {
                    self.happen(&Event::Answered);
                    self.come_back(self.persons, *good);
                }
            }
            Event::Answered => {
                let Some((number, sent)) = self.call() else { return };
                let answer = self.provider.answer(&sent);
                self.conclude(number, answer);
            }
            Event::Away | Event::Unheard => {
                let Some((number, sent)) = self.call() else { return };
                if matches!(event, Event::Unheard) {
                    self.provider.answer(&sent);
                    self.unheard = true;
                }
                self.conclude(number, Answer::Late);
            }
            Event::Died => {
                let Some((_, sent)) = self.call() else { return };
                self.provider.answer(&sent);
                (self.life, self.unheard) = (self.life + 1, true);
            }
            Event::Pass(seconds) => {
                self.now = self.now.plus(Seconds(*seconds));
                // Nobody listens for longer: who made it is told that it was too late.
                let since = self.under_way.and_then(|number| self.held.called(number));
                if since.is_some_and(|since| self.now >= since.plus(LISTEN)) {
                    self.happen(&Event::Unheard);
                }
            }
        }
    }

    fn tell(forgives: bool, events: &[Event]) -> Self {
        let mut course = Self::new(forgives);
        for event in events {
            course.happen(event);
        }
        course
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Ask),
        1 => Just(Event::Refused),
        3 => Just(Event::Answered),
        1 => Just(Event::Died),
        1 => Just(Event::Away),
        1 => Just(Event::Unheard),
        1 => any::<bool>().prop_map(Event::Person),
        3 => (0_u64..70).prop_map(Event::Pass),
    ]
}

proptest! {
    #[test]
    fn who_asks_gets_a_good_token_waits_for_the_one_who_calls_or_is_told_why_not(
        forgives: bool,
        events in proptest::collection::vec(event(), 1..80),
    ) {
        Course::tell(forgives, &events);
    }

    #[test]
    fn a_provider_that_forgives_a_retry_is_never_lost_by_one_death(before in 0_u64..300, after in 0_u64..300) {
        let course = Course::tell(true, &[
            Event::Person(true), Event::Answered, Event::Pass(before), Event::Ask, Event::Answered,
            Event::Pass(100), Event::Ask, Event::Died, Event::Pass(after), Event::Ask, Event::Answered, Event::Ask,
        ]);
        prop_assert_eq!(course.held.status(), "connected");
        prop_assert!(course.story.last().unwrap().ends_with("Give"), "{:#?}", course.story);
    }
}

#[test]
fn a_provider_that_forgives_no_retry_breaks_the_connection_after_a_death_and_a_person_mends_it() {
    let mut course = Course::tell(
        false,
        &[
            Event::Person(true),
            Event::Answered,
            Event::Pass(100),
            Event::Ask,
            Event::Died,
            Event::Ask,
            Event::Answered,
            Event::Ask,
        ],
    );
    assert_eq!(course.held.status(), "broken");
    let why = &course.held.broken.as_ref().unwrap().why;
    assert_eq!(why, "invalid_grant (the call before this one had no answer)");
    for event in [Event::Person(true), Event::Answered, Event::Ask] {
        course.happen(&event);
    }
    assert_eq!(course.held.status(), "connected");
}

#[test]
fn an_answer_that_nobody_heard_is_named_where_it_cost_the_connection() {
    let course = Course::tell(
        false,
        &[
            Event::Person(true),
            Event::Answered,
            Event::Pass(100),
            Event::Ask,
            Event::Unheard,
            Event::Pass(3),
            Event::Ask,
            Event::Answered,
        ],
    );
    let why = &course.held.broken.as_ref().unwrap().why;
    assert_eq!(why, "invalid_grant (the call before this one had no answer)");
}

#[test]
fn a_call_is_repeated_once_and_no_more_and_a_code_never() {
    let course = Course::tell(
        true,
        &[
            Event::Person(true),
            Event::Answered,
            Event::Pass(100),
            Event::Ask,
            Event::Died,
            Event::Ask,
            Event::Died,
            Event::Ask,
            Event::Ask,
        ],
    );
    assert_eq!((course.held.status(), course.provider.calls), ("broken", 3));
    let mut course = Course::tell(true, &[Event::Person(true), Event::Died]);
    course.come_back(1, true);
    assert!(course.story.last().unwrap().ends_with("Failed"), "{:#?}", course.story);
    course.come_back(1, true);
    assert_eq!((course.held.status(), course.provider.calls), ("new", 1));
}

#[test]
fn a_browser_that_comes_back_during_a_refresh_waits_for_it_and_loses_nothing() {
    let course = Course::tell(
        false,
        &[
            Event::Person(true),
            Event::Answered,
            Event::Pass(100),
            Event::Ask,
            Event::Person(false),
            Event::Answered,
            Event::Pass(200),
            Event::Ask,
            Event::Answered,
            Event::Ask,
        ],
    );
    assert_eq!(course.held.status(), "connected", "{:#?}", course.story);
}

#[test]
fn who_has_not_the_key_changes_nothing() {
    let mut course = Course::tell(true, &[Event::Person(true), Event::Answered, Event::Pass(100)]);
    let keys = Keys::parse("b:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE", "https://as.test");
    let other = keys.unwrap_or_else(|why| panic!("{why}")).vault("id");
    let before = course.held.clone();
    assert_eq!(course.held.ask(&other, (None, None), course.now, "0"), Step::Sealed);
    assert_eq!(course.held, before);
    course.held.expect(&course.vault, "n".to_owned(), "verifier", course.now.plus(Seconds(600))).unwrap();
    let before = course.held.clone();
    let back = Back { nonce: "n", code: "good", named: true };
    assert_eq!(course.held.come_back(&other, back, course.now, "0").unwrap(), Step::Sealed);
    assert_eq!(course.held, before);
    course.happen(&Event::Ask);
    course.happen(&Event::Answered);
    assert_eq!(course.held.status(), "connected");
}

#[test]
fn a_provider_that_named_itself_once_always_does() {
    let mut course = Course::tell(true, &[Event::Person(true), Event::Answered]);
    course.held.expect(&course.vault, "n".to_owned(), "verifier", course.now.plus(Seconds(600))).unwrap();
    let back = Back { nonce: "n", code: "good", named: false };
    assert_eq!(course.held.come_back(&course.vault, back, course.now, "0").unwrap(), Step::Unexpected);
}

#[test]
fn who_has_the_address_and_no_good_code_makes_no_provider_one_that_names_itself() {
    let mut course = Course::new(true);
    for (nonce, code, named, status) in [("forged", "bad", true, "new"), ("own", "good", false, "connected")]
    {
        let until = course.now.plus(Seconds(600));
        course.held.expect(&course.vault, nonce.to_owned(), "verifier", until).unwrap();
        let back = Back { nonce, code, named };
        let step = course.held.come_back(&course.vault, back, course.now, "0").unwrap();
        course.step(step);
        course.happen(&Event::Answered);
        assert_eq!(course.held.status(), status, "{nonce}");
    }
}
