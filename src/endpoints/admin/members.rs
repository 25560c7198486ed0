//! What administrators see and set, in one table a record: name, label, form and meaning of every member. The forms of the
//! console and the description of the API are made of it.

/// One member of a record.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name on the wire.
    pub name: &'static str,
    /// What a page calls it; empty: no page shows it.
    pub label: &'static str,
    /// What it may be.
    pub form: Form,
    /// When it may be written.
    pub written: Written,
    /// What it means, in a sentence.
    pub about: &'static str,
}

/// What a member may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A text.
    Text,
    /// Texts.
    Texts,
    /// Names, separated by spaces.
    Names,
    /// `true` or `false`.
    Switch,
    /// `true`, `false` or `null`.
    Tristate,
    /// A whole number.
    Number,
    /// Seconds since 1970.
    Instant,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Some of these.
    Any(&'static [&'static str]),
    /// An object with any members.
    Object,
}

/// When a member may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Always; `null` takes it back to its default.
    Always,
    /// Never: it is shown.
    Never,
    /// When the record is made.
    Once,
    /// When the record is made; it is never shown.
    Only,
    /// Always; it is never shown.
    Anew,
    /// By the answer to a request that draws it.
    Drawn,
    /// As `null` alone.
    Opens,
    /// Always, and by no form: there may be thousands.
    Listed,
}

const fn member(
    name: &'static str,
    label: &'static str,
    form: Form,
    written: Written,
    about: &'static str,
) -> Member {
    Member { name, label, form, written, about }
}

use crate::host::Algorithm;
use Form::{Any, Choice, Instant, Names, Number, Object, Switch, Text, Texts, Tristate};
use Written::{Always, Anew, Drawn, Listed, Never, Once, Only, Opens};

/// A client, under the names of RFC 7591 §2 and our own.
#[rustfmt::skip]
pub const CLIENT: &[Member] = &[
    member("client_id",                  "Client id",              Text,    Once,   "Drawn where none is chosen. The address of a document may be one."),
    member("client_id_issued_at",        "Registered",             Instant, Never,  "When it was registered."),
    member("expires_at",                 "Ends",                   Instant, Never,  "When it ends that registered itself; null: no end. Use puts it off."),
    member("client_secret",              "",                       Text,    Drawn,  "Shown once: in the answer to a registration and to a new secret."),
    member("client_secret_expires_at",   "",                       Number,  Drawn,  "0: never."),
    member("client_name",                "Name",                   Text,    Always, "What people are shown."),
    member("client_version",             "Version",                Text,    Always, "Tells registrations of one name apart."),
    member("description",                "Description",            Text,    Always, "For administrators."),
    member("enabled",                    "Enabled",                Switch,  Always, "Whether it may do anything. What was issued to a disabled client is inactive until it is enabled again."),
    member("redirect_uris",              "Redirect URIs",          Texts,   Always, "Where authorization responses may go. Compared to the letter."),
    member("grant_types",                "Grant types",            Any(&["authorization_code", "refresh_token", "client_credentials", "password", "implicit"]),   Always, "What it may use. password is for the profile legacy, implicit for legacy and openid."),
    member("response_types",             "",                       Texts,   Always, "What the authorization endpoint may answer: code, and of implicit token, id_token and both, also beside a code."),
    member("scope",                      "Scopes",                 Names,   Always, "What it may ask for, and what it gets where it asks for nothing."),
    member("token_endpoint_auth_method", "Authentication",         Choice(&["client_secret_basic", "client_secret_post", "none"]), Once, "How it authenticates; none is a public client."),
    member("contacts",                   "Contacts",               Texts,   Always, "People to write to."),
    member("application_type",           "Application type",       Choice(&["web", "native"]), Always, "Where it runs. web: https addresses only, and not on the person's machine."),
    member("profile",                    "Profile",                Choice(&["oauth21", "openid", "legacy"]), Always, "Its defaults. openid: as OpenID Connect is certified, without PKCE, RS256, a refresh token for offline_access."),
    member("strict",                     "Strict",                 Switch,  Always, "Asks a shard at client_credentials, so that no location can be behind."),
    member("resource_server",            "Resource server",        Switch,  Always, "May introspect the tokens of others."),
    member("resources",                  "Resources",              Texts,   Always, "Of a resource server: the resources of whose tokens it may; empty: of any."),
    member("administrative",             "Administrative",         Switch,  Always, "May administer by a token of its own with the scope admin."),
    member("access_token_lifetime",      "Access token lifetime",  Number,  Always, "Seconds, or -1: until something ends it; where nothing is said, as the settings say."),
    member("access_token_format",        "Access token format",    Choice(&["opaque", "jwt"]), Always, "What its access tokens are: opaque, or a JWT that others can verify (RFC 9068)."),
    member("code_lifetime",              "Code lifetime",          Number,  Always, "Seconds; where nothing is said, as profile and settings say."),
    member("refresh_count",              "Refreshes",              Number,  Always, "Refreshes of a grant; 0: no refresh token; where nothing is said unlimited, in a new client of the profile legacy 0."),
    member("refresh_rotation",           "Refresh token rotation", Choice(&["always", "never"]), Always, "Whether refreshing makes a new refresh token; where nothing is said, as the profile says."),
    member("require_pkce",               "PKCE required",          Tristate,  Always, "Whether an authorization request must bring a code_challenge; where nothing is said, as the profile says."),
    member("groups",                     "Groups",                 Texts,   Always, "What resources may demand where it acts for itself."),
    member("id_token_signed_response_alg", "ID token algorithm",   Choice(Algorithm::NAMES), Always, "How ID tokens are signed; where nothing is said RS256 for the profile openid, else ES256."),
    member("userinfo_signed_response_alg", "Userinfo algorithm",   Choice(Algorithm::NAMES), Always, "How answers of /userinfo are signed; where nothing is said they are plain JSON."),
    member("introspection_signed_response_alg", "Introspection algorithm", Choice(Algorithm::NAMES), Always, "How answers about tokens are signed where it asks for signed ones (RFC 9701); where nothing is said, as the settings say."),
    member("subject_type",               "Subjects",               Choice(&["public", "pairwise"]), Always, "pairwise: it knows people under subjects that no other sector knows."),
    member("sector_identifier_uri",      "Sector",                 Text,    Always, "An https address of a JSON array of all its redirect URIs; its host is the sector."),
    member("default_max_age",            "Maximum age",            Number,  Always, "Seconds after which people sign in again where the request does not say; where nothing is said, when the session ends."),
    member("require_auth_time",          "",                       Switch,  Always, "Whether it wants auth_time. Every ID token has it."),
    member("post_logout_redirect_uris",  "After signing out",      Texts,   Always, "Where people may be sent once they are signed out. Compared to the letter."),
    member("backchannel_logout_uri",     "Told of signing out",    Text,    Always, "An https address on the internet that is told when a session ends in which it signed somebody in."),
    member("backchannel_logout_session_required", "",              Switch,  Always, "Whether it wants sid in what it is told. It always has it."),
    member("not_before",                 "Cut off",                Instant, Always, "What was issued until then is dead. Only moves forward."),
];

/// An initial access token (RFC 7591 §1.2).
#[rustfmt::skip]
pub const REGISTRATION_TOKEN: &[Member] = &[
    member("id",          "Token",       Text,    Never, "Drawn."),
    member("token",       "",            Text,    Drawn, "Shown once: who has it registers clients."),
    member("description", "Description", Text,    Once,  "For administrators."),
    member("expires_in",  "Good for",    Number,  Only,  "Seconds until it ends; where nothing is said a week."),
    member("created_at",  "Since",       Instant, Never, "When it was made."),
    member("expires_at",  "Until",       Instant, Never, "When it ends."),
    member("uses",        "Uses left",   Number,  Once,  "How many clients may register with it still; where nothing is said 1."),
];

/// A scope of the catalogue.
#[rustfmt::skip]
pub const SCOPE: &[Member] = &[
    member("name",          "Name",             Text,  Once,   "Cannot be changed: clients and tokens carry it."),
    member("description",   "Description",      Text,  Always, "What people read when they are asked to allow it."),
    member("folders",       "Folders",          Texts, Always, "Folders it opens with all that is in them, such as reports."),
    member("services",      "Services",         Texts, Always, "Services it opens, such as orders.api:list."),
    member("urls",          "URLs",             Texts, Always, "Methods and paths it opens, such as GET /orders/{id}; * is any method."),
    member("groups",        "Groups",           Texts, Always, "Groups of which a person must have one; none: any person."),
    member("client_groups", "Groups of clients", Texts, Always, "Groups of which a client must have one that acts for itself; none: any client."),
    member("resource",      "Resource",         Text,  Always, "The protected resource it belongs to, such as https://api.example.com/orders (RFC 8707, RFC 9728); empty: none in particular."),
    member("clients",       "Clients",          Texts, Listed, "The clients that may have it; those that registered themselves are not among them."),
];

/// A person.
#[rustfmt::skip]
pub const USER: &[Member] = &[
    member("username",     "User name",    Text,    Once,   "What the person types."),
    member("sub",          "Subject id",   Text,    Never,  "The subject id: opaque, and never used again."),
    member("password",     "Password",     Text,    Only,   "8 to 1000 bytes. A new one ends every session and grant."),
    member("enabled",      "Enabled",      Switch,  Always, "Whether the person may sign in. Disabling ends sessions and grants."),
    member("groups",       "Groups",       Texts,   Always, "What resources may demand."),
    member("roles",        "Roles",        Any(&["administrator", "auditor"]),   Always, "What the person may do here."),
    member("claims",       "Claims",       Object,  Always, "Standard claims (OpenID Connect Core section 5.1)."),
    member("not_before",   "Cut off",      Instant, Always, "Sessions and grants until then are dead. Only moves forward."),
    member("locked_until", "Closed until", Instant, Opens, "Until when failed logins keep the account closed; null opens it. Lists do not say it."),
];

/// Another server, at which this one is a client.
#[rustfmt::skip]
pub const CONNECTION: &[Member] = &[
    member("name",                       "Name",                   Text,    Once,   "1 to 64 letters, digits, hyphens, dots and underscores."),
    member("issuer",                     "Issuer",                 Text,    Always, "What its answers name as iss (RFC 9207)."),
    member("authorization_endpoint",     "Authorization endpoint", Text,    Always, "Where a browser is sent; may have a query."),
    member("token_endpoint",             "Token endpoint",         Text,    Always, "What is asked for tokens."),
    member("client_id",                  "Client id",              Text,    Always, "Who this server is there."),
    member("client_secret",              "Client secret",          Text,    Anew,   "Sealed. Said again where issuer, token_endpoint or client_id changes; null: a public client."),
    member("token_endpoint_auth_method", "Authentication",         Choice(&["client_secret_basic", "client_secret_post"]), Always, "How the secret is sent (RFC 6749 section 2.3.1)."),
    member("scope",                      "Scope",                  Text,    Always, "What is asked for; empty: what the server gives by itself."),
    member("allowed_origins",            "Allowed origins",        Texts,   Always, "Where requests may go with its token."),
    member("allowed_clients",            "Allowed clients",        Texts,   Always, "Whose tokens with the scope external may use it; empty: all clients'."),
    member("has_client_secret",          "Has a secret",           Switch,  Never,  "Whether client_secret has been said."),
    member("status",                     "Status",                 Choice(&["new", "connected", "broken"]), Never, "new: nobody has let this server in there; broken: somebody must again."),
    member("broken_since",               "Broken since",           Instant, Never, "Since when."),
    member("broken_reason",              "Because",                Text,    Never, "What the other server said."),
];

/// Another server, whose access tokens are good here, too.
#[rustfmt::skip]
pub const EXTERNAL_SERVER: &[Member] = &[
    member("name",                       "Name",                   Text,    Once,   "1 to 64 letters, digits, hyphens, dots and underscores; stands in front of its clients and people."),
    member("issuer",                     "Issuer",                 Text,    Always, "Of its tokens, where they are JWTs: only those that name it are asked about. Empty: all tokens that are nobody else's."),
    member("introspection_endpoint",     "Introspection endpoint", Text,    Always, "What is asked about tokens (RFC 7662)."),
    member("client_id",                  "Client id",              Text,    Always, "Who this server is there."),
    member("client_secret",              "Client secret",          Text,    Anew,   "Sealed. Said again where issuer, introspection_endpoint or client_id changes; null: a public client."),
    member("token_endpoint_auth_method", "Authentication",         Choice(&["client_secret_basic", "client_secret_post"]), Always, "How the secret is sent (RFC 6749 section 2.3.1)."),
    member("has_client_secret",          "Has a secret",           Switch,  Never,  "Whether client_secret has been said."),
    member("audience",                   "Audience",               Text,    Always, "What aud of its tokens must name; empty: anything."),
    member("scope",                      "Scope",                  Text,    Always, "The most that its tokens are good for; empty: any of the catalogue."),
    member("default_scope",              "Default scope",          Text,    Always, "What its tokens are good for of which it says no scope."),
    member("username",                   "User",                   Text,    Always, "Who its tokens are here; empty: nobody, in no group."),
];

/// A key that signs.
#[rustfmt::skip]
pub const KEY: &[Member] = &[
    member("kid",        "Key",       Text,    Never, "Its name in headers and at /jwks (RFC 7638)."),
    member("algorithm",  "Algorithm", Choice(Algorithm::NAMES), Once, "How it signs."),
    member("state",      "State",     Choice(&["published", "signing", "retired"]), Never, "published: it will sign; retired: what it signed is verified on."),
    member("created_at", "Published", Instant, Never, "Since when others can know it."),
    member("signs_at",   "Signs",     Instant, Never, "From when on it signs."),
    member("retired_at", "Retires",   Instant, Never, "When the next one signs; null: there is none yet."),
    member("gone_at",    "Gone",      Instant, Never, "When the last token is dead that it signed."),
];

/// What a person allowed a client.
#[rustfmt::skip]
pub const GRANT: &[Member] = &[
    member("id",                "Grant",          Text,    Never, "Its address."),
    member("client_id",         "Client",         Text,    Never, "To whom."),
    member("username",          "User",           Text,    Never, "By whom."),
    member("sub",               "Subject id",     Text,    Never, "By whom, by subject id."),
    member("scope",             "Scopes",         Names,   Never, "What."),
    member("created_at",        "Since",          Instant, Never, "When."),
    member("expires_at",        "Until",          Instant, Never, "Until when; null: no end of its own."),
    member("refresh_remaining", "Refreshes left", Number,  Never, "Refreshes left; null: unlimited."),
    member("state",             "State",          Choice(&["offered", "live"]), Never, "offered: its code has not been redeemed yet."),
];

/// A change that somebody made.
#[rustfmt::skip]
pub const CHANGE: &[Member] = &[
    member("id",       "",         Text,    Never, "Its place in the log."),
    member("time",     "When",     Instant, Never, "When."),
    member("by",       "Who",      Object,  Never, "kind (token, user, client, initial_token) and name."),
    member("address",  "From",     Text,    Never, "Where the request came from."),
    member("trace_id", "Trace id", Text,    Never, "Finds the event in the log of the Worker."),
    member("action",   "What",     Text,    Never, "What was done."),
    member("target",   "To what",  Text,    Never, "To what."),
    member("before",   "Before",   Object,  Never, "The members that changed, as they were."),
    member("after",    "After",    Object,  Never, "And as they are."),
];

/// How the replica is, or an object.
#[rustfmt::skip]
pub const HEALTH: &[Member] = &[
    member("id",             "Part",           Text,    Never, "replica, registry, grants/{shard} or accounts/{shard}."),
    member("current",        "Current",        Switch,  Never, "Of the replica: whether this location reads what the registry holds."),
    member("behind_seconds", "Behind (s)",     Number,  Never, "Of the replica: for how long it has not, in seconds."),
    member("size",           "Bytes",          Number,  Never, "The size of its database."),
    member("owed",           "Owed",           Number,  Never, "Copies, marks and notes that have not reached whom they are for."),
    member("owed_since",     "Owed since",     Instant, Never, "Since when, of the oldest of them."),
    member("wake_at",        "Next alarm",     Instant, Never, "When it has something to sweep or to send."),
    member("events",         "Events",         Object,  Never, "Security events of the last thirty days: login_failed, login_closed, caller_closed, reuse_detected, client_cut."),
    member("error",          "Error",          Text,    Never, "That it did not answer."),
];
