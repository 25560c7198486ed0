//! Somebody else's token endpoint: what it is sent (RFC 6749 §4.1.3 and §6), and what its answers mean.

use crate::{
    host::{Asked, Away, Fetched, Seconds},
    json, wire,
};
use base64ct::{Base64, Encoding as _};
use http::Method;
use serde_json::{Map, Value};

/// The largest answer that is read, in bytes.
const LARGEST: usize = 64 * 1024;
/// How long an answer is waited for.
pub const WAIT: Seconds = Seconds(10);

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

impl Wish<'_> {
    /// As it is sent to a token endpoint.
    pub fn asked(self, address: &str) -> Asked {
        let mut params = self.params;
        let mut headers = vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
        ];
        match self.client_secret {
            Some(secret) if !self.in_body => {
                // RFC 6749 §2.3.1: both are form-encoded first.
                let pair = format!("{}:{}", wire::encode(self.client_id), wire::encode(secret));
                headers.push((
                    "authorization".to_owned(),
                    format!("Basic {}", Base64::encode_string(pair.as_bytes())),
                ));
            }
            secret => {
                params.push(("client_id", self.client_id));
                params.extend(secret.map(|secret| ("client_secret", secret)));
            }
        }
        let body = wire::with_params("", &params).trim_start_matches('?').to_owned().into_bytes();
        let (method, address) = (Method::POST, address.to_owned());
        Asked { method, address, headers, body, most: LARGEST, patience: WAIT }
    }
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

impl From<Away> for Answer {
    fn from(away: Away) -> Self {
        match away {
            Away::Late => Self::Late,
            Away::Lost(why) => Self::Unreachable(why),
        }
    }
}

impl Answer {
    /// What came back.
    pub fn read(fetched: Result<Fetched, Away>) -> Self {
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(away) => return away.into(),
        };
        let body = fetched.body.and_then(|body| json::read(str::from_utf8(&body).ok()?).ok());
        match (fetched.status, body) {
            (200, Some(Value::Object(members)))
                if members.get("access_token").and_then(Value::as_str).is_some_and(is_token) =>
            {
                Self::Tokens(members)
            }
            (status, body) => Self::Refused(status, body),
        }
    }
}

/// RFC 6749 appendix A.12.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// `expires_in` of an answer, in seconds. Some servers say it as a text.
pub fn expires_in(members: &Map<String, Value>) -> Option<u64> {
    match members.get("expires_in")? {
        // What is less than nothing ends at once.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Value::Number(number) => {
            number.as_u64().or_else(|| number.as_f64().map(|seconds| seconds.max(0.0) as u64))
        }
        Value::String(text) if text.starts_with('-') => Some(0),
        Value::String(text) => text.split('.').next()?.parse().ok(),
        _ => None,
    }
}
