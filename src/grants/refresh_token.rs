//! `refresh_token` (RFC 6749 §6), rotated where policy says so (RFC 9700 §4.14.2). One request to one object.

use super::{Ask, settle};
use crate::{
    error::{Code, Error},
    host::Host,
    issue::Authorization,
    model::{
        grant,
        scope::Scope,
        ticket::{self, Ticket as _},
    },
};

pub(super) async fn authorize<H: Host>(ask: &Ask<'_, H>) -> Result<Authorization, Error> {
    let token = ticket::Refresh::open(&ask.cx.config.keys, ask.params.required("refresh_token")?);
    let ticket::Refresh { address, generation, proof } = token.ok_or_else(|| {
        Error::new(Code::UnsealedGrant, "that is not a refresh token of this server").because("no seal")
    })?;
    ask.cx.note(|event| event.grant = Some(address.to_string()));
    let within = ask.within()?;
    let scope = ask.params.optional("scope").map(Scope::parse).transpose();
    let command = grant::Command::Refresh {
        client: ask.caller.client.reference(),
        generation,
        proof,
        scope: scope.map_err(|why| Error::new(Code::InvalidScope, why))?,
        terms: grant::Terms { within, ..ask.caller.client.terms(&ask.caller.policy) },
    };
    let reply = ask.cx.ask_grant(&address, ask.caller.policy.version, command).await?;
    let refused = "the refresh token is expired, used, revoked or of another client: ask the person again";
    let mut issued = settle(ask.cx, reply, refused)?;
    if let Some(openid) = &mut issued.openid {
        // It was for the answer to the code (OpenID Connect Core §12.2).
        openid.nonce = None;
    }
    Ok(Authorization::Grant(address, issued))
}
