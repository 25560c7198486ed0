//! `POST /login`: signs in, and goes on to the consent page.

use super::{
    authorization_request::verify_again,
    interaction::{Pending, Purpose, ask_consent, show_login},
};
use crate::{
    context::Context,
    error::{Code, Error},
    host::Host,
    model::policy::Policy,
    objects::protocol::account_shard::SessionRef,
    session,
    sign_in::attempt,
    wire::{Params, Request, Response},
};

/// Signs in, and goes on to the consent page.
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let params = Params::of_form(request, &[])?;
    let pending = Pending::open_for(cx, request, &params, Purpose::Login)?;
    let asked = verify_again(cx, request, pending.request.clone()).await?;
    let username = params.optional("username").unwrap_or_default();
    let password = params.optional("password").unwrap_or_default();
    match attempt(cx, request, &asked.policy, username, password).await? {
        Ok((_, person)) if !asked.is_for(&person) => {
            let detail = "somebody else signed in than the application asks for";
            Err(Error::new(Code::LoginRequired, detail).at(&asked.back))
        }
        Ok((session, person)) => {
            let page = ask_consent(cx, &asked, &pending.browser, &session.id, &person)?;
            Ok(page.with("set-cookie", admitted(cx, &asked.policy, &session)?))
        }
        Err(denied) => {
            let shown = if username.len() <= 200 { username } else { "" };
            Ok(denied.with_wait(show_login(
                denied.status,
                &asked,
                &pending.seal_for(cx)?,
                Some(&denied.problem),
                shown,
            )?))
        }
    }
}

/// `set-cookie` for who has signed in.
pub(super) fn admitted<H: Host>(
    cx: &Context<'_, H>,
    policy: &Policy,
    session: &SessionRef,
) -> Result<String, Error> {
    cx.note(|event| event.event = "login.admitted");
    session::cookie(cx, session, policy.settings.session_lifetime)
}
