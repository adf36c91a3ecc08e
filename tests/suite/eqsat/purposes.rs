//! What rules are for that find nothing in the models and modes that `docs/levels.md` counts: programs that users write, in
//! `purposes.fg`, in each of which some of them find something.

use std::collections::BTreeSet;
use std::path::Path;

use fgc::Model;
use fgc_ir::lang::Options;
use fgc_transforms::eqsat::{self, optimise, table};

/// What is made of a program.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Primal,
    Jvp,
    Grad,
}

use Mode::{Grad, Jvp, Primal};

/// Rules, and the program that they are for.
const PURPOSES: &[(&[&str], Mode, &str)] = &[
    (&["sub-zero", "zero-sub", "div-one", "mul-minus-one", "mul-zero"], Primal, "knobs"),
    (&["add-constants"], Primal, "epsilons"),
    (&["concat-one"], Primal, "rotated"),
    (&["pad-nothing", "pad-pad", "slice-pad"], Primal, "in_time"),
    (&["concat-concat", "slice-map", "slice-slice"], Grad, "dense_block"),
    (&["concat-slices"], Primal, "heads"),
    (&["add-pads", "add-pad-join", "strong-zero"], Grad, "lstm"),
    (&["dot-neg", "dot-units"], Grad, "regression"),
    (&["conv-neg"], Grad, "denoised"),
    (&["window-neg"], Primal, "local_entropy"),
    (&["dot-dot"], Primal, "rank_one"),
    (&["conv-broadcast"], Primal, "one_filter"),
    (&["mul-signs"], Primal, "signs"),
    (&["dot-factor"], Primal, "siamese"),
    (&["conv-factor"], Primal, "siamese_images"),
    (&["dot-slice"], Primal, "differences"),
    (&["dot-scaled"], Primal, "scores"),
    (&["transpose-dot"], Primal, "columns"),
    (&["dot-broadcast", "slice-broadcast"], Primal, "positions"),
    (&["transpose-broadcast"], Primal, "positions_first"),
    (&["reshape-broadcast"], Primal, "queries"),
    (&["dot-repeated"], Primal, "shared"),
    (&["conv-zero"], Primal, "recurrent"),
    (&["conv-transpose", "transpose-conv"], Primal, "channels_first"),
    (&["unit-dims"], Primal, "grey"),
    (&["conv-pad"], Primal, "one_sided"),
    (&["conv-reverse"], Primal, "filtered"),
    (&["conv-scaled"], Primal, "gain"),
    (&["window-scaled"], Primal, "thumbnails"),
    (&["window-gather-scaled"], Jvp, "scaled_pool"),
    (&["one-hot-dot", "one-hot-sum", "log-softmax", "mul-mask", "fold-fold"], Grad, "symbols"),
    (&["scale-scatter"], Grad, "scaled_table"),
    (&["gather-unary"], Primal, "bounded_table"),
    (&["logistic", "log-logistic", "silu", "exp-exp", "log-exp"], Primal, "formulas"),
    (&["root-root"], Primal, "deviations"),
    (&["relu-maximum", "max-monotone"], Primal, "margins"),
    (&["not-not", "select-not"], Primal, "masked_scores"),
    (&["select-select"], Primal, "masked_twice"),
    (&["logic-constant"], Primal, "masked_by_both"),
    (&["compare-choice"], Primal, "masked_by_slopes"),
    (&["cast-cast"], Primal, "masked_by_numbers"),
    (&["idempotent"], Primal, "blocks"),
    (&["factor-one"], Primal, "average"),
    (&["reverse-reverse"], Primal, "backwards"),
    (&["fold-reshape", "fold-transpose", "sum-constant"], Primal, "moments"),
    (&["sum-as-dot"], Primal, "outer"),
    (&["div-broadcast", "div-scaled"], Primal, "normalised"),
];

#[test]
fn rules_find_what_they_are_for() {
    let mut missing = Vec::new();
    for (rules, mode, name) in PURPOSES {
        let options = Options { model: Some((*name).to_owned()), ..Options::default() };
        let model = Model::parse(include_str!("purposes.fg"), &options).unwrap_or_else(|e| panic!("{e}"));
        let model = match mode {
            Primal => model,
            Jvp => model.jvp().unwrap(),
            Grad => model.grad().unwrap(),
        };
        let (_, report) = optimise(model.graph(), &eqsat::Limits::default()).unwrap();
        let found = |rule: &&&str| report.rules.iter().any(|(name, n)| name == *rule && *n > 0);
        let none = rules.iter().filter(|rule| !found(rule));
        missing.extend(none.map(|rule| format!("{rule} finds nothing in `{name}`")));
        let (before, after) = (report.cost_before, report.cost_after);
        if after >= before {
            missing.push(format!("`{name}` costs {after}, and {before} as it is written"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Each rule finds something in the models that there are, by the table of `docs/levels.md`, or has a program here.
#[test]
fn every_rule_is_for_something() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/levels.md");
    let levels = std::fs::read_to_string(path).unwrap();
    let counted = levels.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let counted: BTreeSet<&str> = counted.map(|(name, _)| name).collect();
    let here: BTreeSet<&str> = PURPOSES.iter().flat_map(|(rules, ..)| *rules).copied().collect();
    let rules: BTreeSet<&str> = table().map(|rule| rule.name).collect();
    let named: BTreeSet<&str> = counted.union(&here).copied().collect();
    assert_eq!(named, rules, "rules that are counted or have a program, and those that there are");
    let twice: Vec<_> = counted.intersection(&here).collect();
    assert!(twice.is_empty(), "{twice:?} find something in the models: no program is needed");
}
