//! HTTP as far as OAuth needs it: requests, responses, parameters, credentials, and the shape of a refusal.

mod answer;
mod credentials;
mod params;
mod refuse;

pub use answer::answer_to;
pub use credentials::{Basic, basic, bearer};
pub use params::{Params, decode, encode, with_params};
pub use refuse::refuse;

use crate::json;
use http::{Method, StatusCode};
use std::ops::{Deref, DerefMut};

/// The largest body that is read, in bytes. Larger ones are 413 whatever their `Content-Length` claims.
pub const BODY_LIMIT: usize = 64 * 1024;

/// The longest header that is read, in bytes; a cookie jar of a shared host can be large.
pub const HEADER_LIMIT: usize = 16 * 1024;

/// A request, read once at the door.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method as it was sent, unknown ones included.
    pub method: Method,
    /// Whether it came over https.
    pub secure: bool,
    /// Host and port the request came to. Never the issuer: that is configuration.
    pub host: String,
    /// From the first slash, without the query.
    pub path: String,
    /// After the question mark, undecoded; empty where there is none.
    pub query: String,
    /// Names in lower case. A header sent twice arrives joined by a comma.
    pub headers: Vec<(String, String)>,
    /// At most [`BODY_LIMIT`] bytes; `None` where there were more, or it was not read.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether it was sent to this machine itself.
    pub fn is_to_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// The media type of the body, without parameters (RFC 9110 §8.3.1).
    pub fn is_of_type(&self, media_type: &str) -> bool {
        let given = self.header("content-type").unwrap_or_default();
        given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
    }

    /// The value of a cookie: the first of that name (RFC 6265 §4.2.1).
    pub fn cookie(&self, name: &str) -> Option<String> {
        let pairs = self.header("cookie")?.split(';').filter_map(|pair| pair.split_once('='));
        let found = pairs.map(|(own, value)| (own.trim(), value.trim())).find(|(own, _)| *own == name);
        found.map(|(_, value)| value.to_owned())
    }

    /// True where a browser says that another site made this request (Fetch Metadata; else `Origin`).
    pub fn is_cross_site(&self, origin: &str) -> bool {
        match (self.header("sec-fetch-site"), self.header("origin")) {
            (Some(site), _) => !matches!(site, "same-origin" | "none"),
            // Pages with `Referrer-Policy: no-referrer` post with `Origin: null`; older browsers send no Fetch
            // Metadata. The seal in the form, bound to the browser's cookie, still stands between.
            (None, Some("null") | None) => false,
            (None, Some(other)) => other != origin,
        }
    }
}

/// Whether a host, with a port or without, is this machine itself.
pub fn is_loopback(host: &str) -> bool {
    let host = match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => host,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// A response, written once at the door.
///
/// One pointer wide: it is passed on in hundreds of places, and each would copy all of it.
#[derive(Clone, Debug)]
pub struct Response(Box<Answer>);

/// Headers of an answer: lower-case names; `set-cookie` may repeat.
pub type Headers = Vec<(&'static str, String)>;

/// What a [`Response`] says.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// A body of one media type, which no cache may keep.
    pub fn new(status: StatusCode, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers =
            vec![("content-type", content_type.to_owned()), ("cache-control", "no-store".to_owned())];
        Self(Box::new(Answer { status, headers, body: body.into() }))
    }

    /// JSON that no cache may keep (RFC 6749 §5.1).
    pub fn json(status: StatusCode, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", json::write(body))
    }

    /// 303: the browser follows with GET, whatever brought it here (RFC 9700 §4.12).
    pub fn see_other(location: String) -> Self {
        Self::empty(StatusCode::SEE_OTHER).with("location", location).with("cache-control", "no-store")
    }

    /// 204.
    pub fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    /// No body.
    pub fn empty(status: StatusCode) -> Self {
        Self(Box::new(Answer { status, headers: Vec::new(), body: Vec::new() }))
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a header in place of any of that name.
    #[must_use]
    pub fn instead(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(key, _)| *key != name);
        self.with(name, value)
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }
}

impl Deref for Response {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.0
    }
}

impl DerefMut for Response {
    fn deref_mut(&mut self) -> &mut Answer {
        &mut self.0
    }
}

/// How an endpoint speaks when it refuses. Chosen in the table of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// A JSON object (RFC 6749 §5.2).
    Json,
    /// The same, for a client that was written for webMethods.
    Compat,
    /// A page for the person in the browser.
    Page,
    /// A JSON object as well, at an address that is opened by a bearer token (RFC 6750 §3, RFC 7591 §3.2.2).
    Bearer,
    /// The same, to a proxy that passes it on to its own caller.
    Check,
    /// `application/problem+json` (RFC 9457).
    Problem,
}
