//! `/admin/settings`: one object, its members whole numbers in the unit that each names.

use super::{expected, following, invalid, members, precondition_failed, settled, shown, strange, tell};
use crate::{
    context::Context,
    crypto,
    endpoints::gateway,
    error::{Code, Error},
    host::Host,
    model::{patch::Invalid, policy::FILTER},
    objects::protocol::registry::{self, Command, Registry, Reply},
    wire::{Params, Request, Response},
};
use http::{Method, StatusCode};
use serde_json::Value;

/// `GET`: the settings, as the registry holds them. `PATCH`: a change (RFC 7396); `null` is the default again.
pub(super) async fn item<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    if request.method == Method::PATCH {
        return change(cx, request).await;
    }
    let hashes = Params::of_query(request, &[])?.optional("hashes") == Some("true");
    match *cx.ask::<Registry>(registry::NAME, Command::Policy).await? {
        Reply::Policy(policy) => {
            let mut settings = policy.settings.to_json();
            if hashes {
                settings.insert(FILTER.to_owned(), crypto::text(&policy.filter.0).into());
            }
            Ok(shown(StatusCode::OK, policy.settings_version, settings))
        }
        _ => Err(strange()),
    }
}

async fn change<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let expected = expected(request)?;
    let patch = members(request)?;
    if let Some(routes) = patch.get("gateway.routes").and_then(Value::as_str) {
        // What only a deployment knows. The rest the registry says.
        gateway::check_routes(cx.config, routes)
            .map_err(|why| invalid(Code::InvalidRequest, Invalid::new("gateway.routes", why)))?;
    }
    let command = Command::ChangePolicy { patch, expected };
    match *tell(cx, command).await? {
        Reply::PolicyChanged(policy, told) => {
            cx.note(|e| {
                e.event = "admin.settings.changed";
                e.important = true;
            });
            settled(told)?;
            Ok(following(shown(StatusCode::OK, policy.settings_version, policy.settings.to_json())))
        }
        Reply::Outdated => Err(precondition_failed()),
        Reply::Invalid(why) => Err(invalid(Code::InvalidRequest, why)),
        _ => Err(strange()),
    }
}
