//! `client_credentials` (RFC 6749 §4.4): a client acting for itself. No storage operation once the client is known.

use super::Ask;
use crate::{
    error::{Code, Error},
    host::Host,
    issue::{self, Authorization},
};

pub(super) async fn authorize<H: Host>(ask: &Ask<'_, H>) -> Result<Authorization, Error> {
    let client = &ask.caller.client;
    if !client.is_confidential() {
        let detail = "client_credentials is for clients that authenticate";
        return Err(Error::new(Code::UnauthorizedClient, detail));
    }
    let scope = ask.scope()?;
    if client.metadata.strict {
        issue::confirm(ask.cx, client, &ask.caller.policy).await?;
    }
    Ok(Authorization::Client(scope))
}
