//! The state machines against oracles: random histories of commands, clocks, repetitions, losses and administrators,
//! each step of which is judged by a small model that was written from the promises, not from the code.
//!
//! | module | drives | the oracle knows |
//! |---|---|---|
//! | [`grant`] | one grant in its shard, by messages | codes, generations, windows, ends, cut-offs |
//! | [`account`] | one person in their shard | sessions, passwords, failures, what shards were told |
//! | [`held`] | the tokens of a connection | what the other server has given and takes |
//! | [`registration`] | clients that register, manage and end themselves | generations, uses, places, ends |
//! | [`registry`] | clients, scopes, settings, shards that join | versions, links, who must hold which mark |
//! | [`storm`] | the registry's outbox, many futures at once | what a 200 promised, and that nothing is owed for ever |
//!
//! An oracle is to be believed by reading it. What a promise is called there is its number in the list of behaviours.
//! A history that breaks one is shrunk and told as a story, a line a step. `EDGEMINT_SEED` brings it back;
//! `EDGEMINT_PROVE` asks for the long run, whose seed is the clock's.

mod account;
mod grant;
mod held;
mod registration;
mod registry;
mod storm;

use edgemint::{
    host::{Attempt, Envelope, FORMAT, Timestamp},
    json::{self, Json},
};
use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use std::{
    cell::Cell,
    fmt::{Debug, Display},
    time::SystemTime,
};

/// How many histories: in every run, and where `EDGEMINT_PROVE` is set.
#[derive(Clone, Copy)]
struct Effort {
    short: u32,
    long: u32,
}

impl Effort {
    fn histories(self) -> u32 {
        if is_long() { self.long } else { self.short }
    }
}

fn is_long() -> bool {
    std::env::var_os("EDGEMINT_PROVE").is_some()
}

/// Always the same but in the long run; a failure names it.
fn seed() -> u64 {
    let said = std::env::var("EDGEMINT_SEED").ok().and_then(|text| text.parse().ok());
    said.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        if is_long() { now.as_secs() } else { 20_261_121 }
    })
}

/// A message as the edge sends it: of a wish, at an instant by the edge's clock.
fn message<C: Json>(attempt: &str, sent: Option<Timestamp>, command: C) -> String {
    let envelope = Envelope { format: FORMAT, attempt: Attempt(attempt.to_owned()), sent, by: None, command };
    json::write(&envelope)
}

/// What one line of `proof:` counts.
fn count(histories: u32) {
    println!("proof: histories checked: {histories}");
}

/// Lives so many histories. The first that breaks a promise is shrunk, and told.
fn prove<H: Debug>(
    effort: Effort,
    histories: impl Strategy<Value = H>,
    live: impl Fn(H) -> Result<(), Broken>,
) {
    let seed = seed();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let config = Config {
        cases: effort.histories(),
        failure_persistence: None,
        max_shrink_iters: 5_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let lived = Cell::new(0);
    let outcome = TestRunner::new_with_rng(config, rng).run(&histories, |history| {
        lived.set(lived.get() + 1);
        live(history).map_err(|Broken(story)| proptest::test_runner::TestCaseError::fail(story))
    });
    match outcome {
        Ok(()) => count(lived.get()),
        Err(TestError::Fail(story, _)) => panic!("{story}\n\nEDGEMINT_SEED={seed}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// A promise that was broken, and the story of how.
#[derive(Debug)]
struct Broken(String);

/// What happened so far, a line a step.
#[derive(Default)]
struct Story(Vec<String>);

impl Story {
    /// One more step.
    fn step(&mut self, words: impl Into<String>) {
        self.0.push(words.into());
    }

    /// What came of the last one.
    fn came(&mut self, of_it: impl Display) {
        if let Some(last) = self.0.last_mut() {
            *last = format!("{last} → {of_it}");
        }
    }

    /// Goes on only if a promise was kept. `promise` names the behaviour, `else_seen` what was seen instead.
    fn hold(&self, kept: bool, promise: &str, else_seen: impl FnOnce() -> String) -> Result<(), Broken> {
        if kept {
            return Ok(());
        }
        let steps = self.0.iter().enumerate().map(|(at, line)| format!("  {}. {line}\n", at + 1));
        Err(Broken(format!("\n{}not kept: {promise}\n          {}", steps.collect::<String>(), else_seen())))
    }
}
