//! Every test that needs no network: the protocol against a world in memory.

mod architecture;
mod authorize;
mod token;
mod world;
