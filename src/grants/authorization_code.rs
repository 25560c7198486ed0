//! `authorization_code` (RFC 6749 §4.1.3, with PKCE from RFC 7636 §4.5). One request to one object.

use super::{Ask, settle};
use crate::{
    error::{Code, Error},
    host::Host,
    issue::Authorization,
    model::{
        grant,
        ticket::{self, Ticket as _},
    },
};

pub(super) async fn authorize<H: Host>(ask: &Ask<'_, H>) -> Result<Authorization, Error> {
    let code = ticket::Code::open(&ask.cx.config.keys, ask.params.required("code")?);
    let ticket::Code { address, proof } = code.ok_or_else(|| {
        Error::new(Code::UnsealedGrant, "that is not a code of this server").because("no seal")
    })?;
    ask.cx.note(|event| event.grant = Some(address.to_string()));
    let within = ask.within()?;
    let verifier = ask.params.optional("code_verifier").map(str::to_owned);
    // Which of these it is stays in the log; what was sent is no secret to who sent it.
    let refused = if verifier.is_some() {
        "the code is expired, used, revoked or of another client, or redirect_uri or code_verifier do not match"
    } else {
        "the code is expired, used, revoked or of another client, or redirect_uri does not match, or code_verifier is missing"
    };
    let command = grant::Command::Redeem {
        client: ask.caller.client.reference(),
        proof,
        verifier,
        redirect_uri: ask.params.optional("redirect_uri").map(str::to_owned),
        returned: ask.door.returned,
        terms: grant::Terms { within, ..ask.caller.client.terms_of_redemption(&ask.caller.policy) },
    };
    let reply = ask.cx.ask_grant(&address, ask.caller.policy.version, command).await?;
    Ok(Authorization::Grant(address, settle(ask.cx, reply, refused)?))
}
