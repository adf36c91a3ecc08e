//! A short form of fuzzing, and inputs that are deep or huge.

use std::time::{Duration, Instant};

use fgc_ir::lang::Options;
use fgc_tests::fuzz;
use fgc_tests::soup::load;
use fgc_tests::watch::{Plan, Report, run};

/// The variable that has the seed of the first case, to repeat what another run has found.
const SEED: &str = "FGC_FUZZ_SEED";

/// A seed that is another one in each run, and is printed with the tests that it is for.
pub(crate) fn seed(tests: &str) -> u64 {
    let seed = match std::env::var(SEED) {
        Ok(text) => text.parse().unwrap_or_else(|e| panic!("{SEED}={text}: {e}")),
        Err(_) => rand::random::<u32>().into(),
    };
    println!("to repeat this: {SEED}={seed} cargo test --workspace --test suite {tests}");
    seed
}

/// Cases from a seed that is another one in each run.
fn plan(count: u64) -> Plan {
    Plan { count, seed: seed("fuzz::"), threads: 2, limit: Duration::from_secs(20), verbose: false }
}

fn assert_sound(report: &Report) {
    let shown: Vec<String> =
        report.failures.iter().take(5).map(|(seed, e)| format!("seed {seed}: {e}")).collect();
    assert!(shown.is_empty(), "{} failures:\n{}", report.failures.len(), shown.join("\n"));
}

#[test]
fn random_texts() {
    let report = run(plan(2000), fuzz::parser);
    assert_sound(&report);
    // Neither kind of input is missing.
    assert!(report.outcomes["accepted"] > 20 && report.outcomes["refused"] > 1000, "{:?}", report.outcomes);
}

#[test]
fn random_graphs() {
    let report = run(plan(300), fuzz::graph);
    assert_sound(&report);
    assert!(report.outcomes["agree"] > 200, "{:?}", report.outcomes);
}

/// Each of these is refused with an error, soon.
#[test]
fn deep_and_huge_inputs_are_refused() {
    let deep = 100_000;
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(deep), close.repeat(deep));
    let model = |body: &str| format!("model m(x: f32[batch, 4]) {{\n{body}\n}}");
    let cases = [
        ("parentheses", model(&format!("y = {}", nested("(", ")")))),
        ("lists", model(&format!("y = {}", nested("[", "]")))),
        ("calls", model(&format!("y = {}", nested("exp(", ")")))),
        ("negations", model(&format!("y = {}x", "-".repeat(deep)))),
        ("nots", model(&format!("if {} true {{ y = x }}", "not ".repeat(deep)))),
        ("powers", model(&format!("y = {}2", "2 ** ".repeat(deep)))),
        ("indices", model(&format!("y = {}", nested("x[", "]")))),
        ("blocks", model(&format!("{}{}", "repeat 1 {\n".repeat(deep), "}\n".repeat(deep)))),
        ("ifs", model(&format!("{}{}", "if true {\n".repeat(deep), "}\n".repeat(deep)))),
        ("open parentheses", "(".repeat(deep)),
        ("open braces", format!("model m() {}", "{".repeat(deep))),
        ("a huge input", "model m(x: f32[2000000000, 2000000000]) { output y = x }".to_owned()),
        (
            "huge empty dimensions",
            "model m(x: f32[2000000000, 2000000000, 0]) { output y = sum(x) }".to_owned(),
        ),
        ("a dimension too large", "model m(x: f32[99999999999999]) { output y = x }".to_owned()),
        ("a repetition too long", model("h = x\nrepeat 1000000000 { h = h + 1 }\noutput y = h")),
        (
            "repetitions in repetitions",
            model("h = x\nrepeat 90000 { repeat 90000 { h = h + 1 } }\noutput y = h"),
        ),
        ("nothing, often", model("repeat 90000 { repeat 90000 { repeat 90000 { } } }\noutput y = x")),
        ("recursion", format!("fn f(x) {{ f(x) }}\n{}", model("output y = f(x)"))),
        (
            "mutual recursion",
            format!("fn f(x) {{ g(x) }}\nfn g(x) {{ f(x) + f(x) }}\n{}", model("output y = f(x)")),
        ),
        ("many calls", {
            let fns: String =
                (1..60).map(|k| format!("fn f{k}(x) {{ f{}(x) + f{}(x) }}\n", k - 1, k - 1)).collect();
            format!("fn f0(x) {{ x + 1 }}\n{fns}{}", model("output y = f59(x)"))
        }),
        ("a long list", model(&format!("s = [{}]\noutput y = reshape(x, s)", "1, ".repeat(1_000_000)))),
        ("a huge broadcast", model("output y = broadcast(x, [2000000000, 2000000000])")),
        ("a huge pad", model("output y = pad(x, [[2000000000, 2000000000], [2000000000, 2000000000]])")),
        ("a huge power", model("const_ = 10 ** 1000\noutput y = x[:, 0:const_]")),
        ("integer overflow", model("n = 9223372036854775807 + 1\noutput y = x")),
        ("a long name", model(&format!("output y = {}", "a".repeat(1_000_000)))),
        (
            "a core graph of a huge type",
            "graph g {\n%x = input[\"x\"] : f32[2147483647, 2147483647]\noutput y = %x\n}".to_owned(),
        ),
        (
            "a core graph of many dimensions",
            format!("graph g {{\n%x = input[\"x\"] : f32[{}0]\n}}", "2147483647, ".repeat(100)),
        ),
        ("nested attributes", format!("graph g {{\n%x = const[{}] : f32[]\n}}", nested("[", "]"))),
        ("marks", format!("graph g {{\n%x = neg %x{} : f32[]\n}}", "'".repeat(1_000_000))),
    ];
    for (what, text) in cases {
        let start = Instant::now();
        let shown = load(&text, &Options { batch: Some(2), ..Options::default() }).err();
        assert!(shown.is_some_and(|e| e.contains("error")), "{what}: accepted");
        assert!(start.elapsed() < Duration::from_secs(20), "{what} took {:?}", start.elapsed());
    }
}

/// What is long but within the limits works, what is nested too deep is refused with advice, and either in time that grows
/// with the length.
#[test]
fn long_inputs_are_accepted_and_deep_ones_refused() {
    let repeat = "model m(x: f32[4]) { h = x\nrepeat 30000 { h = h * x }\noutput y = h }".to_owned();
    let sum = format!("model m(x: f32[4]) {{ y = {}x\noutput y }}", "x + ".repeat(20_000));
    let statements = format!("model m(x: f32[4]) {{ h = x\n{}output y = h }}", "h = h * x\n".repeat(20_000));
    let cases = [
        ("a chain of one name", repeat, Ok(30_001)),
        ("a long sum", sum, Err("assign a part of it to a variable")),
        ("many statements", statements, Ok(20_001)),
    ];
    for (what, text, expected) in cases {
        let start = Instant::now();
        match (load(&text, &Options::default()), expected) {
            (Ok(graph), Ok(values)) => assert_eq!(graph.len(), values, "{what}"),
            (Err(e), Err(advice)) => assert!(e.contains(advice) && e.len() < 100_000, "{what}: {e}"),
            (Ok(_), Err(_)) => panic!("{what}: accepted"),
            (Err(e), Ok(_)) => panic!("{what}: {e}"),
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{what} took {:?}", start.elapsed());
    }
}
