//! Edgemint.

#![cfg_attr(not(test), deny(clippy::dbg_macro, clippy::print_stdout))]

pub mod error;
pub mod wire;

pub mod host;

pub mod crypto;

#[deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
pub mod model {
    //! What things are and what they do: types with their rules, pure. Nothing here waits, draws or looks at a clock.

    pub mod account;
    pub mod client;
    pub mod grant;
    pub mod mark;
    pub mod patch;
    pub mod pkce;
    pub mod place;
    pub mod policy;
    pub mod profile;
    pub mod redirect_uri;
    pub mod scope;
    pub mod ticket;
}

#[deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
pub mod objects;

pub mod context;

pub mod caller;
pub mod session;

pub mod issue;

pub mod grants;

pub mod endpoints;
pub mod pages;

pub mod server;

#[cfg(target_arch = "wasm32")]
#[deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod edge;
