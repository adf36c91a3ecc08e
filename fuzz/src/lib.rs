//! Nothing: the targets are in `fgc-tests`, what runs them under libFuzzer in `fuzz_targets`.
