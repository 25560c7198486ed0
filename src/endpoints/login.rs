//! `POST /login`: signs in, and goes on to the consent page, or to the answer where the person has allowed all this before.

use super::{
    authorization_request::verify_again,
    consent,
    interaction::{Pending, Purpose, ask_consent, draw, show_login},
};
use crate::{
    context::Context,
    error::{Code, Error},
    host::Host,
    session,
    sign_in::{Admitted, Then, attempt},
    wire::{Params, Request, Response, answer_to},
};

/// Signs in, and goes on.
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let params = Params::of_form(request, &[])?;
    let pending = Pending::open_for(cx, request, &params, Purpose::Login)?;
    let asked = verify_again(cx, request, pending.request.clone()).await?;
    let username = params.optional("username").unwrap_or_default();
    let password = params.optional("password").unwrap_or_default();
    let mut address = draw(cx, &asked, "");
    let then = Then::Enter(consent::recall(&asked, &address, cx.now));
    match attempt(cx, request, &asked.policy, (username, password), then).await? {
        Ok(admitted) if !asked.is_for(&admitted.person) => {
            cx.note(|event| (event.event, event.important) = ("login.admitted", true));
            let mut answer = vec![
                ("error", Code::LoginRequired.name()),
                ("error_description", "somebody else signed in than the application asks for"),
            ];
            answer.extend(asked.back.state.as_deref().map(|state| ("state", state)));
            answer.push(("iss", cx.config.issuer.as_str()));
            // They are signed in all the same: nobody else could end that session.
            let (session, lifetime) = (admitted.session()?, asked.policy.settings.session_lifetime);
            session::enter(cx, request, session, lifetime, answer_to(&asked.back, &answer))
        }
        Ok(admitted) => {
            let session = admitted.session()?.clone();
            let Admitted { person, remembered, .. } = admitted;
            address.owner.clone_from(&person.sub);
            let answer = if remembered {
                consent::again(cx, request, &asked, address, (person, session.id.clone())).await?
            } else {
                ask_consent(cx, &asked, &pending.browser, &session.id, &person, address)?
            };
            cx.note(|event| event.event = "login.admitted");
            session::enter(cx, request, &session, asked.policy.settings.session_lifetime, answer)
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
