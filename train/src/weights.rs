//! Parameters and states that were kept: in array files, such as `fgc init` writes, and in the folders of runs.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fgc_ir::{Graph, Role, Type, bind, diag};

use crate::array_files::read_checkpoint;
use crate::run::{self, Checkpoint, Checkpoints, Understood};
use fgc::{Arrays, Error, Result};

/// Which checkpoint of a run.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Which {
    /// The newest.
    #[default]
    Last,
    /// That of the lowest loss at the end of an epoch.
    Best,
    /// That after so many steps.
    Step(u64),
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Which, String> {
        match text {
            "last" => Ok(Which::Last),
            "best" => Ok(Which::Best),
            step => step.parse().map(Which::Step).map_err(|_| {
                format!("`{}` is neither `last`, `best` nor a number of steps", text.escape_debug())
            }),
        }
    }
}

impl Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Last => f.write_str("last"),
            Which::Best => f.write_str("best"),
            Which::Step(step) => write!(f, "{step}"),
        }
    }
}

/// Arrays that were kept, and where.
#[derive(Clone, PartialEq, Debug)]
pub struct Weights {
    /// All that is there, by name; in a checkpoint the states of estimator and optimizer too.
    pub arrays: Arrays,
    /// What the data were understood to be that they were trained on, where that is known.
    pub understood: Understood,
    /// The file that they are from.
    pub path: PathBuf,
    /// Whether that is a checkpoint of a run whose folder was named.
    pub of_run: bool,
    /// What has to be said of it: newer checkpoints that were passed over as damaged.
    pub notes: Vec<String>,
}

/// Reads `path`: a file of arrays (safetensors, such as a checkpoint, or npz), or the folder of a run, of which it takes
/// the checkpoint `which`.
///
/// # Errors
/// If there is no such checkpoint, the file can't be read or isn't whole, or `which` is said of a file.
pub fn read(path: &Path, which: Option<Which>) -> Result<Weights> {
    if !path.is_dir() {
        if let Some(which) = which {
            let message =
                format!("a checkpoint, such as `{which}`, is chosen in the folder of a run; this is a file");
            return Err(Error::file(path, message));
        }
        let (arrays, understood) = read_checkpoint(path)?;
        return Ok(Weights { arrays, understood, path: path.to_owned(), of_run: false, notes: Vec::new() });
    }
    let settings = run::read_settings(path)?;
    let folder = path.join(run::CHECKPOINTS);
    if !folder.is_dir() {
        return Err(Error::file(path, "this run has no checkpoints: those of `fgc reproduce` keep none"));
    }
    let checkpoints = Checkpoints::new(folder, &settings, run::KEPT)?;
    let (Checkpoint { arrays, progress }, notes) = chosen(&checkpoints, path, which.unwrap_or_default())?;
    let path = checkpoints.path(progress.step);
    Ok(Weights { arrays, understood: settings.data.understood, path, of_run: true, notes })
}

/// The checkpoint `which` of the run in `folder`, and what was passed over.
fn chosen(checkpoints: &Checkpoints, folder: &Path, which: Which) -> Result<(Checkpoint, Vec<String>)> {
    let fail = |message: String| Err(Error::file(folder, message));
    let mut notes = Vec::new();
    let mut latest = || checkpoints.latest(&|_| Ok(()), &mut |text| notes.push(text.to_owned()));
    let step = match which {
        Which::Step(step) => step,
        Which::Last | Which::Best => match (latest()?, which) {
            (None, _) => return fail("this run has no checkpoint yet".to_owned()),
            (Some(last), Which::Last) => return Ok((last, notes)),
            (Some(last), _) => match &last.progress.best {
                Some(best) if best.step == last.progress.step => return Ok((last, notes)),
                Some(best) => best.step,
                None => return fail("no epoch of this run has ended with a finite loss yet".to_owned()),
            },
        },
    };
    let path = checkpoints.path(step);
    if !path.exists() {
        let steps: Vec<String> = checkpoints.steps()?.iter().map(u64::to_string).collect();
        return fail(format!(
            "there is no checkpoint after step {step}; there are those after {}",
            steps.join(", ")
        ));
    }
    Ok((checkpoints.read(&path)?, notes))
}

impl Weights {
    /// Those arrays that are parameters and states of `graph`, in its types. The second is what has to be said: numbers
    /// that were rounded, and arrays of a file that `graph` has no use for; a checkpoint's other arrays are those of
    /// estimator and optimizer, and go without saying.
    ///
    /// # Errors
    /// If one is missing or of another shape, or holds a number that its type doesn't have.
    pub fn of(&self, graph: &Graph) -> Result<(Arrays, Vec<String>)> {
        self.fitted(graph, &kept(graph))
    }

    /// [`of`](Weights::of), of those parameters and states alone that are `wanted`.
    ///
    /// # Errors
    /// Likewise.
    pub fn of_some(&self, graph: &Graph, wanted: &[String]) -> Result<(Arrays, Vec<String>)> {
        let mut kept = kept(graph);
        kept.retain(|(name, _)| wanted.contains(name));
        self.fitted(graph, &kept)
    }

    fn fitted(&self, graph: &Graph, kept: &[(String, Type)]) -> Result<(Arrays, Vec<String>)> {
        let mut arrays = self.arrays.clone();
        let mut notes = self.notes.clone();
        let place = |e: Error| Error::file(&self.path, e);
        notes.extend(adapt(&graph.name, kept, &mut arrays).map_err(place)?);
        check(&graph.name, kept, &arrays).map_err(place)?;
        let is_kept = |name: &String| kept.iter().any(|(its, _)| its == name);
        let (taken, rest): (Arrays, Arrays) = arrays.into_iter().partition(|(name, _)| is_kept(name));
        if !rest.is_empty() && !self.is_checkpoint() {
            let names = diag::listed(rest.keys().map(|name| diag::quoted(name))).join(", ");
            notes.push(format!("{}: `{}` has no use for {names}", self.path.display(), graph.name));
        }
        Ok((taken, notes))
    }

    /// Whether the arrays are those of a step of training, by the name that its file has.
    fn is_checkpoint(&self) -> bool {
        self.of_run || self.path.parent().is_some_and(|folder| folder.ends_with(run::CHECKPOINTS))
    }
}

/// The names and types of the parameters and states of `graph`.
fn kept(graph: &Graph) -> Vec<(String, Type)> {
    let kept = graph.bindings().filter(|(_, _, role)| matches!(role, Role::Param(_) | Role::State(_)));
    kept.map(|(v, name, _)| (name.to_owned(), graph.ty(v).clone())).collect()
}

/// Gives those of `arrays` that are of other element types than `kept` has for them the types of `kept`, for the program
/// `name`. Gives a sentence for each whose numbers had to be rounded.
///
/// # Errors
/// If one holds a number that its type doesn't have.
pub fn adapt(name: &str, kept: &[(String, Type)], arrays: &mut Arrays) -> Result<Vec<String>> {
    let kept = kept.iter().map(|(name, ty)| (name.as_str(), ty));
    bind::adapt(kept, arrays).map_err(|e| Error::new(format!("the arrays don't fit `{name}`: {e}")))
}

/// Fails unless `arrays` has everything of `kept`, of its type, for the program `name`. What else there is doesn't matter:
/// evaluation has no use for the optimiser's state.
///
/// # Errors
/// Lists all that is missing or of another type, and what there is.
pub fn check(name: &str, kept: &[(String, Type)], arrays: &Arrays) -> Result<()> {
    let problem = |(name, ty): &(String, Type)| match arrays.get(name) {
        None => Some(format!("\n  `{name}` is missing: expected {ty}")),
        Some(x) if x.ty() != *ty => Some(format!("\n  `{name}` is {}: expected {ty}", x.ty())),
        Some(_) => None,
    };
    let problems: Vec<String> = kept.iter().filter_map(problem).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let there = diag::listed(arrays.iter().map(|(name, x)| format!("{}: {}", diag::quoted(name), x.ty())));
    let (problems, there) = (problems.concat(), there.join("\n  "));
    Err(Error::new(format!("the arrays don't fit `{name}`:{problems}\nthere are:\n  {there}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_named_by_what_it_is_or_its_step() {
        for (text, which) in [("last", Which::Last), ("best", Which::Best), ("78", Which::Step(78))] {
            assert_eq!(text.parse(), Ok(which));
            assert_eq!(which.to_string(), text);
        }
        assert!("newest".parse::<Which>().is_err_and(|e| e.contains("neither `last`, `best` nor a number")));
    }
}
