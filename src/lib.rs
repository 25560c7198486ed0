//! Edgemint: an OAuth 2 authorization server that runs as one Cloudflare Worker.
//!
//! This page is the architecture. Read it, then the modules in the order below: each may use what stands before it.
//!
//! # Five ideas
//!
//! 1. **An object is a lock around a pure function.** A Durable Object reads its rows, calls a synchronous function,
//!    and writes what changed, with no `await` in between. For a grant the function is [`model::grant::handle`]: no
//!    I/O, time and dice as arguments. So a code works once, and a test needs no object to see it.
//! 2. **Grants are rows in shards.** A region has a few of them ([`objects::grant_shard`]), and each holds many grants.
//!    The [`model::place::Address`] of the row is drawn before the consent page and is written into every token of the
//!    grant. Later requests go straight there.
//! 3. **A token is an address and a proof; a row holds counters.** Codes, tokens, sessions and pages in progress are
//!    sealed [`model::ticket::Ticket`]s. The seal is checked at the edge, before the ticket is used for anything. The
//!    proof of a grant's ticket is a MAC under a secret of its row, and is checked there. A row keeps neither tokens nor
//!    digests of them: a code is a state, a refresh token a generation number.
//! 4. **Issuing an access token writes nothing; revoking does.** `client_credentials` asks no object once the client is
//!    known. A code exchange, a refresh and an introspection ask one object once.
//! 5. **Push the exception, not the rule.** That a client or a person was disabled, or what they may have was narrowed,
//!    is a [`model::mark::Mark`], sent to the shards that must know. A shard reads grant and marks in one turn. Where
//!    nothing was restricted there is no mark, and nothing to read.
//!
//! # Layers
//!
//! | module | what it is |
//! |---|---|
//! | [`list`] | what an iterator gives, as a list |
//! | [`sorted`] | sets and tables as sorted lists |
//! | [`waiting`] | futures side by side, and those that need not be waited for |
//! | [`error`] | every error code with its status, in one table; refusals and faults |
//! | [`json`] | what is stored and sent between our parts: text, tree, value |
//! | [`wire`] | HTTP as values: requests, parameters, credentials; where an error becomes a response |
//! | [`host`] | the world as one port: clock, dice, log, replica, objects; and the disk of an object |
//! | [`crypto`] | seals, proofs, digests, password hashes |
//! | [`model`] | what things are and do: grants, marks, clients, scopes, accounts, addresses, tickets; pure |
//! | [`objects`] | what surrounds the pure functions so that they happen exactly once: rows, marks, outbox, roster. [`objects::protocol`] is what they can be asked |
//! | [`context`] | one request: configuration, instant, copies of clients and settings, what it tells the log |
//! | [`jws`] | signed tokens, under keys of this server |
//! | [`upstream`] | this server as a client of others |
//! | [`farewell`] | the end of sessions, and what clients are told of it |
//! | [`caller`], [`session`] | the client that proved itself; the browser that is signed in |
//! | [`issue`] | the only place that makes access and refresh tokens |
//! | [`grants`] | the token endpoint; a file a grant type |
//! | [`pages`] | what a person sees: compiled templates, no script |
//! | [`endpoints`] | the other addresses, a file each |
//! | [`server`] | the table of routes, the function that answers, and the one that passes a request on |
//! | `edge` | the Workers runtime: the fetch event, [`host::Host`] over the bindings, the object classes |
//!
//! `tests/native/architecture.rs` holds this order. Only `edge` knows the `worker` crate, and it is compiled for
//! wasm32 alone. So everything else runs in `cargo test`, against a world in memory that can count, fail, lose or
//! repeat every operation.
//!
//! # What lives where
//!
//! | what | where |
//! |---|---|
//! | clients, settings, scopes, the roster of shards, the log of changes | [`objects::registry`]: one object, the truth |
//! | copies of clients and of settings with scopes | KV (the replica); the memory of an isolate, at most 30 s |
//! | the keys that sign, private ones sealed at the edge | one row of the registry; the memory of an isolate, at most 60 s |
//! | people, sessions, failed logins | [`objects::account_shard`]: 256 objects, fixed for life |
//! | grants, marks, revoked access tokens | [`objects::grant_shard`]: a few a region |
//! | a sign-in or consent in progress | sealed into its form, bound to a cookie of the browser; nothing is stored |
//! | master keys, the administrator's token | secrets of the Worker |
//!
//! Rows with an end lie in a table that is named after that end, and the table is dropped then. Nothing is deleted one
//! by one, but for rows that have no end ([`model::place::Table`]).
//!
//! # A code exchange, from request to row and back
//!
//! 1. `edge` reads the request once into a [`wire::Request`]; [`server::Server::respond`] finds the route in its table.
//! 2. [`grants::post`] reads the form. [`caller::Caller::authenticate`] finds the client: in memory, else in the
//!    replica, else in the registry.
//! 3. `grants/authorization_code.rs` opens the code. What this server did not seal is `invalid_grant` here. The code
//!    holds the address of the grant and a proof.
//! 4. [`host::ask`] draws an attempt id, and [`host::Host::deliver`] brings the command to the one shard the address
//!    names. A delivery that fails is repeated once under the same id.
//! 5. [`objects::turn`] gives the shard its turn: read the row and the marks that concern it, call
//!    [`model::grant::handle`], write the row if it changed. The row keeps the attempt id, so a command that arrives
//!    twice has one effect and one answer.
//! 6. The reply is [`model::grant::Issued`] or a refusal. [`issue::tokens`] seals the tokens, and writes nothing.
//! 7. `server` logs one event. A refusal that may rest on a copy is decided once more, by the truth, before it is said.
//!
//! # Rules that keep it easy to live in
//!
//! - A list is a table, and the program reads it: routes, error codes, grant types, settings, profiles, kinds of
//!   ticket. Dispatch, 405 and preflights come from the routes; grant types dispatch and fill the metadata.
//! - A grant type decides what was authorized and returns [`issue::Authorization`]. It makes no token.
//! - A value is checked where it is made, and exists only if it is valid: [`model::scope::Scope`],
//!   [`model::redirect_uri::RedirectUri`], [`context::Config`].
//! - Everything that can refuse comes before the effect. Nothing that can fail follows the write.
//! - A positive answer may come from a copy, a refusal only from the truth ([`error::Code::may_come_from_a_copy`]).
//! - A refusal is exact in the log and uniform on the wire: [`error::Error::cause`] never leaves the log.
//! - Time and chance are arguments. The clock of a grant is its shard's.
//! - An object must not panic: its caller would hang. `expect`, indexing and `panic!` are lint errors in `model`,
//!   `objects` and `edge`, and `unwrap` in all of `src`.
//!
//! `docs/decisions` says why; `docs/operating.md` says what an operator needs; `docs/specifications.md` says what is
//! built and which test proves it.

#![cfg_attr(not(test), deny(clippy::dbg_macro, clippy::print_stdout))]

pub mod list;
pub mod sorted;
pub mod waiting;

pub mod error;
pub mod json;
pub mod wire;

pub mod host;

pub mod crypto;

#[deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
pub mod model {
    //! What things are and what they do: types with their rules, pure. Nothing here waits, draws or looks at a clock.

    pub mod account;
    pub mod audit;
    pub mod authority;
    pub mod claims;
    pub mod client;
    pub mod client_document;
    pub mod gateway;
    pub mod grant;
    pub mod held;
    pub mod keyring;
    pub mod mark;
    pub mod metadata;
    pub mod openid;
    pub mod outside;
    pub mod patch;
    pub mod pkce;
    pub mod place;
    pub mod policy;
    pub mod profile;
    pub mod provider;
    pub mod redirect_uri;
    pub mod registration;
    pub mod remote;
    pub mod resource;
    pub mod response_type;
    pub mod scope;
    pub mod settings;
    pub mod throttle;
    pub mod ticket;
}

#[deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
pub mod objects;

pub mod context;

pub mod jws;

pub mod upstream;

pub mod farewell;

pub mod caller;
pub mod session;
pub mod sign_in;

pub mod issue;

pub mod grants;

pub mod pages;

pub mod endpoints;

pub mod server;

#[cfg(target_arch = "wasm32")]
#[deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod edge;
