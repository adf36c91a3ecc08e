//! Models and single operations against JAX; `tests/oracle/README.md` describes the fixtures.

use std::fs;
use std::path::{Path, PathBuf};

use fgc_codegen::Executable;
use fgc_ir::arrays::{self, ArrayFile};
use fgc_ir::bind::Arrays;
use fgc_ir::diag::Sources;
use fgc_ir::lang::{self, Options};
use fgc_ir::{DType, Graph, Tensor, interpret};
use fgc_transforms::{Derivatives, grad, hvp, jvp, params};

/// A precision and how far results may be from those that JAX has in the same one.
struct Precision {
    float: DType,
    first_order: f64,
    second_order: f64,
}

const PRECISIONS: [Precision; 2] = [
    Precision { float: DType::F32, first_order: 1e-5, second_order: 1e-4 },
    Precision { float: DType::F64, first_order: 1e-12, second_order: 1e-12 },
];

/// A derivative whose values in double precision are below this part of the largest of its kind
/// is zero but for rounding, as that by a bias in front of a normalisation is. It has no scale
/// of its own.
const ZERO: f64 = 1e-10;

/// Runs a graph on arrays.
type Backend<'a> = &'a dyn Fn(&Arrays) -> Result<Arrays, String>;

/// What compiled runs are called.
const COMPILED: &str = "compiled";

/// How many times as far compiled code may be from JAX as the interpreter: it sums in single
/// precision, and derivatives behind a normalisation over three samples lose digits.
const COMPILED_SLACK: f64 = 2.0;

/// What has been compared, and what was wrong: how many times the tolerance, and where.
#[derive(Default)]
struct Report {
    compared: usize,
    failures: Vec<(f64, String)>,
}

impl Report {
    fn fail(&mut self, what: String) {
        self.failures.push((f64::INFINITY, what));
    }

    fn finish(mut self) {
        self.failures.sort_by(|a, b| b.0.total_cmp(&a.0));
        let lines: Vec<&str> = self.failures.iter().map(|(_, what)| what.as_str()).collect();
        assert!(
            lines.is_empty(),
            "{} of {} differ from JAX:\n{}",
            lines.len(),
            self.compared,
            lines.join("\n")
        );
        assert!(self.compared > 0, "there is nothing to compare with");
    }
}

/// A fixture in one precision.
struct Fixture<'a> {
    name: String,
    file: &'a ArrayFile,
    precision: &'a Precision,
}

impl Fixture<'_> {
    /// What is expected of `name`.
    fn expected(&self, name: &str) -> Option<&Tensor> {
        self.file.tensors.get(&format!("{}:{name}", self.precision.float))
    }

    /// Everything that is expected, by name.
    fn all_expected(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let prefix = format!("{}:", self.precision.float);
        self.file.tensors.iter().filter_map(move |(name, x)| Some((name.strip_prefix(&prefix)?, x)))
    }

    /// The largest magnitude of what is expected in double precision under names that end in
    /// `suffix`.
    fn largest(&self, suffix: &str) -> f64 {
        let named =
            self.file.tensors.iter().filter(|(name, _)| name.starts_with("f64:") && name.ends_with(suffix));
        named.map(|(_, x)| magnitude(x)).fold(0.0, f64::max)
    }

    /// What an error in `name` is relative to: the largest element expected; where that is zero
    /// but for rounding, the largest of its kind; and for the tangent of the loss, in which much
    /// cancels, what was added up.
    fn scale(&self, name: &str, expected: &Tensor) -> f64 {
        let own = magnitude(expected);
        match name.rsplit_once('.') {
            Some((_, kind @ ("grad" | "hvp"))) => {
                let largest = self.largest(&format!(".{kind}"));
                let exact = self.file.tensors.get(&format!("f64:{name}")).map_or(0.0, magnitude);
                if exact < ZERO * largest { largest } else { own }
            }
            Some(("loss", "tangent")) => own.max(self.tangent_terms()),
            _ => own,
        }
    }

    /// The sum of the magnitudes of the terms ∂loss/∂p · ṗ.
    fn tangent_terms(&self) -> f64 {
        let terms = |(name, gradient): (&str, &Tensor)| {
            let tangent = self.file.tensors.get(&format!("{}.tangent", name.strip_suffix(".grad")?))?;
            Some(gradient.to_f64().iter().zip(tangent.to_f64()).map(|(g, t)| (g * t).abs()).sum::<f64>())
        };
        self.all_expected().filter_map(terms).sum()
    }

    /// Compares `found` with what is expected of `name`, which the derivative `mode` gave.
    fn compare(&self, report: &mut Report, mode: &str, name: &str, found: &Tensor, expected: &Tensor) {
        report.compared += 1;
        let label = format!("{} {mode} in {}: `{name}`", self.name, self.precision.float);
        if found.ty() != expected.ty() {
            return report.fail(format!("{label} is {}, expected {}", found.ty(), expected.ty()));
        }
        let tolerance = match name.ends_with(".hvp") {
            _ if !expected.dtype().is_float() => 0.0,
            true => self.precision.second_order,
            false => self.precision.first_order,
        };
        let error = distance(found, expected);
        let slack = if mode.ends_with(COMPILED) { COMPILED_SLACK } else { 1.0 };
        let allowed = slack * tolerance * self.scale(name, expected);
        // A NaN isn't close.
        let close = error <= allowed;
        if !close {
            report
                .failures
                .push((error / allowed, format!("{label} is off by {error:.2e}, allowed are {allowed:.2e}")));
        }
    }

    /// Runs `g`, interpreted and compiled, and compares its outputs. Fails if it lacks one of
    /// `required`.
    fn run(&self, report: &mut Report, mode: &str, g: &Graph, required: &[String]) {
        let interpreted = |x: &Arrays| interpret(g, x).map_err(|e| e.to_string());
        let compiled = |x: &Arrays| {
            let mut program = Executable::compile(g).map_err(|e| e.to_string())?;
            program.run(x).map_err(|e| e.to_string())
        };
        let backends: [(&str, Backend); 2] = [("interpreted", &interpreted), (COMPILED, &compiled)];
        for (how, backend) in backends {
            let mode = format!("{mode} {how}");
            match inputs(g, self.file).and_then(|x| backend(&x)) {
                Ok(outputs) => self.compare_all(report, &mode, &outputs, required),
                Err(e) => report.fail(format!("{} {mode} in {}: {e}", self.name, self.precision.float)),
            }
        }
    }

    fn compare_all(&self, report: &mut Report, mode: &str, outputs: &Arrays, required: &[String]) {
        for name in required.iter().filter(|name| !outputs.contains_key(*name)) {
            report.fail(format!("{} {mode} in {}: there is no `{name}`", self.name, self.precision.float));
        }
        for (name, found) in outputs {
            let zero = || name.ends_with(".hvp").then(|| Tensor::filled(&found.ty(), 0.0));
            if let Some(expected) = self.expected(name).cloned().or_else(zero) {
                self.compare(report, mode, name, found, &expected);
            }
        }
    }

    /// Runs the graph and its derivatives.
    fn check(&self, report: &mut Report, g: &Graph) {
        let derived = [".tangent", ".grad", ".hvp"];
        let plain = |name: &str| !name.starts_with("eval.") && !derived.iter().any(|d| name.ends_with(d));
        let named = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
            self.all_expected().map(|(name, _)| name).filter(|name| wanted(name)).map(str::to_owned).collect()
        };
        self.run(report, "primal", g, &named(&plain));
        if g.loss().is_none() {
            return;
        }
        let wrt = params(g);
        let each = |kind: &str| -> Vec<String> { wrt.iter().map(|p| format!("{p}.{kind}")).collect() };
        let modes = [
            ("jvp", jvp(g, &wrt), named(&|name| name.ends_with(".tangent"))),
            ("grad", grad(g, &wrt), each("grad")),
            ("hvp", hvp(g, &wrt), each("hvp")),
        ];
        for (mode, derivative, required) in modes {
            match derivative {
                Ok(g) => self.run(report, mode, &g, &required),
                Err(e) => report.fail(format!("{} {mode}: {e}", self.name)),
            }
        }
    }
}

/// The largest absolute value; 0 of an empty array.
fn magnitude(x: &Tensor) -> f64 {
    x.to_f64().iter().fold(0.0, |m, v| v.abs().max(m))
}

/// The largest absolute difference of two arrays of one shape; NaN if there is one in either.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let differences = a.to_f64().into_iter().zip(b.to_f64()).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
}

/// The arrays that `g` binds, in its precision.
fn inputs(g: &Graph, file: &ArrayFile) -> Result<Arrays, String> {
    let input = |(v, name, _): (_, &str, _)| {
        let x = file.tensors.get(name).ok_or_else(|| format!("the fixture has no `{name}`"))?;
        let x = if x.dtype().is_float() { x.cast(g.ty(v).dtype) } else { x.clone() };
        Ok((name.to_owned(), x))
    };
    g.bindings().map(input).collect()
}

/// The graph of the model or graph in the file `path`.
pub(crate) fn load(path: &Path, options: &Options) -> Result<Graph, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut sources = Sources::new();
    let file = sources.add(path.display().to_string(), text);
    lang::load(&mut sources, file, options, &Derivatives)
        .map_err(|errors| errors.iter().map(|e| e.render(&sources, false)).collect::<Vec<_>>().join("\n"))
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The array files of a folder of fixtures, by name and sorted.
fn fixtures(folder: &str, report: &mut Report) -> Vec<(String, ArrayFile)> {
    let folder = root().join("tests/oracle").join(folder);
    let entries =
        fs::read_dir(&folder).map(|entries| entries.flatten().map(|e| e.path()).collect::<Vec<PathBuf>>());
    let mut paths = entries.unwrap_or_default();
    paths.retain(|path| path.extension().is_some_and(|e| e == "safetensors"));
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        match arrays::read(&path) {
            Ok(file) => {
                files.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), file))
            }
            Err(e) => report.fail(e.to_string()),
        }
    }
    files
}

/// The settings that a fixture of a model is made with.
pub(crate) fn model_options(file: &ArrayFile, float: DType) -> Options {
    let set = file.metadata.get("set").map_or("", String::as_str).split_whitespace();
    let set = set.filter_map(|s| s.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let batch = file.metadata.get("batch").and_then(|b| b.parse().ok());
    Options { batch, set, float, ..Options::default() }
}

#[test]
fn models_agree_with_jax() {
    let mut report = Report::default();
    for (name, file) in fixtures("models", &mut report) {
        let path = root().join("models").join(format!("{name}.fg"));
        for precision in &PRECISIONS {
            let fixture = Fixture { name: name.clone(), file: &file, precision };
            let options = model_options(&file, precision.float);
            match load(&path, &options) {
                Ok(g) => fixture.check(&mut report, &g),
                Err(e) => report.fail(e),
            }
            let Some(expected) = fixture.expected("eval.loss") else { continue };
            let evaluated = load(&path, &Options { training: false, ..options })
                .and_then(|g| interpret(&g, &inputs(&g, &file)?).map_err(|e| e.to_string()));
            match evaluated.map(|outputs| outputs.get("loss").cloned()) {
                Ok(Some(loss)) => fixture.compare(&mut report, "evaluation", "loss", &loss, expected),
                Ok(None) => report.fail(format!("{name} has no loss in evaluation")),
                Err(e) => report.fail(e),
            }
        }
    }
    report.finish();
}

#[test]
fn operations_agree_with_jax() {
    let mut report = Report::default();
    for (name, file) in fixtures("ops", &mut report) {
        let path = root().join("tests/oracle/ops").join(format!("{name}.fg"));
        for precision in &PRECISIONS {
            let fixture = Fixture { name: name.clone(), file: &file, precision };
            match load(&path, &Options { float: precision.float, ..Options::default() }) {
                Ok(g) => fixture.check(&mut report, &g),
                Err(e) => report.fail(e),
            }
        }
    }
    report.finish();
}
