//! The suite's tests of compiled code, on each micro-kernel.
//!
//! The instruction set is one for a process, so the suite runs itself.

use std::process::{Command, Output};

/// Modules whose tests run compiled code: against the interpreter, against JAX, at edges, at extreme numbers, and against
/// double precision.
const COMPILED: [&str; 6] = ["jit::", "linalg::", "oracle::", "edges::", "samples::", "sums::"];

fn suite(isa: &str, modules: &[&str]) -> Output {
    let suite = std::env::current_exe().expect("the suite is a file");
    Command::new(suite).args(modules).env("FGC_ISA", isa).output().expect("the suite runs")
}

/// Every set that isn't the one that the other tests have been on.
#[test]
fn every_instruction_set_computes_the_same() {
    let narrower: &[&str] = match std::env::var("FGC_ISA") {
        Ok(_) => return,
        Err(_) if cfg!(target_arch = "x86_64") => &["avx2", "portable"],
        Err(_) => &[],
    };
    for isa in narrower {
        let output = suite(isa, &COMPILED);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let lacking = format!("this CPU doesn't have `{isa}`");
        assert!(!out.contains("running 0 tests"), "{out}");
        assert!(output.status.success() || out.contains(&lacking), "{isa}: {out}{err}");
    }
}

#[test]
fn an_unknown_instruction_set_is_an_error() {
    let output = suite("mmx", &["jit::every_operation_compiles_to_its_meaning"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let message = "FGC_ISA: there is no instruction set `mmx`, only `portable`, `avx2`, `avx512`";
    assert!(!output.status.success() && text.contains(message), "{text}");
}
