//! The seeds of the fuzzing, replayed, and what dice make of them. The long fuzzing is `cargo fuzz` over the same
//! functions (`fuzz/README.md`).

use crate::hostile::{TARGETS, read};
use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
};

/// Bent inputs of a target, short and long.
const ROUNDS: (usize, usize) = (300, 5_000);

fn fuzz(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(path)
}

/// The seeds of a target: texts between lines of `====`, in which `\xff` is a byte (`scripts/fuzz.mjs` reads them, too).
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(fuzz(&format!("seeds/{target}.txt"))).unwrap();
    text.trim_end_matches('\n').split("\n====\n").map(unescape).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

/// Gives an input to a target. What it fails on is printed, as a seed is written.
fn feed(target: &str, input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| read(target, input)));
    if let Err(panic) = outcome {
        println!("{target} fails on this input:\n{}", input.escape_ascii());
        resume_unwind(panic);
    }
}

/// A small generator of our own: the same on every machine (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }
}

/// What is put into inputs.
#[rustfmt::skip]
const SPLINTERS: &[&[u8]] = &[
    b"", b"%", b"%00", b"%ff", b"%zz", b"&", b"=", b"+", b".", b"..", b"/", b"//", b"\"", b"'", b"<", b">", b"<b>", b";",
    b",", b" ", b"\t", b"\n", b"\r", b"\0", b"\x80", b"\xff", b"\xc3\xa9", b"_", b"-", b"-1", b"0", b"1",
    b"18446744073709551615", b"18446744073709551616", b"4294967295", b"1e999", b"null", b"true", b"[]", b"{}", b"[[[[[[",
    b"{\"a\":", b"\"__proto__\":{}", b":", b"*", b"W/", b"http://", b"https://a.test/", b"javascript:", b"localhost",
    b"127.0.0.1", b"[::1]", b"emc_a.", b"grants_never", b"\\u0000", b"\\", b"#", b"?", b"@", b"|", b"~",
];

fn bend(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bent = input.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bent.len() + 1);
        let end = (at + dice.below(4)).min(bent.len());
        match dice.below(6) {
            0 => bent.truncate(at),
            1 => {
                let part = bent[at..end].to_vec();
                bent.splice(at..at, part);
            }
            2 => {
                let from = dice.below(other.len() + 1);
                bent.splice(at..end, other[from..].iter().copied());
            }
            3 if at < bent.len() => bent[at] ^= 1 << dice.below(8),
            _ => {
                let splinter = SPLINTERS[dice.below(SPLINTERS.len())];
                bent.splice(at..end, splinter.iter().copied());
            }
        }
    }
    bent
}

#[test]
fn every_seed_and_what_dice_make_of_it_is_read_as_it_must_be() {
    let rounds = if std::env::var_os("EDGEMINT_PROVE").is_some() { ROUNDS.1 } else { ROUNDS.0 };
    let mut count = 0;
    for (number, (target, _)) in TARGETS.iter().enumerate() {
        let seeds = seeds(target);
        for seed in &seeds {
            feed(target, seed);
        }
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15 + number as u64);
        for _ in 0..rounds {
            let (one, other) = (dice.below(seeds.len()), dice.below(seeds.len()));
            feed(target, &bend(&seeds[one], &seeds[other], &mut dice));
        }
        count += seeds.len() + rounds;
    }
    println!("proof: inputs fuzzed: {count}");
}

#[test]
fn every_target_has_seeds_and_a_program_that_fuzzes_it() {
    let stems = |below: &str, ending: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz(below)).unwrap().map(|entry| entry.unwrap().path());
        let of_kind = entries.filter(|path| path.extension().is_some_and(|found| found == ending));
        of_kind.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems("seeds", "txt"), targets);
    assert_eq!(stems("fuzz_targets", "rs"), targets);
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    for name in &targets {
        assert!(seeds(name).len() >= 5, "{name} has few seeds");
        let program = fs::read_to_string(fuzz(&format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("(\"{name}\", ")), "fuzz_targets/{name}.rs fuzzes something else");
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "fuzz/Cargo.toml lacks {name}"
        );
    }
}
