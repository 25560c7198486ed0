//! This server as a client of others: it asks their token endpoints (RFC 6749 §4.1.3 and §6), and passes on what they say.
//!
//! Whoever names an endpoint could mean one of ours, or of a network that is not the internet. So it is https to a name on the
//! internet, one of the setting's where that names any, and never this server itself; redirects are not followed, and size
//! and time are bounded.

use crate::{
    context::{Config, Context},
    error::{Code, Error},
    host::{Asked, Away, Fetched, Host, Seconds},
    model::{outside, policy::Policy},
    wire::{self, Response},
};
use base64ct::{Base64, Encoding as _};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

/// The largest answer that is read, in bytes.
const LARGEST: usize = 64 * 1024;
/// How long an answer is waited for.
const WAIT: Seconds = Seconds(10);

/// An address elsewhere that may be asked. Made only by [`Target::read`].
pub struct Target(String);

impl Target {
    /// Refuses what may not be asked.
    pub fn read(config: &Config, policy: &Policy, name: &str, address: &str) -> Result<Self, Error> {
        let refused =
            |why: &str| Err(Error::new(Code::InvalidTarget, format!("{name} may not be asked: {why}")));
        let host = match outside::host_of(address, config.development) {
            Ok(host) => host,
            Err(why) => return refused(why),
        };
        let origin = outside::origin_of(address);
        if is_ours(config, host, origin) {
            return refused("it is this server itself");
        }
        let listed = &policy.settings.external_origins;
        if !listed.is_empty() && !listed.split(' ').any(|own| own == origin) {
            return refused("its origin is not one of the setting external.allowedOrigins");
        }
        Ok(Self(address.to_owned()))
    }
}

/// Whether an address is one of this server's: its host, on a laptop its port on this machine.
fn is_ours(config: &Config, host: &str, origin: &str) -> bool {
    let (own, _) = config.host().split_once(':').unwrap_or((config.host(), ""));
    if !config.development {
        return host == own;
    }
    let port = |origin: &str| origin.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port(origin) == port(config.origin())
}

/// A wish for tokens of somebody else's.
pub struct Wish<'a> {
    /// `client_id`.
    pub client_id: &'a str,
    /// `client_secret`; a public client has none.
    pub client_secret: Option<&'a str>,
    /// In the body instead of the header (RFC 6749 §2.3.1).
    pub in_body: bool,
    /// The other parameters.
    pub params: Vec<(&'static str, &'a str)>,
}

/// What a provider answered.
pub enum Answer {
    /// Tokens: the members of its answer.
    Tokens(Map<String, Value>),
    /// Anything else: the status, and its JSON where it was some.
    Refused(u16, Option<Value>),
    /// Nothing could be had of it.
    Unreachable(String),
    /// Nothing in time.
    Late,
}

/// Asks a token endpoint.
pub async fn ask<H: Host>(cx: &Context<'_, H>, target: Target, wish: Wish<'_>) -> Answer {
    let mut params = wish.params;
    let mut headers = vec![
        ("accept".to_owned(), "application/json".to_owned()),
        ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
    ];
    match wish.client_secret {
        Some(secret) if !wish.in_body => {
            // RFC 6749 §2.3.1: both are form-encoded first.
            let pair = format!("{}:{}", wire::encode(wish.client_id), wire::encode(secret));
            headers.push((
                "authorization".to_owned(),
                format!("Basic {}", Base64::encode_string(pair.as_bytes())),
            ));
        }
        secret => {
            params.push(("client_id", wish.client_id));
            params.extend(secret.map(|secret| ("client_secret", secret)));
        }
    }
    let body = wire::with_params("", &params).trim_start_matches('?').to_owned().into_bytes();
    let asked =
        Asked { method: Method::POST, address: target.0, headers, body, most: LARGEST, patience: WAIT };
    match cx.host.fetch(&asked).await {
        Ok(fetched) => read(fetched),
        Err(Away::Late) => Answer::Late,
        Err(Away::Lost(why)) => Answer::Unreachable(why),
    }
}

fn read(fetched: Fetched) -> Answer {
    let body = fetched.body.and_then(|body| serde_json::from_slice(&body).ok());
    match (fetched.status, body) {
        (200, Some(Value::Object(members))) if members.get("access_token").is_some_and(Value::is_string) => {
            Answer::Tokens(members)
        }
        (status, body) => Answer::Refused(status, body),
    }
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
