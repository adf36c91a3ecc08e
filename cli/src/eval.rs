//! `fgc eval`: tests a trained model.

use std::cell::RefCell;

use fgc::{Error, Text, Threads, models};
use fgc_train::data;
use fgc_train::run::{self, DataSettings, ModelSettings, Settings, path_text};
use fgc_train::training::{self, EVALUATION_BATCH};
use fgc_train::{Evaluator, hash, weights};

use crate::args::Eval;
use crate::failure::{self, Done, input, say_notes};

pub fn eval(args: &Eval, quiet: bool, threads: Option<u16>) -> Done {
    let threads = Threads::new(threads.map(usize::from))?;
    let weights = weights::read(&args.params, args.checkpoint)?;
    say_notes(&weights.notes, quiet);
    let run = if weights.of_run { Some(run::read_settings(&args.params)?) } else { None };
    let (text, model) = model(args, run.as_ref())?;
    let settings = data_of(args, run.as_ref())?;
    let data = training::read_data(&settings)?;
    say_notes(&data.notes, quiet);
    let batch = args.batch.unwrap_or(EVALUATION_BATCH);
    let fit = settings.fit_as(weights.understood)?;
    let fitted = training::fitted(&training::load(&model, &text, batch, false)?, &data, &fit)?;
    say_notes(&fitted.notes, quiet);
    if fitted.test.is_none() {
        say_notes(&["there is no test split: all samples are evaluated on".to_owned()], quiet);
    }
    let samples = fitted.test.as_ref().unwrap_or(&fitted.train);
    let kept = RefCell::new(weights.arrays);
    // Checked once, for an error that lists all that doesn't fit.
    let checked = RefCell::new(false);
    let compile = |batch: usize| {
        let (interface, program) =
            training::evaluation(&model, &text, args.opt.level().number(), batch, &threads)?;
        if !checked.replace(true) {
            say_notes(&interface.adapt_kept(&mut kept.borrow_mut())?, quiet);
            interface.check_kept(&kept.borrow())?;
        }
        Ok((interface, program))
    };
    let find = |name: &str| {
        kept.borrow()
            .get(name)
            .cloned()
            .ok_or_else(|| Error::file(&weights.path, format_args!("there is no `{name}`")))
    };
    let metrics = Evaluator::new(&compile, batch).run(samples, args.seed, &find)?;
    // Of a run it is for fgc to say which checkpoint it is, and which data.
    if !quiet && run.is_some() {
        failure::say(&format!("{}, on {}", weights.path.display(), data.name));
    }
    let width = metrics.keys().map(String::len).max().unwrap_or(0);
    let lines: Vec<String> = metrics.iter().map(|(name, x)| format!("{name:<width$} = {x:.6}\n")).collect();
    failure::print(&lines.concat())
}

/// The model that `args` name, or that of the run whose parameters they are.
fn model(args: &Eval, run: Option<&Settings>) -> Done<(Text, ModelSettings)> {
    let set = args.set.iter().cloned();
    match (&args.model, run) {
        (Some(path), _) => {
            let text = models::find(path)?;
            let settings = ModelSettings {
                path: path_text(path)?,
                name: args.name.clone(),
                sha256: hash::sha256_text(&text.text),
                set: set.collect(),
            };
            Ok((text, settings))
        }
        (None, Some(run)) => {
            let mut settings = run.model.clone();
            settings.set.extend(set);
            Ok((run::read_model(&args.params, run)?, settings))
        }
        (None, None) => Err(input(format_args!(
            "there is no model to test: `fgc eval MODEL --params {}`; the folder of a run has its own",
            args.params.display()
        ))),
    }
}

/// The data that `args` name, or that of the run whose parameters they are.
fn data_of(args: &Eval, run: Option<&Settings>) -> Done<DataSettings> {
    Ok(match (&args.data, run) {
        (Some(name), _) => args.fit.settings(name, &args.folder)?,
        (None, Some(run)) => {
            let folder = match &args.folder.given {
                Some(folder) => data::absolute(folder)?,
                None => run.data.folder.clone(),
            };
            args.fit.over(DataSettings { folder, ..run.data.clone() })
        }
        (None, None) => args.fit.settings(data::EMBEDDED, &args.folder)?,
    })
}
