//! What must become of one grant, from the promises alone: no rows, no proofs, no attempts. Numbers are the behaviours'.

use super::asks::{Ask, Profile, Redemption, TokenRef, Wish};
use edgemint::{
    host::{SKEW, Seconds, Timestamp},
    model::scope::Scope,
};

/// What the answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The code; the same for a double submit.
    Code,
    /// Tokens: the refresh token of this number (0: none).
    Tokens { refresh: u32, scope: Scope, again: bool },
    /// No. Nothing changes.
    Refused,
    /// No, and the family has ended.
    Ends,
    /// The token is good for this, until then.
    Active { scope: Scope, expires: Option<Timestamp> },
    /// It is good for nothing, or there was nothing to end.
    Inactive,
    /// Ended.
    Revoked,
    /// Another client's.
    Foreign,
    /// Reload and ask again. Nothing changes.
    Stale,
}

/// An access token that was given.
#[derive(Clone, Debug)]
struct Access {
    scope: Scope,
    expires: Timestamp,
    revoked: bool,
}

/// What a client or a person may, as an administrator last said. `cut`: what was made until then is dead.
#[derive(Clone, Debug, Default)]
struct Standing {
    disabled: bool,
    cut: Option<Timestamp>,
    /// Under an older record than this nothing is made any more.
    least: u64,
}

/// One grant, and who may say what about it.
#[derive(Clone, Debug)]
pub struct Oracle {
    profile: Profile,
    pub client_version: u64,
    pub person_version: u64,
    pub policy_version: u64,
    pub life: u32,
    pub allowed: Scope,
    client: Standing,
    person: Standing,
    /// The last instant that changed it: its clock never goes back.
    clock: Timestamp,
    /// When, to which life of the client, for what.
    offered: Option<(Timestamp, u32, Scope)>,
    redeemed: Option<Timestamp>,
    /// The number of the newest refresh token, and when it was made, which is when the one before was first used.
    newest: u32,
    made: Timestamp,
    /// True where it was used without a successor: its client did not rotate then.
    spent: bool,
    used: Timestamp,
    left: Option<u32>,
    over: bool,
    cut: bool,
    access: Vec<Access>,
}

/// What an administrator does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    DisableClient,
    EnableClient,
    /// All that it has is over.
    EndClient,
    /// Deletes it and registers its id again.
    RemakeClient,
    CutClient(u64),
    AllowScope(&'static str),
    /// Whether refresh tokens rotate from now on.
    Rotate(bool),
    DisablePerson,
    EnablePerson,
    CutPerson(u64),
    Settings,
}

impl Oracle {
    pub fn new(profile: Profile, allowed: Scope) -> Self {
        Self {
            profile,
            client_version: 1,
            person_version: 1,
            policy_version: 1,
            life: 1,
            allowed,
            client: Standing::default(),
            person: Standing::default(),
            clock: Timestamp(0),
            offered: None,
            redeemed: None,
            newest: 0,
            made: Timestamp(0),
            spent: false,
            used: Timestamp(0),
            left: None,
            over: false,
            cut: false,
            access: Vec::new(),
        }
    }

    /// True where nothing of it may be active, whoever asks: any more, or while its client is disabled.
    pub fn is_over(&self) -> bool {
        self.over || self.cut || self.client.disabled
    }

    /// The clock of the grant: a row's never goes back.
    pub fn at(&self, now: Timestamp) -> Timestamp {
        now.max(self.clock)
    }

    /// Notes an access token that was made of an answer, and gives its number.
    pub fn give(&mut self, scope: Scope, expires: Timestamp) -> usize {
        self.access.push(Access { scope, expires, revoked: false });
        self.access.len() - 1
    }

    /// 14: what holds once the administrator has been answered. A cut-off by time reaches 5 s further.
    pub fn change(&mut self, change: &Change, now: Timestamp) {
        let cut_off = |seconds: u64| Timestamp((now.seconds() - seconds) * 1000);
        let given = self.offered.as_ref().map(|(at, ..)| *at);
        let reaches = |until: Timestamp| given.is_some_and(|at| at <= until.plus(SKEW));
        match change {
            Change::DisablePerson | Change::EnablePerson | Change::CutPerson(_) => self.person_version += 1,
            Change::Settings => self.policy_version += 1,
            _ => self.client_version += 1,
        }
        match change {
            // What it has is its own again once it is enabled.
            Change::DisableClient => self.client.disabled = true,
            Change::EndClient => {
                self.client.least = self.client_version;
                self.cut |= given.is_some();
            }
            Change::DisablePerson if !self.person.disabled => {
                self.person = Standing { disabled: true, least: self.person_version, ..self.person.clone() };
                self.cut |= given.is_some();
            }
            Change::EnableClient => self.client.disabled = false,
            Change::EnablePerson => self.person.disabled = false,
            Change::RemakeClient => {
                self.life += 1;
                self.client = Standing::default();
                self.cut |= given.is_some();
            }
            Change::CutClient(ago) => {
                self.client.cut = self.client.cut.max(Some(cut_off(*ago)));
                self.cut |= reaches(cut_off(*ago));
            }
            Change::CutPerson(ago) => {
                self.person.cut = self.person.cut.max(Some(cut_off(*ago)));
                self.cut |= reaches(cut_off(*ago));
            }
            Change::Rotate(rotate) => self.profile.rotate = *rotate,
            Change::AllowScope(scope) => self.allowed = Scope::parse(scope).unwrap(),
            Change::DisablePerson | Change::Settings => {}
        }
    }

    /// What the shards are told of client and person: whether enabled, the least version, the cut-off.
    pub fn standings(&self) -> [(bool, u64, Timestamp); 2] {
        [&self.client, &self.person].map(|of| (!of.disabled, of.least, of.cut.unwrap_or_default()))
    }

    /// One wish: what must be answered. What changes is changed.
    pub fn judge(&mut self, ask: &Ask, now: Timestamp) -> Verdict {
        let now = self.at(now);
        let ours = ask.client == "app" && self.offered.as_ref().is_some_and(|(_, life, _)| *life == ask.life);
        let old =
            (ask.client == "app" && ask.version < self.client_version) || ask.policy < self.policy_version;
        match &ask.wish {
            Wish::Offer { scope, person } => self.offer(ask, scope, *person, old, now),
            Wish::Give { scope, person, retry } => self.give_at_once(ask, (scope, *person, *retry), old, now),
            Wish::End if self.offered.is_some() => self.end(now, Verdict::Revoked),
            // Nobody takes back what is redeemed already.
            Wish::Withdraw if self.offered.is_some() && self.redeemed.is_none() && !self.over => {
                self.end(now, Verdict::Revoked)
            }
            Wish::End | Wish::Withdraw => Verdict::Inactive,
            Wish::Redeem(_) | Wish::Refresh { .. } if !ours || ask.forged => Verdict::Refused, // 3
            Wish::Inspect(_) | Wish::Revoke { .. } if self.offered.is_none() => Verdict::Inactive,
            _ if old => Verdict::Stale,
            Wish::Redeem(redemption) => self.redeem(redemption, now),
            Wish::Refresh { token, scope, grace } => self.refresh(*token, scope.as_ref(), *grace, now),
            Wish::Inspect(_) if ask.forged || !(ours || ask.client == "api") => Verdict::Inactive, // 3, 13
            Wish::Inspect(token) => self.inspect(*token, now),
            Wish::Revoke { .. } if ask.forged => Verdict::Inactive, // 3
            Wish::Revoke { .. } if !ours => Verdict::Foreign,       // 12
            Wish::Revoke { token, whole } => self.revoke(*token, *whole, now),
        }
    }

    fn offer(&mut self, ask: &Ask, scope: &Scope, person: u64, old: bool, now: Timestamp) -> Verdict {
        if old {
            return Verdict::Stale;
        }
        if let Some((at, _, given)) = &self.offered {
            // 22: a double submit gets the same code while it is good; another decision is not silently this one.
            let good = self.redeemed.is_none() && !self.is_over() && now < at.plus(self.profile.code);
            return if good && given == scope { Verdict::Code } else { Verdict::Refused };
        }
        let barred = |of: &Standing, version: u64| {
            of.disabled || version < of.least || of.cut.is_some_and(|cut| now <= cut.plus(SKEW))
        };
        // 14: a grant that is made while someone is being disabled is refused, never missed.
        if ask.life != self.life || barred(&self.client, ask.version) || barred(&self.person, person) {
            return Verdict::Refused;
        }
        (self.offered, self.clock) = (Some((now, ask.life, scope.clone())), now);
        Verdict::Code
    }

    /// 1, 22: one decision makes one grant, however often it is sent; and later none.
    fn give_at_once(
        &mut self,
        ask: &Ask,
        (scope, person, retry): (&Scope, u64, Seconds),
        old: bool,
        now: Timestamp,
    ) -> Verdict {
        if let (Some((.., given)), false) = (&self.offered, old) {
            let again = self.redeemed.is_some_and(|at| now < at.plus(retry)) && self.newest <= 1;
            let good = again && given == scope && scope.is_within(&self.allowed) && !self.is_over();
            let (refresh, scope) = (self.newest, scope.clone());
            return if good { Verdict::Tokens { refresh, scope, again: true } } else { Verdict::Refused };
        }
        if !old && !scope.is_within(&self.allowed) {
            return Verdict::Refused;
        }
        match self.offer(ask, scope, person, old, now) {
            Verdict::Code => {
                (self.redeemed, self.made, self.used) = (Some(now), now, now);
                self.newest = u32::from(self.profile.refreshes != Some(0));
                self.left = self.profile.refreshes;
                Verdict::Tokens { refresh: self.newest, scope: scope.clone(), again: false }
            }
            refused => refused,
        }
    }

    fn redeem(&mut self, redemption: &Redemption, now: Timestamp) -> Verdict {
        let Some((at, _, scope)) = self.offered.clone() else { return Verdict::Refused };
        // 1, 2: who could not have redeemed it the first time neither burns it nor ends what came of it.
        if self.is_over() || !redemption.is_right(&self.profile) {
            return Verdict::Refused;
        }
        if let Some(redeemed) = self.redeemed {
            // 1: who holds the verifier may have lost the answer, for a short while.
            let lost = self.profile.challenge && now < redeemed.plus(redemption.retry);
            return if lost { Verdict::Refused } else { self.end(now, Verdict::Ends) };
        }
        if now >= at.plus(self.profile.code) || !scope.is_within(&self.allowed) {
            return Verdict::Refused;
        }
        (self.redeemed, self.made, self.used, self.clock) = (Some(now), now, now, now);
        self.newest = u32::from(redemption.refreshes != Some(0));
        self.left = redemption.refreshes;
        Verdict::Tokens { refresh: self.newest, scope, again: false }
    }

    fn refresh(&mut self, token: u32, asked: Option<&Scope>, grace: Seconds, now: Timestamp) -> Verdict {
        let Some((at, _, given)) = self.offered.clone() else { return Verdict::Refused };
        let expired =
            |since: Timestamp, lifetime: Option<Seconds>| lifetime.is_some_and(|l| now >= since.plus(l));
        // 8, 10, 11: never after its end; idle since it was last used, absolute since it was given.
        if self.redeemed.is_none()
            || self.is_over()
            || expired(self.used, self.profile.idle)
            || expired(at, self.profile.absolute)
        {
            return Verdict::Refused;
        }
        // 7: the previous one only, until its successor is used, within a window from its first use.
        let forgiven = token + 1 == self.newest && !self.spent && now < self.made.plus(grace);
        if token != self.newest && !forgiven {
            return self.end(now, Verdict::Ends); // 6, 7: whatever is asked beside it
        }
        // 9: a subset of what was granted, omitted all of it; 10: what the client may still have.
        let scope = asked.unwrap_or(&given).clone();
        if scope.is_empty() || !scope.is_within(&given) || !scope.is_within(&self.allowed) {
            return Verdict::Refused;
        }
        if token == self.newest {
            if self.left == Some(0) {
                return Verdict::Refused; // 8
            }
            // What neither rotates nor counts nor watches writes nothing, so its instant is forgotten; unless it is the
            // first use of a successor.
            let first = self.newest > 1 && !self.spent;
            if self.profile.rotate || self.left.is_some() || self.profile.idle.is_some() || first {
                (self.used, self.clock) = (now, now);
            }
            self.left = self.left.map(|left| left - 1);
            self.spent = !self.profile.rotate;
            if self.profile.rotate {
                (self.newest, self.made) = (self.newest + 1, now); // 5, 6
            }
            return Verdict::Tokens { refresh: self.newest, scope, again: false };
        }
        Verdict::Tokens { refresh: self.newest, scope, again: true }
    }

    fn inspect(&self, token: TokenRef, now: Timestamp) -> Verdict {
        let (Some((at, ..)), Some(_), false) = (&self.offered, self.redeemed, self.is_over()) else {
            return Verdict::Inactive;
        };
        let (scope, expires) = match token {
            TokenRef::Access(number) => match &self.access[number] {
                access if access.revoked => return Verdict::Inactive,
                access => (access.scope.clone(), Some(access.expires)),
            },
            TokenRef::Refresh(number) if number != self.newest || self.left == Some(0) => {
                return Verdict::Inactive;
            }
            TokenRef::Refresh(_) => {
                let idle = self.profile.idle.map(|idle| self.used.plus(idle));
                let absolute = self.profile.absolute.map(|absolute| at.plus(absolute));
                let given = self.offered.iter().map(|(.., scope)| scope.clone()).next();
                (given.unwrap_or_default(), idle.into_iter().chain(absolute).min())
            }
        };
        let scope = scope.common(&self.allowed); // 14: narrowed with its client
        if scope.is_empty() || expires.is_some_and(|end| now >= end) {
            return Verdict::Inactive;
        }
        Verdict::Active { scope, expires }
    }

    /// 12: a refresh token of whatever number ends everything; an access token itself, or everything by the setting.
    fn revoke(&mut self, token: TokenRef, whole: bool, now: Timestamp) -> Verdict {
        if let TokenRef::Access(number) = token {
            let access = &mut self.access[number];
            if access.revoked || now >= access.expires {
                return Verdict::Inactive;
            }
            if !whole {
                access.revoked = true;
                return Verdict::Revoked;
            }
        }
        self.end(now, Verdict::Revoked)
    }

    /// 4, 11: and nothing becomes active after it.
    fn end(&mut self, now: Timestamp, verdict: Verdict) -> Verdict {
        if !self.over {
            (self.over, self.clock) = (true, now);
        }
        verdict
    }
}
