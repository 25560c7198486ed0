//! `authorization_code` (RFC 6749 §4.1.3, with PKCE from RFC 7636 §4.5). One request to one object.

use super::{Ask, settle};
use crate::{
    error::{Code, Error},
    host::Host,
    issue::Authorization,
    model::{
        grant::{self, Reply as GrantReply},
        ticket::{self, Ticket as _},
    },
    objects::protocol::grant_shard::{Command, GrantShard, Reply},
};

pub(super) async fn authorize<H: Host>(ask: &Ask<'_, H>) -> Result<Authorization, Error> {
    let code = ticket::Code::open(&ask.cx.config.keys, ask.params.required("code")?);
    let ticket::Code { address, proof } = code.ok_or_else(|| {
        Error::new(Code::InvalidGrant, "that is not a code of this server").because("no seal")
    })?;
    ask.cx.note(|event| event.grant = Some(address.to_string()));
    let command = Command::Grant {
        table: address.table,
        owner: address.owner.clone(),
        key: address.key.clone(),
        policy: ask.caller.policy.version,
        command: grant::Command::Redeem {
            client: ask.caller.client.reference(),
            proof,
            verifier: ask.params.optional("code_verifier").map(str::to_owned),
            redirect_uri: ask.params.optional("redirect_uri").map(str::to_owned),
            terms: ask.caller.client.terms(&ask.caller.policy),
        },
    };
    let reply = match ask.cx.ask::<GrantShard>(&address.shard.to_string(), command).await? {
        Reply::Grant(reply) => reply,
        _ => GrantReply::Inactive,
    };
    Ok(Authorization::Grant(address, settle(ask.cx, reply)?))
}
