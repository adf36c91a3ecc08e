//! Whether rules are sound: each by itself, on arrays with special values.

use std::collections::BTreeSet;

use fgc_ir::ops::{Binary, Op};
use fgc_ir::{Arrays, DType, Graph, Limits, OpRules, Tensor, interpret_within};
use fgc_tests::generate;
use fgc_tests::numeric::graph_to_f64;
use fgc_transforms::eqsat::{AFTER, BEFORE, Equality, Rule, table, uses};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::instances::{INSTANCES, STRONG};
use super::program;

/// Values at which floating-point arithmetic is special, the finite ones first.
const SPECIAL: [f64; 12] =
    [0.0, -0.0, 1.0, -1.0, 2.0, 1e-40, -3e-39, 1e30, -1e30, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];

/// How many of [`SPECIAL`] are of moderate size, and how many are finite.
const MODERATE: usize = 5;
const FINITE: usize = 9;

/// Arrays for what `g` binds: random numbers, one of the first `special` of the special values among three.
fn arrays(g: &Graph, special: usize, rng: &mut StdRng) -> Arrays {
    let mut element = |dtype: DType| match dtype {
        DType::F32 | DType::F64 if rng.random_range(0..3) == 0 => SPECIAL[rng.random_range(0..special)],
        DType::F32 | DType::F64 => rng.random_range(-2.0..2.0),
        DType::I32 => rng.random_range(-2..6) as f64,
        DType::U32 => rng.random_range(0..9) as f64,
        DType::Bool => rng.random_range(0..2) as f64,
    };
    let array = |ty: &fgc_ir::Type, element: &mut dyn FnMut(DType) -> f64| {
        Tensor::generate(ty, |_| element(ty.dtype))
    };
    g.bindings().map(|(v, name, _)| (name.to_owned(), array(g.ty(v), &mut element))).collect()
}

/// The first element at which the two outputs of `g` differ by more than `tolerance` of the largest finite one.
/// Where the left side isn't finite there is nothing to compare unless `everywhere`.
fn differ(g: &Graph, arrays: &Arrays, tolerance: f64, everywhere: bool) -> Option<String> {
    let limits = Limits { bytes: 1 << 26, flops: 1 << 26 };
    let results = interpret_within(g, arrays, limits).ok()?;
    let [before, after] = [BEFORE, AFTER].map(|name| results[name].to_f64());
    let scale = before.iter().filter(|x| x.is_finite()).fold(1e-30, |m: f64, x| m.max(x.abs()));
    let wrong = |(x, y): (&f64, &f64)| {
        let same = x == y || x.is_nan() && y.is_nan();
        let close = (x - y).abs() <= tolerance * scale;
        !same && !close && (everywhere || x.is_finite())
    };
    let at = before.iter().zip(&after).position(|(x, y)| wrong((x, y)))?;
    Some(format!("element {at} is {} instead of {}", after[at], before[at]))
}

/// Checks what `rule` says of `g`, as it says that its sides are equal; and how often it says something.
fn check(g: &Graph, rule: &Rule, rng: &mut StdRng) -> Result<usize, String> {
    // In double precision rounding is far from what is wrong.
    let double = if rule.equality == Equality::Rounding { Some(graph_to_f64(g)?) } else { None };
    let found = uses(double.as_ref().unwrap_or(g), rule).map_err(|e| format!("{}: {e}", rule.name))?;
    for both in &found {
        fgc_ir::verify(both).map_err(|e| format!("{}: {e:?}", rule.name))?;
        for _ in 0..6 {
            let wrong = match rule.equality {
                Equality::Exact => differ(both, &arrays(both, SPECIAL.len(), rng), 0.0, true),
                Equality::Finite => differ(both, &arrays(both, FINITE, rng), 0.0, false),
                Equality::Rounding => differ(both, &arrays(both, MODERATE, rng), 1e-9, false),
            };
            if let Some(wrong) = wrong {
                return Err(format!("{}: {wrong} in\n{both}", rule.name));
            }
        }
    }
    Ok(found.len())
}

fn assert_none(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn each_rule_is_sound_by_itself() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut failures = Vec::new();
    for rule in table() {
        let instances: Vec<_> = INSTANCES.iter().filter(|(name, ..)| *name == rule.name).collect();
        if instances.is_empty() {
            failures.push(format!("{} has no instance", rule.name));
        }
        for (_, inputs, body) in instances {
            match check(&program(inputs, body), rule, &mut rng) {
                Ok(0) => failures.push(format!("{} doesn't apply to {body}", rule.name)),
                Ok(_) => {}
                Err(e) => failures.push(e),
            }
        }
    }
    assert_none(failures);
}

/// What a slope may be, and a tangent.
const SLOPES: [f64; 9] = [0.0, 1.0, -1.0, 2.0, 0.5, -3.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];

/// In a rule of strong products a number stays the same number, whatever is infinite or NaN within.
#[test]
fn rules_of_strong_products_keep_numbers() {
    let mut rng = StdRng::seed_from_u64(10);
    let mut failures = Vec::new();
    for rule in table().filter(|rule| rule.holds_strongly()) {
        let instances: Vec<_> = STRONG.iter().filter(|(name, ..)| *name == rule.name).collect();
        if instances.is_empty() {
            failures.push(format!("{} has no instance with strong products", rule.name));
        }
        for (_, inputs, body) in instances {
            let g = graph_to_f64(&program(inputs, body)).unwrap();
            let found = uses(&g, rule).unwrap();
            if found.is_empty() {
                failures.push(format!("{} doesn't apply to {body}", rule.name));
            }
            for both in &found {
                let product = |v: fgc_ir::Value| {
                    let name = both.node(v).op.name();
                    // What is there already stays in the graph.
                    v.index() >= g.len() && (name == "mul" || name == "div")
                };
                if both.values().any(product) {
                    failures.push(format!("{} writes a product that isn't strong:\n{both}", rule.name));
                }
                for _ in 0..300 {
                    let mut drawn = arrays(both, MODERATE, &mut rng);
                    for x in drawn.values_mut().filter(|x| x.dtype().is_float()) {
                        *x = Tensor::generate(&x.ty(), |_| SLOPES[rng.random_range(0..SLOPES.len())]);
                    }
                    if let Some(wrong) = differ(both, &drawn, 1e-9, false) {
                        failures.push(format!("{}: {wrong} in\n{both}{drawn:?}", rule.name));
                        break;
                    }
                }
            }
        }
    }
    assert_none(failures);
}

#[test]
fn rules_have_names_and_say_what_they_do() {
    let names: Vec<&str> = table().map(|rule| rule.name).collect();
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), distinct.len());
    for (name, ..) in INSTANCES {
        assert!(distinct.contains(name), "there is no rule {name}");
    }
    for rule in table() {
        assert!(rule.about.ends_with('.') && rule.about.len() > 9, "{}", rule.name);
        assert!(
            Op::samples().iter().any(|s| (rule.root)(&s.op)) || rule.name == "stop-gradient",
            "{}",
            rule.name
        );
    }
}

#[test]
fn rules_are_sound_in_random_graphs() {
    let mut rng = StdRng::seed_from_u64(8);
    let mut failures = Vec::new();
    let mut checked = 0;
    for seed in 0..250 {
        let g = generate::graph(seed);
        for rule in table() {
            match check(&g, rule, &mut rng) {
                Ok(n) => checked += n,
                Err(e) => failures.push(format!("seed {seed}: {e}")),
            }
        }
    }
    assert_none(failures);
    assert!(checked > 200, "only {checked} uses of rules");
}

/// x + y = x · y, which holds of 2 and 2.
const UNSOUND: Rule = Rule {
    name: "unsound",
    about: "A sum is a product.",
    equality: Equality::Rounding,
    root: |op| *op == Op::Binary(Binary::Add),
    rewrite: |_, n, r| r.offer(|r| r.mul(n.args[0], n.args[1])),
};

#[test]
fn an_unsound_rule_is_caught() {
    let mut rng = StdRng::seed_from_u64(9);
    let error = check(&program("x: f32[9], z: f32[9]", "y = x + z"), &UNSOUND, &mut rng).unwrap_err();
    assert!(error.starts_with("unsound: element"), "{error}");
    // One that isn't sound where it says so, though it is elsewhere.
    let mul_zero = table().find(|rule| rule.name == "mul-zero").unwrap();
    let exact = Rule { equality: Equality::Exact, ..*mul_zero };
    let error = check(&program("x: f32[9]", "y = x * 0"), &exact, &mut rng).unwrap_err();
    assert!(error.starts_with("mul-zero: element"), "{error}");
}
