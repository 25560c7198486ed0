//! The tokens that a connection holds, and how they stay fresh: a pure machine. Whoever asks gets a token that is good, or
//! hears that somebody is just getting one, or is the one who must get it.
//!
//! That somebody calls the provider is noted before the call, and what came of it before anybody is answered. A call whose
//! caller died is made once more: the provider may have answered it, and not every one forgives that.

use super::provider::{self, Answer};
use crate::{
    crypto::{Secret, Vault},
    error::{Fault, quotable},
    host::{Seconds, Timestamp},
    json::Json,
    list::List as _,
};
use serde_json::{Map, Value};

/// A token is replaced so long before its end; of short ones a quarter of their life before.
const AHEAD: u64 = 60;
/// A token that is given out lives for so long at least.
const LEAST: Seconds = Seconds(1);
/// How long an answer is listened for, whoever still waits: a refresh token may have been replaced in it.
pub const LISTEN: Seconds = Seconds(45);
/// A call that nobody has told the end of for so long has none.
const LOST: Seconds = Seconds(LISTEN.0 + 5);
/// After a call that failed nobody is asked again for so long, and twice as long after each further one, up to 64 s.
const PAUSE: u64 = 2;
const DOUBLINGS: u32 = 5;
/// A resource that takes no token at all would have a new one got for every request.
const NEW: Seconds = Seconds(10);

/// Names under which the vault seals.
const ACCESS: &str = "access_token";
const REFRESH: &str = "refresh_token";
const CODE: &str = "code";
const VERIFIER: &str = "code_verifier";

/// What is held of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
pub struct Held {
    /// The format of the row.
    pub format: u8,
    /// The newest version of the connection that it was asked by.
    pub version: u64,
    /// Whose tokens these are.
    pub of: Secret,
    /// Somebody was sent to the provider, and is expected back.
    pub pending: Option<Pending>,
    /// What the provider gave.
    pub tokens: Option<Tokens>,
    /// Somebody is asking the provider.
    pub calling: Option<Calling>,
    /// The provider takes the refresh token no more.
    pub broken: Option<Broken>,
    /// What came of the last call, where that was nothing.
    pub failure: Option<Failure>,
    /// How many calls there were.
    pub calls: u64,
    /// How many of the last ones failed.
    pub failures: u32,
    /// The provider has named itself in an answer (RFC 9207), so it always does.
    pub names_itself: bool,
    /// The connection is gone.
    pub ended: bool,
}

/// A browser that was sent to the provider.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Pending {
    /// Which one is expected.
    pub nonce: String,
    /// Of PKCE, sealed.
    pub verifier: String,
    /// Until when.
    pub until: Timestamp,
}

/// Tokens, sealed, and what was said of them.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Tokens {
    access: String,
    refresh: Option<String>,
    /// `token_type`.
    pub token_type: String,
    /// `scope`.
    pub scope: String,
    /// Since when.
    pub got: Timestamp,
    /// Until when, where that was said.
    pub expires: Option<Timestamp>,
    /// Which browser brought the code of the first of them.
    pub nonce: String,
    /// Which call brought them.
    pub call: u64,
}

/// A call to the provider.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Calling {
    /// Which one.
    pub number: u64,
    /// Since when.
    pub since: Timestamp,
    /// In which life of the object.
    pub life: String,
    /// It is made a second time: who made it first is gone.
    pub again: bool,
    /// With a code: of which browser, and code and verifier, sealed. Else with the refresh token.
    pub code: Option<[String; 3]>,
    /// The answer that brought the code named the provider. Who has the address could say so: it counts once the code is good.
    #[json(default)]
    pub named: bool,
}

/// Why there will be no token until somebody goes to the provider again.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Broken {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub why: String,
}

/// A call that brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Failure {
    /// Which one.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// The provider's status; none: there was no answer.
    pub status: Option<u16>,
    /// It took too long.
    pub late: bool,
    /// The provider's `error`, or what is known.
    pub error: String,
    /// Its `error_description`.
    pub description: String,
    /// Of which browser the code was, where it was one.
    pub nonce: Option<String>,
}

impl Failure {
    /// Of a call that is still listened to, and that nobody waits for any longer.
    pub fn late(number: u64, at: Timestamp) -> Self {
        let (error, description) = (String::new(), String::new());
        Self { number, at, status: None, late: true, error, description, nonce: None }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The token that is held is good.
    Give,
    /// Make the call of this number.
    Call(u64),
    /// Somebody makes the call of this number.
    Wait(u64),
    /// The last call failed.
    Failed,
    /// Somebody must go to the provider again.
    Broken,
    /// Nobody has been there yet.
    New,
    /// That browser is not expected, or not any more.
    Unexpected,
    /// It was sealed under a master key that whoever asks does not have.
    Sealed,
}

/// A browser that came back.
#[derive(Clone, Copy, Debug)]
pub struct Back<'a> {
    /// Which one.
    pub nonce: &'a str,
    /// Its code.
    pub code: &'a str,
    /// The provider names itself in the answer, and rightly.
    pub named: bool,
}

/// What a call sends: a code and its verifier, or a refresh token.
pub enum Sent {
    /// RFC 6749 §4.1.3, RFC 7636 §4.5.
    Code(String, String),
    /// RFC 6749 §6.
    Refresh(String),
}

impl Held {
    /// Hears by what it is asked. `false`: by an older record than it knows.
    pub fn hears(&mut self, version: u64, of: &Secret) -> bool {
        if version < self.version {
            return false;
        }
        if self.of != *of {
            // Of somebody else, or of nobody yet.
            let (format, calls) = (self.format, self.calls);
            *self = Self { format, calls, of: of.clone(), ..Self::default() };
        }
        self.version = version;
        true
    }

    /// Somebody is sent to the provider. Whoever was sent before is not expected any more.
    pub fn expect(
        &mut self,
        vault: &Vault,
        nonce: String,
        verifier: &str,
        until: Timestamp,
    ) -> Result<(), Fault> {
        self.pending = Some(Pending { nonce, verifier: vault.seal(VERIFIER, verifier)?, until });
        Ok(())
    }

    /// A browser comes back with a code.
    pub fn come_back(
        &mut self,
        vault: &Vault,
        back: Back<'_>,
        now: Timestamp,
        life: &str,
    ) -> Result<Step, Fault> {
        let Back { nonce, code, named } = back;
        if self.calling.is_some() {
            // Its own call; or a refresh, whose answer would be lost with the refresh token in it.
            return Ok(self.go_on(now, life));
        }
        if self.tokens.as_ref().is_some_and(|tokens| tokens.nonce == nonce) {
            return Ok(if self.broken.is_some() { Step::Broken } else { Step::Give });
        }
        if self.failure.as_ref().is_some_and(|failure| failure.nonce.as_deref() == Some(nonce)) {
            return Ok(Step::Failed);
        }
        let expected = self.pending.as_ref().filter(|pending| pending.nonce == nonce && now < pending.until);
        let Some(Pending { verifier, .. }) = expected.filter(|_| named || !self.names_itself).cloned() else {
            return Ok(Step::Unexpected);
        };
        if vault.open(VERIFIER, &verifier).is_none() {
            return Ok(Step::Sealed);
        }
        self.pending = None;
        let code = [nonce.to_owned(), vault.seal(CODE, code)?, verifier];
        let step = self.begin(now, life, Some(code));
        if let Some(calling) = &mut self.calling {
            calling.named = named;
        }
        Ok(step)
    }

    /// Somebody asks for a token. `refused`: a resource did not take this one. `waited`: for the end of this call, which is
    /// told, whatever it was.
    pub fn ask(
        &mut self,
        vault: &Vault,
        (refused, waited): (Option<&str>, Option<u64>),
        now: Timestamp,
        life: &str,
    ) -> Step {
        if let Some(tokens) = &mut self.tokens {
            tokens.rewrap(vault);
        }
        let Some(tokens) = &self.tokens else {
            return match (&self.calling, self.failed(waited)) {
                (Some(_), _) => self.go_on(now, life),
                (None, true) => Step::Failed,
                (None, false) => Step::New,
            };
        };
        let access = vault.open(ACCESS, &tokens.access);
        let refreshes = tokens.refresh.as_ref().is_some_and(|sealed| vault.open(REFRESH, sealed).is_some());
        if access.is_none() && !refreshes {
            return Step::Sealed;
        }
        let old = now >= tokens.got.plus(NEW);
        let bad = access.is_none() || (refused.is_some() && refused == access.as_deref() && old);
        let usable = !bad && tokens.lasts(now.plus(LEAST));
        // Also a token that lives so short that it is old already: nobody gets a newer one.
        let brought = waited == Some(tokens.call);
        if self.calling.is_some() {
            let step = self.go_on(now, life);
            return if usable && matches!(step, Step::Wait(_)) { Step::Give } else { step };
        }
        if self.broken.is_some() {
            return Step::Broken;
        }
        if brought || (!bad && tokens.lasts(now.plus(tokens.ahead()))) {
            return Step::Give;
        }
        let pause = Seconds(PAUSE << self.failures.saturating_sub(1).min(DOUBLINGS));
        let rests = self.failure.as_ref().is_some_and(|failure| now < failure.at.plus(pause));
        match (refreshes, usable) {
            (true, true) if rests => Step::Give,
            (true, false) if rests => Step::Failed,
            (true, _) => self.begin(now, life, None),
            (false, true) => Step::Give,
            // A resource refuses it, and there is no other.
            (false, false) if tokens.lasts(now.plus(LEAST)) => Step::Give,
            (false, false) if tokens.refresh.is_some() => Step::Sealed,
            (false, false) => {
                self.end(now, "the access token has expired, and the provider gave no refresh token")
            }
        }
    }

    fn failed(&self, waited: Option<u64>) -> bool {
        self.failure.as_ref().is_some_and(|failure| Some(failure.number) == waited)
    }

    /// What a call is to send. `None`: that is sealed under a master key that is gone.
    pub fn sends(&self, vault: &Vault, number: u64) -> Option<Sent> {
        let calling = self.calling.as_ref().filter(|calling| calling.number == number)?;
        if let Some([_, code, verifier]) = &calling.code {
            return Some(Sent::Code(vault.open(CODE, code)?, vault.open(VERIFIER, verifier)?));
        }
        Some(Sent::Refresh(vault.open(REFRESH, self.tokens.as_ref()?.refresh.as_ref()?)?))
    }

    /// A call can't be made by whoever was to make it: somebody else may.
    pub fn give_up(&mut self, number: u64) {
        self.calling.take_if(|calling| calling.number == number);
    }

    /// What came of a call. One that is not waited for any more changes nothing. `hidden`: what was sent, which is not kept
    /// where the provider repeats it. `scope`: what was asked for.
    pub fn conclude(
        &mut self,
        (vault, scope): (&Vault, &str),
        (number, now): (u64, Timestamp),
        answer: Answer,
        hidden: &[&str],
    ) -> Result<(), Fault> {
        let Some(calling) = self.calling.take_if(|calling| calling.number == number) else { return Ok(()) };
        let nonce = calling.code.map(|[nonce, ..]| nonce);
        let (status, late, said) = match answer {
            Answer::Tokens(members) => {
                self.names_itself |= calling.named;
                let before = self.tokens.take();
                self.tokens = Some(Tokens::read(vault, &members, (before, nonce, scope), (number, now))?);
                (self.broken, self.failure, self.failures) = (None, None, 0);
                return Ok(());
            }
            Answer::Refused(status, said) => (Some(status), false, said),
            Answer::Unreachable(why) => (None, false, Some(serde_json::json!({ "error": why }))),
            Answer::Late => (None, true, None),
        };
        let text = |name: &str, longest: usize| {
            let text =
                said.as_ref().and_then(|said| said.get(name)).and_then(Value::as_str).unwrap_or_default();
            let hidden = hidden.iter().filter(|secret| !secret.is_empty());
            let text = hidden.fold(text.to_owned(), |text, secret| text.replace(secret, "(hidden)"));
            let mut text = text.split_whitespace().map(quotable).list().join(" ");
            text.truncate(longest);
            text
        };
        let (error, description) = (text("error", 60), text("error_description", 200));
        let silent = self.failure.as_ref().is_some_and(|failure| failure.status.is_none());
        if nonce.is_none() && error == "invalid_grant" {
            let mut why = error.clone();
            if !description.is_empty() {
                why = format!("{why}: {description}");
            }
            if calling.again || silent {
                why.push_str(" (the call before this one had no answer)");
            }
            self.end(now, &why);
            return Ok(());
        }
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(Failure { number, at: now, status, late, error, description, nonce });
        Ok(())
    }

    /// The access token.
    pub fn access(&self, vault: &Vault) -> Option<String> {
        vault.open(ACCESS, &self.tokens.as_ref()?.access)
    }

    /// `new`, `connected` or `broken`.
    pub fn status(&self) -> &'static str {
        match (&self.broken, &self.tokens) {
            (Some(_), _) => "broken",
            (None, Some(_)) => "connected",
            (None, None) => "new",
        }
    }

    fn begin(&mut self, now: Timestamp, life: &str, code: Option<[String; 3]>) -> Step {
        self.calls += 1;
        let number = self.calls;
        self.calling =
            Some(Calling { number, since: now, life: life.to_owned(), again: false, code, named: false });
        Step::Call(number)
    }

    /// While somebody calls: who asks waits, or takes over from one who is gone.
    fn go_on(&mut self, now: Timestamp, life: &str) -> Step {
        let Some(calling) = &mut self.calling else { return Step::New };
        if calling.life == life && now < calling.since.plus(LOST) {
            return Step::Wait(calling.number);
        }
        if let Some([nonce, ..]) = &calling.code {
            // A code is sent once (RFC 6749 §4.1.2).
            let (number, nonce) = (calling.number, Some(nonce.clone()));
            let error = "the exchange of the code was interrupted".to_owned();
            self.calling = None;
            self.failure = Some(Failure { error, nonce, late: false, ..Failure::late(number, now) });
            return Step::Failed;
        }
        if calling.again {
            self.calling = None;
            return self.end(now, "the call for new tokens was interrupted twice");
        }
        // Another number: what the first one may yet bring is somebody else's.
        self.calls += 1;
        (calling.number, calling.since, calling.again) = (self.calls, now, true);
        life.clone_into(&mut calling.life);
        Step::Call(self.calls)
    }

    /// Since when the call of this number is made.
    pub fn called(&self, number: u64) -> Option<Timestamp> {
        self.calling.as_ref().filter(|calling| calling.number == number).map(|calling| calling.since)
    }

    /// From now on there is no token.
    fn end(&mut self, since: Timestamp, why: &str) -> Step {
        self.broken = Some(Broken { since, why: why.to_owned() });
        Step::Broken
    }
}

impl Tokens {
    fn read(
        vault: &Vault,
        members: &Map<String, Value>,
        (before, nonce, asked): (Option<Self>, Option<String>, &str),
        (call, now): (u64, Timestamp),
    ) -> Result<Self, Fault> {
        let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        // A code brings a new family, of what was asked for (RFC 6749 §5.1); a refresh goes on with the one there is (§6).
        let before = before.filter(|_| nonce.is_none());
        let (refresh, scope, of) = before.map_or((None, asked.to_owned(), String::new()), |tokens| {
            (tokens.refresh, tokens.scope, tokens.nonce)
        });
        let refresh = match text(REFRESH) {
            Some(refresh) => Some(vault.seal(REFRESH, refresh)?),
            None => refresh,
        };
        Ok(Self {
            access: vault.seal(ACCESS, text(ACCESS).unwrap_or_default())?,
            refresh,
            token_type: text("token_type").unwrap_or("Bearer").to_owned(),
            scope: text("scope").map_or(scope, str::to_owned),
            got: now,
            expires: provider::expires_in(members).map(|length| now.plus(Seconds(length))),
            nonce: nonce.unwrap_or(of),
            call,
        })
    }

    fn lasts(&self, until: Timestamp) -> bool {
        self.expires.is_none_or(|expires| until < expires)
    }

    fn ahead(&self) -> Seconds {
        let life = self.expires.map_or(u64::MAX, |expires| expires.since(self.got).0);
        Seconds(AHEAD.min(life / 4).max(LEAST.0))
    }

    /// Under the newest master key, from now on.
    fn rewrap(&mut self, vault: &Vault) {
        let again = |name: &str, sealed: &str| {
            let aged = vault.has_aged(sealed).then(|| vault.open(name, sealed)).flatten()?;
            vault.seal(name, &aged).ok()
        };
        if let Some(sealed) = again(ACCESS, &self.access) {
            self.access = sealed;
        }
        if let Some(sealed) = self.refresh.as_deref().and_then(|refresh| again(REFRESH, refresh)) {
            self.refresh = Some(sealed);
        }
    }
}
