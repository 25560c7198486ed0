//! Every order of concurrent requests: all that two or three of them can do to each other, and what a fault adds.

mod administration;
mod boot;
mod choices;
mod course;
mod port;
mod registration;
mod scenes;
mod trial;

use self::{
    choices::Choices,
    course::{Course, End, Steps},
    scenes::{Mode, Scene},
    trial::{Reply, Trial, Verdict},
};
use crate::world::{Site, World, development, text};
use edgemint::wire::Response;
use std::{cell::RefCell, collections::BTreeSet};

/// The columns of the table.
const COLUMNS: [(&str, Mode); 5] = [
    ("orders", (Steps::Meeting, 0)),
    ("of all steps", (Steps::Every, 0)),
    ("one fault", (Steps::Meeting, 1)),
    ("two faults", (Steps::Meeting, 2)),
    ("all, one fault", (Steps::Every, 1)),
];

/// What an exploration came to.
struct Explored {
    /// How many orders there are, by the choices that were met.
    exist: u64,
    /// How many were run to their end, and judged.
    ran: u64,
    /// What they came to, as far as it can be told apart.
    ends: BTreeSet<String>,
}

/// Judges every order there is. The error is the story of the first that does not end as it may.
fn explore(scene: &Scene, (steps, faults): Mode) -> Result<Explored, String> {
    let mut choices = Choices::default();
    let (mut ran, mut ends) = (0, BTreeSet::new());
    loop {
        let (verdict, end) = judge(scene, steps, faults, choices, false);
        choices = end.choices;
        match verdict {
            Ok(digest) => ends.insert(digest),
            Err(expected) => {
                choices.rewind();
                let (_, end) = judge(scene, steps, faults, choices, true);
                return Err(format!("{}:\n{}\nexpected: {expected}\n", scene.name, end.story.join("\n")));
            }
        };
        ran += 1;
        if !choices.advance() {
            return Ok(Explored { exist: choices.exist(), ran, ends });
        }
    }
}

/// Runs one, and gives what it came to.
fn judge(
    scene: &Scene,
    steps: Steps,
    faults: usize,
    choices: Choices,
    told: bool,
) -> (Result<String, String>, End) {
    let seen: RefCell<Verdict> = RefCell::new(Ok(()));
    let watch = |who: usize, answer: &Response, world: &World| {
        let site = Site::with(&world.fork(), &development());
        let verdict = (scene.meaning)(who, &Reply::of(answer), &site);
        let mut seen = seen.borrow_mut();
        if seen.is_ok() {
            *seen = verdict.map_err(|expected| format!("when {} is answered: {expected}", port::letter(who)));
        }
    };
    let end = Course::run(&scene.plan, steps, faults, choices, told, &watch);
    let trial = Trial::of(Site::with(&end.world, &development()), &scene.plan.wishes, &end.outcomes);
    let digest = trial.digest();
    let verdict = seen
        .into_inner()
        .and_then(|()| trial.is_regular(faults))
        .and_then(|()| (scene.law)(&trial))
        .and_then(|()| trial.settles());
    (verdict.map(|()| digest), end)
}

/// alice is signed in, and has granted nothing.
fn base() -> Site {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let page = site.sign_in(&page, "alice", "wonderland");
    assert!(text(&page).contains("name=\"pending\""));
    site
}

#[test]
fn every_order_of_concurrent_requests_ends_as_it_may() {
    let long = std::env::var_os("EDGEMINT_PROVE").is_some();
    let mut total = 0;
    println!("{:<52} {:>4} {}", "exist/ran", "", COLUMNS.map(|(name, _)| format!("{name:>15}")).concat());
    for scene in scenes::all(&base()) {
        let (always, more) = scene.explored;
        let explored: Vec<_> = COLUMNS
            .iter()
            .map(|(_, mode)| {
                let wanted = always.contains(mode) || (long && more.contains(mode));
                wanted.then(|| explore(&scene, *mode).unwrap_or_else(|story| panic!("{story}")))
            })
            .collect();
        let cell = |found: &Option<Explored>| match found {
            Some(Explored { exist, ran, .. }) => format!("{:>15}", format!("{exist}/{ran}")),
            None => format!("{:>15}", "-"),
        };
        println!(
            "{:<52} {:>4} {}",
            scene.name,
            scene.plan.wishes.len(),
            explored.iter().map(cell).collect::<String>()
        );
        for Explored { exist, ran, .. } in explored.iter().flatten() {
            assert_eq!(exist, ran, "{}: every order that exists was run", scene.name);
            total += ran;
        }
        // That where steps can be left out: what each of all steps can come to, the fewer come to as well.
        if let [Some(plain), Some(every), ..] = explored.as_slice() {
            assert_eq!(plain.ends, every.ends, "{}: a step that was left out matters", scene.name);
        }
    }
    println!("proof: interleavings explored: {total}");
}
