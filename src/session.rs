//! The signed-in browser: the session's cookie, and the cookie that tells browsers apart.

use crate::{
    context::Context,
    crypto::{self, Kind},
    error::Error,
    farewell,
    host::{Host, Seconds},
    list::List as _,
    model::{
        account::{self, Wanted},
        grant::Person,
        ticket::Ticket,
    },
    objects::protocol::account_shard::{AccountShard, Act, Command, Recall, Reply, SessionRef},
    wire::{Request, Response},
};

impl Ticket for SessionRef {
    const KIND: Kind = Kind::Session;
}

/// Cookies ignore ports: on a laptop other programs have theirs under the same host.
const SESSION: &str = "edgemint-session";
const BROWSER: &str = "edgemint-browser";
/// The sessions of other people who are signed in in this browser, the newest first.
const OTHERS: &str = "edgemint-others";
/// How many: of more the oldest is ended.
const MOST: usize = 4;
/// The browser's cookie outlives every page in progress; it means nothing by itself.
const BROWSER_AGE: u64 = 31_536_000;

/// Whether a pair of `Cookie`, or a `Set-Cookie`, is about a cookie of this server's, on a laptop or elsewhere.
pub fn is_own_cookie(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default().trim();
    matches!(name.strip_prefix("__Host-").unwrap_or(name), SESSION | BROWSER | OTHERS)
}

/// The session that the cookie names; whether it stands, only its account knows.
pub fn named<H: Host>(cx: &Context<'_, H>, request: &Request) -> Option<SessionRef> {
    SessionRef::open(&cx.config.keys, &request.cookie(&cx.config.cookie(SESSION))?)
}

/// The sessions that the browser has beside that one.
pub fn others<H: Host>(cx: &Context<'_, H>, request: &Request) -> Vec<SessionRef> {
    let sealed = request.cookie(&cx.config.cookie(OTHERS)).unwrap_or_default();
    sealed.split("..").take(MOST).filter_map(|text| SessionRef::open(&cx.config.keys, text)).list()
}

/// The person who is signed in.
pub async fn person<H: Host>(cx: &Context<'_, H>, session: &SessionRef) -> Result<Option<Person>, Error> {
    let Some(shard) = account::shard_of_sub(&session.sub) else { return Ok(None) };
    match *cx.ask::<AccountShard>(&shard, Command::Session(session.clone())).await? {
        Reply::Person(person) => Ok(Some(person)),
        _ => Ok(None),
    }
}

/// As [`person`], and their account remembers what they allow, and that a grant is about to be made in `shard`.
pub async fn giver<H: Host>(
    cx: &Context<'_, H>,
    session: &SessionRef,
    shard: String,
    wanted: Wanted,
) -> Result<Option<Person>, Error> {
    let Some(home) = account::shard_of_sub(&session.sub) else { return Ok(None) };
    let note = Command::Note { session: session.clone(), shard, wanted: Some(wanted) };
    match *cx.ask::<AccountShard>(&home, note).await? {
        Reply::Person(person) => Ok(Some(person)),
        _ => Ok(None),
    }
}

/// As [`person`]; `true`: what is asked was allowed before, and their account has noted the shard as in [`giver`]. Not where
/// they signed in longer ago than `max_age`.
pub async fn recall<H: Host>(
    cx: &Context<'_, H>,
    session: &SessionRef,
    recall: Recall,
    max_age: Option<Seconds>,
) -> Result<Option<(Person, bool)>, Error> {
    let Some(home) = account::shard_of_sub(&session.sub) else { return Ok(None) };
    match *cx
        .ask::<AccountShard>(&home, Command::Recall { session: session.clone(), recall, max_age })
        .await?
    {
        Reply::Person(person) => Ok(Some((person, false))),
        Reply::Remembered(_, person) => Ok(Some((person, true))),
        _ => Ok(None),
    }
}

/// The client is to be asked for anew.
pub async fn forget<H: Host>(cx: &Context<'_, H>, session: SessionRef, client: &str) -> Result<(), Error> {
    let Some(home) = account::shard_of_sub(&session.sub) else { return Ok(()) };
    let act = Act::Withdraw { client: client.to_owned(), done: false, at: cx.now };
    cx.ask::<AccountShard>(&home, Command::Own { session, act }).await?;
    Ok(())
}

/// An answer, or an error, that makes a session the browser's, which keeps those of other people that it has. It is said of an
/// error, too: nobody else could end that session.
pub async fn enter<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    session: &SessionRef,
    lifetime: u64,
    answer: Result<Response, Error>,
) -> Result<Response, Error> {
    let mut known: Vec<_> = all(cx, request).filter(|other| other.sub != session.sub).collect();
    let beyond = known.split_off(known.len().min(MOST));
    for oldest in beyond {
        // Where it cannot be told it ends by itself.
        let _ = end(cx, oldest).await;
    }
    let own = cx.config.set_cookie(SESSION, &session.seal(&cx.config.keys)?, lifetime);
    with_cookies(answer, [Some(own), keep(cx, request, known.iter(), lifetime)?])
}

/// The end of a session, and who is to hear of it hears.
async fn end<H: Host>(cx: &Context<'_, H>, session: SessionRef) -> Result<(), Error> {
    if let Some(shard) = account::shard_of_sub(&session.sub) {
        farewell::ask(cx, &shard, Command::SignOut(session)).await?;
    }
    Ok(())
}

/// Every session of the browser.
pub fn all<H: Host>(cx: &Context<'_, H>, request: &Request) -> impl Iterator<Item = SessionRef> {
    named(cx, request).into_iter().chain(others(cx, request))
}

/// As [`leave`], of everybody who is signed in in this browser.
pub async fn leave_all<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    answer: Response,
) -> Result<Response, Error> {
    let sessions: Vec<_> = all(cx, request).collect();
    leave(cx, request, &sessions, answer).await
}

/// An answer by which these sessions of the browser are over: the only way to sign out.
pub async fn leave<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    sessions: &[SessionRef],
    answer: Response,
) -> Result<Response, Error> {
    let (mut over, mut failed) = (Vec::new(), None);
    for session in sessions {
        match end(cx, session.clone()).await {
            Ok(()) => over.push(session),
            Err(error) => failed = Some(error),
        }
    }
    cx.note(|event| (event.event, event.important) = ("logout", true));
    let own = named(cx, request);
    let left = own.as_ref().is_none_or(|own| over.contains(&own));
    let others = others(cx, request);
    let stay = others.iter().filter(|other| !over.contains(other));
    let lifetime = cx.policy().await?.settings.session_lifetime;
    let cookies = [left.then(|| cx.config.set_cookie(SESSION, "", 0)), keep(cx, request, stay, lifetime)?];
    with_cookies(failed.map_or(Ok(answer), Err), cookies)
}

/// An answer, or an error, with these cookies.
fn with_cookies<const N: usize>(
    answer: Result<Response, Error>,
    cookies: [Option<String>; N],
) -> Result<Response, Error> {
    let cookies = cookies.into_iter().flatten();
    match answer {
        Ok(answer) => Ok(cookies.fold(answer, |answer, cookie| answer.with("set-cookie", cookie))),
        Err(error) => Err(cookies.fold(error, Error::with_cookie)),
    }
}

/// The cookie by which the browser has these beside its session; none where it has none, and is to have none.
fn keep<'a, H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    others: impl Iterator<Item = &'a SessionRef>,
    lifetime: u64,
) -> Result<Option<String>, Error> {
    let sealed = others.map(|other| other.seal(&cx.config.keys)).list_or_error()?.join("..");
    let none = sealed.is_empty() && request.cookie(&cx.config.cookie(OTHERS)).is_none();
    Ok((!none).then(|| cx.config.set_cookie(OTHERS, &sealed, lifetime)))
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
