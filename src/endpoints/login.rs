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
    wire::{Params, Request, Response},
};

/// Signs in, and goes on.
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let params = Params::of_form(request, &[])?;
    let pending = Pending::open_for(cx, request, &params, Purpose::Login)?;
    let asked = verify_again(cx, request, pending.request.clone()).await?;
    let username = params.optional("username").unwrap_or_default();
    let password = params.optional("password").unwrap_or_default();
    let mut address = draw(cx, &asked, "");
    let recall = |sub: &str| consent::recall(&asked, &address, cx.now).filter(|_| asked.is_for(sub));
    let tried = attempt(cx, request, &asked.policy, (username, password), Then::Enter(&recall)).await?;
    match tried {
        Ok(admitted) => {
            let session = admitted.session()?.clone();
            let Admitted { person, remembered, .. } = admitted;
            address.owner.clone_from(&person.sub);
            let answer = if !asked.is_for(&person.sub) {
                let detail = "somebody else signed in than the application asks for";
                Err(Error::new(Code::LoginRequired, detail).at(&asked.back))
            } else if remembered {
                let by = (person.clone(), session.id.clone());
                match consent::again(cx, request, &asked, address.clone(), by).await {
                    // Decided by a copy. They have signed in, and not once more: they are asked, and it is known by then.
                    Err(error) if error.code.may_come_from_a_copy() => {
                        ask_consent(cx, &asked, &pending.browser, &session.id, &person, address)
                    }
                    answer => answer,
                }
            } else {
                ask_consent(cx, &asked, &pending.browser, &session.id, &person, address)
            };
            cx.note(|event| event.event = "login.admitted");
            session::enter(cx, request, &session, asked.policy.settings.session_lifetime, answer).await
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
