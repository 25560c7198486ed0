//! Counting failures: of one login, and of one address or client.
//!
//! A success is never limited, so a try counts only once it has failed. A password takes a moment to check, and many may
//! be checked at once: a try that is under way holds a place until its outcome is known. Where all places are held, a
//! further try waits, and no burst gets more tries than a sequence.

use crate::{
    host::{PATIENCE, SKEW, Seconds, Timestamp},
    json::Json,
};

/// How many failures are borne, and in which time: a window that starts with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Json)]
pub struct Limit {
    /// How many.
    pub most: u32,
    /// In which time.
    pub window: Seconds,
}

/// Failures within a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
pub struct Failures {
    /// When the first of them happened.
    since: Timestamp,
    /// How many there were.
    count: u32,
}

impl Failures {
    /// So many more.
    pub fn add(&mut self, more: u32, limit: Limit, now: Timestamp) {
        self.forget(limit, now);
        if self.count == 0 {
            self.since = now;
        }
        self.count = self.count.saturating_add(more);
    }

    /// When the window ends, where there were at least so many as are borne.
    pub fn closed(&self, limit: Limit, now: Timestamp) -> Option<Timestamp> {
        let end = self.since.plus(limit.window);
        (self.count >= limit.most && now < end).then_some(end)
    }

    /// How many there were in this window.
    pub fn count(&self, limit: Limit, now: Timestamp) -> u32 {
        if now < self.since.plus(limit.window) { self.count } else { 0 }
    }

    fn forget(&mut self, limit: Limit, now: Timestamp) {
        if now >= self.since.plus(limit.window) {
            *self = Self::default();
        }
    }
}

/// The tries at one login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
pub struct Throttle {
    /// Those that failed.
    #[json(default)]
    failed: Failures,
    /// Those under way, by the id of the try, and since when.
    #[json(default)]
    open: Vec<(String, Timestamp)>,
    /// Those that were over last: what arrives again of them takes no place.
    #[json(default)]
    over: Vec<String>,
}

/// Whether a try may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It holds a place.
    Go,
    /// All places are held: soon.
    Wait,
    /// Too many failed: not before this instant, whatever the password.
    Closed(Timestamp),
}

/// A try whose outcome nobody reported for so long has failed: who made it has given up, and no copy of its message is
/// taken any more.
pub const OPEN: Seconds = Seconds(3 * PATIENCE.0 + SKEW.0);

/// How many tries that are over are told from new ones.
const REMEMBERED: usize = 16;

impl Throttle {
    /// A try begins. The same try again, by a message that arrives twice, holds the same place.
    pub fn begin(&mut self, id: &str, limit: Limit, now: Timestamp) -> Admission {
        if self.open.iter().any(|(known, _)| known == id) || self.over.iter().any(|known| known == id) {
            return Admission::Go;
        }
        self.settle(limit, now);
        if let Some(end) = self.failed.closed(limit, now) {
            return Admission::Closed(end);
        }
        let held = self.open.len() as u64 + u64::from(self.failed.count(limit, now));
        if held >= u64::from(limit.most) {
            return Admission::Wait;
        }
        self.open.push((id.to_owned(), now));
        Admission::Go
    }

    /// A try failed. `false`: it is not under way, so it has been counted, and nothing changes.
    pub fn fail(&mut self, id: &str, limit: Limit, now: Timestamp) -> bool {
        if !self.open.iter().any(|(known, _)| known == id) {
            return false;
        }
        self.settle(limit, now);
        let before = self.open.len();
        self.open.retain(|(known, _)| known != id);
        if self.open.len() < before {
            self.failed.add(1, limit, now);
            self.remember(id);
        }
        true
    }

    /// A try gives its place back: nobody looked at the password. `false`: it is not under way, and nothing changes.
    pub fn leave(&mut self, id: &str) -> bool {
        let before = self.open.len();
        self.open.retain(|(known, _)| known != id);
        if self.open.len() == before {
            return false;
        }
        self.remember(id);
        true
    }

    /// When the window ends, where too many have failed in it.
    pub fn closed(&self, limit: Limit, now: Timestamp) -> Option<Timestamp> {
        self.failed.closed(limit, now)
    }

    /// Those that failed are forgotten, and those under way go on. `false`: there were none.
    pub fn forgive(&mut self, now: Timestamp) -> bool {
        let before = self.clone();
        self.failed = Failures::default();
        self.open.retain(|(_, since)| now < since.plus(OPEN));
        *self != before
    }

    /// A try succeeded: it forgives those that failed before it, and no other that is under way.
    pub fn succeed(&mut self, id: &str, now: Timestamp) {
        self.failed = Failures::default();
        self.open.retain(|(known, since)| known != id && now < since.plus(OPEN));
        self.remember(id);
    }

    /// Whether a try has ended already.
    pub fn is_over(&self, id: &str) -> bool {
        self.over.iter().any(|known| known == id)
    }

    fn remember(&mut self, id: &str) {
        self.over.push(id.to_owned());
        if self.over.len() > REMEMBERED {
            self.over.remove(0);
        }
    }

    fn settle(&mut self, limit: Limit, now: Timestamp) {
        let (left, under_way): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.open).into_iter().partition(|(_, since)| now >= since.plus(OPEN));
        self.open = under_way;
        // In the order in which they failed, whenever that is noticed: what failed later was not counted yet.
        for (_, since) in left {
            self.failed.add(1, limit, since.plus(OPEN));
        }
        self.failed.forget(limit, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: Limit = Limit { most: 10, window: Seconds(300) };
    const START: Timestamp = Timestamp(1_000_000_000);

    #[test]
    fn ten_failures_close_a_login_for_five_minutes_and_no_longer() {
        let mut throttle = Throttle::default();
        for second in 0..10 {
            let (id, at) = (second.to_string(), START.plus(Seconds(second)));
            assert_eq!(throttle.begin(&id, LIMIT, at), Admission::Go);
            // The same message again is not another try, nor another failure.
            assert_eq!(throttle.begin(&id, LIMIT, at), Admission::Go);
            throttle.fail(&id, LIMIT, at);
            throttle.fail(&id, LIMIT, at);
        }
        let end = START.plus(Seconds(300));
        assert_eq!(throttle.begin("x", LIMIT, START.plus(Seconds(299))), Admission::Closed(end));
        assert_eq!(throttle.begin("x", LIMIT, end), Admission::Go);
    }

    #[test]
    fn of_a_burst_ten_go_and_the_others_wait_until_it_is_known_what_became_of_them() {
        let mut throttle = Throttle::default();
        let begin = |throttle: &mut Throttle, id: u64| throttle.begin(&id.to_string(), LIMIT, START);
        for id in 0..10 {
            assert_eq!(begin(&mut throttle, id), Admission::Go);
        }
        assert_eq!(begin(&mut throttle, 10), Admission::Wait);
        throttle.succeed("0", START);
        assert_eq!(begin(&mut throttle, 10), Admission::Go);
        for id in 1..=10 {
            throttle.fail(&id.to_string(), LIMIT, START);
        }
        assert!(matches!(begin(&mut throttle, 11), Admission::Closed(_)));
    }

    #[test]
    fn a_try_that_nobody_reported_has_failed() {
        let mut throttle = Throttle::default();
        for id in 0..10 {
            throttle.begin(&id.to_string(), LIMIT, START);
        }
        let later = START.plus(OPEN);
        assert_eq!(throttle.begin("x", LIMIT, later), Admission::Closed(later.plus(Seconds(300))));
        assert!(!throttle.fail("0", LIMIT, later) && !throttle.leave("0"), "it was counted");
        let mut unseen = throttle.clone();
        unseen.open = vec![("y".to_owned(), START), ("z".to_owned(), later)];
        unseen.succeed("x", later);
        assert_eq!(unseen.open.len(), 1, "it had failed, though nobody had looked since");
        throttle.succeed("x", later);
        assert_eq!((throttle.failed.count, throttle.open.len()), (0, 0), "what had failed is forgiven");
        // Its first message, which was believed lost, arrives now: nobody will report on it.
        assert_eq!(throttle.begin("x", LIMIT, later), Admission::Go);
        assert!(throttle.open.is_empty());
    }

    proptest! {
        #[test]
        fn no_more_tries_begin_in_a_window_without_a_success_than_are_borne(
            steps in prop::collection::vec((0..3_u8, 0..30_usize, 0..40_u64), 1..200),
        ) {
            let (mut throttle, mut now, mut begun) = (Throttle::default(), START, Vec::<Timestamp>::new());
            for (step, id, wait) in steps {
                now = now.plus(Seconds(wait / 10));
                let text = id.to_string();
                let known = throttle.open.iter().any(|(known, _)| *known == text) || throttle.over.contains(&text);
                match step {
                    0 => if throttle.begin(&id.to_string(), LIMIT, now) == Admission::Go && !known {
                        begun.push(now);
                    },
                    1 => drop(throttle.fail(&id.to_string(), LIMIT, now)),
                    _ => prop_assert!(!throttle.fail("another", LIMIT, now)),
                }
                // A window starts with a failure, so of any five minutes the tries of two windows can be seen.
                let recent = begun.iter().filter(|at| now < at.plus(Seconds(300))).count();
                prop_assert!(recent <= 2 * 10, "{recent} tries in five minutes");
            }
        }
    }
}
