//! The first hour with the command: models by name, help, a project, what a shell and `man` take.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn command(at: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fgc"));
    command.args(words).current_dir(at).stdin(Stdio::null()).env("NO_COLOR", "1");
    command.output().expect("fgc can be run")
}

/// Exit code, standard output and standard error of `fgc` in the folder `at`.
fn fgc(at: &Path, line: &str) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(at, &line.split_whitespace().collect::<Vec<_>>());
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

fn done(at: &Path, line: &str) -> String {
    let (code, out, errors) = fgc(at, line);
    assert_eq!(code, Some(0), "{line} says\n{errors}");
    out
}

fn fails(code: i32, at: &Path, line: &str) -> String {
    let (found, out, errors) = fgc(at, line);
    assert!(found == Some(code) && out.is_empty(), "{line} says\n{out}{errors}");
    errors
}

/// Models are known by name in any folder, by every command that takes one, and are those of the repository.
#[test]
fn models_are_known_by_name() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/resnet.fg");
    assert_eq!(
        done(at, "compile resnet --mode jvp"),
        done(at, &format!("compile {} --mode jvp", file.display()))
    );
    done(at, "init logistic -o weights --quiet");
    done(at, "check rosenbrock");
    done(at, "run beale --mode grad");
    done(at, "bench quadratic --seconds 0.01 --calls-only");
    done(at, "levels quadratic --seconds 0.01");
    done(at, "eval logistic --params weights --quiet");
    done(at, "estimate logistic --grad forward --samples 20 --seconds 0.01");
    for (line, said) in [
        ("compile resnt", "there is no model `resnt`; did you mean `resnet`?"),
        ("train gpt", "there is no model `gpt`; with fgc come beale, charlm, cnn, "),
        ("init models/mlp.fg -o weights", "a model `mlp` comes with fgc: name it without folder and `.fg`"),
        ("reproduce fig7", "there is no experiment `fig7`; did you mean `fig2`?"),
        ("reproduce mine/fig2.toml", "an experiment `fig2` comes with fgc"),
    ] {
        let errors = fails(1, at, line);
        assert!(errors.contains(said), "{line} says\n{errors}");
    }
}

#[test]
fn a_file_that_has_the_name_of_a_model_is_asked_about() {
    let at = tempfile::tempdir().unwrap();
    fs::create_dir(at.path().join("mlp")).unwrap();
    done(at.path(), "compile mlp");
    fs::write(at.path().join("cnn"), "model mine() {\n  param w: f32[] ~ ones\n  loss = w * w\n}\n").unwrap();
    let said = fails(1, at.path(), "compile cnn");
    assert!(
        said.contains("`cnn` is both a model that comes with fgc and a file in this folder: `./cnn`"),
        "{said}"
    );
    assert!(done(at.path(), "compile ./cnn").starts_with("graph mine {"));
}

#[test]
fn flags_that_are_nearly_right_are_told() {
    let at = tempfile::tempdir().unwrap();
    for (line, said) in [
        ("train mlp --tangent 8", "did you mean `--tangents 8`?"),
        ("train mlp --tangents normal", "did you mean `--tangent normal`?"),
        ("train mlp --epoch 8", "'--epochs'"),
        ("train mlp --learning-rate 0.1", "'--lr'"),
        ("train mlp --log tensorbord", "did you mean `tensorboard`?"),
        ("trian mlp", "'train'"),
        ("eval mlp --weights w", "'--params'"),
    ] {
        let errors = fails(2, at.path(), line);
        assert!(errors.contains(said), "{line} says\n{errors}");
    }
    let said = fails(1, at.path(), "run mlp");
    assert!(said.contains("--inputs F gives arrays by name") && !said.contains("--tangent"), "{said}");
}

/// No line of a help is wider than a terminal of 100 columns.
#[test]
fn help_fits_a_terminal() {
    let at = tempfile::tempdir().unwrap();
    for name in ["", "compile ", "run ", "train ", "eval ", "estimate ", "reproduce ", "data get ", "new "] {
        let help = done(at.path(), &format!("{name}--help"));
        let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "{name}: {wide:#?}");
    }
}

/// The commands that a text has in lines of their own, after the comment behind them is cut off.
fn commands(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with("fgc "));
    lines.map(|line| line.split(" # ").next().unwrap_or(line).trim().to_owned()).collect()
}

/// What `fgc new` prints and what the project's README says works there as pasted.
#[test]
fn a_new_project_runs() {
    let folder = tempfile::tempdir().unwrap();
    let printed = done(folder.path(), "new made/two-arms");
    assert!(printed.starts_with("cd made/two-arms\n"), "{printed}");
    let project = folder.path().join("made/two-arms");
    let readme = fs::read_to_string(project.join("README.md")).unwrap();
    assert!(!readme.contains("NAME"), "{readme}");
    let (first, second) = (commands(&printed), commands(&readme));
    assert!(first.len() == 5 && second.len() == 7, "{first:?} {second:?}");
    for line in first.iter().chain(&second).filter(|line| !line.starts_with("fgc reproduce")) {
        done(&project, line.strip_prefix("fgc ").unwrap());
    }
    done(&project, "reproduce experiment.toml --quick --quiet");
    assert!(project.join("reproduced/experiment/gradients.svg").is_file());
    let eval = done(&project, "eval --params runs/two_arms-1");
    let accuracy: f64 =
        eval.lines().find_map(|line| line.strip_prefix("accuracy = ")).unwrap().parse().unwrap();
    assert!(accuracy > 0.8, "{eval}");
}

#[test]
fn a_project_is_not_made_over_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let there = |name: &str| -> TempDir {
        let there = tempfile::tempdir_in(folder.path()).unwrap();
        fs::write(there.path().join(name), "mine").unwrap();
        there
    };
    let taken = there("README.md");
    let named = taken.path().with_file_name("taken");
    fs::rename(taken.keep(), &named).unwrap();
    assert!(fails(1, folder.path(), "new taken").contains("taken: this folder isn't empty"));
    assert_eq!(fs::read_to_string(named.join("README.md")).unwrap(), "mine");
    assert!(fails(1, folder.path(), "new 3d").contains("ASCII letters, digits and `_`, a letter first"));
    assert!(fails(1, folder.path(), "new repeat").contains("`repeat` can't be the name of a model"));
    assert!(!folder.path().join("repeat").exists());
}

#[test]
fn shells_and_man_get_what_they_take() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, word) in [("bash", "complete -F _fgc"), ("zsh", "#compdef fgc"), ("fish", "complete -c fgc")]
    {
        let script = done(folder.path(), &format!("completions {shell}"));
        assert!(script.contains(word) && script.contains("checkpoint-every"), "{shell}");
        assert!(!script.contains("learning-rate"), "{shell}: hints are no flags");
    }
    let (_, _, said) = fgc(folder.path(), "man pages/man1");
    assert_eq!(said, "pages/man1: 21 pages\n");
    let page = fs::read_to_string(folder.path().join("pages/man1/fgc-train.1")).unwrap();
    assert!(page.contains(".TH fgc-train 1") && page.contains("\\-\\-epochs"), "{page}");
}

/// Results are on standard output and all else on standard error, of which --quiet leaves nothing.
#[test]
fn results_are_on_standard_output_alone() {
    let at = tempfile::tempdir().unwrap();
    done(at.path(), "train logistic --epochs 1 --out run --quiet");
    for line in [
        "compile logistic",
        "levels quadratic --seconds 0.01",
        "run rosenbrock",
        "check quadratic",
        "eval --params run",
        "show run",
        "compare run run",
        "verify run",
        "bench quadratic --seconds 0.01",
        "data show embedded",
        "estimate logistic --grad forward --samples 20 --seconds 0.01",
        "completions fish",
    ] {
        let (code, out, errors) = fgc(at.path(), &format!("{line} --quiet"));
        assert!(code == Some(0) && errors.is_empty(), "{line}: {errors}");
        assert!(!out.is_empty() || line == "verify run", "{line} has no result");
    }
    for line in ["init logistic -o weights", "train logistic --epochs 1", "new made", "man man1"] {
        let (code, _, errors) = fgc(at.path(), &format!("{line} --quiet"));
        assert!(code == Some(0) && errors.is_empty(), "{line}: {errors}");
    }
}
