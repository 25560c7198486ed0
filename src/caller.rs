//! Who is calling: client authentication (RFC 6749 §2.3, RFC 7591 §2).

use crate::{
    context::Context,
    error::{Code, Error},
    host::Host,
    model::{client::Client, policy::Policy},
    wire::{Params, Request, basic},
};
use std::rc::Rc;

/// The ways to authenticate, for the metadata (RFC 8414 §2): with a secret, and without.
pub const METHODS: &[&str] = &["client_secret_basic", "client_secret_post", "none"];
/// Those that prove something: what introspection demands (RFC 7662 §2.1).
pub const PROVING_METHODS: &[&str] = &["client_secret_basic", "client_secret_post"];

/// A client that has proved itself as far as it must. Made only by [`Caller::authenticate`].
pub struct Caller {
    /// The client.
    pub client: Rc<Client>,
    /// The policy it is treated by.
    pub policy: Rc<Policy>,
}

impl Caller {
    /// The client of a request. Unknown client and wrong secret answer the same.
    pub async fn authenticate<H: Host>(
        cx: &Context<'_, H>,
        request: &Request,
        params: &Params,
    ) -> Result<Self, Error> {
        let (id, secret) = credentials(request, params)?;
        let refused = |why: &'static str| {
            Error::new(Code::InvalidClient, "client authentication failed: no such client, or not its secret")
                .because(why)
        };
        cx.claim(&id);
        let client = cx.client(&id).await?.ok_or_else(|| refused("unknown client"))?;
        // Only now: what was typed as an id may have been a secret.
        cx.note(|event| event.client = Some(id));
        match (client.is_confidential(), &secret) {
            (false, None) => {}
            (true, Some(given)) if client.knows(given, cx.now) => {}
            (true, Some(_)) => return Err(refused("wrong secret")),
            (true, None) => return Err(refused("secret missing")),
            (false, Some(_)) => return Err(refused("public client sent a secret")),
        }
        if !client.metadata.enabled {
            return Err(refused("disabled client"));
        }
        if client.has_expired(cx.now) {
            return Err(refused("expired client"));
        }
        Ok(Self { client, policy: cx.policy().await? })
    }
}

/// Id and secret, from the header or from the body, never from both (RFC 6749 §2.3).
fn credentials(request: &Request, params: &Params) -> Result<(String, Option<String>), Error> {
    let bad = |detail: &'static str| Error::new(Code::InvalidRequest, detail);
    let basic = basic(request).map_err(|why| Error::new(Code::InvalidClient, why))?;
    let (id, secret) = (params.optional("client_id"), params.optional("client_secret"));
    if params.optional("client_assertion").is_some() || params.optional("client_assertion_type").is_some() {
        return Err(Error::new(Code::InvalidClient, "client assertions are not accepted by this server"));
    }
    match (basic, id, secret) {
        (Some(_), _, Some(_)) => Err(bad("two client authentication methods at once")),
        (Some(basic), Some(id), None) if basic.user != id => {
            Err(bad("client_id differs from the one in the Authorization header"))
        }
        (Some(basic), ..) => Ok((basic.user, Some(basic.password))),
        (None, Some(id), secret) => Ok((id.to_owned(), secret.map(str::to_owned))),
        (None, None, _) => Err(Error::new(Code::InvalidClient, "the request names no client")),
    }
}
