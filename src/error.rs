//! What can go wrong, in OAuth's own words: one table of codes, statuses and what must be true before they are said.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    ops::{Deref, DerefMut},
};

/// Declares [`Code`] from the table below: variant, name on the wire, status, and whether a copy of a
/// record may be the reason.
macro_rules! codes {
    ($($variant:ident $name:literal $status:ident $reason:ident $doc:literal)*) => {
        /// An error code on the wire: RFC 6749 §4.1.2.1 and §5.2, RFC 7591 §3.2.2, RFC 9101 §6, and HTTP's own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $(#[doc = $doc] $variant,)* }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The status it travels under where it is not redirected.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// True where a copy of a record may be the reason: such a refusal is said only after asking the truth.
            pub const fn may_come_from_a_copy(self) -> bool {
                match self { $(Self::$variant => codes!(@$reason),)* }
            }
        }
    };
    (@copy) => { true };
    (@sure) => { false };
}

#[rustfmt::skip]
codes! {
    InvalidRequest          "invalid_request"           BAD_REQUEST            sure "RFC 6749 §5.2"
    InvalidClient           "invalid_client"            UNAUTHORIZED           copy "RFC 6749 §5.2"
    RefusedDocument         "invalid_client"            UNAUTHORIZED           sure "The client is a document that cannot be had, or says what it may not"
    InvalidGrant            "invalid_grant"             BAD_REQUEST            sure "RFC 6749 §5.2"
    UnsealedGrant           "invalid_grant"             BAD_REQUEST            sure "What was sent as a code or token is none that this server made"
    WithdrawnScope          "invalid_grant"             BAD_REQUEST            copy "A scope that was granted is not the client's any more"
    UnmetDemand             "invalid_request"           BAD_REQUEST            copy "The client's record demands what the request lacks"
    InvalidScope            "invalid_scope"             BAD_REQUEST            copy "RFC 6749 §5.2"
    UnauthorizedClient      "unauthorized_client"       BAD_REQUEST            copy "RFC 6749 §5.2"
    UnsupportedGrantType    "unsupported_grant_type"    BAD_REQUEST            sure "RFC 6749 §5.2"
    UnsupportedResponseType "unsupported_response_type" BAD_REQUEST            sure "RFC 6749 §4.1.2.1"
    AccessDenied            "access_denied"             FORBIDDEN              sure "RFC 6749 §4.1.2.1"
    UnregisteredRedirect    "invalid_request"           BAD_REQUEST            copy "A redirect URI the client did not register (RFC 6749 §3.1.2.4)"
    LoginRequired           "login_required"            BAD_REQUEST            sure "OpenID Connect Core §3.1.2.6: nobody is signed in, and no page may be shown"
    ConsentRequired         "consent_required"          BAD_REQUEST            sure "OpenID Connect Core §3.1.2.6: nobody has allowed it, and no page may be shown"
    UnmetAuthentication     "unmet_authentication_requirements" BAD_REQUEST    sure "OpenID Connect Core §5.5.1.1: nobody signs in here as it is demanded"
    RegistrationNotSupported "registration_not_supported" BAD_REQUEST          sure "OpenID Connect Core §3.1.2.6"
    RequestNotSupported     "request_not_supported"     BAD_REQUEST            sure "RFC 9101 §6, OpenID Connect Core §3.1.2.6"
    RequestUriNotSupported  "request_uri_not_supported" BAD_REQUEST            sure "RFC 9101 §6, OpenID Connect Core §3.1.2.6"
    InvalidTarget           "invalid_target"            BAD_REQUEST            sure "RFC 8707 §2: of an address elsewhere that is not asked"
    UnknownResource         "invalid_target"            BAD_REQUEST            copy "RFC 8707 §2: of a resource that is not known, or that the scope says nothing of"
    InvalidClientMetadata   "invalid_client_metadata"   BAD_REQUEST            sure "RFC 7591 §3.2.2"
    InvalidRedirectUri      "invalid_redirect_uri"      BAD_REQUEST            sure "RFC 7591 §3.2.2"
    ClosedRegistration      "access_denied"             FORBIDDEN              copy "Clients do not register themselves here"
    InvalidToken            "invalid_token"             UNAUTHORIZED           sure "RFC 6750 §3.1"
    MissingToken            "invalid_token"             UNAUTHORIZED           sure "RFC 6750 §3: the challenge to a request without a token has no error"
    InsufficientScope       "insufficient_scope"        FORBIDDEN              sure "RFC 6750 §3.1"
    ClosedResource          "insufficient_scope"        FORBIDDEN              copy "RFC 6750 §3.1, of a resource, by the catalogue of scopes"
    TooManyRequests         "temporarily_unavailable"   TOO_MANY_REQUESTS      sure "RFC 6585 §4"
    NotFound                "not_found"                 NOT_FOUND              sure "RFC 9110 §15.5.5"
    UnservedAddress         "not_found"                 NOT_FOUND              copy "There is no such address, by the settings"
    MethodNotAllowed        "method_not_allowed"        METHOD_NOT_ALLOWED     sure "RFC 9110 §15.5.6"
    ExternalError           "external_error"            BAD_GATEWAY            sure "Another server gave no tokens to this one"
    Conflict                "conflict"                  CONFLICT               sure "RFC 9110 §15.5.10"
    PreconditionFailed      "precondition_failed"       PRECONDITION_FAILED    sure "RFC 9110 §15.5.13"
    ContentTooLarge         "invalid_request"           PAYLOAD_TOO_LARGE      sure "RFC 9110 §15.5.14"
    UriTooLong              "invalid_request"           URI_TOO_LONG           sure "RFC 9110 §15.5.15"
    HeaderTooLarge          "invalid_request"           REQUEST_HEADER_FIELDS_TOO_LARGE sure "RFC 6585 §5"
    UnsupportedMediaType    "invalid_request"           UNSUPPORTED_MEDIA_TYPE sure "RFC 9110 §15.5.16"
    NotImplemented          "not_implemented"           NOT_IMPLEMENTED        sure "RFC 9110 §15.6.2: a connection that would become one of another protocol is not passed on"
    BadGateway              "bad_gateway"               BAD_GATEWAY            sure "RFC 9110 §15.6.3: where a request is passed on to, nobody answers"
    GatewayTimeout          "gateway_timeout"           GATEWAY_TIMEOUT        sure "RFC 9110 §15.6.5: or nobody in time"
    Stale                   "temporarily_unavailable"   SERVICE_UNAVAILABLE    copy "A shard knows of a newer record than the one this request was decided by"
    TemporarilyUnavailable  "temporarily_unavailable"   SERVICE_UNAVAILABLE    sure "RFC 6749 §4.1.2.1: storage is away; what happened is unknown, never half done"
    ServerError             "server_error"              SERVICE_UNAVAILABLE    sure "RFC 6749 §4.1.2.1: this deployment is not configured to serve"
}

/// Where an authorization error may be sent: made only once client and redirect URI are verified (RFC 6749 §4.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The verified redirect URI.
    pub redirect_uri: String,
    /// What a content security policy names to let a form go there.
    pub source: String,
    /// `state`, exactly as it was received.
    pub state: Option<String>,
    /// How it goes there.
    pub mode: Mode,
}

/// How an authorization response goes to the client (OAuth 2.0 Multiple Response Type Encoding Practices §2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// In the query (RFC 6749 §4.1.2).
    #[default]
    Query,
    /// In the fragment (RFC 6749 §4.2.2).
    Fragment,
    /// In a form that the browser posts.
    FormPost,
}

/// A refusal: `detail` is told to the caller, `cause` only to the log.
///
/// One pointer wide: it is passed on in hundreds of places, and each would copy all of it.
#[derive(Debug)]
pub struct Error(Box<Refused>);

/// What an [`Error`] says.
#[derive(Debug)]
pub struct Refused {
    /// The code, from which name and status follow.
    pub code: Code,
    /// What a client developer can act on. Never a secret, never an echo of one.
    pub detail: Cow<'static, str>,
    /// What we know and the caller must not.
    pub cause: Option<String>,
    /// The member of an administrator's JSON that is wrong.
    pub field: Option<String>,
    /// The scope that would have sufficed (RFC 6750 §3).
    pub scope: Option<String>,
    /// The redirect URI that gets it instead of a page.
    pub redirect: Option<Box<Return>>,
    /// In how many seconds to come again, where that is not at once.
    pub retry_after: Option<u64>,
    /// Cookies that the browser is to have all the same.
    pub cookies: Vec<String>,
}

impl Code {
    /// True where what was sent as a secret or a token is none: who guesses is answered so, and who guesses is limited.
    ///
    /// A token that was ours once is no guess, and its client needs the exact answer.
    pub const fn is_a_guess(self) -> bool {
        matches!(self, Self::InvalidClient | Self::InvalidToken | Self::UnsealedGrant)
    }
}

impl Error {
    /// A refusal that tells the caller `detail`.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(code, detail.into())
    }

    fn of(code: Code, detail: Cow<'static, str>) -> Self {
        Self(Box::new(Refused {
            code,
            detail,
            cause: None,
            field: None,
            scope: None,
            redirect: None,
            retry_after: None,
            cookies: Vec::new(),
        }))
    }

    /// A shard knows a newer record than this request was decided by.
    pub fn stale() -> Self {
        Self::new(Code::Stale, "the client or the settings changed while it was asking: repeat the request")
    }

    /// With what only the log may know.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // What is printed is at hand, and often made for it.
    pub fn because(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// About one member of the JSON that was sent.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// With this scope it would have been allowed.
    #[must_use]
    pub fn needing(mut self, scope: Option<String>) -> Self {
        self.scope = scope;
        self
    }

    /// Not before so many seconds have passed.
    #[must_use]
    pub fn after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// With a cookie that the browser is to have all the same.
    #[must_use]
    pub fn with_cookie(mut self, cookie: String) -> Self {
        self.cookies.push(cookie);
        self
    }

    /// To be sent to the client's verified redirect URI.
    #[must_use]
    pub fn at(mut self, back: &Return) -> Self {
        self.redirect = Some(Box::new(back.clone()));
        self
    }
}

impl Deref for Error {
    type Target = Refused;

    fn deref(&self) -> &Refused {
        &self.0
    }
}

impl DerefMut for Error {
    fn deref_mut(&mut self) -> &mut Refused {
        &mut self.0
    }
}

/// The world failed us. Never the caller's fault, never shown to it.
///
/// One pointer wide, as [`Error`] is: every function that reads or writes a row may give one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(Box<Cause>);

/// What is known of a [`Fault`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cause(String);

impl Fault {
    /// A fault with what is known of it.
    #[allow(clippy::needless_pass_by_value)]
    pub fn new(what: impl ToString) -> Self {
        Self(Box::new(Cause(what.to_string())))
    }

    /// What is known of it.
    pub fn cause(&self) -> &str {
        &self.0.0
    }

    /// As [`Fault::cause`], for whoever keeps nothing else of it.
    pub fn into_cause(self) -> String {
        self.0.0
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let detail = "storage did not answer: repeat the request";
        Self::new(Code::TemporarilyUnavailable, detail).because(fault.into_cause())
    }
}

/// Foreign text as it may be quoted in a message: short, and of plain characters.
pub fn quotable(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(60).collect()
}
