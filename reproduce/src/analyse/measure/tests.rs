//! Small experiments of each kind, from their text to what the report shows.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use fgc::Threads;

use super::*;
use crate::run::measure::{self as run_measure, Context};
use crate::run::{Folders, Models};
use crate::spec::{Experiment, File, Measuring, Overrides, Verdict, each_kind};

fn read(text: &str) -> Result<Measuring> {
    let file = File { name: "small.toml".to_owned(), text: text.to_owned() };
    match Experiment::read(&file, Overrides::default())? {
        Experiment::Measuring(measuring) => Ok(measuring),
        Experiment::Training(_) => panic!("these experiments measure"),
    }
}

/// Runs the experiment `text` in `folder`, stopped at once if `stopped`. Gives whether it is complete.
fn run(text: &str, folder: &Path, stopped: bool) -> Result<bool> {
    let folders = Folders { out: folder.to_owned(), data: folder.to_owned(), base: folder.to_owned() };
    let ctx = Context {
        folder,
        data: folder,
        models: &Models::new(&folders),
        threads: &Threads::new(Some(1))?,
        stop: &AtomicBool::new(stopped),
        progress: &|_, _, _| {},
    };
    let experiment = read(text)?;
    each_kind!(&experiment, of_kind => run_measure::run(of_kind, &ctx))
}

fn section(text: &str, folder: &Path) -> Section {
    each_kind!(&read(text).unwrap(), of_kind => super::section(of_kind, folder)).unwrap()
}

const FIGURE: &str = "figure = { title = 'f', caption = 'c', columns = 2 }";

fn cost() -> String {
    format!(
        "kind = 'cost'\ntitle = 't'\n{FIGURE}\n
        [settings]
        curves = [
          {{ name = 'timed', title = 'T', model = 'mlp', set = {{ hidden = 4 }}, batch = 2, along = 'layers',
             values = [1, 2], programs = ['forward', 'forward-gradient', 'backprop'], seconds = 1e-3,
             panels = ['time', 'relative'] }},
          {{ name = 'planned', title = 'P', model = 'mlp', set = {{ hidden = 64 }}, along = 'layers',
             values = [4, 40], programs = ['jvp', 'backprop'], panels = ['workspace'], log = true }},
        ]
        [[claim]]
        source = 's'\ntext = 'flat'
        check = {{ kind = 'growth', curve = 'planned', of = 'jvp', quantity = 'workspace', at_most = 1.0 }}
        [[claim]]
        source = 's'\ntext = 'grows'
        check = {{ kind = 'growth', curve = 'planned', of = 'backprop', quantity = 'workspace', at_most = 1.5 }}
        [[claim]]
        source = 's'\ntext = 'a ratio'
        check = {{ kind = 'ratio', curves = ['timed'], of = 'backprop', to = 'forward', quantity = 'operations',
                   at_least = 1.0, at_most = 3.0 }}
        [[claim]]
        source = 's'\ntext = 'both'
        check = [{{ kind = 'ratio', curves = ['timed'], of = 'backprop', to = 'forward', quantity = 'time' }},
                 {{ kind = 'ratio', curves = ['timed'], of = 'backprop', to = 'forward', quantity = 'operations',
                    at_most = 0.5 }}]"
    )
}

#[test]
fn costs_are_measured_once() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join(RESULTS);
    assert_eq!(run(&cost(), folder.path(), true), Ok(false));
    assert!(!results.exists());
    assert_eq!(run(&cost(), folder.path(), false), Ok(true));
    let there = fs::read(&results).unwrap();
    assert_eq!(run(&cost(), folder.path(), false), Ok(true));
    assert_eq!(fs::read(&results).unwrap(), there, "times that were measured again would differ");
    let section = section(&cost(), folder.path());
    assert_eq!(section.figures.iter().map(|f| f.panels.len()).sum::<usize>(), 3);
    assert_eq!(section.tables.iter().map(|t| t.rows.len()).collect::<Vec<_>>(), [6, 4]);
    let verdicts: Vec<Verdict> = section.claims.iter().map(Claim::verdict).collect();
    assert_eq!(verdicts, [Verdict::Holds, Verdict::Fails, Verdict::Holds, Verdict::Partly]);
    // With other settings everything is measured anew.
    assert_eq!(run(&cost().replace("hidden = 4 ", "hidden = 5 "), folder.path(), false), Ok(true));
    assert_ne!(fs::read(&results).unwrap(), there);
}

#[test]
fn variances_are_those_of_the_closed_form() {
    let claim = |text: &str, check: &str| {
        format!("[[claim]]\nsource = 's'\ntext = '{text}'\ncheck = {{ {check} }}\n")
    };
    let all = "cases = ['small'], tangents = ['normal', 'rademacher']";
    let text = format!(
        "kind = 'variance'\ntitle = 't'\n{FIGURE}\n
        [settings]
        tangents = ['normal', 'rademacher']
        at_once = 4
        cases = [{{ name = 'small', title = 'S', model = 'quadratic', along = 'n', values = [3, 30], draws = 40000,
                    components = 3, panels = ['components', 'total', 'agreement'] }}]\n{}{}{}{}{}",
        claim("unbiased", &format!("kind = 'unbiased', {all}, sigmas = 5")),
        claim("components", &format!("kind = 'closed-form', {all}, of = 'components', sigmas = 5")),
        claim("all", &format!("kind = 'closed-form', {all}, of = 'total', sigmas = 5")),
        claim("the other form", &format!("kind = 'closed-form', {all}, of = 'total', kurtosis = 1.0, sigmas = 5")),
        claim("growth", &format!("kind = 'growth', {all}, at_least = 0.5, at_most = 1.5")),
    );
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&text, folder.path(), false), Ok(true));
    let section = section(&text, folder.path());
    let verdicts: Vec<(&str, Verdict)> =
        section.claims.iter().map(|c| (c.text.as_str(), c.verdict())).collect();
    let expected = [
        ("unbiased", Verdict::Holds),
        ("components", Verdict::Holds),
        ("all", Verdict::Holds),
        ("the other form", Verdict::Partly),
        ("growth", Verdict::Holds),
    ];
    assert_eq!(verdicts, expected);
    let points =
        section.figures.iter().flat_map(|f| &f.panels).flat_map(|p| &p.series).flat_map(|s| &s.points);
    assert!(points.clone().count() > 20 && points.clone().all(|p| p.x.is_finite() && p.y.is_finite()));
}

/// A small network in two cases, and an estimator of a file of its own that is too long.
fn estimators(folder: &Path) -> String {
    let mine = folder.join("long.fg");
    let text = "const unbiased = true\nestimator long(by=1.5) { grad = by * grad(loss, params) }\n";
    fs::write(&mine, text).unwrap();
    format!(
        "kind = 'estimators'\ntitle = 't'\nfigure = {{ title = 'f' }}\n
        [settings]
        estimators = ['backprop', 'forward', 'forward:tangents=4', 'control_variate']
        seconds = 1e-3
        [[settings.cases]]
        name = 'first'\nmodel = 'mlp'\nset = {{ hidden = 4 }}\nbatch = 8
        data = 'synthetic:40x28x28x1'\nsamples = 400\nalso = ['{mine}']
        [[settings.cases]]
        name = 'later'\ntitle = 'later'\nmodel = 'mlp'\nset = {{ hidden = 4 }}\nbatch = 8
        data = 'synthetic:40x28x28x1'\nsamples = 400\nafter = 30\nlearn = 30\nlr = 0.05\npanels = ['cosine']
        [[claim]]
        text = 'unbiased'\ncheck = {{ kind = 'unbiased', sigmas = 5 }}
        [[claim]]
        text = 'these are'
        check = {{ kind = 'unbiased', estimators = ['forward', 'control_variate'], sigmas = 5 }}
        [[claim]]
        text = 'a quarter'
        check = {{ kind = 'ratio', of = 'forward:tangents=4', to = 'forward', quantity = 'variance', at_least = 0.15,
                   at_most = 0.4 }}
        [[claim]]
        text = 'free'
        check = {{ kind = 'ratio', cases = ['later'], of = 'forward:tangents=4', to = 'forward',
                   quantity = 'operations', at_most = 1.0 }}",
        mine = mine.display()
    )
}

#[test]
fn estimators_are_measured_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let text = estimators(folder.path());
    let results = folder.path().join(RESULTS);
    assert_eq!(run(&text, folder.path(), true), Ok(false));
    assert!(!results.exists());
    assert_eq!(run(&text, folder.path(), false), Ok(true));
    let whole = fs::read_to_string(&results).unwrap();
    assert_eq!(whole.lines().count(), 1 + 5 + 4);
    let whole_section = section(&text, folder.path());
    let verdicts: Vec<Verdict> = whole_section.claims.iter().map(Claim::verdict).collect();
    assert_eq!(verdicts, [Verdict::Partly, Verdict::Holds, Verdict::Holds, Verdict::Fails]);
    let panels = &whole_section.figures[0].panels;
    assert_eq!(panels.len(), 4);
    // Beside the lines behind them; what has no variance has a place that isn't drawn.
    let counts = panels.iter().map(|p| p.series.iter().filter(|s| s.role == fgc_plot::Role::Points).count());
    assert_eq!(counts.collect::<Vec<_>>(), [5, 5, 5, 4]);
    assert_eq!(whole_section.tables.iter().map(|t| t.rows.len()).collect::<Vec<_>>(), [5, 4]);

    // What an interruption has left of the second case: two estimators, one of which was measured without its times.
    let column = whole.lines().next().unwrap().split(',').position(|name| name == "flops").unwrap();
    let untimed = |line: &str| {
        let cells = line.split(',').enumerate().map(|(k, cell)| if k < column { cell } else { "0" });
        cells.collect::<Vec<_>>().join(",")
    };
    let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    let left: Vec<String> =
        lines[..6].iter().cloned().chain(lines[6..8].iter().map(|l| untimed(l))).collect();
    fs::write(&results, left.join("\n") + "\n").unwrap();
    let open = section(&text, folder.path());
    assert_eq!(open.claims[3].verdict(), Verdict::Open);
    assert!(open.tables[1].rows.iter().all(|row| row.iter().any(|cell| cell == "–")));
    assert_eq!(run(&text, folder.path(), false), Ok(true));
    let again = fs::read_to_string(&results).unwrap();
    let same = again.lines().zip(&lines).all(|(a, b)| untimed(a) == untimed(b));
    assert!(same && again.lines().count() == lines.len(), "{again}\n{whole}");
    let first = |text: &str| text.lines().take(6).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(first(&again), first(&whole), "the first case was complete, and isn't timed again");

    // Another text of an estimator is another estimator.
    let mine = folder.path().join("long.fg");
    fs::write(&mine, fs::read_to_string(&mine).unwrap().replace("1.5", "1.0")).unwrap();
    assert_eq!(run(&text, folder.path(), false), Ok(true));
    assert_eq!(section(&text, folder.path()).claims[0].verdict(), Verdict::Holds);
}

#[test]
fn what_is_wrong_with_estimators_is_said_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let right = estimators(folder.path());
    let wrong = |from: &str, to: &str, message: &str| {
        assert!(right.contains(from), "{from}");
        let found = run(&right.replacen(from, to, 1), folder.path(), false).expect_err(to).to_string();
        assert!(found.contains(message), "{to}: {found}");
        assert!(!folder.path().join(RESULTS).exists(), "{to}");
    };
    wrong("'backprop', 'forward',", "'backprp', 'forward',", "did you mean `backprop`?");
    wrong("'backprop', 'forward',", "'forward', 'forward',", "two of the name `forward`");
    wrong("samples = 400", "samples = 1", "`samples` is at least 2, not 1");
    wrong("lr = 0.05", "lr = -1.0", "a learning rate is positive");
    wrong("cases = ['later']", "cases = ['latr']", "did you mean `later`?");
    wrong("estimators = ['forward', 'control_variate']", "estimators = ['activity']", "isn't measured there");
    wrong("panels = ['cosine']", "panels = ['sine']", "unknown variant `sine`");
    wrong("batch = 8", "batch = 64", "batches of 64 can't be made of the 40 training samples");
    wrong("lr = 0.05", "lr = 0.05\noptimizer = 'sdg'", "did you mean `sgd`?");
    wrong("set = { hidden = 4 }", "set = { image = 32, hidden = 4 }", "--set image=28");
    wrong(
        "'forward:tangents=4', 'control",
        "'guided', 'forward:tangents=4', 'control",
        "the guess is of local losses",
    );
}

#[test]
fn descent_with_either_gradient_gets_to_the_minimum() {
    let text = format!(
        "kind = 'trajectories'\ntitle = 't'\n{FIGURE}\n
        [settings]
        tangent = 'normal'
        runs = 5
        paths = 2
        points = 20
        functions = [{{ name = 'b', title = 'B', model = 'beale', start = [2.0, 0.0], lr = 0.01, iterations = 3000,
                        x = [1.0, 4.0], y = [-1.0, 1.0], contours = [1.0] }}]
        [[claim]]
        source = 's'\ntext = 'c'\ncheck = {{ kind = 'reaches', functions = ['b'], loss = 1e-3, share = 1.0 }}
        [[claim]]
        source = 's'\ntext = 'c'\ncheck = {{ kind = 'step-time', functions = ['b'], at_least = 1e-3 }}
        [[claim]]
        source = 's'\ntext = 'c'\ncheck = {{ kind = 'final-loss', functions = ['b'], at_least = 1e6 }}"
    );
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&text, folder.path(), false), Ok(true));
    let section = section(&text, folder.path());
    let verdicts: Vec<Verdict> = section.claims.iter().map(Claim::verdict).collect();
    assert_eq!(verdicts, [Verdict::Holds, Verdict::Holds, Verdict::Fails]);
    let plane = &section.figures[0].panels[0];
    assert_eq!(plane.series.len(), 4, "contours, the path of the gradient, and two others");
    let begins: Vec<(f64, f64)> =
        plane.series.iter().skip(1).filter_map(|s| s.points.first()).map(|p| (p.x, p.y)).collect();
    assert_eq!(begins, [(2.0, 0.0); 3]);
}

#[test]
fn what_is_wrong_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let of = |text: &str| run(text, folder.path(), false).map_err(|e| e.to_string());
    let wrong = |from: &str, to: &str, message: &str| {
        let found = of(&cost().replace(from, to)).expect_err(to);
        assert!(found.contains(message), "{found}");
    };
    wrong("seconds = 1e-3", "second = 1e-3", "did you mean `seconds`?");
    wrong("seconds = 1e-3", "second = 1e-3", "small.toml:8:");
    wrong("'forward-gradient'", "'sideways'", "unknown variant `sideways`");
    wrong(
        "quantity = 'workspace', at_most = 1.0",
        "quantity = 'workspac', at_most = 1.0",
        "did you mean `workspace`?",
    );
    wrong("model = 'mlp'", "model = 'mpl'", "did you mean `mlp`?");
    wrong("set = { hidden = 4 }", "set = { hiden = 4 }", "hiden");
    wrong("seconds = 1e-3", "seconds = 1e300", "times are from 0 to 86400 seconds");
    wrong("'time', 'relative'", "'time', 'beauty'", "unknown variant `beauty`");
    // What isn't measured is refused before anything is.
    wrong("curves = ['timed']", "curves = ['timd']", "did you mean `timed`?");
    wrong(
        "curve = 'planned', of = 'jvp'",
        "curve = 'planned', of = 'forward'",
        "`planned` has no program `forward`",
    );
    wrong(
        "curve = 'planned', of = 'jvp', quantity = 'workspace'",
        "curve = 'planned', of = 'jvp', quantity = 'time'",
        "isn't timed",
    );
    wrong("panels = ['workspace']", "panels = ['time']", "isn't timed");
    wrong(
        "programs = ['jvp', 'backprop'], panels = ['workspace']",
        "programs = ['jvp', 'backprop'], seconds = 1, panels = ['relative']",
        "`forward` isn't among",
    );
    assert!(of("kind = 'cooking'").is_err_and(|e| e.contains("there is no `cooking`")));
    assert!(of("kind = 3").is_err());
    assert!(of("kind").is_err());
}

/// What was measured of another text of a model is measured again; what was measured in another environment is neither
/// taken for this one's nor thrown away.
#[test]
fn results_are_of_the_models_and_the_environment_that_they_were_measured_with() {
    let folder = tempfile::tempdir().unwrap();
    let text = cost().replace("'mlp'", "'mine.fg'");
    let mlp = fgc::models::builtin("mlp").unwrap().text;
    let (model, kept) = (folder.path().join("mine.fg"), folder.path().join(SETTINGS));
    let results = || fs::read_to_string(folder.path().join(RESULTS)).unwrap();
    fs::write(&model, &mlp).unwrap();
    assert!(run(&text, folder.path(), false).unwrap());
    let (first, of) = (results(), fs::read_to_string(&kept).unwrap());
    assert!(of.starts_with("format = 2\n") && of.contains("[models]\n\"mine.fg\" = "), "{of}");
    assert!(run(&text, folder.path(), false).unwrap());
    assert_eq!(results(), first, "nothing is measured again");
    // Another instruction set.
    let line = of.lines().find(|line| line.starts_with("isa = ")).unwrap();
    fs::write(&kept, of.replace(line, "isa = 'mmx'")).unwrap();
    let error = run(&text, folder.path(), false).unwrap_err().to_string();
    assert!(
        error.contains("settings.toml") && error.contains("the instruction set was mmx, and is "),
        "{error}"
    );
    assert_eq!(results(), first, "they are still there");
    fs::write(&kept, of.replace("format = 2", "format = 9")).unwrap();
    let error = run(&text, folder.path(), false).unwrap_err().to_string();
    assert!(error.contains("measurements of format 9: this version of fgc, "), "{error}");
    fs::write(&kept, &of).unwrap();
    fs::write(&model, format!("{mlp}\n# otherwise\n")).unwrap();
    assert!(run(&text, folder.path(), false).unwrap());
    assert_ne!((results(), fs::read_to_string(&kept).unwrap()), (first, of));
    assert_eq!(section(&text, folder.path()).claims.len(), 4);
}
