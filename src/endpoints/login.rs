//! `POST /login`: a name and a password. Two requests to the account: one charges the throttle and gives the salted
//! hash, one makes the session; a wrong password never sends the second. Argon2id runs here, never in the object.

use super::{
    authorization_request::{Asked, verify_again},
    interaction::{Pending, Purpose, ask_consent, show_login},
};
use crate::{
    context::Context,
    crypto,
    error::{Error, Fault},
    host::Host,
    model::{account, grant::Person},
    objects::protocol::account_shard::{AccountShard, Command, Reply, SessionRef, Who},
    session,
    wire::{Params, Request, Response},
};
use http::StatusCode;

/// The hash of no password, checked for names that nobody has: the answer takes as long.
const DUMMY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$ZWRnZW1pbnQgZHVtbXkuLg$5EThG5V9bvJ8wJFQG5r9Z1o4nW7X4z2bq0eJ8rD2xkI";

/// How a try to sign in ends.
enum Outcome {
    Admitted(SessionRef, Person),
    Wrong,
    Throttled,
}

/// Signs in, and goes on to the consent page.
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let params = Params::of_form(request, &[])?;
    let pending = Pending::open_for(cx, request, &params, Purpose::Login)?;
    let asked = verify_again(cx, pending.request.clone()).await?;
    let username = params.optional("username").unwrap_or_default();
    let password = params.optional("password").unwrap_or_default();
    cx.note(|event| event.important = true);
    let address = request.header("cf-connecting-ip").unwrap_or_default();
    let outcome = if cx.memory().charge_login(address, cx.now) {
        sign_in(cx, &asked, username, password).await?
    } else {
        Outcome::Throttled
    };
    match outcome {
        Outcome::Admitted(session, person) => {
            cx.memory().refund_login(address);
            let lifetime = asked.policy.settings.session_lifetime;
            let page = ask_consent(cx, &asked, &pending.browser, &session.id, &person)?;
            cx.note(|event| event.event = "login.admitted");
            Ok(page.with("set-cookie", session::cookie(cx, &session, lifetime)?))
        }
        Outcome::Wrong => {
            cx.note(|event| event.event = "login.failed");
            let problem = "That user name and password do not belong together.";
            again(cx, &asked, &pending, StatusCode::BAD_REQUEST, problem, username)
        }
        Outcome::Throttled => {
            cx.note(|event| event.event = "login.throttled");
            let problem = "Too many failed tries. Wait five minutes, then try again.";
            let page = again(cx, &asked, &pending, StatusCode::TOO_MANY_REQUESTS, problem, username)?;
            Ok(page.with("retry-after", "300"))
        }
    }
}

fn again<H: Host>(
    cx: &Context<'_, H>,
    asked: &Asked,
    pending: &Pending,
    status: StatusCode,
    problem: &str,
    username: &str,
) -> Result<Response, Error> {
    let shown = if username.len() <= 200 { username } else { "" };
    show_login(status, asked, &pending.seal_for(cx)?, Some(problem), shown)
}

async fn sign_in<H: Host>(
    cx: &Context<'_, H>,
    asked: &Asked,
    username: &str,
    password: &str,
) -> Result<Outcome, Error> {
    // Longer than any that can be set: not worth the hashing.
    if username.is_empty() || username.len() > 200 || password.is_empty() || password.len() > 1000 {
        return Ok(Outcome::Wrong);
    }
    let mut shard = account::shard_of_name(username).to_string();
    let mut reply = cx.ask::<AccountShard>(&shard, Command::Attempt(Who::Name(username.to_owned()))).await?;
    if let Reply::Elsewhere(sub) = reply {
        shard = account::shard_of_sub(&sub).ok_or_else(|| Fault::new("a name leads to no subject"))?;
        reply = cx.ask::<AccountShard>(&shard, Command::Attempt(Who::Sub(sub))).await?;
    }
    let (sub, hash, version) = match reply {
        Reply::Hash { sub, hash, version } => (sub, hash, version),
        Reply::Throttled => return Ok(Outcome::Throttled),
        _ => {
            // Nobody has that name: as slow as if somebody had.
            let _ = crypto::is_password(password, DUMMY);
            return Ok(Outcome::Wrong);
        }
    };
    cx.note(|event| event.sub = Some(sub.clone()));
    if !crypto::is_password(password, &hash) {
        return Ok(Outcome::Wrong);
    }
    let id = crypto::text(&cx.host.random::<12>());
    let lifetime = asked.policy.seconds(|settings| settings.session_lifetime);
    match cx.ask::<AccountShard>(&shard, Command::Admit { sub, version, id, lifetime }).await? {
        Reply::Admitted(session, person) => Ok(Outcome::Admitted(session, person)),
        _ => Ok(Outcome::Wrong),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_dummy_hash_costs_as_much_as_a_real_one() {
        let real = crate::crypto::hash_password("x", [1; 16]).unwrap();
        let cost = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cost(super::DUMMY), cost(&real));
        assert_eq!(super::DUMMY.len(), real.len());
        assert!(!crate::crypto::is_password("x", super::DUMMY));
    }
}
