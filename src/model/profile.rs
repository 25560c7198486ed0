//! Profiles: what a client's policy is unless it says otherwise. One table.

use crate::{host::Seconds, json::Json};

/// The name of a set of defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Json)]
#[json(lowercase)]
pub enum Profile {
    /// OAuth 2.1.
    #[default]
    Oauth21,
    /// OpenID Connect Core as it is certified: no PKCE, `RS256`, a refresh token for `offline_access`.
    Openid,
    /// What the OAuth services of webMethods Integration Server did.
    Legacy,
}

/// The defaults of a profile.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools)] // Switches are what a profile is.
pub struct Defaults {
    /// Whether a confidential client must send a `code_challenge`. Public ones must, unless their record says otherwise.
    pub require_pkce: bool,
    /// Whether each refresh makes a new refresh token.
    pub rotate: bool,
    /// Refreshes of a grant (`None`: unlimited).
    pub refreshes: Option<u32>,
    /// How long a code lives (`None`: as the settings say).
    pub code_lifetime: Option<Seconds>,
    /// Whether the settings' idle and absolute lifetimes of refresh tokens apply.
    pub refresh_ends: bool,
    /// Whether the token request may leave `redirect_uri` out where PKCE binds the code.
    pub redirect_uri_optional: bool,
}

impl Profile {
    /// Its row of the table.
    #[rustfmt::skip]
    pub const fn defaults(self) -> Defaults {
        match self {
            Self::Oauth21 => Defaults { require_pkce: true,  rotate: true,  refreshes: None,    code_lifetime: None,               refresh_ends: true,  redirect_uri_optional: true  },
            Self::Openid  => Defaults { require_pkce: false, rotate: true,  refreshes: None,    code_lifetime: None,               refresh_ends: true,  redirect_uri_optional: false },
            Self::Legacy  => Defaults { require_pkce: false, rotate: false, refreshes: Some(0), code_lifetime: Some(Seconds(600)), refresh_ends: false, redirect_uri_optional: false },
        }
    }
}
