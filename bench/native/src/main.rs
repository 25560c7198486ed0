//! What the benchmark asks of Edgemint's own code outside the runtime.
//!
//! | command | |
//! |---|---|
//! | `rows <issuer> <shard> <count> <samples> <ago>` | rows of live grants, each made by a shard's own turns, as lines of JSON |
//! | `operations <issuer>` | answers requests, a line of JSON each, and counts what each asks of the port to the world |
//!
//! It is no part of the Worker, and nothing in the Worker leads to it.

mod operations;
mod rows;
mod world;

use std::process::ExitCode;

/// What went wrong, in a sentence.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["rows", issuer, shard, count, samples, ago] => rows::write(issuer, shard, [count, samples, ago]),
        ["operations", issuer] => operations::answer(issuer),
        _ => Err("see the top of bench/native/src/main.rs".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
