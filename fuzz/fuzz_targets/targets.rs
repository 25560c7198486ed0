#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| edgemint_fuzz::read("targets", input));
