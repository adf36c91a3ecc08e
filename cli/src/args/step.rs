//! The arguments that say what a step of training does.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use fgc::library;
use fgc::{MethodKind, method, optimizers};
use fgc_train::StepSettings;
use fgc_train::step_settings::{Form, SHORTHANDS, Shorthand};
use toml::Value;

/// What a step of training does.
#[derive(Clone)]
pub struct StepArgs(pub StepSettings);

impl Args for StepArgs {
    fn augment_args(command: Command) -> Command {
        let command = command
            .arg(
                Arg::new("grad")
                    .long("grad")
                    .value_name("ESTIMATOR")
                    .value_parser(|spec: &str| method(MethodKind::Estimator, spec).map(|_| spec.to_owned()))
                    .help(about(MethodKind::Estimator, "Where the gradient comes from")),
            )
            .arg(
                Arg::new("optimizer")
                    .long("optimizer")
                    .value_name("RULE")
                    .value_parser(|spec: &str| optimizers(spec).map(|_| spec.to_owned()))
                    .help(about(MethodKind::Optimizer, "The rule by which parameters follow the gradient")),
            );
        let command = SHORTHANDS.iter().fold(command, |command, shorthand| {
            let value = match shorthand.form {
                Form::Count => "K",
                Form::Number => "X",
                Form::Name => "DISTRIBUTION",
            };
            command.arg(
                Arg::new(shorthand.key)
                    .long(shorthand.flag)
                    .value_name(value)
                    .value_parser(|text: &str| shorthand.value(text))
                    .help(shorthand.about),
            )
        });
        command.arg(
            Arg::new("no_metrics")
                .long("no-metrics")
                .alias("no-figures")
                .action(ArgAction::SetTrue)
                .help("Leave out the metrics of the gradient, and what they cost"),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        StepArgs::augment_args(command)
    }
}

/// What an argument is for, with the methods that it can name and that which is meant without it.
fn about(kind: MethodKind, what: &str) -> String {
    format!("{}; {} if not given", choice(kind, what), library::standard(kind).name())
}

/// What an argument is for, with the methods that it can name.
pub fn choice(kind: MethodKind, what: &str) -> String {
    let names: Vec<&str> = library::all(kind).iter().map(|(name, _)| *name).collect();
    let joined = match kind {
        MethodKind::Estimator => "",
        MethodKind::Optimizer => "; several are joined by `+`",
    };
    format!(
        "{what}: {}, or a file; parameters behind a colon, as `NAME:key=value,…`{joined}",
        names.join(", ")
    )
}

impl FromArgMatches for StepArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<StepArgs, clap::Error> {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let given = |s: &Shorthand| Some((s.key.to_owned(), matches.get_one::<Value>(s.key)?.clone()));
        Ok(StepArgs(StepSettings {
            grad: text("grad"),
            optimizer: text("optimizer"),
            no_metrics: matches.get_flag("no_metrics"),
            shorthands: SHORTHANDS.iter().filter_map(given).collect(),
            texts: BTreeMap::new(),
        }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = StepArgs::from_arg_matches(matches)?;
        Ok(())
    }
}
