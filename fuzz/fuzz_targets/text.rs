//! The target `text`, under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fgc_tests::targets::run("text", input));
