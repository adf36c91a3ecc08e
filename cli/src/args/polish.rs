//! What all commands have in common: headings of flags, commands by what they are for, hints for names that other programs
//! have for a flag.

use clap::builder::{Resettable, Str, UnknownArgumentValueParser};
use clap::{Arg, Command};
use fgc_train::step_settings::SHORTHANDS;

/// The commands by what they are for.
pub const GROUPS: [(&str, &[&str]); 5] = [
    ("Compile and look", &["compile", "levels", "import"]),
    ("Run and check", &["run", "init", "check"]),
    ("Train and evaluate", &["train", "eval", "show", "compare", "verify"]),
    ("Measure and reproduce", &["bench", "estimate", "reproduce"]),
    ("Data and set-up", &["data", "new", "completions", "man"]),
];

/// Stands for the flags of [`SHORTHANDS`] in a list.
const SHORTHAND: &str = "a shorthand";

/// What a step of training consists of, by flags of [`StepArgs`](super::StepArgs).
const STEP: &[&str] = &["grad", "optimizer", SHORTHAND, "no_metrics"];

/// Directions of derivatives.
const TANGENTS: &[&str] = &["tangents", "tangent"];

/// The headings of flags, in the commands of a list or, without one, in all. Of a flag that is in several lines, the first
/// that is of its command counts.
pub const HEADINGS: &[(&str, &[&str], &[&str])] = &[
    ("Import", &["data", "loss", "layout", "size", "params", "output"], &["import"]),
    ("Model", &["name", "set", "eval"], &[]),
    ("Model", &["model", "consts"], &["show"]),
    ("Model", &["batch"], &["compile", "levels", "run", "init", "check", "bench", "estimate"]),
    ("Program", &["mode", "wrt", "dtype", "opt", "backend"], &[]),
    ("Tangents (--mode jvp, hvp or step)", TANGENTS, &["compile", "run", "bench"]),
    ("Step of training (--mode step)", STEP, &["compile", "run", "bench"]),
    ("Estimators", &["grad", "samples"], &["estimate"]),
    ("Training before it (--steps)", &["steps", "optimizer", "lr"], &["estimate"]),
    ("Estimator and optimizer", STEP, &["train"]),
    (
        "Training",
        &["params", "checkpoint", "batch", "epochs", "lr", "schedule", "seed", "past_divergence"],
        &["train"],
    ),
    ("Folder of the run", &["out", "resume", "log", "log_every", "checkpoint_every"], &["train"]),
    ("Data", &["data", "given", "train_samples", "test_samples", "validate", "normalise", "columns"], &[]),
    ("Measurement", &["seconds", "calls_only", "at"], &[]),
    ("Measurement", &["seed"], &["check", "bench", "levels", "estimate"]),
    ("Parameters and states", &["params", "checkpoint"], &[]),
    ("Evaluation", &["batch", "seed"], &["eval"]),
    ("Arrays", &["inputs", "outputs", "seed"], &["run", "init"]),
    ("Experiments", &["out", "report", "quick", "seeds"], &["reproduce"]),
    ("Output", &["emit", "json", "explain", "output"], &[]),
];

/// What other programs call a flag, and what it is called here.
const ELSEWHERE: [(&str, &str); 15] = [
    ("learning-rate", "--lr"),
    ("rate", "--lr"),
    ("batch-size", "--batch"),
    ("num-epochs", "--epochs"),
    ("dataset", "--data"),
    ("estimator", "--grad"),
    ("gradient", "--grad"),
    ("optim", "--optimizer"),
    ("weights", "--params"),
    ("input", "--inputs"),
    ("const", "--set"),
    ("precision", "--dtype"),
    ("output-dir", "--out"),
    ("continue", "--resume"),
    ("random-seed", "--seed"),
];

/// The heading of flag `id` in `command`, if it has one.
pub fn heading(command: &str, id: &str) -> Option<&'static str> {
    let is_shorthand = SHORTHANDS.iter().any(|shorthand| shorthand.key == id);
    let of = |(_, ids, commands): &&(&str, &[&str], &[&str])| {
        let listed = ids.contains(&id) || is_shorthand && ids.contains(&SHORTHAND);
        listed && (commands.is_empty() || commands.contains(&command))
    };
    HEADINGS.iter().find(of).map(|(heading, ..)| *heading)
}

/// `command`, and all within it, as it reads what its users write.
pub fn polished(command: Command) -> Command {
    hinting(described(command))
}

/// `command`, and all within it, as its users see it: with nothing but the flags that it has.
pub fn described(command: Command) -> Command {
    let listed = listing(&command);
    let command = within(command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{listed}\nOptions:\n{{options}}\n\n\
         `fgc COMMAND --help` has an example of each that works as pasted."
    ))
}

/// The commands with what they do, group by group.
fn listing(command: &Command) -> String {
    let line = |name: &&str| {
        let about = command.find_subcommand(name).and_then(Command::get_about);
        format!("  {name:<12}{}\n", about.map(ToString::to_string).unwrap_or_default())
    };
    let group = |(title, names): &(&str, &[&str])| {
        format!("{title}:\n{}\n", names.iter().map(line).collect::<String>())
    };
    GROUPS.iter().map(group).collect::<String>().trim_end().to_owned() + "\n"
}

fn within(command: Command) -> Command {
    let name = command.get_name().to_owned();
    command.mut_args(|arg| flag(&name, arg)).mut_subcommands(within)
}

/// `command` with hints for what other programs call its flags.
fn hinting(command: Command) -> Command {
    let command = command.mut_subcommands(hinting);
    let has = |command: &Command, long: &str| command.get_arguments().any(|arg| arg.get_long() == Some(long));
    ELSEWHERE.into_iter().fold(command, |command, (elsewhere, here)| {
        if !has(&command, here.trim_start_matches('-')) || has(&command, elsewhere) {
            return command;
        }
        let parser = UnknownArgumentValueParser::suggest_arg(here);
        command.arg(Arg::new(elsewhere).long(elsewhere).value_parser(parser).hide(true))
    })
}

/// A flag under its heading, with negative numbers as values, so that what is said of `--lr -0.1` is about the rate.
fn flag(command: &str, arg: Arg) -> Arg {
    if arg.is_positional() {
        return arg;
    }
    let heading: Resettable<Str> = heading(command, arg.get_id().as_str()).map(Str::from).into();
    let arg = arg.help_heading(heading);
    if arg.get_action().takes_values() { arg.allow_negative_numbers(true) } else { arg }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Fgc;
    use super::*;

    fn commands() -> Vec<Command> {
        polished(Fgc::command()).get_subcommands().cloned().collect()
    }

    #[test]
    fn every_command_is_in_one_group() {
        let mut listed: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut there: Vec<String> = commands().iter().map(|c| c.get_name().to_owned()).collect();
        listed.sort();
        there.sort();
        assert_eq!(listed, there);
    }

    #[test]
    fn every_flag_has_a_heading() {
        let mut without = Vec::new();
        for command in commands() {
            let globals = ["threads", "quiet", "help", "version"];
            let flags = command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set());
            for arg in flags.filter(|arg| !globals.contains(&arg.get_id().as_str())) {
                if arg.get_help_heading().is_none() {
                    without.push(format!("{} --{}", command.get_name(), arg.get_id()));
                }
            }
        }
        assert!(without.is_empty(), "{without:?}");
    }

    #[test]
    fn what_other_programs_call_a_flag_is_told() {
        for (line, flag) in [("train mlp --learning-rate 0.1", "--lr"), ("run mlp --input a", "--inputs")] {
            let words = ["fgc"].into_iter().chain(line.split(' '));
            let said = polished(Fgc::command()).try_get_matches_from(words).unwrap_err().to_string();
            assert!(said.contains(&format!("'{flag}'")), "{said}");
        }
    }
}
