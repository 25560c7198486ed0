//! Every test that needs no network: the protocol against a world in memory.

#![allow(clippy::unwrap_used)] // A test that unwraps is a test that fails.

mod account;
mod admin;
mod architecture;
mod attacks;
mod authorize;
mod check;
mod compat;
mod connections;
mod consents;
mod console;
mod documents;
mod external;
mod external_servers;
mod gateway;
mod hostile;
mod http;
mod jwt;
mod keys;
mod leaks;
mod limits;
mod logins;
mod logout;
mod messages;
mod model;
mod openid;
mod orders;
mod registration;
mod replica;
mod resources;
mod restrictions;
mod revoke;
mod seeds;
mod sessions;
mod storage;
mod token;
mod verifying;
mod world;
