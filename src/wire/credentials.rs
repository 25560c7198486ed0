//! The `Authorization` header: Basic (RFC 7617, RFC 6749 §2.3.1) and Bearer (RFC 6750 §2.1).

use super::{Request, params};
use base64ct::{Base64, Encoding};

/// What a Basic header holds, decoded as RFC 6749 §2.3.1 asks.
#[derive(PartialEq, Eq)]
pub struct Basic {
    /// `client_id`.
    pub user: String,
    /// `client_secret`.
    pub password: String,
}

/// The credentials of a Basic header; `Ok(None)` where no `Authorization` header was sent, `Err` where it is another
/// scheme or malformed.
pub fn basic(request: &Request) -> Result<Option<Basic>, &'static str> {
    let Some(header) = request.header("authorization") else { return Ok(None) };
    let (scheme, credentials) =
        header.split_once(' ').ok_or("the Authorization header has no credentials")?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err("the Authorization header is not Basic");
    }
    let bytes = Base64::decode_vec(credentials.trim()).map_err(|_| "the Basic credentials are not base64")?;
    let colon = bytes.iter().position(|byte| *byte == b':').ok_or("the Basic credentials have no colon")?;
    let (user, password) = bytes.split_at(colon);
    let decode = |half: &[u8]| params::decode(half).ok_or("the Basic credentials are not form-encoded");
    Ok(Some(Basic { user: decode(user)?, password: decode(password.get(1..).unwrap_or_default())? }))
}

/// The token of a Bearer header.
pub fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(header: &str) -> Request {
        Request {
            method: http::Method::POST,
            secure: false,
            host: String::new(),
            path: String::new(),
            query: String::new(),
            headers: vec![("authorization".into(), header.into())],
            body: None,
        }
    }

    fn read(text: &str, scheme: &str) -> Option<(String, String)> {
        let header = format!("{scheme} {}", Base64::encode_string(text.as_bytes()));
        basic(&with(&header)).ok().flatten().map(|basic| (basic.user, basic.password))
    }

    #[test]
    fn colon_and_percent_travel_form_encoded() {
        assert_eq!(read("a%3Ab:c%25d%3A", "Basic"), Some(("a:b".into(), "c%d:".into())));
        assert_eq!(read("id:sec:ret", "Basic"), Some(("id".into(), "sec:ret".into())));
        assert_eq!(read("id:a+b", "basic"), Some(("id".into(), "a b".into())));
    }

    #[test]
    fn malformed_credentials_are_refused() {
        for header in ["Basic", "Basic !!!", "Basic aWQ=", "Bearer x", "Basic aTolJQ=="] {
            assert!(basic(&with(header)).is_err(), "{header}");
        }
    }
}
