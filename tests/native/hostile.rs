//! What comes from outside, as bytes: for every parser a function that reads them, and asserts what must hold whatever
//! they are. `cargo fuzz` calls these with inputs that it invents (`fuzz/`), `cargo test` with the seeds, and with what
//! dice make of them (`seeds.rs`).

mod answers;
mod bodies;
mod messages;
mod parsers;
mod prepared;
mod records;
mod registrations;
mod requests;
mod resources;

/// Reads one input. Panics where something does not hold.
pub type Target = fn(&[u8]);

/// Every target. Each has seeds in `fuzz/seeds` and a program in `fuzz/fuzz_targets`.
#[rustfmt::skip]
pub const TARGETS: &[(&str, Target)] = &[
    ("admin_bodies",     bodies::admin_bodies),
    ("client_documents", registrations::client_documents),
    ("client_metadata",  records::client_metadata),
    ("cookies",          parsers::cookies),
    ("credentials",      parsers::credentials),
    ("forms",            parsers::forms),
    ("listings",         bodies::listings),
    ("merge_patches",    records::merge_patches),
    ("messages",         messages::messages),
    ("pkce",             parsers::pkce),
    ("places",           parsers::places),
    ("redirect_uris",    parsers::redirect_uris),
    ("registrations",    registrations::registrations),
    ("requests",         requests::requests),
    ("resources",        resources::resources),
    ("scopes",           parsers::scopes),
    ("targets",          resources::targets),
    ("tickets",          parsers::tickets),
];

/// Gives an input to the target of that name.
pub fn read(name: &str, input: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of the table");
    target(input);
}

/// The first line, and what stands behind it.
fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[]),
    }
}

/// The input as text. What is no UTF-8 never becomes a `&str` in the server either.
fn lossy(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

/// The item of a list that an input names; any other input means one of them, too.
fn choose<'a, T>(list: &'a [T], input: &[u8], name: impl Fn(&T) -> String) -> &'a T {
    let named = list.iter().find(|item| name(item).as_bytes() == input);
    let sum = input.iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    named.unwrap_or(&list[sum % list.len()])
}
