//! Compile time, memory and the size of kernels as programs grow.

use std::path::Path;

use fgc_codegen::{Executable, KernelInfo, Lowered};
use fgc_ir::diag::Sources;
use fgc_ir::lang::{Options, load};
use fgc_ir::{Arrays, Graph, interpret};
use fgc_tests::numeric::{distance, random_arrays};
use fgc_transforms::eqsat::{Limits, optimise};
use fgc_transforms::{Derivatives, grad, hvp, params};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Each program that can be made longer, and the const that says how long it is.
const PROGRAMS: [(&str, &str); 7] = [
    ("lstm", "steps"),
    ("sins", "n"),
    ("fan", "n"),
    ("params", "n"),
    ("resmlp", "n"),
    ("unroll", "n"),
    ("chain", "n"),
];

fn program(name: &str, size: usize) -> Graph {
    let (_, by) = PROGRAMS.iter().find(|p| p.0 == name).expect("a program");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fg/growth/{name}.fg"));
    let mut sources = Sources::new();
    let file = sources.add(format!("{name}.fg"), std::fs::read_to_string(path).expect("a program"));
    let set = vec![((*by).to_owned(), size.to_string())];
    let options = Options { batch: Some(8), training: true, set, ..Options::default() };
    load(&mut sources, file, &options, &Derivatives).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(|e| e.render(&sources, false)).collect::<String>())
    })
}

fn kernels(g: &Graph) -> Vec<KernelInfo> {
    Lowered::new(g).kernels()
}

/// The most operations of a kernel.
fn largest(kernels: &[KernelInfo]) -> usize {
    kernels.iter().map(|k| k.values.len()).max().unwrap_or(0)
}

/// No kernel grows with its program: there are more of them.
#[test]
fn kernels_have_a_size() {
    for (name, _) in PROGRAMS {
        for mode in ["primal", "hvp"] {
            let of = |n: usize| {
                let g = program(name, n);
                if mode == "hvp" { kernels(&hvp(&g, &params(&g)).expect("a product")) } else { kernels(&g) }
            };
            let (some, more) = (of(100), of(200));
            assert!(largest(&more) <= 1024, "{name}, {mode}: {} operations in a kernel", largest(&more));
            assert!(more.len() < 3 * some.len(), "{name}, {mode}: {} and {} kernels", some.len(), more.len());
        }
    }
}

/// A loop is cut where little is live: a chain where one array passes from kernel to kernel.
#[test]
fn a_chain_is_cut_between_two_links() {
    let g = program("sins", 3000);
    let kernels = kernels(&g);
    let loops: Vec<_> = kernels.iter().filter(|k| k.values.len() > 1).collect();
    assert!(loops.len() > 20 && loops.len() < 200, "{} loops", loops.len());
    let array = 4 * 64 * 64;
    for kernel in loops {
        assert!(kernel.bytes <= 3 * array, "{}: {} bytes", kernel.name, kernel.bytes);
    }
}

/// Programs that are cut into kernels compute what they did.
#[test]
fn pieces_compute_the_whole() {
    for (name, size) in [("sins", 3000), ("fan", 150), ("unroll", 60)] {
        let model = program(name, size);
        let of_model = params(&model);
        for g in [model.clone(), grad(&model, &of_model).expect("a gradient")] {
            let inputs: Arrays = random_arrays(&g, &mut StdRng::seed_from_u64(size as u64));
            let mut compiled = Executable::compile(&g).expect("code");
            let found = compiled.run(&inputs).expect("results");
            let exact = interpret(&g, &inputs).expect("results");
            for (output, exact) in &exact {
                let apart = distance(&found[output].to_f64(), &exact.to_f64(), 1e-3);
                assert!(apart < 1e-3, "{name}: {output} is {apart:e} off");
            }
        }
    }
}

/// What this thread has computed, in seconds: other work of the machine doesn't count.
#[cfg(target_os = "linux")]
fn seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a schedule");
    let ns = text.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok());
    ns.expect("nanoseconds") / 1e9
}

/// The time of each pass that `passes` carries out, which it is told of by name when it has ended.
#[cfg(target_os = "linux")]
fn times(passes: impl Fn(&mut dyn FnMut(&'static str))) -> Vec<(&'static str, f64)> {
    let mut times = Vec::new();
    let mut start = seconds();
    passes(&mut |pass| {
        let now = seconds();
        times.push((pass, now - std::mem::replace(&mut start, now)));
    });
    times
}

/// Four times the program takes about four times as long in every pass of `passes`, and twice that for luck; what
/// grows with the square takes sixteen times as long.
#[cfg(target_os = "linux")]
fn grows_in_proportion(name: &str, size: usize, passes: impl Fn(usize, &mut dyn FnMut(&'static str))) {
    const FACTOR: f64 = 10.0;
    let least = |size: usize| {
        let (mut first, second) = (times(|done| passes(size, done)), times(|done| passes(size, done)));
        first.iter_mut().zip(second).for_each(|(a, b)| a.1 = a.1.min(b.1));
        first
    };
    for ((pass, short), (_, long)) in least(size).into_iter().zip(least(4 * size)) {
        // Below that it is the clock that is measured.
        let short = short.max(0.005);
        println!("{name}, {pass}: {short:.4} s and {long:.4} s");
        assert!(long < FACTOR * short, "{name}, {pass}: {short:.4} s, of four times as much {long:.4} s");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn passes_grow_with_the_program() {
    for (name, size) in [
        ("lstm", 40),
        ("sins", 400),
        ("fan", 60),
        ("params", 100),
        ("resmlp", 50),
        ("unroll", 60),
        ("chain", 400),
    ] {
        grows_in_proportion(name, size, |size, done| {
            let model = program(name, size);
            done("load");
            let g = hvp(&model, &params(&model)).expect("a product");
            done("hvp");
            let (g, _) = optimise(&g, &Limits::default()).expect("a program");
            done("saturation");
            drop(Lowered::new(&g));
            done("lower");
        });
    }
}

/// Long repeats and models of thousands of parameters are differentiated and lowered in proportion to their length too.
#[test]
#[cfg(target_os = "linux")]
fn passes_grow_with_long_programs() {
    for (name, size) in [("chain", 3000), ("params", 2000)] {
        grows_in_proportion(name, size, |size, done| {
            let model = program(name, size);
            done("load");
            let g = grad(&model, &params(&model)).expect("a gradient");
            done("grad");
            drop(Lowered::new(&g));
            done("lower");
        });
    }
}
