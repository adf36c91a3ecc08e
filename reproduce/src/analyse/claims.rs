//! The verdicts of claims about several experiments.

use std::collections::BTreeMap;

use fgc_train::Result;

use super::section::{Claim, Found};
use super::store::Store;
use crate::spec::{Claims, Entry, File, FoundLine, Source, Verdict, Wanted};

/// The source whose claims lines of what was found are about.
pub const PAPER: &str = "paper";

/// Claims with the evidence for and against them.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Decided {
    /// The subject of the experiments, for a report's title.
    pub title: String,
    /// Those who make the claims.
    pub sources: Vec<Source>,
    /// The claims, in the order of the file.
    pub claims: Vec<Claim>,
    /// The findings, in a few lines.
    pub found: Vec<Found>,
    /// The gaps in the sources, each with the choice that was made.
    pub open: Vec<(String, String)>,
}

/// The claims of `file`, decided by the results in `store`.
///
/// # Errors
/// If something is wrong in the file, with its place.
pub fn decide(file: &File, store: &Store) -> Result<Decided> {
    let Claims { title, sources, claims, found, open } = Claims::read(file)?;
    let claims = claims.into_iter().map(|entry| decided(entry, file, store)).collect::<Result<Vec<_>>>()?;
    let found = found.iter().map(|line| self::found(line, &claims, file)).collect::<Result<Vec<_>>>()?;
    Ok(Decided {
        title,
        sources,
        found: found.into_iter().flatten().collect(),
        open: open.into_iter().map(|open| (open.what, open.chosen)).collect(),
        claims,
    })
}

/// The metrics that the claims of `file` need, by experiment.
///
/// # Errors
/// If something is wrong in the file, with its place.
pub fn wanted(file: &File, store: &Store) -> Result<BTreeMap<String, Vec<Wanted>>> {
    let mut all = BTreeMap::<String, Vec<Wanted>>::new();
    for (experiment, check) in Claims::read(file)?.claims.into_iter().flat_map(|entry| entry.checks) {
        let wanted = store.wanted(file, &experiment, check)?;
        all.entry(experiment.into_inner()).or_default().extend(wanted);
    }
    all.retain(|_, wanted| !wanted.is_empty());
    Ok(all)
}

fn decided(entry: Entry<'_>, file: &File, store: &Store) -> Result<Claim> {
    let Entry { claim, checks } = entry;
    let evidence = checks.into_iter().map(|(experiment, check)| store.evidence(file, &experiment, check));
    let evidence = evidence.collect::<Result<Vec<_>>>()?;
    let first = evidence.first().map(|evidence| evidence.experiment.clone());
    Ok(Claim {
        source: claim.source.into_inner(),
        number: Some(claim.number.into_inner().get()),
        place: claim.place,
        text: claim.text,
        note: claim.note,
        // A claim without a comparison is open.
        experiment: claim.experiment.or(first).unwrap_or_default(),
        evidence,
    })
}

/// A line, if all of its claims are decided: its text if the verdicts are those that it was written for, else what they
/// are.
fn found(line: &FoundLine, claims: &[Claim], file: &File) -> Result<Option<Found>> {
    let mut verdicts = BTreeMap::new();
    for number in &line.claims {
        let n = number.get_ref().get();
        let claim = claims.iter().find(|claim| claim.source == PAPER && claim.number == Some(n));
        let claim = claim
            .ok_or_else(|| file.error(number.span(), format_args!("the paper has no claim {n}"), None))?;
        verdicts.insert(n, claim.verdict());
    }
    let mut as_written = true;
    for (number, allowed) in &line.when {
        let n = number.get_ref().parse().ok();
        let verdict = n.and_then(|n: u64| verdicts.get(&n)).ok_or_else(|| {
            let message = format_args!("{} isn't among `claims`", number.get_ref());
            file.error(number.span(), message, None)
        })?;
        as_written &= allowed.contains(verdict);
    }
    if verdicts.values().any(|verdict| *verdict == Verdict::Open) {
        return Ok(None);
    }
    let text = if as_written { &line.text } else { &line.otherwise };
    let claims = verdicts.into_keys().map(|n| (PAPER.to_owned(), n)).collect();
    Ok(Some(Found { text: text.clone(), claims }))
}
