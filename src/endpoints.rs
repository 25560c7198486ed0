//! What answers at an address, but for the token endpoint, which is `grants`.

pub mod account;
pub mod admin;
pub mod authorization_request;
pub mod authorize;
pub mod check;
pub mod choose;
pub mod client_document;
pub mod compat;
pub mod connections;
pub mod consent;
pub mod console;
pub mod development;
pub mod external;
pub mod foreign;
pub mod gateway;
pub mod healthz;
pub mod interaction;
pub mod introspect;
pub mod jwks;
pub mod login;
pub mod logout;
pub mod metadata;
pub mod register;
pub mod revoke;
mod sector;
pub mod userinfo;
