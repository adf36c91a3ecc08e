//! Runs: interrupted and killed ones go on as if nothing had been, and bad folders are refused.

use fgc_tests::steps::config;
use fgc_transforms::{Derivatives, step};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use fgc::Text;
use fgc::random::initial;
use fgc_ir::diag::Sources;
use fgc_ir::lang::{self, Options as Elaboration};
use fgc_ir::{Arrays, Graph, Tensor};
use fgc_train::data::{Dataset, fit, load};
use fgc_train::metrics::Metrics;
use fgc_train::report::Position;
use fgc_train::run::{Checkpoint, DataSettings, FORMAT, Mark, ModelSettings, metrics};
use fgc_train::{
    Environment, Error, Evaluator, Interface, Interpreted, Options, Outcome, Pace, Report, Run, Settings,
    Step, Trainer, hash,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::methods::{estimators, optimizers};

/// A step of momentum on a linear classifier of noisy images. With batches of 8, 50 images are
/// an epoch of 6 steps.
const STEP: &str = "
model linear(x: f32[batch, 3, 3, 1], y: i32[batch], lr: f32[]) {
  state w: f32[9, 10] ~ normal(0.1)
  state v: f32[9, 10] ~ zeros
  h = flatten(x)
  h = h + 0.1 * random_normal(shape(h))
  logits = h @ w
  g = transpose(h, [1, 0]) @ (softmax(logits) - one_hot(y, 10)) / batch
  u = 0.9 * v + g
  update v = u
  update w = w - lr * u
  loss = mean(softmax_cross_entropy(logits, y))
  metric accuracy = mean(argmax(logits) == y)
}";

pub(crate) const EVAL: &str = "
model linear(x: f32[batch, 3, 3, 1], y: i32[batch]) {
  state w: f32[9, 10] ~ normal(0.1)
  logits = flatten(x) @ w
  loss = mean(softmax_cross_entropy(logits, y))
  metric accuracy = mean(argmax(logits) == y)
}";

const SEED: u64 = 11;

fn graph(text: &str, batch: usize) -> Graph {
    let mut sources = Sources::new();
    let file = sources.add("linear.fg", text);
    let options = Elaboration { batch: Some(batch), ..Elaboration::default() };
    lang::load(&mut sources, file, &options, &Derivatives).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(|e| e.render(&sources, false)).collect::<Vec<_>>().join("\n"))
    })
}

fn data() -> Dataset {
    load("synthetic:50x3x3x1", Path::new("nowhere")).unwrap()
}

pub(crate) fn text() -> Text {
    Text { place: "linear.fg".to_owned(), text: EVAL.to_owned() }
}

pub(crate) fn create(folder: &Path) -> Result<Run, Error> {
    Run::create(folder, settings(), EVAL, None)
}

pub(crate) fn settings() -> Settings {
    Settings {
        format: FORMAT,
        epochs: 3,
        earlier_epochs: Vec::new(),
        batch: 8,
        lr: 0.1,
        schedule: "constant".to_owned(),
        opt: 2,
        seed: u64::MAX,
        environment: Environment::now().unwrap(),
        pace: Pace { log_every: 2, checkpoint_every: Some(4), past_divergence: false, log: Vec::new() },
        model: ModelSettings {
            path: "linear.fg".to_owned(),
            name: None,
            sha256: hash::sha256_text(&text().text),
            set: [("hidden".to_owned(), "16".to_owned())].into(),
        },
        data: DataSettings {
            name: "synthetic".to_owned(),
            folder: "data".to_owned(),
            sha256: "def".to_owned(),
            train_samples: Some(40),
            ..DataSettings::default()
        },
        params: None,
        step: [("grad".to_owned(), "forward".into()), ("tangents".to_owned(), 4.into())]
            .into_iter()
            .collect(),
    }
}

/// What happens to a run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Fate {
    /// Nothing.
    Well,
    /// The process ends before the step of that number is done.
    Dies(u64),
    /// It is interrupted during the step of that number.
    Stops(u64),
    /// The loss of the step of that number is NaN.
    Diverges(u64),
}

/// The interpreter, with a fate.
struct Fated {
    inner: Interpreted,
    fate: Fate,
    calls: u64,
    stop: Rc<AtomicBool>,
    nan: bool,
}

impl Step for Fated {
    fn bind(&mut self, name: &str, x: &Tensor) -> Result<(), Error> {
        self.inner.bind(name, x)
    }

    fn call(&mut self) -> Result<(), Error> {
        self.calls += 1;
        self.nan = self.fate == Fate::Diverges(self.calls);
        match self.fate {
            Fate::Dies(at) if at == self.calls => return Err(Error::new("killed")),
            Fate::Stops(at) if at == self.calls => self.stop.store(true, Ordering::Relaxed),
            _ => {}
        }
        self.inner.call()
    }

    fn read(&self, name: &str) -> Result<Tensor, Error> {
        if self.nan && name == "loss" {
            return Ok(Tensor::of([], vec![f32::NAN]));
        }
        self.inner.read(name)
    }
}

/// Keeps notes.
#[derive(Default)]
struct Notes {
    notes: Vec<String>,
    epochs: Cell<u64>,
}

impl Report for Notes {
    fn start(&mut self, _position: &Position) {}
    fn step(&mut self, position: &Position, means: &dyn Fn() -> Metrics) {
        assert_eq!((position.steps, position.epochs), (18, 3));
        assert!(means().contains_key("accuracy"));
    }
    fn epoch(&mut self, _position: &Position, _train: &Metrics, test: Option<&Metrics>, _seconds: f64) {
        assert_eq!(test.map(Metrics::len), Some(2));
        self.epochs.set(self.epochs.get() + 1);
    }
    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
    fn end(&mut self) {}
}

/// What there is of a run in `folder` after it has met its fate, beginning it if it isn't there.
pub(crate) fn train_with(
    folder: &Path,
    fate: Fate,
    past_divergence: bool,
) -> (Result<Outcome, String>, Vec<String>) {
    train_steps(folder, fate, past_divergence, graph(STEP, 8), &|batch| graph(EVAL, batch))
}

/// [`train_with`] by steps of `step_graph`, and evaluated by what `eval` gives for a size of batch.
fn train_steps(
    folder: &Path,
    fate: Fate,
    past_divergence: bool,
    step_graph: Graph,
    eval: &dyn Fn(usize) -> Graph,
) -> (Result<Outcome, String>, Vec<String>) {
    let begin = || if folder.join("run.toml").exists() { Run::open(folder) } else { create(folder) };
    let mut run = match begin() {
        Ok(run) => run,
        Err(e) => return (Err(e.to_string()), Vec::new()),
    };
    let data = data();
    let interface = Interface::of(&step_graph).unwrap();
    let data = fit(&data, &interface.declared, &fit::Options::default()).unwrap();
    let drawn = initial(&step_graph, SEED).unwrap();
    let stop = Rc::new(AtomicBool::new(false));
    let mut step =
        Fated { inner: Interpreted::new(step_graph), fate, calls: 0, stop: Rc::clone(&stop), nan: false };
    let compile = |batch| {
        let graph = eval(batch);
        Ok((Interface::of(&graph)?, Box::new(Interpreted::new(graph)) as Box<dyn Step>))
    };
    let mut notes = Notes::default();
    let trainer = Trainer {
        data: &data,
        step: &mut step,
        interface: &interface,
        evaluator: Evaluator::new(&compile, 8),
        rate: &|step| 0.1 / (1.0 + step as f64),
        options: Options { epochs: 3, seed: SEED, log_every: 2, checkpoint_every: Some(4), past_divergence },
        report: &mut notes,
        stop: &stop,
    };
    let outcome = trainer.train(&mut run, &drawn).map_err(|e| e.to_string());
    (outcome, notes.notes)
}

pub(crate) fn train(folder: &Path, fate: Fate) -> Result<Outcome, String> {
    train_with(folder, fate, false).0
}

pub(crate) const FINISHED: Result<Outcome, String> = Ok(Outcome::Finished { diverged: None });

/// The figures of a run but for its times.
pub(crate) fn figures(folder: &Path) -> Vec<Value> {
    let mut records = metrics::read(&folder.join("metrics.jsonl")).unwrap();
    for record in &mut records {
        if let Some(seconds) = record.get_mut("seconds") {
            assert!(seconds.as_f64().unwrap() > 0.0);
            *seconds = Value::Null;
        }
    }
    records
}

/// The last checkpoint of a run but for its times.
pub(crate) fn last(folder: &Path) -> Checkpoint {
    let run = Run::open(folder).unwrap();
    let mut found = run.checkpoints.latest(&|_| Ok(()), &mut |_| {}).unwrap().unwrap();
    found.progress.seconds = 0.0;
    // Lines with times are never the same.
    found.progress.metrics = Mark::default();
    found
}

pub(crate) fn uninterrupted() -> (TempDir, Checkpoint, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(train(folder.path(), Fate::Well), FINISHED);
    let (last, figures) = (last(folder.path()), figures(folder.path()));
    (folder, last, figures)
}

pub(crate) fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder.join("checkpoints")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_run_learns_and_leaves_what_it_should() {
    let (folder, last, figures) = uninterrupted();
    assert_eq!((last.progress.step, last.progress.epoch, last.progress.batch), (18, 3, 0));
    assert_eq!(last.arrays.keys().collect::<Vec<_>>(), ["v", "w"]);
    let epochs: Vec<&Value> = figures.iter().filter(|r| r.get("train").is_some()).collect();
    assert_eq!((figures.len(), epochs.len()), (9 + 3, 3));
    assert!(epochs[2]["train"]["loss"].as_f64() < epochs[0]["train"]["loss"].as_f64());
    assert!(epochs[2]["test"]["accuracy"].as_f64() > Some(0.3), "{}", epochs[2]);
    let step = &figures[0];
    assert_eq!(
        (step["step"].as_u64(), step["epoch"].as_u64(), step["lr"].as_f64()),
        (Some(2), Some(1), Some(0.05))
    );
    assert!(step["accuracy"].is_number() && step.get("diverged").is_none());
    let text = fs::read_to_string(folder.path().join("run.toml")).unwrap();
    assert_eq!(Settings::parse(&text).unwrap(), settings());
    let curves = fs::read_to_string(folder.path().join("curves.svg")).unwrap();
    assert!(curves.contains("accuracy") && curves.contains("<path class=\"line d0\""), "{curves}");
    // Three newest; the best may be one of them.
    assert!((3..=4).contains(&checkpoints(folder.path()).len()));
    assert_eq!(train(folder.path(), Fate::Well), FINISHED);
}

#[test]
fn killed_and_interrupted_runs_end_with_the_same_bits() {
    let (_folder, expected, expected_figures) = uninterrupted();
    for at in 1..=18 {
        for fate in [Fate::Dies(at), Fate::Stops(at)] {
            let folder = tempfile::tempdir().unwrap();
            match (fate, train(folder.path(), fate)) {
                (Fate::Stops(18), done) => assert_eq!(done, Ok(Outcome::Interrupted { step: 18 })),
                (Fate::Stops(at), done) => assert_eq!(done, Ok(Outcome::Interrupted { step: at })),
                (_, done) => assert_eq!(done, Err("killed".to_owned())),
            }
            // What a process that is killed while it writes leaves behind.
            let metrics = folder.path().join("metrics.jsonl");
            let torn = [fs::read(&metrics).unwrap(), b"{\"step\": 1".to_vec()].concat();
            fs::write(&metrics, torn).unwrap();
            fs::write(folder.path().join("checkpoints/.fgc-0123456789abcdef.tmp"), "half").unwrap();
            // And again, some steps further.
            let _ = train(folder.path(), Fate::Dies(5));
            assert_eq!(train(folder.path(), Fate::Well), FINISHED, "{fate:?}");
            assert_eq!(last(folder.path()), expected, "{fate:?}");
            assert_eq!(figures(folder.path()), expected_figures, "{fate:?}");
            assert!(checkpoints(folder.path()).iter().all(|p| p.extension().unwrap() == "safetensors"));
        }
    }
}

/// A model with a local loss, and sites.
const NET: &str = "
model net(x: f32[batch, 3, 3, 1], y: i32[batch]) {
  h = relu(dense(flatten(x), 4) as first)
  local loss = mean(softmax_cross_entropy(dense(h, 10) as side, y))
  logits = dense(stop_gradient(h), 10) as head
  loss = mean(softmax_cross_entropy(logits, y))
  metric accuracy = mean(argmax(logits) == y)
}";

/// Each estimator, with one optimizer after the other: what is drawn, and all states, go on where they were.
#[test]
fn steps_of_every_method_end_with_the_same_bits_after_a_kill() {
    let (estimators, optimizers) = (estimators(), optimizers());
    let count = estimators.len().max(optimizers.len());
    for k in 0..count {
        let (grad, rule) = (&estimators[k % estimators.len()], optimizers[k % optimizers.len()]);
        let with = config(grad, &format!("clip+weight_decay:rate=1e-3+{rule}"));
        let run = |folder: &Path, fate| {
            let step = step(&graph(NET, 8), &with).unwrap_or_else(|e| panic!("{grad}, {rule}: {e}"));
            train_steps(folder, fate, true, step, &|batch| graph(NET, batch)).0
        };
        let whole = tempfile::tempdir().unwrap();
        assert!(matches!(run(whole.path(), Fate::Well), Ok(Outcome::Finished { .. })), "{grad}, {rule}");
        let parts = tempfile::tempdir().unwrap();
        assert_eq!(run(parts.path(), Fate::Dies(7)), Err("killed".to_owned()), "{grad}, {rule}");
        assert!(matches!(run(parts.path(), Fate::Well), Ok(Outcome::Finished { .. })), "{grad}, {rule}");
        assert_eq!(last(parts.path()), last(whole.path()), "{grad}, {rule}");
        assert_eq!(figures(parts.path()), figures(whole.path()), "{grad}, {rule}");
    }
}

#[test]
fn damaged_checkpoints_are_passed_over() {
    let (_folder, expected, _) = uninterrupted();
    let damage: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |_| Vec::new(),
        |bytes| bytes[..bytes.len() / 2].to_vec(),
        |mut bytes| {
            let last = bytes.len() - 5;
            bytes[last] ^= 1;
            bytes
        },
        |bytes| String::from_utf8_lossy(&bytes).replace("\\\"step\\\":13", "\\\"step\\\":12").into_bytes(),
    ];
    for damage in damage {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(train(folder.path(), Fate::Stops(13)), Ok(Outcome::Interrupted { step: 13 }));
        let newest = checkpoints(folder.path()).pop().unwrap();
        assert!(newest.ends_with("step-0000000013.safetensors"));
        fs::write(&newest, damage(fs::read(&newest).unwrap())).unwrap();
        let (outcome, notes) = train_with(folder.path(), Fate::Well, false);
        assert_eq!(outcome, FINISHED);
        assert!(
            notes.len() == 1 && notes[0].contains("passed over") && notes[0].contains("step-0000000013"),
            "{notes:?}"
        );
        assert_eq!(last(folder.path()), expected);
    }
    // With none that is whole, nothing is done.
    let folder = tempfile::tempdir().unwrap();
    let _ = train(folder.path(), Fate::Dies(7));
    for path in checkpoints(folder.path()) {
        fs::write(path, "no").unwrap();
    }
    let before = fs::read(folder.path().join("metrics.jsonl")).unwrap();
    let error = train(folder.path(), Fate::Well).unwrap_err();
    assert!(
        error.contains("no checkpoint can be used") && error.contains("not a valid safetensors file"),
        "{error}"
    );
    assert_eq!(fs::read(folder.path().join("metrics.jsonl")).unwrap(), before);
}

#[test]
fn divergence_ends_a_run_or_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let (outcome, notes) = train_with(folder.path(), Fate::Diverges(9), false);
    assert_eq!(outcome, Ok(Outcome::Diverged { step: 9 }));
    assert!(notes[0].contains("the loss is NaN at step 9, epoch 2"), "{notes:?}");
    let records = figures(folder.path());
    let last = records.last().unwrap();
    assert_eq!((&last["loss"], &last["diverged"], &last["step"]), (&Value::Null, &true.into(), &9.into()));
    let folder = tempfile::tempdir().unwrap();
    let (outcome, notes) = train_with(folder.path(), Fate::Diverges(9), true);
    assert_eq!((outcome, notes.len()), (Ok(Outcome::Finished { diverged: Some(9) }), 1));
    assert_eq!(figures(folder.path()).len(), 9 + 1 + 3);
}

#[test]
fn folders_that_cannot_be_used_are_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let fails = |run: Result<Run, Error>| run.map(|_| ()).unwrap_err().to_string();
    let taken = root.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("mine"), "mine").unwrap();
    assert!(fails(create(&taken)).contains("isn't empty"));
    assert!(fails(Run::open(&taken)).contains("no run in this folder"));
    assert_eq!(fs::read_dir(&taken).unwrap().count(), 1);
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(fails(create(&file.join("run"))).contains("file/run"));
    let run = root.path().join("run");
    let open = create(&run).unwrap();
    for refused in [create(&run), Run::open(&run)] {
        assert!(fails(refused).contains("another process is training in this folder"));
    }
    drop(open);
    assert!(fails(create(&run)).contains("there is a run in this folder"));
    assert_eq!(Run::open(&run).unwrap().settings, settings());
    fs::write(run.join("run.toml"), "format = 2\nfoo = 1\n").unwrap();
    let error = fails(Run::open(&run));
    assert!(error.contains("run.toml") && error.contains("line 2"), "{error}");
}

#[test]
fn a_folder_that_goes_away_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), Fate::Stops(3)).is_ok());
    let run = Run::open(folder.path()).unwrap();
    let checkpoint = run.checkpoints.latest(&|_| Ok(()), &mut |_| {}).unwrap().unwrap();
    fs::remove_dir_all(folder.path().join("checkpoints")).unwrap();
    let error = run.checkpoints.save(&checkpoint).unwrap_err().to_string();
    assert!(error.contains("step-0000000003.safetensors"), "{error}");
}

#[test]
fn what_does_not_fit_the_program_is_refused() {
    let interface = Interface::of(&graph(STEP, 8)).unwrap();
    let inputs: Vec<&str> = interface.declared.inputs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((interface.batch(), interface.seed, interface.rate, inputs), (8, true, true, vec!["x", "y"]));
    let other = load("synthetic:50x3x4x1", Path::new("nowhere")).unwrap();
    let error = fit(&other, &interface.declared, &fit::Options::default()).unwrap_err().error.to_string();
    assert_eq!(
        error,
        "`linear` takes x: f32[8, 3, 3, 1], but a sample of `synthetic:50x3x4x1` is u8[3, 4, 1] (synthetic:50x3x4x1)"
    );
    let uneven =
        "model m(x: f32[batch, 2], z: f32[3]) { param w: f32[] ~ ones\n loss = w * sum(x) + sum(z) }";
    let error = Interface::of(&graph(uneven, 2)).unwrap_err().to_string();
    assert!(error.contains("`x: f32[2, 2]` and `z: f32[3]` have batches of different sizes"), "{error}");
    let arrays = Arrays::from([("w".to_owned(), Tensor::of([2], vec![0.0f32; 2]))]);
    let error = interface.check_kept(&arrays).unwrap_err().to_string();
    assert!(error.contains("`v` is missing: expected f32[9, 10]"), "{error}");
    assert!(error.contains("`w` is f32[2]: expected f32[9, 10]"), "{error}");
    let bad = "model m(x: f32[batch, 2], z: f32[]) { loss = sum(x) + z }";
    let error = Interface::of(&graph(bad, 2)).unwrap_err().to_string();
    assert!(error.contains("nothing to bind to `z: f32[]`"), "{error}");
    // A checkpoint of other settings.
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), Fate::Stops(3)).is_ok());
    let toml = fs::read_to_string(folder.path().join("run.toml")).unwrap();
    for (from, to) in
        [("lr = 0.1", "lr = 0.2"), ("hidden = \"16\"", "hidden = \"32\""), ("log_every = 2", "log_every = 3")]
    {
        assert!(toml.contains(from), "{toml}");
        fs::write(folder.path().join("run.toml"), toml.replace(from, to)).unwrap();
        let error = train(folder.path(), Fate::Well).unwrap_err();
        assert!(error.contains("a checkpoint of another run, or of other settings"), "{error}");
    }
    // Where things are and how often it is saved are no such settings.
    let moved = toml.replace("linear.fg", "elsewhere.fg").replace("\"data\"", "\"/data\"");
    let moved = moved.replace("checkpoint_every = 4", "checkpoint_every = 5");
    assert!(
        moved.contains("elsewhere.fg") && moved.contains("/data") && moved.contains("every = 5"),
        "{moved}"
    );
    fs::write(folder.path().join("run.toml"), moved).unwrap();
    assert_eq!(train(folder.path(), Fate::Well), FINISHED);
}
