//! This server as a client of others: it asks their token endpoints (RFC 6749 §4.1.3 and §6), and passes on what they say.
//!
//! Whoever names an endpoint could mean one of ours, or of a network that is not the internet. So it is https to a name on the
//! internet, one of the setting's where that names any, and never this server itself; redirects are not followed, and size
//! and time are bounded.

use crate::{
    context::{Config, Context},
    error::{Code, Error},
    host::Host,
    json::json,
    model::{
        outside,
        policy::Policy,
        provider::{Answer, Wish},
    },
    wire::{self, Response},
};
use http::StatusCode;

/// An address elsewhere that may be asked. Made only by [`Target::read`] and [`Target::within`].
pub struct Target(pub(crate) String);

impl Target {
    /// Refuses what may not be asked.
    pub fn read(config: &Config, policy: &Policy, name: &str, address: &str) -> Result<Self, Error> {
        let listed = policy.settings.external_origins.split(' ').filter(|own| !own.is_empty());
        let anywhere = policy.settings.external_origins.is_empty();
        let whose = "the setting external.allowedOrigins";
        if anywhere {
            Self::anywhere(config, name, address)
        } else {
            Self::within(config, name, address, (whose, listed))
        }
    }

    /// Refuses what may not be asked, and what lies in none of these origins.
    pub fn within<'a>(
        config: &Config,
        name: &str,
        address: &str,
        (whose, mut listed): (&str, impl Iterator<Item = &'a str>),
    ) -> Result<Self, Error> {
        let target = Self::anywhere(config, name, address)?;
        if listed.any(|own| own == outside::origin_of(address)) {
            return Ok(target);
        }
        let detail = format!("{name} may not be asked: its origin is not one of {whose}");
        Err(Error::new(Code::InvalidTarget, detail))
    }

    /// Refuses what may not be asked, whatever is listed.
    pub fn anywhere(config: &Config, name: &str, address: &str) -> Result<Self, Error> {
        let refused =
            |why: &str| Err(Error::new(Code::InvalidTarget, format!("{name} may not be asked: {why}")));
        if let Err(why) = check(config, address) {
            return refused(why);
        }
        Ok(Self(address.to_owned()))
    }
}

/// Whether this server may ask an address at all: one that is neither its own nor of a network that is not the internet.
pub fn check(config: &Config, address: &str) -> Result<(), &'static str> {
    let host = outside::host_of(address, config.development)?;
    let origin = outside::origin_of(address);
    if is_ours(config, host, origin) {
        return Err("it is this server itself");
    }
    Ok(())
}

/// Whether a request to this host, with a port or without, is one to the issuer. On a laptop all names of the machine are.
pub fn is_issuer(config: &Config, host: &str) -> bool {
    let (own, host) = (config.host(), host.to_ascii_lowercase());
    if config.development {
        return wire::is_loopback(&host) && port(&host) == port(own);
    }
    host.split(':').next() == own.split(':').next()
}

fn port(host: &str) -> Option<u16> {
    host.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

/// Whether an address is one of this server's: its host, on a laptop its port on this machine.
fn is_ours(config: &Config, host: &str, origin: &str) -> bool {
    let (own, _) = config.host().split_once(':').unwrap_or((config.host(), ""));
    if !config.development {
        return host == own;
    }
    port(origin) == port(config.origin())
}

/// Asks a token endpoint.
pub async fn ask<H: Host>(cx: &Context<'_, H>, target: Target, wish: Wish<'_>) -> Answer {
    Answer::read(cx.host.fetch(&wish.asked(&target.0)).await)
}

/// What an answer that brought no tokens is answered with.
pub fn pass_on<H: Host>(cx: &Context<'_, H>, answer: Answer) -> Response {
    let (status, mut body, why) = match answer {
        Answer::Refused(status, external) => {
            let body = json!({ "error": "external_error", "external_status": status, "external": external });
            (StatusCode::BAD_GATEWAY, body, format!("external_error: status {status}"))
        }
        Answer::Unreachable(why) => {
            let body = json!({ "error": "external_error", "external_status": null, "external": null });
            (StatusCode::BAD_GATEWAY, body, format!("external_error: {why}"))
        }
        Answer::Late | Answer::Tokens(_) => (
            StatusCode::GATEWAY_TIMEOUT,
            json!({ "error": "external_timeout" }),
            "external_timeout".to_owned(),
        ),
    };
    cx.note(|event| {
        event.event = "external.refused";
        event.important = true;
        event.reason = Some(why);
    });
    body["trace_id"] = json!(cx.trace);
    Response::json(status, &body)
}
