//! Experiments as data: what they are, their runs, what their results show, and the figures and report made of that.
//!
//! The stages are modules, each of which uses those before it alone:
//!
//! - `spec`: what an experiment and a claim are, as their TOML says it;
//! - `run`: runs and measurements, and the results that are kept of them;
//! - `analyse`: figures, tables and the verdicts of claims, from results;
//! - `publish`: the files of figures, `report.html` and `claims.json`.

mod analyse;
mod publish;
mod run;
mod spec;

pub use analyse::{Case, Claim, Decided, Evidence, Found, Section, Store, Table, decide};
pub use publish::{Published, publish, section};
pub use run::results::{self, Moment, Row};
pub use run::seal::{examine, is_experiment};
pub use run::{EXPERIMENT, Ended, Folders, MADE, Made, built_from, reproduce};
pub use spec::{
    EXPERIMENTS, Experiment, File, GROUPS, Overrides, Source, Training, Verdict, builtin_claims, find,
};

use fgc_train::Result;

/// Fails if a figure or a claim of the experiment in `file`, which trains, needs a metric that none of its runs has.
///
/// # Errors
/// With the place, and what may have been meant.
pub fn check_metrics(file: &File, folders: &Folders) -> Result<()> {
    let experiment = Training::read(file, Overrides::default())?;
    run::check_metrics(&experiment.plans(), experiment.wanted(), file, folders)
}

/// Fails if claims in `file` need metrics that no run of the built-in experiments has.
///
/// # Errors
/// With the place, and what may have been meant.
pub fn check_claims(file: &File, folders: &Folders) -> Result<()> {
    let store = Store::builtin()?;
    for (experiment, wanted) in analyse::wanted(file, &store)? {
        let plans = Training::read(&find(&experiment)?.1, Overrides::default())?.plans();
        run::check_metrics(&plans, wanted, file, folders)?;
    }
    Ok(())
}
