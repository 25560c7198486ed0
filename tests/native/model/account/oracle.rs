//! What must be true of a person, their sessions and failed sign-ins, from the promises alone. Numbers are the
//! behaviours'.

use edgemint::host::{SKEW, Seconds, Timestamp};

/// How long a session lives.
pub const LIFETIME: Seconds = Seconds(3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Disable,
    Enable,
    Password,
    Groups(u8),
    /// A cut-off that many seconds ago.
    Cut(u64),
    /// The end of every grant until now, and of every session if that is wished.
    End(bool),
    Nothing,
    Nonsense,
}

/// What must be true of the person, from the promises alone.
#[derive(Default)]
pub struct Oracle {
    pub version: u64,
    pub disabled: bool,
    pub password: u32,
    pub groups: Vec<String>,
    pub cut: Option<Timestamp>,
    /// Grants of older versions are dead.
    pub grants_since: u64,
    /// When each began, and whether something ended it.
    pub sessions: Vec<(Timestamp, bool)>,
    /// Noted shards, and the version of the account then: a grant there begins with it.
    pub shards: Vec<(usize, u64)>,
}

impl Oracle {
    /// 14, 28: a session stands for the person as they were, and ends with its time.
    pub fn stands(&self, session: usize, now: Timestamp) -> bool {
        let (since, ended) = self.sessions[session];
        !ended && !self.disabled && now < since.plus(LIFETIME)
    }

    /// What an administrator changes; `false`: nothing, or it is refused.
    pub fn change(&mut self, what: What, now: Timestamp) -> bool {
        let ends: Box<dyn Fn(Timestamp) -> bool> = match what {
            What::Disable if !self.disabled => {
                self.disabled = true;
                Box::new(|_| true)
            }
            What::Enable if self.disabled => {
                self.disabled = false;
                Box::new(|_| false)
            }
            What::Password => {
                self.password += 1;
                Box::new(|_| true)
            }
            What::Groups(groups) if self.groups != names(groups) => {
                self.groups = names(groups);
                Box::new(|_| false)
            }
            What::End(sessions) => {
                self.grants_since = self.version + 1;
                Box::new(move |_| sessions)
            }
            What::Cut(ago) if self.cut < Some(cut_off(now, ago)) => {
                self.cut = Some(cut_off(now, ago));
                Box::new(move |since| since <= cut_off(now, ago).plus(SKEW))
            }
            _ => return false,
        };
        self.version += 1;
        if matches!(what, What::Disable | What::Password) {
            self.grants_since = self.version;
        }
        for (since, ended) in &mut self.sessions {
            *ended |= ends(*since);
        }
        true
    }
}

pub fn names(groups: u8) -> Vec<String> {
    (0..groups).map(|number| format!("group {number}")).collect()
}

pub fn cut_off(now: Timestamp, ago: u64) -> Timestamp {
    Timestamp((now.seconds() - ago) * 1000)
}

/// 28: ten failures within five minutes, then nobody is told anything, whatever the password, until the five minutes
/// are over; a success forgets them. A try is open until it is known what became of it, and nobody reports on it for long:
/// then it has failed.
#[derive(Default)]
pub struct Failures {
    /// When each was, those that nobody forgot.
    pub all: Vec<Timestamp>,
    /// Tries that are under way, and since when.
    pub open: Vec<(String, Timestamp)>,
}

impl Failures {
    const BORNE: usize = 10;
    const WINDOW: Seconds = Seconds(300);
    const GIVEN_UP: Seconds = Seconds(20);

    /// What may be answered now: `(a hash may be given, it may have to wait, it may be refused)`.
    pub fn allow(&mut self, now: Timestamp) -> (bool, bool, bool) {
        self.give_up(now);
        let recent = self.all.iter().filter(|at| now < at.plus(Self::WINDOW)).count();
        let window = self.all.iter().fold(Vec::<Timestamp>::new(), |window, at| match window.first() {
            Some(first) if *at < first.plus(Self::WINDOW) => [window, vec![*at]].concat(),
            _ => vec![*at],
        });
        let in_window = window.iter().filter(|_| now < window[0].plus(Self::WINDOW)).count();
        let open = self.open.len();
        (in_window + open < Self::BORNE, recent + open >= Self::BORNE, recent >= Self::BORNE)
    }

    pub fn fail(&mut self, id: &str, now: Timestamp) {
        self.give_up(now);
        let before = self.open.len();
        self.open.retain(|(known, _)| known != id);
        if self.open.len() < before {
            self.all.push(now);
        }
    }

    pub fn succeed(&mut self, id: &str, now: Timestamp) {
        self.give_up(now);
        self.all.clear();
        self.open.retain(|(known, _)| known != id);
    }

    pub fn forgive(&mut self, now: Timestamp) {
        self.give_up(now);
        self.all.clear();
    }

    fn give_up(&mut self, now: Timestamp) {
        let over = |(_, since): &(String, Timestamp)| now >= since.plus(Self::GIVEN_UP);
        let failed = self.open.iter().filter(|tried| over(tried));
        self.all.extend(failed.map(|(_, since)| since.plus(Self::GIVEN_UP)));
        self.open.retain(|tried| !over(tried));
    }
}
