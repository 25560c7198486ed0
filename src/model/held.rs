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
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A token is replaced so long before its end; of short ones a quarter of their life before.
const AHEAD: u64 = 60;
/// A token that is given out lives for so long at least.
const LEAST: Seconds = Seconds(1);
/// A call that nobody has told the end of for so long has none.
const LOST: Seconds = Seconds(provider::WAIT.0 + 2);
/// After a call that failed nobody is asked again for so long.
const PAUSE: Seconds = Seconds(2);
/// A resource that takes no token at all would have a new one got for every request.
const NEW: Seconds = Seconds(10);

/// Names under which the vault seals.
const ACCESS: &str = "access_token";
const REFRESH: &str = "refresh_token";
const CODE: &str = "code";
const VERIFIER: &str = "code_verifier";

/// What is held of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The connection is gone.
    pub ended: bool,
}

/// A browser that was sent to the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Which one is expected.
    pub nonce: String,
    /// Of PKCE, sealed.
    pub verifier: String,
    /// Until when.
    pub until: Timestamp,
}

/// Tokens, sealed, and what was said of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// Why there will be no token until somebody goes to the provider again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub why: String,
}

/// A call that brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

    /// What the call of this number brought, for who waited for it: a token that lives short is old soon.
    pub fn brought(&self, number: u64) -> Option<Step> {
        if self.tokens.as_ref().is_some_and(|tokens| tokens.call == number) {
            return Some(Step::Give);
        }
        self.failure.as_ref().filter(|failure| failure.number == number).map(|_| Step::Failed)
    }

    /// A browser comes back with a code.
    pub fn come_back(
        &mut self,
        vault: &Vault,
        (nonce, code): (&str, &str),
        now: Timestamp,
        life: &str,
    ) -> Result<Step, Fault> {
        if let Some(calling) = &self.calling
            && calling.code.as_ref().is_some_and(|[of, ..]| of == nonce)
        {
            return Ok(self.go_on(now, life));
        }
        if self.tokens.as_ref().is_some_and(|tokens| tokens.nonce == nonce) {
            return Ok(Step::Give);
        }
        let expected = self.pending.take_if(|pending| pending.nonce == nonce && now < pending.until);
        let Some(Pending { verifier, .. }) = expected else { return Ok(Step::Unexpected) };
        let code = [nonce.to_owned(), vault.seal(CODE, code)?, verifier];
        Ok(self.begin(now, life, Some(code)))
    }

    /// Somebody asks for a token. `refused`: a resource did not take this one.
    pub fn ask(&mut self, vault: &Vault, refused: Option<&str>, now: Timestamp, life: &str) -> Step {
        if let Some(tokens) = &mut self.tokens {
            tokens.rewrap(vault);
        }
        let access = self.access(vault);
        let Some(tokens) = &self.tokens else {
            return match &self.calling {
                Some(_) => self.go_on(now, life),
                None => Step::New,
            };
        };
        let bad = access.is_none()
            || (refused.is_some() && refused == access.as_deref() && now >= tokens.got.plus(NEW));
        let usable = !bad && tokens.lasts(now.plus(LEAST));
        if self.calling.is_some() {
            let step = self.go_on(now, life);
            return if usable && matches!(step, Step::Wait(_)) { Step::Give } else { step };
        }
        if self.broken.is_some() {
            return Step::Broken;
        }
        if !bad && tokens.lasts(now.plus(tokens.ahead())) {
            return Step::Give;
        }
        let rests = self.failure.as_ref().is_some_and(|failure| now < failure.at.plus(PAUSE));
        match (&tokens.refresh, usable) {
            (Some(_), true) if rests => Step::Give,
            (Some(_), false) if rests => Step::Failed,
            (Some(_), _) => self.begin(now, life, None),
            (None, true) => Step::Give,
            // A resource refuses it, and there is no other.
            (None, false) if access.is_some() && tokens.lasts(now.plus(LEAST)) => Step::Give,
            (None, false) => {
                self.end(now, "the access token has expired, and the provider gave no refresh token")
            }
        }
    }

    /// What a call is to send. `None`: that is sealed under a master key that is gone.
    pub fn sends(&self, vault: &Vault, number: u64) -> Option<Sent> {
        let calling = self.calling.as_ref().filter(|calling| calling.number == number)?;
        if let Some([_, code, verifier]) = &calling.code {
            return Some(Sent::Code(vault.open(CODE, code)?, vault.open(VERIFIER, verifier)?));
        }
        Some(Sent::Refresh(vault.open(REFRESH, self.tokens.as_ref()?.refresh.as_ref()?)?))
    }

    /// A call can't be made: what it would send can't be read any more.
    pub fn give_up(&mut self, number: u64, now: Timestamp) {
        if self.calling.take_if(|calling| calling.number == number).is_some() {
            self.end(now, "the master key is gone under which the refresh token was sealed");
        }
    }

    /// What came of a call. One that is not waited for any more changes nothing.
    pub fn conclude(
        &mut self,
        vault: &Vault,
        number: u64,
        now: Timestamp,
        answer: Answer,
    ) -> Result<(), Fault> {
        let Some(calling) = self.calling.take_if(|calling| calling.number == number) else { return Ok(()) };
        let (status, late, said) = match answer {
            Answer::Tokens(members) => {
                let nonce = calling.code.map(|[nonce, ..]| nonce);
                let before = self.tokens.take();
                self.tokens = Some(Tokens::read(vault, &members, (before, nonce, number), now)?);
                (self.broken, self.failure) = (None, None);
                return Ok(());
            }
            Answer::Refused(status, said) => (Some(status), false, said),
            Answer::Unreachable(why) => (None, false, Some(serde_json::json!({ "error": why }))),
            Answer::Late => (None, true, None),
        };
        let text = |name: &str| {
            let text = said.as_ref().and_then(|said| said.get(name)).and_then(Value::as_str);
            text.map(|text| text.split_whitespace().map(quotable).collect::<Vec<_>>().join(" "))
                .unwrap_or_default()
        };
        let (error, mut description) = (text("error"), text("error_description"));
        description.truncate(200);
        if calling.code.is_none() && error == "invalid_grant" {
            let mut why = error.clone();
            if !description.is_empty() {
                why = format!("{why}: {description}");
            }
            if calling.again {
                why.push_str(" (the call before this one was interrupted)");
            }
            self.end(now, &why);
            return Ok(());
        }
        self.failure = Some(Failure { number, at: now, status, late, error, description });
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
        self.calling = Some(Calling { number, since: now, life: life.to_owned(), again: false, code });
        Step::Call(number)
    }

    /// While somebody calls: who asks waits, or takes over from one who is gone.
    fn go_on(&mut self, now: Timestamp, life: &str) -> Step {
        let Some(calling) = &mut self.calling else { return Step::New };
        if calling.life == life && now < calling.since.plus(LOST) {
            return Step::Wait(calling.number);
        }
        if calling.again {
            let of_code = calling.code.is_some();
            self.calling = None;
            if !of_code {
                return self.end(now, "the call for new tokens was interrupted twice");
            }
            let error = "the exchange of the code was interrupted twice".to_owned();
            let (number, description) = (self.calls, String::new());
            self.failure = Some(Failure { number, at: now, status: None, late: false, error, description });
            return Step::Failed;
        }
        // Another number: what the first one may yet bring is somebody else's.
        self.calls += 1;
        (calling.number, calling.since, calling.again) = (self.calls, now, true);
        life.clone_into(&mut calling.life);
        Step::Call(self.calls)
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
        (before, nonce, call): (Option<Self>, Option<String>, u64),
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        // A code brings a new family; a refresh goes on with the one there is (RFC 6749 §6).
        let before = before.filter(|_| nonce.is_none());
        let (refresh, scope, of) =
            before.map_or_else(Default::default, |tokens| (tokens.refresh, tokens.scope, tokens.nonce));
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
