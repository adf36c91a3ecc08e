//! What holds of the sources themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fgc::{MethodKind, library};
use fgc_ir::ops::Op;
use fgc_ir::{OpRules, ops};

/// A file has at most this many lines.
const MAX_LINES: usize = 500;

/// Files that may say `unsafe`: where compiled code, its memory, and instructions of certain
/// processors are.
const UNSAFE: &[&str] = &[
    "codegen/examples/gemm.rs",
    "codegen/src/executable.rs",
    "codegen/src/gemm/macrokernel.rs",
    "codegen/src/gemm/memory.rs",
    "codegen/src/gemm/microkernel/inner.rs",
    "codegen/src/gemm/microkernel/jit.rs",
    "codegen/src/gemm/microkernel/mod.rs",
    "codegen/src/gemm/microkernel/tile.rs",
    "codegen/src/gemm/mod.rs",
    "codegen/src/gemm/simd.rs",
    "codegen/src/gemm/tests/mod.rs",
    "codegen/src/gemm/tests/terms.rs",
    "codegen/src/gemm/winograd/compiled.rs",
    "codegen/src/gemm/winograd/convolution.rs",
    "codegen/src/gemm/winograd/gradient.rs",
    "codegen/src/gemm/winograd/mod.rs",
    "codegen/src/gemm/winograd/transforms.rs",
    "codegen/src/jit.rs",
    "codegen/src/runtime/launch.rs",
    "codegen/src/runtime/peaks.rs",
    "codegen/src/runtime/philox.rs",
    "codegen/src/runtime/vecmath/slices.rs",
    "tests/src/bin/starved.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust source of the workspace: its path from the root, and its text.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for member in ["ir", "transforms", "codegen", "fgc", "plot", "train", "reproduce", "cli", "tests", "fuzz"]
    {
        walk(&root().join(member), &mut found);
    }
    assert!(found.len() > 60, "the sources aren't where they should be");
    found
}

fn walk(dir: &Path, found: &mut Vec<(String, String)>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Fails with all of `problems` at once.
fn assert_none(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// `text` as code: without comments and strings.
fn code(text: &str) -> String {
    let line = |line: &str| {
        let mut code = String::new();
        let mut quoted = false;
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if quoted => drop(chars.next()),
                '"' => quoted = !quoted,
                '/' if !quoted && chars.peek() == Some(&'/') => break,
                c if !quoted => code.push(c),
                _ => {}
            }
        }
        code
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Whether `word` stands in `text` as a word of its own.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word)
}

#[test]
fn files_are_short() {
    let long = |(name, text): &(String, String)| {
        let lines = text.lines().count();
        (lines > MAX_LINES).then(|| format!("{name} has {lines} lines; the limit is {MAX_LINES}"))
    };
    assert_none(sources().iter().filter_map(long).collect());
}

#[test]
fn files_begin_by_saying_what_they_are() {
    let silent = |(name, text): &(String, String)| {
        (!text.starts_with("//! ")).then(|| format!("{name} doesn't begin with a `//!` comment"))
    };
    assert_none(sources().iter().filter_map(silent).collect());
}

#[test]
fn lines_have_no_tabs_and_no_trailing_spaces() {
    let mut problems = Vec::new();
    for (name, text) in sources() {
        for (k, line) in text.lines().enumerate() {
            if line.contains('\t') || line.ends_with(' ') {
                problems.push(format!("{name}:{} has a tab or a trailing space", k + 1));
            }
        }
        if !text.ends_with('\n') || text.ends_with("\n\n") {
            problems.push(format!("{name} doesn't end with one newline"));
        }
    }
    assert_none(problems);
}

#[test]
fn nothing_is_left_unfinished() {
    let mut problems = Vec::new();
    for (name, text) in sources() {
        let code = code(&text);
        for word in ["todo", "unimplemented", "dbg"] {
            if code.contains(&format!("{word}!")) {
                problems.push(format!("{name} has `{word}!`"));
            }
        }
        for note in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
            if has_word(&text, note) {
                problems.push(format!("{name} has a {note}"));
            }
        }
    }
    assert_none(problems);
}

#[test]
fn nothing_is_unsafe() {
    let risky = |(name, text): &(String, String)| {
        let allowed = UNSAFE.contains(&name.as_str());
        (!allowed && has_word(&code(text), "unsafe")).then(|| format!("{name} has `unsafe`"))
    };
    assert_none(sources().iter().filter_map(risky).collect());
}

/// What changes something on disk, by the standard library or `tempfile`.
const WRITES: [&str; 12] = [
    "fs::write",
    "fs::rename",
    "fs::remove_",
    "fs::create_dir",
    "fs::copy",
    "fs::hard_link",
    "fs::set_permissions",
    "File::create",
    "File::options",
    "OpenOptions",
    "tempfile::",
    "symlink(",
];

/// Nothing but `ir/src/files` writes to disk, except tests.
#[test]
fn files_are_written_in_one_place() {
    let place = "ir/src/files/";
    assert!(sources().iter().any(|(name, text)| name.starts_with(place) && text.contains(WRITES[9])));
    let mut problems = Vec::new();
    for (name, text) in sources() {
        let is_test = |part: &str| ["tests", "tests.rs", "browser", "benches", "examples"].contains(&part);
        // What a build writes is code of the build.
        if name.starts_with(place) || name == "ir/build.rs" || name.split('/').any(is_test) {
            continue;
        }
        let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let own = code(own);
        for write in WRITES.iter().filter(|write| own.contains(**write)) {
            problems.push(format!("{name} has `{write}`"));
        }
    }
    assert_none(problems);
}

/// The families of the op table, from its list.
pub(crate) fn families() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("ir/src/ops/mod.rs")).unwrap();
    let list = text.split_once("\nfamilies! {").unwrap().1.split_once("\n}").unwrap().0;
    let pairs = list.lines().filter_map(|l| l.trim().trim_end_matches(',').split_once("::"));
    pairs.filter(|(module, _)| !module.starts_with("//")).map(|(m, f)| (m.to_owned(), f.to_owned())).collect()
}

#[test]
fn each_family_answers_every_question() {
    let questions = [
        "name",
        "attrs",
        "parse",
        "infer",
        "eval",
        "jvp",
        "transpose",
        "batch",
        "lower",
        "emit",
        "flops",
        "positions",
        "samples",
    ];
    let families = families();
    assert!(families.len() > 15);
    let table = std::fs::read_to_string(root().join("ir/src/ops/mod.rs")).unwrap();
    let rules = table.split_once("pub trait OpRules").unwrap().1.split_once("\n}").unwrap().0;
    let asked: Vec<&str> =
        rules.lines().filter_map(|l| l.trim().strip_prefix("fn ")?.split(['(', '<']).next()).collect();
    assert_eq!(asked, questions, "the questions of the table");
    assert!(rules.lines().all(|l| !l.starts_with("    fn ") || l.ends_with(';')), "a default body");
    for (module, family) in families {
        let dir = root().join("ir/src/ops");
        let file = [dir.join(format!("{module}.rs")), dir.join(&module).join("mod.rs")];
        let text = file.iter().find_map(|f| std::fs::read_to_string(f).ok()).unwrap();
        assert_eq!(text.matches(&format!("impl OpRules for {family} {{")).count(), 1, "{family}");
        let samples = ops::Op::samples();
        let prefix = format!("{family}(");
        assert!(
            samples.iter().any(|s| format!("{:?}", s.op).starts_with(&prefix)),
            "{family} has no samples"
        );
    }
}

/// Where operations may be named outside of the op table: in the table of what equality saturation rewrites.
const RULES: &str = "transforms/src/eqsat/rules/";

/// The families that a class of [`Lower`](fgc_ir::Lower) carries, so that code generation may name them.
const CLASSES: [&str; 8] = ["Reduce", "Dot", "Conv", "Window", "Index", "Linalg", "Random", "Leaf"];

/// Code generation knows of an operation its class, and what its row says to a context that emits code.
#[test]
fn code_generation_names_classes_alone() {
    let mut names: BTreeSet<String> = families().into_iter().map(|(_, family)| family).collect();
    for class in CLASSES {
        assert!(names.remove(class), "there is no family `{class}`");
    }
    let of_codegen = |name: &str| name.starts_with("codegen/src/") && !name.contains("/tests");
    let emitters: Vec<_> = sources().into_iter().filter(|(name, _)| of_codegen(name)).collect();
    assert!(emitters.len() > 60);
    let mut problems = Vec::new();
    for (name, text) in emitters {
        // What the standard library calls so.
        let standard = text.contains("cmp::Reverse");
        let code = code(&text);
        for family in names.iter().filter(|f| has_word(&code, f) && !(standard && *f == "Reverse")) {
            problems.push(format!("{name} names the family `{family}`"));
        }
    }
    assert_none(problems);
}

/// Passes work from the rules of the op table alone.
/// No Rust names an estimator or optimizer: they are files, of which the standard ones say themselves that they are.
#[test]
fn nothing_names_an_estimator_or_optimizer() {
    let allowed = [
        // Flags that are called after the optimizers that they stand for.
        ("train/src/step_settings.rs", &["clip", "weight_decay"][..]),
        ("cli/src/args/train.rs", &["clip", "weight_decay"]),
        ("reproduce/src/spec/choice.rs", &["clip", "weight_decay"]),
        // A class of CIFAR-10.
        ("train/src/data/registry.rs", &["frog"]),
        // The experiment on the estimator of that name.
        ("reproduce/src/spec/registry.rs", &["frog"]),
        // What the experiments of Baydin et al. compare.
        ("reproduce/src/run/measure/programs.rs", &["forward", "backprop"]),
        ("reproduce/src/spec/measure/mod.rs", &["forward", "backprop"]),
    ];
    let kinds = [MethodKind::Estimator, MethodKind::Optimizer];
    let names: Vec<&str> =
        kinds.into_iter().flat_map(|k| library::all(k).iter().map(|(name, _)| *name)).collect();
    assert!(names.contains(&"forward") && names.contains(&"adam"));
    let mut problems = Vec::new();
    for (file, text) in sources() {
        if file.split('/').any(|part| ["tests", "tests.rs", "examples", "fuzz"].contains(&part)) {
            continue;
        }
        let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let own: String =
            own.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for name in &names {
            let excused = allowed.iter().any(|(of, names)| *of == file && names.contains(name));
            let named = own.contains(&format!("\"{name}\"")) || own.contains(&format!("\"{name}:"));
            if named && !excused {
                problems.push(format!("{file} names `{name}`"));
            }
        }
    }
    assert_none(problems);
}

#[test]
fn drivers_name_no_operation() {
    let mut names: BTreeSet<String> = families().into_iter().map(|(_, family)| family).collect();
    // Leaves are what graphs bind; to ask for them is no matter of arithmetic.
    names.remove("Leaf");
    let spellings: BTreeSet<&str> = Op::samples().iter().map(|s| s.op.name()).collect();
    let drivers: Vec<(String, String)> =
        sources().into_iter().filter(|(name, _)| name.starts_with("transforms/src/")).collect();
    let drivers: Vec<(String, String)> =
        drivers.into_iter().filter(|(name, _)| !name.starts_with(RULES)).collect();
    assert!(drivers.iter().filter(|(name, _)| name.starts_with("transforms/src/eqsat/")).count() > 5);
    let mut problems = Vec::new();
    for (name, text) in drivers {
        let code = code(&text);
        for family in names.iter().filter(|f| has_word(&code, f)) {
            problems.push(format!("{name} names the family `{family}`"));
        }
        for op in spellings.iter().filter(|s| text.contains(&format!("\"{s}\""))) {
            problems.push(format!("{name} names the operation `{op}`"));
        }
    }
    assert_none(problems);
}
