//! `password` (RFC 6749 §4.3): for clients of the profile `legacy` alone. It is a grant like any other, without a page:
//! the account counts the try, notes the shard, and the tokens come from one request to one object.

use super::{Ask, settle};
use crate::{
    error::{Code, Error, Fault},
    host::{Host, Seconds},
    issue::{self, Authorization},
    model::{
        grant::{self, Binding, Offer},
        place::Address,
        policy::Policy,
        profile::Profile,
    },
    sign_in::{Denied, Then, attempt},
};

/// Between the draw of a table and the grant in it, at most.
const WAIT: Seconds = Seconds(60);

pub(super) async fn authorize<H: Host>(ask: &Ask<'_, H>) -> Result<Authorization, Error> {
    let Ask { cx, request, caller, params, .. } = ask;
    let (client, policy) = (&caller.client, &caller.policy);
    if !client.is_confidential() || client.metadata.profile != Profile::Legacy {
        let detail = "password is for clients of the profile legacy that authenticate";
        return Err(Error::new(Code::UnauthorizedClient, detail));
    }
    let scope = ask.scope()?;
    if scope.is_empty() || Policy::usual(&scope) != scope {
        let detail = "scope is missing, or has what is given only on a page of this server";
        return Err(Error::new(Code::InvalidScope, detail));
    }
    let (username, password) = (params.required("username")?, params.required("password")?);
    let lifetime = issue::lifetime(client, policy, true);
    let shard = issue::draw_shard(cx, policy);
    let person =
        match attempt(cx, request, policy, (username, password), Then::Give(shard.to_string())).await? {
            Ok(admitted) => admitted.person,
            Err(Denied { wait: Some(wait), problem, .. }) => {
                return Err(Error::new(Code::TooManyRequests, problem).after(wait));
            }
            Err(Denied { problem, .. }) => return Err(Error::new(Code::InvalidGrant, problem)),
        };
    let drawn = issue::draw_address(cx, client, policy, (&person.sub, WAIT), lifetime);
    let address = Address { shard, ..drawn };
    cx.note(|event| (event.sub, event.grant) = (Some(person.sub.clone()), Some(address.to_string())));
    let offer = Offer {
        openid: None,
        client: client.reference(),
        person,
        scope,
        binding: Binding {
            challenge: None,
            redirect_uri: String::new(),
            redirect_uri_required: false,
            redirect_uri_sent: false,
        },
        code_lifetime: Seconds(0),
        absolute: lifetime,
        until: address.table.end(),
    };
    let command = grant::Command::Give { offer: Box::new(offer), terms: client.terms(policy) };
    match cx.ask_grant(&address, policy.version, command).await? {
        grant::Reply::Offered(_) => Err(Fault::new("a grant offered what it was to give").into()),
        reply => {
            let refused = "the application or the account was disabled";
            Ok(Authorization::Grant(address, settle(cx, reply, refused)?))
        }
    }
}
