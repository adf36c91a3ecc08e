//! What was measured, for people and for machines.

use std::fmt::Write;

use fgc::estimate::{Bias, Quality, SIGMAS};
use serde_json::{Map, Value, json};

use super::{Measured, Row, States};
use crate::failure::printable;

/// The widest name of an estimator that has a column: a longer one has a line of its own.
const NAME: usize = 24;

/// The most layers that are listed: those that are furthest off.
const LAYERS: usize = 20;

/// `x` to three digits.
fn digits(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e4).contains(&size) => format!("{x:.2e}"),
        size if size < 10.0 => format!("{x:.3}"),
        size if size < 100.0 => format!("{x:.2}"),
        _ => format!("{x:.1}"),
    }
}

/// `n` to three digits, with a decimal prefix.
fn short(n: u64) -> String {
    const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let (mut x, mut prefix) = (n as f64, 0);
    while x >= 999.5 && prefix + 1 < PREFIXES.len() {
        x /= 1000.0;
        prefix += 1;
    }
    let decimals = if prefix == 0 || x >= 99.95 { 0 } else { 1 };
    format!("{x:.decimals$}{}", PREFIXES[prefix])
}

/// For people: at most 100 columns, as far as names allow.
pub fn text(m: &Measured) -> String {
    let mut out = format!(
        "{}, batch {} of {}: {} estimates each, ‖∇f‖ = {}, {} parameters, {} thread{}\n\n",
        m.model,
        m.batch,
        m.data.as_deref().map_or("random arrays".to_owned(), printable),
        m.samples,
        digits(m.gradient_norm),
        m.parameters,
        m.threads,
        if m.threads == 1 { "" } else { "s" }
    );
    let ranking = m.ranking();
    let names: Vec<String> = m.rows.iter().map(|row| printable(&row.candidate.spec)).collect();
    let lengths = names.iter().map(|name| name.chars().count()).filter(|n| *n <= NAME);
    let width = lengths.max().unwrap_or(0).max("estimator".len());
    let _ = writeln!(
        out,
        "   {:<width$} {:>6} {:>9} {:>7} {:>7} {:>6} {:>6} {:>6} {:>6} {:>9}",
        "estimator", "bias", "variance", "cosine", "sd", "cost", "flops", "drawn", "bytes", "var·cost"
    );
    for (rank, &k) in ranking.iter().enumerate() {
        let (row, q) = (&m.rows[k], &m.rows[k].quality);
        let name = match names[k].chars().count() <= width {
            true => format!("{:<width$}", names[k]),
            false => format!("{}\n   {:width$}", names[k], ""),
        };
        let _ = writeln!(
            out,
            "{:>2}{}{name} {:>6} {:>9} {:>7.4} {:>7.4} {:>6.2} {:>6.2} {:>6} {:>6} {:>9}",
            rank + 1,
            if q.bias_shown().is_empty() { ' ' } else { '*' },
            format!("{:.2}", q.bias.errors),
            digits(q.variance),
            q.cosine,
            q.cosine_sd,
            m.cost(row),
            m.flops(row),
            short(row.cost.drawn),
            short(row.cost.peak_bytes as u64),
            digits(m.variance_cost(row)),
        );
    }
    out.push_str(
        "\nbias: of the mean, in standard errors of a component (1 is chance); variance: over ‖∇f‖²;\n\
         cosine: with the gradient; cost and flops: of a call, in forward passes; drawn: words of 32\n\
         random bits\n",
    );
    out + &layers(m, &ranking) + &notes(m, &ranking)
}

/// The bias of layers, a column for each estimator by its rank.
fn layers(m: &Measured, ranking: &[usize]) -> String {
    let Some(first) = m.rows.first() else { return String::new() };
    let names: Vec<&str> = first.quality.layers.iter().map(|(name, _)| name.as_str()).collect();
    let worst = |layer: usize| {
        m.rows.iter().map(|row| row.quality.layers[layer].1.z).fold(f64::NEG_INFINITY, f64::max)
    };
    let mut shown: Vec<usize> = (0..names.len()).collect();
    shown.sort_by(|&a, &b| worst(b).total_cmp(&worst(a)));
    shown.truncate(LAYERS);
    shown.sort_unstable();
    let along = "along the gradient";
    let width = shown.iter().map(|&k| names[k].len()).max().unwrap_or(0).max(along.len());
    let mut out = format!(
        "\nbias, in standard deviations beyond chance; more than {SIGMAS} contradict `const unbiased = true`\n"
    );
    let mut line = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        let _ = write!(out, "{name:<width$}");
        for cell in cells {
            let _ = write!(out, " {cell:>7}");
        }
        out.push('\n');
    };
    let z = |of: fn(&Quality) -> f64| ranking.iter().map(move |&k| format!("{:.1}", of(&m.rows[k].quality)));
    line("", &mut (1..=ranking.len()).map(|rank| rank.to_string()));
    line("all components", &mut z(|q| q.bias.z));
    line(along, &mut z(|q| q.along.z));
    for &k in &shown {
        line(names[k], &mut ranking.iter().map(|&r| format!("{:.1}", m.rows[r].quality.layers[k].1.z)));
    }
    if shown.len() < names.len() {
        let _ = writeln!(out, "and {} layers that are less off", names.len() - shown.len());
    }
    out
}

/// What has to be said of bias and of states.
fn notes(m: &Measured, ranking: &[usize]) -> String {
    let of = |states: States, what: &str| {
        let rows = m.rows.iter().filter(|row| row.candidate.states == states);
        let names: Vec<String> = rows.map(|row| printable(&row.candidate.spec)).collect();
        match names.is_empty() {
            true => String::new(),
            false => format!("{}: {what}\n", names.join(", ")),
        }
    };
    let biased = ranking.iter().any(|&k| !m.rows[k].quality.bias_shown().is_empty());
    let all = [
        if biased { "* biased: its error doesn't go away by averaging\n".to_owned() } else { String::new() },
        of(States::First, "states with their first content; --steps trains them"),
        of(States::Given, "states from the file of parameters"),
        of(States::Learned, "states as training left them"),
    ];
    let all = all.concat();
    if all.is_empty() { all } else { format!("\n{all}") }
}

/// For machines. Estimators are in the order of the command line.
pub fn json(m: &Measured) -> String {
    let ranking = m.ranking();
    let rows = m.rows.iter().enumerate().map(|(k, row)| {
        let rank = ranking.iter().position(|&at| at == k).map(|rank| rank + 1);
        row_json(m, row, rank)
    });
    let report = json!({
        "model": m.model,
        "batch": m.batch,
        "data": m.data,
        "samples": m.samples,
        "seed": m.seed,
        "threads": m.threads,
        "parameters": m.parameters,
        "gradient_norm": m.gradient_norm,
        "primal": { "ms": m.primal.ms, "flops": m.primal.flops, "peak_bytes": m.primal.peak_bytes },
        "estimators": rows.collect::<Vec<Value>>(),
    });
    format!("{report:#}\n")
}

fn row_json(m: &Measured, row: &Row, rank: Option<usize>) -> Value {
    let (method, q) = (&row.candidate.method, &row.quality);
    let settings = method.settings.iter().map(|(key, text)| (key.clone(), text.as_str().into()));
    let bias = |bias: &Bias| json!({ "relative": bias.relative, "se": bias.errors, "z": bias.z });
    let layers = q.layers.iter().map(|(name, of)| (name.clone(), bias(of)));
    json!({
        "name": method.name(),
        "spec": row.candidate.spec,
        "settings": settings.collect::<Map<String, Value>>(),
        "unbiased": method.facts().unbiased,
        "bias_shown": q.bias_shown(),
        "draws_made": q.draws,
        "states": match row.candidate.states {
            States::None => Value::Null,
            States::First => "first".into(),
            States::Given => "given".into(),
            States::Learned => "learned".into(),
        },
        "bias": q.bias.relative,
        "bias_se": q.bias.errors,
        "bias_z": q.bias.z,
        "layers": layers.collect::<Map<String, Value>>(),
        "largest": {
            "component": q.largest.component,
            "se": q.largest.errors,
            "threshold": q.largest.threshold,
        },
        "along": { "mean": q.along.mean, "se": q.along.error, "z": q.along.z },
        "variance": q.variance,
        "variance_se": q.variance_error,
        "cosine": q.cosine,
        "cosine_sd": q.cosine_sd,
        "ms": row.cost.ms,
        "cost": m.cost(row),
        "flops": m.flops(row),
        "draws": row.cost.drawn,
        "peak_bytes": row.cost.peak_bytes,
        "variance_cost": m.variance_cost(row),
        "rank": rank,
    })
}
