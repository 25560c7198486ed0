//! The Worker, linked: nothing is here but the library. Cargo optimizes across crates when it links one that is nothing else
//! than a `cdylib`, and the tests need a library that is not.

use edgemint as _;
