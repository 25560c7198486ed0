//! The tokens of a connection against a provider that rotates its refresh tokens: whoever asks, whenever calls are lost,
//! late or doubled, and whatever the provider forgives.

use edgemint::{
    crypto::{Keys, Secret, Vault},
    host::{Seconds, Timestamp},
    model::{
        held::{Held, Sent, Step},
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
    /// The oldest call under way reaches the provider, and its answer comes back.
    Answered,
    /// It reaches the provider, and its answer is lost with who made it.
    Died,
    /// The provider is away for it.
    Away,
    /// A person goes to the provider and comes back.
    Person,
    /// Time passes.
    Pass(u64),
}

/// The other server.
struct Provider {
    /// Takes the last refresh token but one as well.
    forgives: bool,
    newest: u32,
    /// The newest that an answer brought to us.
    calls: u32,
}

impl Provider {
    fn answer(&mut self, sent: &Sent) -> Answer {
        self.calls += 1;
        let good = match sent {
            Sent::Code(..) => true,
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
    /// Calls that somebody makes in this life.
    under_way: Vec<u64>,
    persons: u32,
    story: Vec<String>,
    /// A call whose answer nobody heard.
    unheard: bool,
}

impl Course {
    fn new(forgives: bool) -> Self {
        let keys = Keys::parse("a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "https://as.test");
        let vault = keys.unwrap_or_else(|why| panic!("{why}")).vault("id");
        let mut held = Held { format: 1, ..Held::default() };
        assert!(held.hears(1, &Secret(vec![1])));
        let provider = Provider { forgives, newest: 0, calls: 0 };
        let now = Timestamp(1_800_000_000_000);
        let (story, under_way) = (Vec::new(), Vec::new());
        Self { held, vault, provider, now, life: 0, under_way, persons: 0, story, unheard: false }
    }

    fn step(&mut self, step: Step) {
        self.story.push(format!("{} {step:?}", self.now.0));
        match step {
            Step::Call(number) => {
                assert!(self.under_way.is_empty(), "one call at a time: {:#?}", self.story);
                self.under_way.push(number);
            }
            Step::Give => {
                let tokens = self.held.tokens.as_ref().unwrap();
                assert!(self.held.access(&self.vault).is_some());
                assert!(tokens.expires.unwrap() > self.now, "what is given is good: {:#?}", self.story);
            }
            Step::Wait(number) => {
                assert!(self.under_way.contains(&number), "who waits, waits for somebody: {:#?}", self.story);
            }
            Step::Broken => {
                let broken = self.held.broken.as_ref().unwrap();
                assert!(broken.since <= self.now && !broken.why.is_empty());
                // Only a call whose answer nobody heard can leave us with a token that is spent; or two that died.
                assert!(self.unheard, "it breaks for a reason: {:#?}", self.story);
            }
            Step::Failed | Step::New | Step::Unexpected => {}
        }
    }

    fn happen(&mut self, event: &Event) {
        let life = self.life.to_string();
        match event {
            Event::Ask => {
                let step = self.held.ask(&self.vault, None, self.now, &life);
                self.step(step);
            }
            Event::Refused => {
                let newest = self.held.access(&self.vault);
                let step = self.held.ask(&self.vault, newest.as_deref(), self.now, &life);
                self.step(step);
            }
            Event::Person => {
                self.persons += 1;
                let nonce = format!("nonce-{}", self.persons);
                let until = self.now.plus(Seconds(600));
                self.held.expect(&self.vault, nonce.clone(), "verifier", until).unwrap();
                // A refresh that is under way is nobody's from now on.
                self.under_way.clear();
                let step = self.held.come_back(&self.vault, (&nonce, "code"), self.now, &life).unwrap();
                self.step(step);
            }
            Event::Answered | Event::Died | Event::Away => {
                let Some(number) = self.under_way.pop() else { return };
                let Some(sent) = self.held.sends(&self.vault, number) else { return };
                let answer = match event {
                    Event::Away => Answer::Late,
                    _ => self.provider.answer(&sent),
                };
                if matches!(event, Event::Died) {
                    // Its answer finds nobody.
                    (self.life, self.unheard) = (self.life + 1, true);
                    return;
                }
                self.held.conclude(&self.vault, number, self.now, answer).unwrap();
                self.story.push(format!("{event:?}: {}", self.held.status()));
                if self.held.status() == "connected" && matches!(event, Event::Answered) {
                    self.unheard = false;
                }
            }
            Event::Pass(seconds) => self.now = self.now.plus(Seconds(*seconds)),
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Ask),
        1 => Just(Event::Refused),
        3 => Just(Event::Answered),
        1 => Just(Event::Died),
        1 => Just(Event::Away),
        1 => Just(Event::Person),
        3 => (0_u64..70).prop_map(Event::Pass),
    ]
}

proptest! {
    #[test]
    fn who_asks_gets_a_good_token_waits_for_the_one_who_calls_or_is_told_why_not(
        forgives: bool,
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let mut course = Course::new(forgives);
        for event in &events {
            // A call that somebody makes ends before its maker is given up.
            if let Event::Pass(_) = event && !course.under_way.is_empty() {
                course.happen(&Event::Answered);
            }
            course.happen(event);
        }
    }

    #[test]
    fn a_provider_that_forgives_a_retry_is_never_lost_by_one_death(before in 0_u64..300, after in 0_u64..300) {
        let mut course = Course::new(true);
        let asked = [Event::Person, Event::Answered, Event::Pass(before), Event::Ask, Event::Answered];
        let died = [Event::Pass(100), Event::Ask, Event::Died, Event::Pass(after), Event::Ask, Event::Answered, Event::Ask];
        for event in asked.iter().chain(&died) {
            course.happen(event);
        }
        prop_assert_eq!(course.held.status(), "connected");
        prop_assert!(course.story.last().unwrap().ends_with("Give"), "{:#?}", course.story);
    }
}

#[test]
fn a_provider_that_forgives_no_retry_breaks_the_connection_after_a_death_and_a_person_mends_it() {
    let mut course = Course::new(false);
    for event in [
        Event::Person,
        Event::Answered,
        Event::Pass(100),
        Event::Ask,
        Event::Died,
        Event::Ask,
        Event::Answered,
        Event::Ask,
    ] {
        course.happen(&event);
    }
    assert_eq!(course.held.status(), "broken");
    let why = &course.held.broken.as_ref().unwrap().why;
    assert_eq!(why, "invalid_grant (the call before this one was interrupted)");
    for event in [Event::Person, Event::Answered, Event::Ask] {
        course.happen(&event);
    }
    assert_eq!(course.held.status(), "connected");
}

#[test]
fn a_call_is_repeated_once_and_no_more() {
    let mut course = Course::new(true);
    for event in [
        Event::Person,
        Event::Answered,
        Event::Pass(100),
        Event::Ask,
        Event::Died,
        Event::Ask,
        Event::Died,
        Event::Ask,
        Event::Ask,
    ] {
        course.happen(&event);
    }
    assert_eq!(course.held.status(), "broken");
    assert_eq!(course.provider.calls, 3);
}
