//! Fuzzing at length: `fuzz parser|graphs COUNT [--seed N]`. Exits with 1 if anything fails.

use std::process::ExitCode;
use std::time::Duration;

use fgc_tests::watch::{Plan, run};
use fgc_tests::{fuzz, generate, soup};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (kind, count, seed) = match args[..] {
        [kind, count] => (kind, count.parse(), Ok(0)),
        [kind, count, "--seed", seed] => (kind, count.parse(), seed.parse()),
        _ => return usage(),
    };
    let (Ok(count), Ok(seed)) = (count, seed) else { return usage() };
    let plan = Plan { count, seed, threads: 2, limit: Duration::from_secs(2), verbose: true };
    let report = match kind {
        "parser" => run(plan, fuzz::parser),
        "graphs" => run(plan, fuzz::graph),
        // Shows what a seed stands for.
        "text" => {
            println!("{}", soup::text(seed));
            return ExitCode::SUCCESS;
        }
        "graph" => {
            println!("{}", generate::graph(seed));
            return ExitCode::SUCCESS;
        }
        _ => return usage(),
    };
    let (cases, time) = (report.cases(), report.time.as_secs_f64());
    println!("{kind}: {cases} cases in {time:.1} s, {:.0} a second, from seed {seed}", cases as f64 / time);
    for (outcome, count) in &report.outcomes {
        println!("  {outcome}: {count}");
    }
    println!("  slowest: {:?} (seed {})", report.slowest.1, report.slowest.0);
    println!("  failures: {}", report.failures.len());
    for (seed, e) in report.failures.iter().take(20) {
        println!("seed {seed}: {e}");
    }
    if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    eprintln!("usage: fuzz parser|graphs COUNT [--seed N]\n       fuzz text|graph 1 --seed N");
    ExitCode::from(2)
}
