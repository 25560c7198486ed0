//! What a grant does: the whole behaviour as one synchronous function, no I/O, no dice.
//!
//! Everything that can refuse is checked before anything changes, and ending a family is committed even though the
//! answer is an error.

use super::{
    super::{
        mark::{ClientRef, Mark, Marks},
        openid::{OFFLINE, OPENID},
        scope::Scope,
    },
    Active, Binding, Command, Grant, Instant, Issued, Offer, Refusal, Reply, Returned, State, Successor,
    Terms, Token,
};
use crate::{
    crypto::Secret,
    host::{Attempts, FORMAT, Timestamp},
};

/// One command to one row. The row is written iff it changed.
pub fn handle(row: &mut Option<Grant>, marks: &Marks, command: Command, at: &Instant) -> Reply {
    let Some(grant) = row else {
        return match command {
            Command::Offer(offer) => Grant::offer(row, *offer, marks, at),
            Command::Give { offer, terms } => Grant::give(row, *offer, &terms, marks, at),
            Command::Revoke { .. } | Command::Inspect { .. } | Command::Withdraw => Reply::Inactive,
            Command::Redeem { .. } | Command::Refresh { .. } => Reply::Refused(Refusal::Unknown),
        };
    };
    // The clock of a row never goes back, whatever the machine's does.
    let at = Instant { now: at.now.max(grant.changed), ..at.clone() };
    let mut reply = match command {
        Command::Offer(offer) => grant.offer_again(&offer, marks, &at),
        Command::Give { offer, terms } => grant.give_again(&offer, &terms, marks, &at),
        Command::Inspect { caller, any, token } => grant.inspect(&caller, any, &token, marks, &at),
        Command::Revoke { by } => grant.revoke(by, marks, &at),
        Command::Withdraw => grant.withdraw(&at),
        Command::Redeem { client, proof, verifier, redirect_uri, returned, terms } => {
            let sent = (verifier.as_deref(), redirect_uri.as_deref(), returned);
            grant.redeem(&client, &proof, sent, &terms, marks, &at).unwrap_or_else(|refusal| refusal)
        }
        Command::Refresh { client, generation, proof, scope, terms } => grant
            .refresh(&client, generation, &proof, scope, &terms, marks, &at)
            .unwrap_or_else(|refusal| refusal),
    };
    // Tokens may say in which groups the person is.
    if let (Reply::Issued(issued), Some(Mark { groups: Some(groups), .. })) = (&mut reply, &marks.person) {
        issued.person.groups.clone_from(groups);
    }
    reply
}

impl Grant {
    fn offer(row: &mut Option<Self>, offer: Offer, marks: &Marks, at: &Instant) -> Reply {
        if marks.are_newer_than(&offer.client, at.policy) {
            return Reply::Stale;
        }
        let spared = |mark: Option<&Mark>, version| mark.is_none_or(|mark| mark.spares(version, at.now));
        let alive = marks.caller.as_ref().is_none_or(|mark| mark.is_of(&offer.client.incarnation));
        // Inserting reads the marks too: a grant made while someone is being disabled is refused or marked, never missed.
        if !alive
            || !spared(marks.caller.as_ref(), offer.client.version)
            || !spared(marks.person.as_ref(), offer.person.version)
        {
            return Reply::Refused(Refusal::CutOff);
        }
        let grant = Self {
            format: FORMAT,
            client: offer.client,
            person: offer.person,
            scope: offer.scope,
            secret: Secret(at.dice.to_vec()),
            created: at.now,
            changed: at.now,
            ends: offer.absolute.map(|absolute| at.now.plus(absolute)),
            until: offer.until,
            openid: offer.openid,
            state: State::Offered { binding: offer.binding, redeem_by: at.now.plus(offer.code_lifetime) },
            attempts: Attempts::of(&at.attempt),
        };
        let proof = grant.code_proof();
        *row = Some(grant);
        Reply::Offered(proof)
    }

    /// The row that Allow inserted is the single-use marker: a second submit of the same decision gets the same code while
    /// it is unredeemed. Another decision is not silently the first one.
    fn offer_again(&self, offer: &Offer, marks: &Marks, at: &Instant) -> Reply {
        if !self.attempts.is_newest(&at.attempt) && marks.are_newer_than(&offer.client, at.policy) {
            return Reply::Stale;
        }
        let same = self.client.id == offer.client.id
            && self.person.sub == offer.person.sub
            && self.scope == offer.scope;
        match &self.state {
            // A code that was cut off meanwhile would be good for nothing.
            State::Offered { redeem_by, .. } if same && at.now < *redeem_by && self.is_spared(marks) => {
                Reply::Offered(self.code_proof())
            }
            _ => Reply::Refused(Refusal::Taken),
        }
    }

    /// Whether there is a refresh token (OpenID Connect Core §11).
    fn is_refreshable(&self, terms: &Terms) -> bool {
        terms.refreshable && (!terms.offline || self.scope.contains(OFFLINE))
    }

    /// Tokens go out for the first time.
    fn begin(&mut self, binding: Binding, terms: &Terms, at: &Instant) {
        self.state = State::Live {
            binding,
            redeemed: at.now,
            generation: u32::from(self.is_refreshable(terms)),
            rotated: at.now,
            spent: false,
            remaining: terms.refreshes,
            idle: terms.idle_from(at.now),
            endless: terms.endless,
            last: terms.last_from(at.now),
        };
    }

    fn give(row: &mut Option<Self>, offer: Offer, terms: &Terms, marks: &Marks, at: &Instant) -> Reply {
        if marks.are_newer_than(&offer.client, at.policy) {
            return Reply::Stale;
        }
        if !offer.scope.is_within(&terms.allowed) {
            return Reply::Refused(Refusal::Withdrawn);
        }
        let binding = offer.binding.clone();
        let offered = Self::offer(row, offer, marks, at);
        match (offered, row) {
            (Reply::Offered(_), Some(grant)) => {
                grant.begin(binding, terms, at);
                grant.issued(grant.scope.clone(), u32::from(grant.is_refreshable(terms)), None, at)
            }
            (refused, _) => refused,
        }
    }

    /// The same decision, sent twice by a browser, or the same message: the same grant.
    fn give_again(&self, offer: &Offer, terms: &Terms, marks: &Marks, at: &Instant) -> Reply {
        let own = self.attempts.is_newest(&at.attempt);
        if !own && marks.are_newer_than(&offer.client, at.policy) {
            return Reply::Stale;
        }
        let same = self.client.id == offer.client.id
            && self.person.sub == offer.person.sub
            && self.scope == offer.scope
            && self.scope.is_within(&terms.allowed);
        match &self.state {
            State::Live { redeemed, generation, .. }
                if same
                    && self.is_spared(marks)
                    && *generation <= 1
                    && (own || at.now < redeemed.plus(terms.code_retry)) =>
            {
                let since = if own { self.changed } else { at.now };
                self.issued(self.scope.clone(), *generation, Some(since), at)
            }
            _ => Reply::Refused(Refusal::Taken),
        }
    }

    fn redeem(
        &mut self,
        client: &ClientRef,
        proof: &Secret,
        sent: (Option<&str>, Option<&str>, Returned),
        terms: &Terms,
        marks: &Marks,
        at: &Instant,
    ) -> Result<Reply, Reply> {
        self.recognize(client, &self.code_proof(), proof)?;
        let own = self.attempts.is_newest(&at.attempt);
        self.admit(client, own, marks, at)?;
        if let State::Live { generation, .. } = self.state
            && own
        {
            return Ok(self.issued(aimed(&self.scope, terms)?, generation, Some(self.changed), at));
        }
        let binding = match &self.state {
            State::Offered { binding, .. } | State::Live { binding, .. } => binding.clone(),
            State::Ended { why } => return Err(Reply::Refused(ended(*why))),
        };
        if !binding.is_met(sent, terms) {
            return Err(Reply::Refused(Refusal::Mismatch));
        }
        match self.state {
            State::Offered { redeem_by, .. } => {
                if at.now >= redeem_by {
                    return Err(Reply::Refused(Refusal::Expired));
                }
                if !binding.is_allowed(terms) {
                    return Err(Reply::Refused(Refusal::Deregistered));
                }
                if !self.scope.is_within(&terms.allowed) {
                    return Err(Reply::Refused(Refusal::Withdrawn));
                }
                let scope = aimed(&self.scope, terms)?;
                self.begin(binding, terms, at);
                self.commit(at);
                Ok(self.issued(scope, u32::from(self.is_refreshable(terms)), None, at))
            }
            // Whoever holds the verifier lost the answer, or says so. It gets no tokens, and ends nothing.
            State::Live { redeemed, .. }
                if binding.challenge.is_some() && at.now < redeemed.plus(terms.code_retry) =>
            {
                Err(Reply::Refused(Refusal::Repeated))
            }
            // RFC 6749 §4.1.2: a code used twice ends everything that came of it.
            _ => Err(self.end(Refusal::Replayed, at)),
        }
    }

    #[allow(clippy::too_many_arguments)] // The members of one command.
    fn refresh(
        &mut self,
        client: &ClientRef,
        generation: u32,
        proof: &Secret,
        scope: Option<Scope>,
        terms: &Terms,
        marks: &Marks,
        at: &Instant,
    ) -> Result<Reply, Reply> {
        self.recognize(client, &self.refresh_proof(generation), proof)?;
        let own = self.attempts.is_newest(&at.attempt);
        self.admit(client, own, marks, at)?;
        let (current, rotated, spent, remaining) = match &self.state {
            State::Live { generation, rotated, spent, remaining, .. } => {
                (*generation, *rotated, *spent, *remaining)
            }
            State::Offered { .. } => return Err(Reply::Refused(Refusal::Mismatch)),
            State::Ended { why } => return Err(Reply::Refused(ended(*why))),
        };
        let idle = terms.idle.is_some_and(|idle| at.now >= rotated.plus(idle));
        if idle || self.ends.is_some_and(|ends| at.now >= ends) {
            return Err(Reply::Refused(Refusal::Expired));
        }
        // Only the previous generation, only until its successor is used, only within a window that starts at its first
        // use: the same successor again. Nothing is written, nothing is counted.
        let previous = generation.checked_add(1) == Some(current);
        let forgiven = previous && (own || (!spent && at.now < rotated.plus(terms.grace)));
        if generation != current && !forgiven {
            // RFC 9700 §4.14.2: a refresh token used twice ends the family, whatever is asked beside it.
            return Err(self.end(Refusal::Replayed, at));
        }
        let scope = aimed(&self.narrow(scope, &terms.allowed)?, terms)?;
        if generation == current {
            let again = own && !terms.rotate;
            if remaining == Some(0) && !again {
                return Err(Reply::Refused(Refusal::Exhausted));
            }
            if !again {
                self.use_current(terms, at);
            }
            let generation = if terms.rotate { current.saturating_add(1) } else { current };
            return Ok(self.issued(scope, generation, again.then_some(self.changed), at));
        }
        Ok(self.issued(scope, current, Some(if own { self.changed } else { at.now }), at))
    }

    fn use_current(&mut self, terms: &Terms, at: &Instant) {
        let unlimited_and_unwatched = !terms.rotate && terms.idle.is_none();
        if let State::Live { generation, rotated, spent, remaining, idle, endless, last, .. } =
            &mut self.state
        {
            let nothing_forgiven = *generation <= 1 || *spent;
            let known = *endless || !terms.endless;
            if unlimited_and_unwatched && nothing_forgiven && known && remaining.is_none() && idle.is_none() {
                return; // Nothing to count, nothing to remember: a refresh that writes nothing.
            }
            *generation = generation.saturating_add(u32::from(terms.rotate));
            *rotated = at.now;
            *spent = !terms.rotate;
            *idle = terms.idle_from(at.now);
            *remaining = remaining.map(|left| left.saturating_sub(1));
            *endless |= terms.endless;
            // Who does not say how long it lives is of before: then nobody knows.
            let given = terms.last_from(at.now);
            *last = if given == Timestamp::default() { given } else { (*last).max(given) };
        }
        self.commit(at);
    }

    fn inspect(&self, caller: &ClientRef, any: bool, token: &Token, marks: &Marks, at: &Instant) -> Reply {
        if marks.are_newer_than(caller, at.policy) {
            return Reply::Stale;
        }
        let own = caller.id == self.client.id && caller.incarnation == self.client.incarnation;
        if !(any || own) || !self.is_proved(token) || !self.is_spared(marks) {
            return Reply::Inactive;
        }
        let State::Live { generation: current, rotated, idle, remaining, .. } = &self.state else {
            return Reply::Inactive;
        };
        let (scope, issued, expires) = match token {
            Token::Access { claims, .. } if marks.token_revoked || at.now >= claims.expires => {
                return Reply::Inactive;
            }
            Token::Access { claims, .. } => (claims.scope.clone(), claims.issued, claims.ends()),
            Token::Refresh { generation, .. } => {
                let expires = [idle.map(|idle| rotated.plus(idle)), self.ends].into_iter().flatten().min();
                if generation != current
                    || *remaining == Some(0)
                    || expires.is_some_and(|expires| at.now >= expires)
                {
                    return Reply::Inactive;
                }
                (self.scope.clone(), *rotated, expires)
            }
        };
        // A scope taken from the client is taken from its tokens.
        let scope = match marks.client.as_ref().and_then(|mark| mark.scope.as_ref()) {
            Some(allowed) => scope.common(allowed),
            None => scope,
        };
        if scope.is_empty() {
            return Reply::Inactive;
        }
        let mut person = self.person.clone();
        if let Some(groups) = marks.person.as_ref().and_then(|mark| mark.groups.clone()) {
            person.groups = groups;
        }
        let (client_id, openid) = (self.client.id.clone(), self.openid.clone());
        Reply::Active(Box::new(Active { scope, client_id, person: Some(person), issued, expires, openid }))
    }

    fn withdraw(&mut self, at: &Instant) -> Reply {
        if !matches!(self.state, State::Offered { .. }) {
            return Reply::Inactive;
        }
        self.end(Refusal::Revoked, at);
        Reply::Revoked(false)
    }

    fn revoke(&mut self, by: Option<(ClientRef, Token, bool)>, marks: &Marks, at: &Instant) -> Reply {
        if let Some((client, token, whole)) = by {
            if marks.are_newer_than(&client, at.policy) {
                return Reply::Stale;
            }
            if !self.is_proved(&token) {
                return Reply::Inactive;
            }
            if client.id != self.client.id || client.incarnation != self.client.incarnation {
                return Reply::Foreign;
            }
            if let Token::Access { claims, .. } = &token {
                // RFC 7009 §2.2: a token that is dead already is ended by nobody, and ends nothing.
                if at.now >= claims.expires || marks.token_revoked {
                    return Reply::Inactive;
                }
                if !whole {
                    return Reply::Revoked(true);
                }
            }
        }
        if !matches!(self.state, State::Ended { .. }) {
            self.end(Refusal::Revoked, at);
        }
        Reply::Revoked(false)
    }

    /// Whether the client is the right one and the ticket is this grant's: a stranger gets no further.
    fn recognize(&self, client: &ClientRef, expected: &Secret, proof: &Secret) -> Result<(), Reply> {
        let same = client.id == self.client.id && client.incarnation == self.client.incarnation;
        if same && expected == proof { Ok(()) } else { Err(Reply::Refused(Refusal::Mismatch)) }
    }

    /// Whether client, person and settings still allow it. `own`: this wish made the row what it is, and is delivered
    /// again; a newer record does not make it another wish.
    fn admit(&self, client: &ClientRef, own: bool, marks: &Marks, at: &Instant) -> Result<(), Reply> {
        if !own && marks.are_newer_than(client, at.policy) {
            return Err(Reply::Stale);
        }
        if self.is_spared(marks) { Ok(()) } else { Err(Reply::Refused(Refusal::CutOff)) }
    }

    /// Whether no mark has ended it.
    pub fn is_spared(&self, marks: &Marks) -> bool {
        let client = marks.client.as_ref().is_none_or(|mark| {
            mark.is_of(&self.client.incarnation) && mark.spares(self.client.version, self.created)
        });
        client && marks.person.as_ref().is_none_or(|mark| mark.spares(self.person.version, self.created))
    }

    fn is_proved(&self, token: &Token) -> bool {
        match token {
            Token::Refresh { generation, proof } => self.refresh_proof(*generation) == *proof,
            Token::Access { claims, proof } => {
                claims.bytes().is_ok_and(|bytes| self.access_key().proof(&[&bytes]) == *proof)
            }
        }
    }

    /// A subset of what was granted; omitted, all of it (RFC 6749 §6), as far as the client may still have it.
    fn narrow(&self, asked: Option<Scope>, allowed: &Scope) -> Result<Scope, Reply> {
        let omitted = asked.is_none();
        let scope = asked.unwrap_or_else(|| self.scope.clone());
        if !scope.is_within(&self.scope) || scope.is_empty() {
            return Err(Reply::Refused(Refusal::Exceeds));
        }
        match scope.is_within(allowed) {
            true => Ok(scope),
            false if omitted => Err(Reply::Refused(Refusal::Withdrawn)),
            false => Err(Reply::Refused(Refusal::Exceeds)),
        }
    }

    /// `again`: since when the same answer has been given.
    fn issued(&self, scope: Scope, generation: u32, again: Option<Timestamp>, at: &Instant) -> Reply {
        let refresh =
            (generation > 0).then(|| Successor { generation, proof: self.refresh_proof(generation) });
        let openid = self.openid.clone().filter(|_| scope.contains(OPENID));
        Reply::Issued(Box::new(Issued {
            openid,
            scope,
            person: self.person.clone(),
            refresh,
            access_key: self.access_key(),
            at: again.unwrap_or(at.now),
            until: self.until,
            again: again.is_some(),
        }))
    }

    fn end(&mut self, why: Refusal, at: &Instant) -> Reply {
        self.state = State::Ended { why };
        self.commit(at);
        Reply::Refused(why)
    }

    fn commit(&mut self, at: &Instant) {
        self.changed = at.now;
        self.attempts.push(&at.attempt);
    }

    fn code_proof(&self) -> Secret {
        self.secret.proof(&[b"code"])
    }

    fn refresh_proof(&self, generation: u32) -> Secret {
        self.secret.proof(&[b"refresh", &generation.to_be_bytes()])
    }

    fn access_key(&self) -> Secret {
        self.secret.mac(&[b"access"])
    }
}

/// A family that a replay ended answers every later use as ended.
fn ended(why: Refusal) -> Refusal {
    match why {
        Refusal::Replayed | Refusal::Revoked => Refusal::Revoked,
        other => other,
    }
}

/// What is left of a scope for the resources that are asked for.
fn aimed(scope: &Scope, terms: &Terms) -> Result<Scope, Reply> {
    let scope = terms.within.as_ref().map_or_else(|| scope.clone(), |within| scope.common(within));
    if scope.is_empty() { Err(Reply::Refused(Refusal::Elsewhere)) } else { Ok(scope) }
}
