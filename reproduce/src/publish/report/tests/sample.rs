//! A report made up for tests, with everything that a report may have.

use fgc_plot::sample::{costs, training, trajectories, variance};

use crate::analyse::{Case, Claim, Evidence, Found, Report, Section, Table};
use crate::spec::Source;

/// A report with everything that a report may have.
pub fn report() -> Report {
    let pairs =
        |all: &[(&str, &str)]| all.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>();
    let case = |place: &str, measured: &str, short: &str, holds| Case {
        place: place.into(),
        measured: measured.into(),
        short: short.into(),
        holds,
    };
    let claim = |number, place: &str, text: &str, experiment: &str, rule: &str, cases| Claim {
        source: if number < 3 { "paper" } else { "baydin" }.into(),
        number: Some(number),
        place: place.into(),
        text: text.into(),
        note: "Read in one way & not the other.".into(),
        experiment: experiment.into(),
        evidence: vec![Evidence { experiment: experiment.into(), rule: rule.into(), most: false, cases }],
    };
    let claims = vec![
        claim(
            1,
            "§4.1",
            "The forward gradient learns, slower than backpropagation at the same rate.",
            "fig2",
            "test accuracy of `forward` is less than that of `backpropagation` in the end",
            vec![
                case("2e-5", "0.311 against 0.731", "0.311 vs 0.731", Some(true)),
                case("2e-4", "0.701 against 0.893", "0.701 vs 0.893", Some(true)),
                case("2e-3", "diverges at step 39 against 0.948", "✕ vs 0.948", Some(true)),
            ],
        ),
        claim(
            2,
            "§4.1",
            "At high rates the forward gradient is unstable.",
            "fig2",
            "every run diverges",
            vec![
                case("2e-4", "none of 3 runs", "✕ 0 of 3", Some(false)),
                case("2e-3", "diverges at steps 35 to 39", "✕ 3 of 3", Some(true)),
            ],
        ),
        claim(
            3,
            "§5",
            "A forward-gradient step takes less time than one of backpropagation.",
            "costs",
            "the time of a step over that of backpropagation is at most 1",
            vec![case("", "1.3", "1.3", Some(false))],
        ),
        claim(
            4,
            "§5",
            "No difference in memory.",
            "costs",
            "the ratio is about 1",
            vec![case("", "not measured", "–", None)],
        ),
    ];
    let source = |name: &str, title: &str, about: &str| Source {
        name: name.into(),
        title: title.into(),
        about: about.into(),
    };
    let table = Table {
        title: "Test accuracy after 10 epochs".into(),
        columns: ["rate", "backpropagation", "forward gradient"].map(String::from).into(),
        rows: vec![
            ["2×10⁻⁵", "0.7312 ± 0.0021", "0.3105 ± 0.0150"].map(String::from).into(),
            ["2×10⁻⁴", "0.8925 ± 0.0012", "0.7011 ± 0.0083"].map(String::from).into(),
            ["2×10⁻³", "0.9481 ± 0.0009", "diverged"].map(String::from).into(),
        ],
    };
    let training_section = Section {
        name: "fig2".into(),
        title: "Forward gradient and backpropagation at three rates".into(),
        about: "The MLP 784-512-512-10 is trained on MNIST by `sgd`.\n\nRates are those of the paper & \
                <nothing> else."
            .into(),
        settings: pairs(&[("model", "models/mlp.fg"), ("batch", "64"), ("epochs", "10"), ("seeds", "0–2")]),
        figures: vec![training()],
        tables: vec![table],
        missing: Vec::new(),
        notes: vec!["\"Time\" isn't drawn.".into()],
        claims: Vec::new(),
    };
    let other = Section {
        name: "costs".into(),
        title: "What it costs".into(),
        about: "Steps are timed on one thread.".into(),
        settings: pairs(&[("widths", "256, 512, 1024, 2048, 4096")]),
        figures: vec![costs(), trajectories(), variance()],
        tables: vec![],
        missing: Vec::new(),
        notes: vec!["\"Time\" isn't drawn.".into()],
        claims: Vec::new(),
    };
    Report {
        title: "Forward gradients, measured again".into(),
        found: vec![
            Found { text: "Of the 2 claims of the paper, 1 holds.".into(), claims: vec![] },
            Found {
                text: "The forward gradient learns, and is unstable.".into(),
                claims: vec![("paper".into(), 1), ("paper".into(), 2)],
            },
        ],
        sources: vec![
            source("paper", "Forward Gradients Are Not All You Need", "Daprato, Jain, Hung."),
            source("baydin", "Baydin et al. 2022", ""),
        ],
        claims,
        sections: vec![training_section, other],
        environment: pairs(&[
            ("fgc", "0.1.0"),
            ("CPU", "one of two cores"),
            ("threads", "2"),
            ("runs", "2026-11-23"),
        ]),
        open: pairs(&[("batch size", "64"), ("initialiser", "He normal, as in `prelude.fg`")]),
    }
}
