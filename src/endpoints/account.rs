//! `/account`: what a person sees and changes of their own account. Each form carries a seal for the session it was shown to,
//! and each command proves that session: nobody gets at what is another's.

use super::console::{
    Seal,
    entrance::{self, ACCOUNT},
};
use crate::{
    context::Context,
    error::{Code, Error},
    farewell,
    host::{Author, Host},
    model::{account, ticket::Ticket as _},
    objects::protocol::{
        account_shard::{Act, Command, Overview, Reply, SessionRef},
        grant_shard::{self, Filter, GrantShard},
    },
    pages, session,
    sign_in::{Then, attempt},
    waiting::all,
    wire::{Params, Request, Response},
};
use http::{Method, StatusCode};

/// What was done, by the query of the page that says so.
const DONE: &[(&str, &str)] = &[
    ("ended", "The session is ended."),
    ("withdrawn", "The application has nothing of yours any more, and will have to ask."),
    ("password", "Your password is changed."),
    (
        "spreading",
        "Your password is changed. What applications have is being ended: not every server has heard of it yet.",
    ),
];

/// The page, and what its forms wish.
pub async fn respond<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let form = if request.method == Method::POST { Some(Params::of_form(request, &[])?) } else { None };
    let act = form.as_ref().map(|form| form.optional("act"));
    if act == Some(None) {
        return entrance::sign_in(cx, request, &ACCOUNT).await;
    }
    let Some(session) = session::named(cx, request) else { return entrance::ask(cx, request, &ACCOUNT) };
    let seal = of(&session.id);
    if let Some(form) = &form {
        Seal::check(cx, request, form, Some(&seal))?;
    }
    let Some(own) = own(cx, &session, Act::Look).await? else { return entrance::ask(cx, request, &ACCOUNT) };
    cx.note(|event| event.sub = Some(session.sub.clone()));
    let seal = Seal { of: seal, made: cx.now, back: String::new() }.seal(&cx.config.keys)?;
    let show = |own: &Overview, status, problem: &str, notice: &str| {
        pages::show(status, &pages::Account { own, seal: &seal, problem, notice }, None)
    };
    let (Some(form), Some(Some(act))) = (&form, act) else {
        let done = DONE.iter().find(|(name, _)| request.query == format!("done={name}"));
        return show(&own, StatusCode::OK, "", done.map_or("", |(_, text)| text));
    };
    let (kind, name, trace) = ("user".to_owned(), own.username.clone(), cx.trace.clone());
    let address = request.header("cf-connecting-ip").map(str::to_owned);
    cx.sign(Author { kind, name, address, trace });
    let say = |name: &'static str| cx.note(|event| (event.event, event.important) = (name, true));
    match act {
        "sign-out" => session::leave_all(cx, request, Response::see_other(cx.url("/account"))).await,
        "end" | "end-others" => {
            let which = if act == "end" { Some(form.required("session")?.to_owned()) } else { None };
            self::own(cx, &session, Act::End(which)).await?;
            say("account.session.ended");
            Ok(done(cx, "ended"))
        }
        "withdraw" => {
            let client = form.required("client")?;
            say("account.withdrawn");
            let (away, of) = withdraw(cx, &session, client).await?;
            if away == 0 {
                return Ok(done(cx, "withdrawn"));
            }
            let problem = format!(
                "It is asked for anew from now on, but {away} of {of} servers that may hold what it has did not answer: withdraw it again."
            );
            let own = self::own(cx, &session, Act::Look).await?.unwrap_or(own);
            let page = show(&own, StatusCode::SERVICE_UNAVAILABLE, &problem, "")?;
            Ok(page.with("retry-after", "1"))
        }
        "password" => {
            let given = |name: &str| form.optional(name).unwrap_or_default();
            let (old, new) = (given("old"), given("new"));
            let problem = match new {
                _ if !(8..=1000).contains(&new.len()) => "The new password must have 8 to 1000 bytes.",
                _ if new != given("again") => "The new password is not the same both times.",
                _ => "",
            };
            if !problem.is_empty() {
                return show(&own, StatusCode::BAD_REQUEST, problem, "");
            }
            let policy = cx.policy().await?;
            let tried = attempt(cx, request, &policy, (&own.username, old), Then::Change(new)).await?;
            match tried {
                Ok(admitted) => {
                    say("account.password.changed");
                    let spreads = admitted.told.acknowledged < admitted.told.of;
                    let answer = done(cx, if spreads { "spreading" } else { "password" });
                    let lifetime = policy.settings.session_lifetime;
                    session::enter(cx, request, admitted.session()?, lifetime, Ok(answer)).await
                }
                Err(denied) => {
                    let wrong = "That is not the password you have.";
                    let problem = if denied.wait.is_some() { denied.problem.as_str() } else { wrong };
                    Ok(denied.with_wait(show(&own, denied.status, problem, "")?))
                }
            }
        }
        _ => Err(Error::new(Code::InvalidRequest, "the form does not say what is to be done")),
    }
}

fn done<H: Host>(cx: &Context<'_, H>, what: &str) -> Response {
    Response::see_other(cx.url(&format!("/account?done={what}")))
}

/// Whose seal it is. One of the console is none here.
fn of(whose: &str) -> String {
    format!("account/{whose}")
}

async fn own<H: Host>(
    cx: &Context<'_, H>,
    session: &SessionRef,
    act: Act,
) -> Result<Option<Overview>, Error> {
    let Some(shard) = account::shard_of_sub(&session.sub) else { return Ok(None) };
    match *farewell::ask(cx, &shard, Command::Own { session: session.clone(), act }).await? {
        Reply::Own(own) => Ok(Some(*own)),
        _ => Ok(None),
    }
}

/// The client is asked for anew, and has nothing of the person's any more. Gives how many shards of how many did not answer:
/// then it stays among those to be withdrawn.
async fn withdraw<H: Host>(
    cx: &Context<'_, H>,
    session: &SessionRef,
    client: &str,
) -> Result<(usize, usize), Error> {
    let act = |done| Act::Withdraw { client: client.to_owned(), done, at: cx.now };
    // From here on nothing is given without a page; and the account knows every shard in which something was.
    let Overview { shards, withdrawals, .. } = own(cx, session, act(false)).await?.unwrap_or_default();
    let (client_id, sub) = (Some(client.to_owned()), Some(session.sub.clone()));
    let filter = Filter { client_id, sub, ..Filter::default() };
    let ended = all(shards.iter().map(|shard| end(cx, shard, &filter, withdrawals))).await;
    let away = ended.iter().filter(|ended| ended.is_err()).count();
    if away == 0 {
        own(cx, session, act(true)).await?;
    }
    Ok((away, shards.len()))
}

async fn end<H: Host>(
    cx: &Context<'_, H>,
    shard: &str,
    filter: &Filter,
    withdrawals: u64,
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let command = grant_shard::Command::End { filter: filter.clone(), after, before: Some(withdrawals) };
        match *cx.ask::<GrantShard>(shard, command).await? {
            grant_shard::Reply::Ended(None) => return Ok(()),
            grant_shard::Reply::Ended(more) => after = more,
            _ => return Err(Error::stale()),
        }
    }
}
