//! The signed-in browser: the session's cookie, and the cookie that tells browsers apart.

use crate::{
    context::Context,
    crypto::{self, Kind},
    error::Error,
    farewell,
    host::Host,
    model::{account, grant::Person, ticket::Ticket},
    objects::protocol::account_shard::{AccountShard, Command, Reply, SessionRef},
    wire::{Request, Response},
};

impl Ticket for SessionRef {
    const KIND: Kind = Kind::Session;
}

/// Cookies ignore ports: on a laptop other programs have theirs under the same host.
const SESSION: &str = "edgemint-session";
const BROWSER: &str = "edgemint-browser";
/// The browser's cookie outlives every page in progress; it means nothing by itself.
const BROWSER_AGE: u64 = 31_536_000;

/// Whether a pair of `Cookie`, or a `Set-Cookie`, is about a cookie of this server's, on a laptop or elsewhere.
pub fn is_own_cookie(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default().trim();
    matches!(name.strip_prefix("__Host-").unwrap_or(name), SESSION | BROWSER)
}

/// The session that the cookie names; whether it stands, only its account knows.
pub fn named<H: Host>(cx: &Context<'_, H>, request: &Request) -> Option<SessionRef> {
    SessionRef::open(&cx.config.keys, &request.cookie(&cx.config.cookie(SESSION))?)
}

/// The person who is signed in.
pub async fn person<H: Host>(cx: &Context<'_, H>, session: &SessionRef) -> Result<Option<Person>, Error> {
    let Some(shard) = account::shard_of_sub(&session.sub) else { return Ok(None) };
    match cx.ask::<AccountShard>(&shard, Command::Session(session.clone())).await? {
        Reply::Person(person) => Ok(Some(person)),
        _ => Ok(None),
    }
}

/// As [`person`], and their account notes that a grant is about to be made in `shard`, and the client that is to hear of the
/// end of the session.
pub async fn giver<H: Host>(
    cx: &Context<'_, H>,
    session: &SessionRef,
    shard: String,
    listener: Option<String>,
) -> Result<Option<Person>, Error> {
    let Some(home) = account::shard_of_sub(&session.sub) else { return Ok(None) };
    match cx.ask::<AccountShard>(&home, Command::Note { session: session.clone(), shard, listener }).await? {
        Reply::Person(person) => Ok(Some(person)),
        _ => Ok(None),
    }
}

/// `set-cookie` for a session.
pub fn cookie<H: Host>(cx: &Context<'_, H>, session: &SessionRef, lifetime: u64) -> Result<String, Error> {
    Ok(cx.config.set_cookie(SESSION, &session.seal(&cx.config.keys)?, lifetime))
}

/// The sessions that a browser names.
pub fn all<H: Host>(cx: &Context<'_, H>, request: &Request) -> Vec<SessionRef> {
    named(cx, request).into_iter().collect()
}

/// An answer by which these sessions of the browser are over: the only way to sign out.
pub async fn leave<H: Host>(
    cx: &Context<'_, H>,
    _request: &Request,
    sessions: &[SessionRef],
    answer: Response,
) -> Result<Response, Error> {
    for session in sessions {
        if let Some(shard) = account::shard_of_sub(&session.sub) {
            farewell::ask(cx, &shard, Command::SignOut(session.clone())).await?;
        }
    }
    cx.note(|event| (event.event, event.important) = ("logout", true));
    Ok(answer.with("set-cookie", cx.config.set_cookie(SESSION, "", 0)))
}

/// One browser: what a page in progress is bound to, so that nobody can finish what another began.
pub struct Browser {
    /// The hash of its cookie.
    pub mark: String,
    /// `set-cookie`, where it had none.
    pub cookie: Option<String>,
}

impl Browser {
    /// The browser of a request; gets a cookie where it has none.
    pub fn of<H: Host>(cx: &Context<'_, H>, request: &Request) -> Self {
        match Self::known(cx, request) {
            Some(mark) => Self { mark, cookie: None },
            None => {
                let value = crypto::text(&cx.host.random::<16>());
                let cookie = cx.config.set_cookie(BROWSER, &value, BROWSER_AGE);
                Self { mark: mark(&value), cookie: Some(cookie) }
            }
        }
    }

    /// The mark of a browser that has its cookie.
    pub fn known<H: Host>(cx: &Context<'_, H>, request: &Request) -> Option<String> {
        let value = request.cookie(&cx.config.cookie(BROWSER))?;
        (value.len() == 22).then(|| mark(&value))
    }
}

fn mark(value: &str) -> String {
    crypto::text(&crypto::digest(value.as_bytes()))
}
