//! Experiments of training: matrices of runs, and what is made of their results.

use fgc_train::Result;
use fgc_train::ranges::at_most;
use serde::Deserialize;
use toml::Spanned;

use super::check::Comparison;
use super::choice::{Choice, Overrides};
use super::claims::{Claimed, claimed};
use super::file::{File, Item};
use super::limits::{Count, MAX_RUNS, MAX_SEEDS};
use super::matrix::{Matrix, Plan, Wanted, named, twice};
use super::plot::Plot;

/// An experiment that trains models.
#[derive(Clone, PartialEq, Debug)]
pub struct Training {
    /// The title: the subject in a few words.
    pub title: String,
    /// Paragraphs about it.
    pub about: String,
    /// Every run has a seed below this one.
    pub seeds: u64,
    /// Whether one is trained after the other, each on all threads, so that their times are those of a training that has
    /// the machine to itself; else several are at once, each on one thread.
    pub one_by_one: bool,
    /// The runs.
    pub matrices: Vec<Matrix>,
    /// The figures that are made of their results.
    pub plots: Vec<Plot>,
    /// The tables of highest stable rates.
    pub sweeps: Vec<Sweep>,
    /// The claims about the results.
    pub claims: Vec<Claimed<Comparison>>,
}

/// A table of the highest stable rates of a matrix.
#[derive(Clone, PartialEq, Debug)]
pub struct Sweep {
    /// What it shows.
    pub title: String,
    /// The runs that there are.
    pub matrix: Matrix,
    /// The axis of rates.
    pub rate: String,
}

impl Sweep {
    fn read(item: Item<'_>, matrices: &[Matrix]) -> Result<Sweep> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct SweepText {
            title: String,
            matrix: Option<Spanned<String>>,
            rate: Spanned<String>,
        }
        let file = item.file;
        let given: SweepText = item.decode()?;
        let matrix = named(matrices, given.matrix.as_ref(), file)?;
        let rate = matrix.axis(&given.rate, file)?.name.clone();
        Ok(Sweep { title: given.title, matrix: matrix.clone(), rate })
    }
}

#[derive(Deserialize)]
struct Head {
    title: String,
    #[serde(default)]
    about: String,
    seeds: Option<Count<MAX_SEEDS>>,
    #[serde(default)]
    one_by_one: bool,
}

#[derive(Deserialize)]
struct Seeds {
    seeds: Option<Count<MAX_SEEDS>>,
}

const KEYS: [&str; 11] = [
    "kind",
    "title",
    "about",
    "seeds",
    "one_by_one",
    "settings",
    "quick",
    "matrix",
    "figure",
    "sweep",
    "claim",
];

impl Training {
    /// The experiment that `file` describes.
    ///
    /// # Errors
    /// If something is wrong in it, with its place.
    pub fn read(file: &File, overrides: Overrides) -> Result<Training> {
        let mut root = file.root()?;
        root.has_only(&KEYS)?;
        let head = root.split(&["title", "about", "seeds", "one_by_one"])?;
        let Head { title, about, seeds, one_by_one } = head.decode()?;
        let common = root.take("settings")?.map_or_else(|| Ok(Choice::default()), Choice::read)?;
        let (mut quick_seeds, mut last) = (None, Choice::default());
        if let Some(mut quick) = root.take("quick")? {
            let Seeds { seeds } = quick.split(&["seeds"])?.decode()?;
            let choice = Choice::read(quick)?;
            if overrides.quick {
                (quick_seeds, last) = (seeds, choice);
            }
        }
        let matrices = root.need("matrix")?.list()?.into_iter();
        let matrices = matrices.map(|item| Matrix::read(item, &common, &last, overrides.quick));
        let matrices = matrices.collect::<Result<Vec<_>>>()?;
        let mut listed = |key| root.take(key)?.map_or_else(|| Ok(Vec::new()), Item::list);
        let plots = listed("figure")?.into_iter().map(|item| Plot::read(item, &matrices));
        let plots = plots.collect::<Result<Vec<_>>>()?;
        let sweeps = listed("sweep")?.into_iter().map(|item| Sweep::read(item, &matrices));
        let sweeps = sweeps.collect::<Result<Vec<_>>>()?;
        let claims = claimed(listed("claim")?, |check| Comparison::read(check, &matrices))?;
        let seeds = overrides.seeds.or(quick_seeds.or(seeds).map(|n| n.0)).unwrap_or(1);
        if let Some(name) = twice(matrices.iter().map(|matrix| matrix.name.as_str())) {
            return Err(root.error(format_args!("there are two matrices called `{name}`")));
        }
        let runs = matrices.iter().fold(0, |n: u64, matrix| n.saturating_add(matrix.len()));
        at_most("the number of runs, of all seeds,", runs.saturating_mul(seeds), MAX_RUNS)
            .map_err(|e| root.error(e))?;
        if let Some(name) = twice(plots.iter().map(|plot| plot.name.as_str())) {
            return Err(root.error(format_args!("there are two figures called `{name}`")));
        }
        Ok(Training { title, about, seeds, one_by_one, matrices, plots, sweeps, claims })
    }

    /// The metrics that its figures and claims need.
    pub fn wanted(&self) -> impl Iterator<Item = Wanted> {
        let claims = self.claims.iter().flat_map(|claim| &claim.checks);
        let claims = claims.flat_map(|check| check.wanted().iter().cloned());
        self.plots.iter().flat_map(Plot::wanted).chain(claims)
    }

    /// All of its runs, those of a seed together.
    pub fn plans(&self) -> Vec<Plan> {
        let seeds = 0..self.seeds;
        seeds.flat_map(|seed| self.matrices.iter().flat_map(move |m| m.plans(seed))).collect()
    }
}
