//! Experiments of training: read with an eye to mistakes, carried out, interrupted, and shown.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fgc_reproduce::results::{self, Moment};
use fgc_reproduce::{Asked, Ended, Experiment, File, Folders, Verdict, experiment, measure};

/// Twelve runs of a linear classifier on noisy images, a quarter of which diverge.
const TINY: &str = r#"
kind = "training"
title = "A linear classifier"
about = "Two rates and two gradients."
seeds = 2

[settings]
model = "logistic"
data = "synthetic:64x6x6x1"
set = { image = 6 }
batch = 8
epochs = 3
log_every = 2

[quick]
seeds = 1
epochs = 2

[[matrix]]
name = "runs"

[[matrix.axis]]
name = "rate"
values = [
  { label = "0.05", lr = 0.05 },
  { label = "0.1", lr = 0.1, quick = false },
  { label = "1e38", lr = 1e38 },
]

[[matrix.axis]]
name = "gradient"
values = [{ label = "backprop", grad = "backprop" }, { label = "forward", grad = "forward", tangents = 4 }]

[[figure]]
name = "course"
title = "The course of training"
panels = "gradient"
series = ["rate"]
x = "step"
y = [{ of = "train_loss", points = "step", scale = "log" }, { of = "test_accuracy", range = [0, 1] }]

[[figure]]
name = "rates"
title = "Rates"
series = ["gradient"]
x = "rate"
y = [{ of = "test_loss" }]

[[sweep]]
title = "Highest stable rates"
rate = "rate"

[[claim]]
source = "nobody"
text = "Small rates are stable, large ones aren't."
check = { kind = "diverges", where = { rate = "1e38" }, each = ["gradient"] }

[[claim]]
source = "nobody"
text = "No run diverges."
check = { kind = "diverges", expected = false, each = ["gradient", "rate"] }

[[claim]]
source = "nobody"
text = "Backprop learns faster."
check = { kind = "compare", where = { rate = "0.05" }, of = "train_loss", first = { gradient = "backprop" }, second = { gradient = "forward" }, is = "less" }

[[claim]]
source = "nobody"
text = "Everything is learnt perfectly."
check = { kind = "reaches", where = { rate = "0.1" }, each = ["gradient"], of = "test_accuracy", at_least = 1.1 }

[[claim]]
source = "nobody"
text = "Backprop's rates are higher."
check = { kind = "higher-rate", first = { gradient = "backprop" }, second = { gradient = "forward" }, rate = "rate" }

[[claim]]
source = "nobody"
text = "Backprop gets there, however long it takes."
check = { kind = "sooner", where = { rate = "0.05" }, of = "train_loss", first = { gradient = "backprop" }, second = { gradient = "forward" }, times = 1e6 }

[[claim]]
source = "nobody"
text = "The forward gradient gets there in no time."
check = { kind = "sooner", where = { rate = "0.05" }, of = "train_loss", first = { gradient = "forward" }, second = { gradient = "backprop" }, times = 1e-6 }
"#;

fn file(text: &str) -> File {
    File { name: "tiny.toml".to_owned(), text: text.to_owned() }
}

fn carry_out(text: &str, asked: Asked, out: &Path, stop: &AtomicBool) -> Result<Ended, String> {
    let folders = Folders { out: out.to_owned(), data: "nowhere".into(), base: "".into() };
    fgc_reproduce::reproduce(&file(text), asked, &folders, 2, stop, true).map_err(|e| e.to_string())
}

fn all(text: &str, asked: Asked, out: &Path) -> String {
    assert_eq!(carry_out(text, asked, out, &AtomicBool::new(false)), Ok(Ended::All));
    fs::read_to_string(out.join(results::RESULTS)).unwrap()
}

#[test]
fn an_experiment_is_carried_out_and_shown() {
    let out = tempfile::tempdir().unwrap();
    let csv = all(TINY, Asked::default(), out.path());
    let rows = results::read(out.path()).unwrap();
    assert_eq!(results::to_csv(&rows).0, csv);
    let count = |moment| rows.iter().filter(|row| row.moment == moment).count();
    // Two rates that are stable, two gradients, two seeds, three epochs of eight steps, every second of which is kept.
    assert_eq!(count(Moment::Epoch), 2 * 2 * 2 * 3);
    assert!(count(Moment::Step) >= 2 * 2 * 2 * 12);
    assert_eq!(count(Moment::Diverged), 2 * 2);
    let ends: Vec<_> = rows.iter().filter(|row| row.moment == Moment::Epoch).collect();
    assert!(ends.iter().all(|row| row.seconds.is_some_and(|s| s > 0.0)));
    assert!(ends.iter().all(|row| row.figures.contains_key("test_accuracy")));

    let (section, made) = fgc_reproduce::section(out.path()).unwrap();
    assert_eq!((made.asked, made.threads), (Asked::default(), 2));
    assert_eq!(section.title, "A linear classifier");
    let [course, rates] = section.figures.as_slice() else { panic!("{:?}", section.figures) };
    assert_eq!((course.panels.len(), rates.panels.len()), (4, 1));
    assert_eq!(
        (course.panels[0].title.as_str(), course.panels[0].series[0].name.as_str()),
        ("backprop", "0.05")
    );
    let points = &course.panels[2].series[0].points;
    assert_eq!(points.iter().map(|p| p.x).collect::<Vec<_>>(), [8.0, 16.0, 24.0]);
    assert!(points.iter().all(|p| p.spread.is_some_and(|(low, high)| low <= p.y && p.y <= high)));
    let swept = &rates.panels[0].series[0].points;
    assert_eq!(swept.iter().map(|p| p.x).collect::<Vec<_>>(), [0.05, 0.1, 1e38]);
    assert!(swept[1].y.is_finite() && swept[2].y.is_nan());
    let verdicts: Vec<Verdict> = section.claims.iter().map(|claim| claim.verdict).collect();
    let expected = [
        Verdict::Holds,
        Verdict::Partly,
        Verdict::Holds,
        Verdict::Fails,
        Verdict::Holds,
        Verdict::Holds,
        Verdict::Fails,
    ];
    assert_eq!(verdicts, expected, "{:#?}", section.claims);
    assert!(
        section.claims[1].why.contains("not at backprop, 1e38; forward, 1e38"),
        "{}",
        section.claims[1].why
    );
    let table = &section.tables[0];
    assert_eq!(table.columns, ["gradient", "highest stable rate"]);
    assert_eq!(table.rows, [["backprop", "0.1"], ["forward", "0.05"]]);
    assert!(section.settings.contains(&("lr".to_owned(), "0.05, 0.1, 1e38".to_owned())));
}

#[test]
fn all_experiments_of_a_folder_are_in_its_report() {
    let out = tempfile::tempdir().unwrap();
    let asked = Asked { quick: true, seeds: None };
    for name in ["first", "second"] {
        all(&TINY.replace("A linear classifier", name), asked, &out.path().join(name));
    }
    fs::create_dir(out.path().join("something else")).unwrap();
    let report = fgc_reproduce::publish(out.path()).unwrap();
    let page = fs::read_to_string(report).unwrap();
    for text in ["first", "second", "Small rates are stable", "a quick trial", "Highest stable rates"] {
        assert!(page.contains(text), "{text}");
    }
    for file in ["course.svg", "course.png", "rates.svg", "rates.png"] {
        assert!(out.path().join("second").join(file).is_file(), "{file}");
    }
}

#[test]
fn what_is_done_is_not_done_again() {
    let out = tempfile::tempdir().unwrap();
    let first = all(TINY, Asked::default(), out.path());
    let times = fs::read(out.path().join(results::TIMES)).unwrap();
    assert_eq!(all(TINY, Asked::default(), out.path()), first);
    assert_eq!(fs::read(out.path().join(results::TIMES)).unwrap(), times);
    // More seeds go beside those that are there; other settings have runs of their own.
    let more = all(TINY, Asked { quick: false, seeds: Some(3) }, out.path());
    assert!(more.starts_with(&first) && more.len() > first.len());
    let quick = all(TINY, Asked { quick: true, seeds: None }, out.path());
    let rows = results::read(out.path()).unwrap();
    assert!(rows.iter().all(|row| row.seed == 0 && row.epoch <= 2 && row.labels["rate"] != "0.1"), "{quick}");
    assert!(fgc_reproduce::section(out.path()).is_ok());
}

#[test]
fn an_interrupted_experiment_goes_on_with_the_same_results() {
    // Long enough that it can be interrupted within a run.
    let text = TINY.replace("epochs = 3", "epochs = 12").replace("64x6x6x1", "640x6x6x1");
    let whole = tempfile::tempdir().unwrap();
    let expected = all(&text, Asked::default(), whole.path());
    let out = tempfile::tempdir().unwrap();
    for after in [30, 100, 200] {
        let stop = AtomicBool::new(false);
        let ended = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(after));
                stop.store(true, Ordering::Relaxed);
            });
            carry_out(&text, Asked::default(), out.path(), &stop)
        });
        assert!(ended.is_ok_and(|ended| ended == Ended::Interrupted || after > 30));
        assert!(fgc_reproduce::section(out.path()).is_ok());
    }
    assert_eq!(all(&text, Asked::default(), out.path()), expected);
    assert_eq!(fs::read_to_string(out.path().join(results::RESULTS)).unwrap(), expected);
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let cases = [
        ("kind = \"training\"", "kind = \"trainin\"", "did you mean `training`?"),
        ("seeds = 2", "seds = 2", "did you mean `seeds`?"),
        ("seeds = 2", "seeds = 0", "`seeds` is a whole number from 1"),
        ("seeds = 2", "seeds = \"two\"", "`seeds` is a whole number, not of type string"),
        ("title = \"A linear classifier\"", "", "`title` is missing here"),
        ("batch = 8", "bach = 8", "did you mean `batch`?"),
        ("lr = 0.05 }", "lr = -0.05 }", "a learning rate is positive"),
        ("lr = 0.05 }", "lr = nan }", "`lr` is a finite number"),
        ("lr = 0.05 }", "lr = 0.05, tangnt = \"normal\" }", "did you mean `tangent`?"),
        ("lr = 0.05 }", "lr = 0.05, beta = 0.5 }", "is for --optimizer momentum and nesterov"),
        ("lr = 0.05 }", "lr = 0.05, schedule = \"cosin\" }", "cosine"),
        ("grad = \"forward\"", "grad = \"forwad\"", "unknown variant `forwad`"),
        ("label = \"0.1\"", "label = \"0.05\"", "there are two values called `0.05`"),
        ("name = \"gradient\"", "name = \"seed\"", "isn't a column already"),
        ("series = [\"rate\"]", "series = [\"rates\"]", "did you mean `rate`?"),
        ("series = [\"rate\"]", "series = []", "runs that differ by `rate` would be one line"),
        ("of = \"test_loss\"", "of = \"loss\"", "`train_…` or `test_…`"),
        ("x = \"step\"", "x = \"stap\"", "there is no `stap`"),
        ("where = { rate = \"1e38\" }", "where = { rate = \"1e31\" }", "did you mean `1e38`?"),
        ("kind = \"reaches\"", "kind = \"reach\"", "did you mean `reaches`?"),
        ("at_least = 1.1", "at_last = 1.1", "`at_least` or `at_most` is missing"),
        ("rate = \"rate\" }", "rate = \"rat\" }", "did you mean `rate`?"),
        ("[quick]", "[quick", "tiny.toml"),
    ];
    for (from, to, message) in cases {
        assert!(TINY.contains(from), "{from}");
        let text = TINY.replacen(from, to, 1);
        let error = Experiment::read(&file(&text), Asked::default()).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("tiny.toml:"), "{from} -> {to}:\n{error}");
    }
    let out = tempfile::tempdir().unwrap();
    let fails = |from: &str, to: &str| {
        carry_out(&TINY.replacen(from, to, 1), Asked::default(), out.path(), &AtomicBool::new(false))
            .unwrap_err()
    };
    let error = fails("\"logistic\"", "\"logistc\"");
    assert!(
        error.contains("did you mean `logistic`?") && error.contains("0.05, backprop, seed 0"),
        "{error}"
    );
    let error = fails("synthetic:64x6x6x1", "synthetc");
    assert!(error.contains("neither a known data set nor a file"), "{error}");
    let error = fails("set = { image = 6 }", "set = { imag = 6 }");
    assert!(error.contains("did you mean `image`?"), "{error}");
    let error = fails("synthetic:64x6x6x1", "synthetic:64x7x6x1");
    assert!(error.contains("takes x: f32[8, 6, 6, 1]"), "{error}");
    assert!(!out.path().join("runs").exists(), "nothing has begun");
    let error = experiment::find("fig22").unwrap_err().to_string();
    assert!(error.contains("did you mean `fig2`?"), "{error}");
}

#[test]
fn damaged_results_are_errors() {
    let out = tempfile::tempdir().unwrap();
    let csv = all(TINY, Asked { quick: true, seeds: None }, out.path());
    let lines: Vec<&str> = csv.lines().collect();
    let damaged = [
        (String::new(), "it is empty"),
        (csv.replacen(",seed,", ",sead,", 1), "there is no column `seed`"),
        (csv.replacen(",step,1,2,", ",step,1,two,", 1), "`two`"),
        (csv.replacen(",step,1,2,", ",stop,1,2,", 1), "there is no point `stop`"),
        (format!("{}\na,b\n", lines[0]), "2 cells, but there are"),
    ];
    for (text, message) in damaged {
        fs::write(out.path().join(results::RESULTS), text).unwrap();
        let error = fgc_reproduce::section(out.path()).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("results.csv"), "{message}: {error}");
    }
}

#[test]
fn the_experiments_of_the_program_are_right() {
    for (name, text) in experiment::KNOWN {
        let file = File { name: format!("{name}.toml"), text: text.to_owned() };
        if let Some(measured) = measure::Experiment::of(&file).unwrap_or_else(|e| panic!("{e}")) {
            measured.check().unwrap_or_else(|e| panic!("{e}"));
            continue;
        }
        let count = [false, true].map(|quick| {
            let asked = Asked { quick, seeds: None };
            let experiment = Experiment::read(&file, asked).unwrap_or_else(|e| panic!("{e}"));
            assert!(!experiment.plots.is_empty() && !experiment.claims.is_empty(), "{name}");
            let section = experiment.section(&[]);
            assert!(section.claims.iter().all(|claim| claim.verdict == Verdict::Open), "{name}");
            experiment.plans().len()
        });
        assert!(count[1] > 0 && count[1] < count[0], "{name}: {count:?}");
    }
}
