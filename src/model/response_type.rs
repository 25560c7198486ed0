//! What the answer to an authorization request carries (OAuth 2.0 Multiple Response Type Encoding Practices §3 and §5).

use serde::{Deserialize, Serialize};

/// `response_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseType {
    /// A code.
    pub code: bool,
    /// An access token.
    pub token: bool,
    /// An ID token.
    pub id_token: bool,
}

impl ResponseType {
    /// Those that are served, by their names.
    #[rustfmt::skip]
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("code",                Self { code: true,  token: false, id_token: false }),
        ("token",               Self { code: false, token: true,  id_token: false }),
        ("id_token",            Self { code: false, token: false, id_token: true }),
        ("id_token token",      Self { code: false, token: true,  id_token: true }),
        ("code id_token",       Self { code: true,  token: false, id_token: true }),
        ("code token",          Self { code: true,  token: true,  id_token: false }),
        ("code id_token token", Self { code: true,  token: true,  id_token: true }),
    ];

    /// The order of the names means nothing (RFC 6749 §3.1.1).
    pub fn parse(text: &str) -> Option<Self> {
        let has = |name: &str| text.split(' ').any(|own| own == name);
        let kind = Self { code: has("code"), token: has("token"), id_token: has("id_token") };
        let count = usize::from(kind.code) + usize::from(kind.token) + usize::from(kind.id_token);
        (count > 0 && text.split(' ').count() == count).then_some(kind)
    }

    /// The grant types that a client needs for it (RFC 7591 §2.1, OpenID Connect Dynamic Client Registration §2).
    pub fn grant_types(self) -> impl Iterator<Item = &'static str> {
        let needed = [(self.code, "authorization_code"), (self.at_once(), "implicit")];
        needed.into_iter().filter_map(|(needs, name)| needs.then_some(name))
    }

    /// Whether something goes out at once that must not stand in a query.
    pub fn at_once(self) -> bool {
        self.token || self.id_token
    }
}
