//! The targets, as the project's own tests have them: with the world in memory, without libFuzzer.

#[allow(dead_code)] // Tests use more of the world than inputs meet.
#[path = "../../tests/native"]
mod native {
    pub mod hostile;
    pub mod world;
}

pub use native::hostile::{TARGETS, read};
use native::world;
