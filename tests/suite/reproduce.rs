//! Experiments of training: read with an eye to mistakes, carried out, interrupted, and shown.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use fgc_reproduce::results::{self, Moment};
use fgc_reproduce::{
    Claim, EXPERIMENTS, Ended, Experiment, File, Folders, Overrides, Store, Training, Verdict,
};
use fgc_train::seal;

/// Twelve runs of a linear classifier on noisy images, a quarter of which diverge.
pub const TINY: &str = r#"
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

[[claim]]
source = "nobody"
text = "Both get to a loss of 2.5, the second however long the first takes."
check = { kind = "sooner", where = { rate = "0.05" }, of = "train_loss", goal = 2.5, first = { gradient = "forward" }, second = { gradient = "backprop" }, times = 1e6 }

[[claim]]
source = "nobody"
text = "More than all of the samples are told apart as soon."
check = { kind = "sooner", where = { rate = "0.05" }, of = "test_accuracy", goal = 1.5, first = { gradient = "forward" }, second = { gradient = "backprop" } }
"#;

fn file(text: &str) -> File {
    File { name: "tiny.toml".to_owned(), text: text.to_owned() }
}

pub fn carry_out(text: &str, overrides: Overrides, out: &Path, stop: &AtomicBool) -> Result<Ended, String> {
    let folders = Folders { out: out.to_owned(), data: "nowhere".into(), base: "".into() };
    fgc_reproduce::reproduce(&file(text), overrides, &folders, 2, stop, true).map_err(|e| e.to_string())
}

pub fn all(text: &str, overrides: Overrides, out: &Path) -> String {
    assert_eq!(carry_out(text, overrides, out, &AtomicBool::new(false)), Ok(Ended::All));
    fs::read_to_string(out.join(results::RESULTS)).unwrap()
}

#[test]
fn an_experiment_is_carried_out_and_shown() {
    let out = tempfile::tempdir().unwrap();
    let csv = all(TINY, Overrides::default(), out.path());
    let rows = results::read(out.path()).unwrap();
    assert_eq!(results::to_csv(&rows).0, csv);
    let count = |moment| rows.iter().filter(|row| row.moment == moment).count();
    // Two rates that are stable, two gradients, two seeds, three epochs of eight steps, every second of which is kept.
    assert_eq!(count(Moment::Epoch), 2 * 2 * 2 * 3);
    assert!(count(Moment::Step) >= 2 * 2 * 2 * 12);
    assert_eq!(count(Moment::Diverged), 2 * 2);
    let ends: Vec<_> = rows.iter().filter(|row| row.moment == Moment::Epoch).collect();
    assert!(ends.iter().all(|row| row.seconds.is_some_and(|s| s > 0.0)));
    assert!(ends.iter().all(|row| row.metrics.contains_key("test_accuracy")));

    let (section, made) = fgc_reproduce::section(out.path()).unwrap();
    assert_eq!((made.overrides(), made.threads), (Overrides::default(), 2));
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
    let verdicts: Vec<Verdict> = section.claims.iter().map(Claim::verdict).collect();
    let expected = [
        Verdict::Holds,
        Verdict::Partly,
        Verdict::Holds,
        Verdict::Fails,
        Verdict::Holds,
        Verdict::Holds,
        Verdict::Fails,
        Verdict::Holds,
        // Nothing gets there.
        Verdict::Open,
    ];
    assert_eq!(verdicts, expected, "{:#?}", section.claims);
    assert!(
        section.claims[1].why().contains("not at backprop, 1e38; forward, 1e38"),
        "{}",
        section.claims[1].why()
    );
    let table = &section.tables[0];
    assert_eq!(table.columns, ["gradient", "highest stable rate"]);
    assert_eq!(table.rows, [["backprop", "0.1"], ["forward", "0.05"]]);
    assert!(section.settings.contains(&("lr".to_owned(), "0.05, 0.1, 1e38".to_owned())));
}

#[test]
fn all_experiments_of_a_folder_are_in_its_report() {
    let out = tempfile::tempdir().unwrap();
    let overrides = Overrides { quick: true, seeds: None };
    for name in ["first", "second"] {
        all(&TINY.replace("A linear classifier", name), overrides, &out.path().join(name));
    }
    fs::create_dir(out.path().join("something else")).unwrap();
    let published = fgc_reproduce::publish(out.path()).unwrap();
    let page = fs::read_to_string(published.report).unwrap();
    for text in ["first", "second", "Small rates are stable", "a quick trial", "Highest stable rates"] {
        assert!(page.contains(text), "{text}");
    }
    // They are the user's own: nothing of a paper's is in their report.
    assert!(page.contains("<title>first; second</title>"));
    for text in ["Daprato", "Not All You Need", "Baydin", "What the paper leaves open"] {
        assert!(!page.contains(text), "{text}");
    }
    let json = claims_in(out.path());
    assert_eq!(json.len(), 18);
    assert_eq!((json[0]["source"].as_str(), json[0]["experiment"].as_str()), (Some("nobody"), Some("first")));
    for file in ["course.svg", "course.png", "rates.svg", "rates.png"] {
        assert!(out.path().join("second").join(file).is_file(), "{file}");
    }
}

/// The claims in `claims.json` of a folder.
fn claims_in(folder: &Path) -> Vec<serde_json::Value> {
    serde_json::from_str(&fs::read_to_string(folder.join("claims.json")).unwrap()).unwrap()
}

#[test]
fn all_claims_of_the_paper_are_there_once_and_in_order() {
    let file = fgc_reproduce::builtin_claims();
    let decided = fgc_reproduce::decide(&file, &Store::builtin().unwrap()).unwrap_or_else(|e| panic!("{e}"));
    let numbers = |source: &str| -> Vec<u64> {
        decided.claims.iter().filter(|c| c.source == source).filter_map(|c| c.number).collect()
    };
    assert_eq!(numbers("paper"), (1..=28).collect::<Vec<_>>());
    for source in ["baydin", "own"] {
        assert_eq!(numbers(source), (1..=numbers(source).len() as u64).collect::<Vec<_>>());
    }
    // Without results nothing is decided, whatever the file says: verdicts are computed.
    assert!(
        decided.claims.iter().all(|claim| claim.verdict() == Verdict::Open && !claim.evidence.is_empty())
    );
    assert!(decided.found.is_empty());
    for (from, to, message) in [
        ("experiment = \"fig2\"", "experiment = \"fig22\"", "did you mean `fig2`?"),
        ("kind = \"steps\"", "kind = \"stepps\"", "did you mean `steps`?"),
        ("kind = \"unbiased\"", "kind = \"unbiassed\"", "unbiassed"),
        ("rate = [\"2e-5\", \"2e-4\"]", "rate = [\"2e-6\"]", "there is no `2e-6`"),
        ("number = 2\n", "number = 1\n", "a claim of this source and number already"),
        ("source = \"paper\"", "source = \"papr\"", "did you mean `paper`?"),
        ("claims = [2, 3, 4]", "claims = [2, 3, 29]", "the paper has no claim 29"),
        ("cases = [\"quadratic\", \"mlp\"]", "cases = [\"quadratc\"]", "did you mean `quadratic`?"),
    ] {
        assert!(file.text.contains(from), "{from}");
        let wrong = File { text: file.text.replacen(from, to, 1), ..file.clone() };
        let error = fgc_reproduce::decide(&wrong, &Store::builtin().unwrap()).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("claims.toml:"), "{from} -> {to}:\n{error}");
    }
}

#[test]
fn verdicts_follow_the_results() {
    let out = tempfile::tempdir().unwrap();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reproduced/variance");
    let folder = out.path().join("variance");
    fs::create_dir(&folder).unwrap();
    for name in ["experiment.toml", "made.toml", "results.csv", "settings.toml"] {
        fs::copy(docs.join(name), folder.join(name)).unwrap();
    }
    let verdict = || {
        let published = fgc_reproduce::publish(out.path()).unwrap();
        assert!(published.claims.iter().all(|c| c.evidence.iter().any(|e| e.experiment == "variance")));
        let json = claims_in(out.path());
        let paper: Vec<u64> =
            json.iter().filter(|c| c["source"] == "paper").filter_map(|c| c["number"].as_u64()).collect();
        assert_eq!(paper, (1..=28).collect::<Vec<_>>(), "also those that wait for results");
        for claim in &json {
            for key in ["source", "number", "claim", "measured", "verdict", "why", "experiment"] {
                assert!(!claim[key].is_null(), "{key} of {claim}");
            }
        }
        assert_eq!(json[0]["verdict"], "open");
        [1, 2].map(|k: usize| json[k]["verdict"].as_str().unwrap().to_owned())
    };
    assert_eq!(verdict(), ["holds", "partly"]);
    // With means that are off, the estimate isn't unbiased any more.
    let results = folder.join("results.csv");
    let text = fs::read_to_string(&results).unwrap();
    let column = text.lines().next().unwrap().split(',').position(|name| name == "bias").unwrap();
    let worse = text.lines().enumerate().map(|(k, line)| {
        let mut cells: Vec<&str> = line.split(',').collect();
        if k > 0 {
            cells[column] = "1e6";
        }
        cells.join(",") + "\n"
    });
    fs::write(&results, worse.collect::<String>()).unwrap();
    assert_eq!(verdict(), ["fails", "partly"]);
}

#[test]
fn quantities_that_do_not_exist_are_refused_before_anything_runs() {
    let out = tempfile::tempdir().unwrap();
    let fails = |from: &str, to: &str| {
        assert!(TINY.contains(from), "{from}");
        let text = TINY.replacen(from, to, 1);
        carry_out(&text, Overrides::default(), out.path(), &AtomicBool::new(false)).unwrap_err()
    };
    let figure = "of = \"test_accuracy\", range";
    let error = fails(figure, "of = \"test_acc\", range");
    assert!(
        error.contains("no run of `runs` has a quantity `test_acc`")
            && error.contains("did you mean `test_accuracy`?")
            && error.contains("tiny.toml:"),
        "{error}"
    );
    let error = fails(figure, "of = \"train_directionl\", range");
    assert!(error.contains("did you mean `train_directional`?"), "{error}");
    let error = fails("of = \"test_accuracy\", at_least", "of = \"test_accurcy\", at_least");
    assert!(error.contains("did you mean `test_accuracy`?"), "in a claim: {error}");
    assert!(!out.path().join("runs").exists(), "nothing has begun");
}

#[test]
fn the_quantities_of_the_program_s_experiments_exist() {
    let out = tempfile::tempdir().unwrap();
    let folders = Folders { out: out.path().to_owned(), data: "nowhere".into(), base: "".into() };
    for (name, text) in EXPERIMENTS {
        let file = File { name: format!("{name}.toml"), text: text.to_owned() };
        if let Experiment::Training(_) = Experiment::read(&file, Overrides::default()).unwrap() {
            fgc_reproduce::check_metrics(&file, &folders).unwrap_or_else(|e| panic!("{e}"));
        }
    }
    fgc_reproduce::check_claims(&fgc_reproduce::builtin_claims(), &folders).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_figure_without_data_is_a_note_and_no_picture() {
    let out = tempfile::tempdir().unwrap();
    let text = TINY.replace(
        "name = \"rates\"\ntitle = \"Rates\"\nseries = [\"gradient\"]\nx = \"rate\"",
        "name = \"rates\"\ntitle = \"Rates\"\npanels = \"rate\"\nseries = [\"gradient\"]\nx = \"seconds\"",
    );
    assert_ne!(text, TINY);
    let folder = out.path().join("mine");
    all(&text, Overrides { quick: true, seeds: None }, &folder);
    let published = fgc_reproduce::publish(out.path()).unwrap();
    assert!(folder.join("rates.png").is_file());
    assert!(!fs::read_to_string(&published.report).unwrap().contains("isn&#39;t drawn"));
    fs::remove_file(folder.join(results::TIMES)).unwrap();
    fgc_reproduce::publish(out.path()).unwrap();
    let page = fs::read_to_string(&published.report).unwrap();
    assert!(page.contains("&quot;Rates&quot; isn&#39;t drawn") && page.contains("times.csv"));
    assert!(
        !folder.join("rates.png").exists() && !folder.join("rates.svg").exists(),
        "the old ones are gone"
    );
    assert!(folder.join("course.png").is_file());
}

#[test]
fn a_run_that_diverges_before_its_first_point_has_a_cross() {
    let out = tempfile::tempdir().unwrap();
    all(&TINY.replace("log_every = 2", "log_every = 3"), Overrides::default(), out.path());
    let (section, _) = fgc_reproduce::section(out.path()).unwrap();
    let lines = section.figures[0].panels.iter().flat_map(|panel| &panel.series);
    let gone: Vec<_> = lines.filter(|line| line.name == "1e38").collect();
    assert_eq!(gone.len(), 4, "two gradients, two quantities");
    for line in gone {
        let stop = line.stops.or_else(|| {
            let last = line.points.last()?;
            last.y.is_nan().then_some(fgc_plot::Stop { x: last.x, up: true })
        });
        assert!(stop.is_some_and(|stop| stop.x > 0.0), "{line:?}");
    }
    assert!(section.figures[0].caption.contains("A cross is"), "{}", section.figures[0].caption);
}

#[test]
fn all_experiments_of_the_folder_are_carried() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reproduce/experiments");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> =
        names.map(|p| p.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != "claims");
    names.sort();
    let mut known: Vec<&str> = EXPERIMENTS.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(names, known);
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let cases = [
        ("kind = \"training\"", "kind = \"trainin\"", "did you mean `training`?"),
        ("seeds = 2", "seds = 2", "did you mean `seeds`?"),
        ("seeds = 2", "seeds = 0", "invalid value: integer `0`, expected a whole number from 1"),
        ("seeds = 2", "seeds = \"two\"", "invalid type: string \"two\", expected a whole number from 1"),
        ("series = [\"rate\"]", "series = \"rate\"", "invalid type: string \"rate\", expected a list"),
        ("seeds = 2", "seeds = 2000", "`seeds` is at most 1000, not 2000"),
        ("title = \"A linear classifier\"", "", "missing field `title`"),
        ("batch = 8", "bach = 8", "did you mean `batch`?"),
        ("lr = 0.05 }", "lr = -0.05 }", "a learning rate is positive"),
        ("lr = 0.05 }", "lr = nan }", "`lr` is a finite number"),
        ("lr = 0.05 }", "lr = 0.05, tangnt = \"normal\" }", "did you mean `tangent`?"),
        ("lr = 0.05 }", "lr = 0.05, beta = 0.5 }", "is for --optimizer momentum, muon, and nesterov"),
        ("lr = 0.05 }", "lr = 0.05, schedule = \"cosin\" }", "cosine"),
        ("grad = \"forward\"", "grad = \"forwad\"", "there is no estimator `forwad`"),
        ("label = \"0.1\"", "label = \"0.05\"", "there are two values called `0.05`"),
        ("name = \"gradient\"", "name = \"seed\"", "isn't a column already"),
        ("series = [\"rate\"]", "series = [\"rates\"]", "did you mean `rate`?"),
        ("series = [\"rate\"]", "series = []", "runs that differ by `rate` would be one line"),
        ("of = \"test_loss\"", "of = \"loss\"", "`train_…` or `test_…`"),
        ("x = \"step\"", "x = \"stap\"", "there is no `stap`"),
        ("where = { rate = \"1e38\" }", "where = { rate = \"1e31\" }", "did you mean `1e38`?"),
        ("kind = \"reaches\"", "kind = \"reach\"", "did you mean `reaches`?"),
        ("at_least = 1.1", "at_last = 1.1", "did you mean `at_least`?"),
        ("rate = \"rate\" }", "rate = \"rat\" }", "did you mean `rate`?"),
        ("[quick]", "[quick", "tiny.toml"),
    ];
    for (from, to, message) in cases {
        assert!(TINY.contains(from), "{from}");
        let text = TINY.replacen(from, to, 1);
        let error = Experiment::read(&file(&text), Overrides::default()).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("tiny.toml:"), "{from} -> {to}:\n{error}");
    }
    let out = tempfile::tempdir().unwrap();
    let fails = |from: &str, to: &str| {
        carry_out(&TINY.replacen(from, to, 1), Overrides::default(), out.path(), &AtomicBool::new(false))
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
    let error = fgc_reproduce::find("fig22").unwrap_err().to_string();
    assert!(error.contains("did you mean `fig2`?"), "{error}");
}

#[test]
fn damaged_results_are_errors() {
    let out = tempfile::tempdir().unwrap();
    let csv = all(TINY, Overrides { quick: true, seeds: None }, out.path());
    let lines: Vec<&str> = csv.lines().collect();
    seal::remove(out.path()).unwrap();
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
    for (name, text) in EXPERIMENTS {
        let file = File { name: format!("{name}.toml"), text: text.to_owned() };
        Experiment::check(&file).unwrap_or_else(|e| panic!("{e}"));
        let Experiment::Training(_) = Experiment::read(&file, Overrides::default()).unwrap() else {
            continue;
        };
        let count = [false, true].map(|quick| {
            let overrides = Overrides { quick, seeds: None };
            let experiment = Training::read(&file, overrides).unwrap_or_else(|e| panic!("{e}"));
            assert!(!experiment.plots.is_empty(), "{name}");
            assert!(experiment.claims.is_empty(), "{name}: claims are in claims.toml");
            experiment.plans().len()
        });
        assert!(count[1] > 0 && count[1] < count[0], "{name}: {count:?}");
    }
}
