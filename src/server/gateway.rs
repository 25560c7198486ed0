//! Requests that are passed on to another server.

use super::{Server, by_the_truth, log};
use crate::{
    context::Context,
    endpoints::{
        gateway::{self, Passage},
        metadata,
    },
    error::{Code, Error},
    host::{Away, Host},
    upstream,
    wire::{self, Request, Response, Surface},
};
use http::{Method, StatusCode};

impl Server {
    /// Whether a request to this host could be one to pass on: the issuer's own never is.
    pub fn may_pass(&self, host: &str) -> bool {
        self.config.as_ref().is_ok_and(|config| !upstream::is_issuer(config, host))
    }

    /// Passes a request on where a route says so, and it may: `forward` asks the other server, and gives the status of what
    /// it answered. Nothing is known of the body here. Gives the answer or a refusal; `None`: the request is one to this
    /// server.
    pub async fn pass<T, H: Host>(
        &self,
        host: &H,
        request: &Request,
        forward: impl AsyncFnOnce(Passage) -> Result<(StatusCode, T), Away>,
    ) -> Option<Result<T, Response>> {
        let config = self.config.as_ref().ok().filter(|_| self.may_pass(&request.host))?;
        let cx = Context::new(host, config, &self.memory);
        let passed = match by_the_truth(&cx, async || gateway::admit(&cx, request).await).await {
            Ok(passage) => forward(passage?).await.map_err(|away| failed(&cx, away)),
            Err(error) => Err(error),
        };
        let policy = if passed.is_err() { cx.policy().await.ok() } else { None };
        let metadata = policy.and_then(|policy| metadata::of_resource(&policy, request));
        let refuse = |error: &Error| {
            let mut refused = wire::refuse(error, Surface::Check, "", &request.path, &cx.trace);
            if let (Some((_, challenge)), Some(metadata)) =
                (refused.headers.iter_mut().find(|(name, _)| *name == "www-authenticate"), &metadata)
            {
                // RFC 9728 §5.1. No address of ours has a quotation mark.
                *challenge = format!("{challenge}, resource_metadata=\"{metadata}\"");
            }
            refused
        };
        let passed = passed.map_err(|error| (refuse(&error), error));
        let (status, error) = match &passed {
            Ok((status, _)) => (*status, None),
            Err((refused, error)) => (refused.status, Some(error)),
        };
        log(&cx, &format!("{} gateway", request.method), status, error).await;
        Some(passed.map(|(_, answer)| answer).map_err(|(mut refused, _)| {
            if request.method == Method::HEAD {
                refused.body.clear();
            }
            refused.with("x-content-type-options", "nosniff")
        }))
    }
}

fn failed<H: Host>(cx: &Context<'_, H>, away: Away) -> Error {
    cx.note(|event| {
        event.event = "gateway.failed";
        event.important = true;
    });
    match away {
        Away::Late => Error::new(Code::GatewayTimeout, "the server of this address did not answer in time"),
        Away::Lost(why) => {
            Error::new(Code::BadGateway, "the server of this address cannot be reached").because(why)
        }
    }
}
