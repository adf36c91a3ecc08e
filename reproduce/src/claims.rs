//! What papers claim, and we ask ourselves, about experiments: claims in a file of their own, since one of them may need
//! the results of several experiments.

use std::collections::BTreeMap;

use fgc_train::Result;

use crate::experiment::Wanted;
use crate::read::{File, Item, Reader};
use crate::section::{Claim, Found, Source, Verdict};
use crate::store::Store;

/// The file of the claims that the program carries.
pub const CLAIMS: &str = include_str!("../experiments/claims.toml");

/// Claims with what was measured.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Decided {
    /// What the experiments are about, for a report's title.
    pub title: String,
    /// Who makes the claims.
    pub sources: Vec<Source>,
    /// The claims, in the order of the file.
    pub claims: Vec<Claim>,
    /// What was found, in a few lines.
    pub found: Vec<Found>,
    /// What the sources leave open, and what was chosen.
    pub open: Vec<(String, String)>,
}

/// The claims that the program carries.
pub fn carried() -> File {
    File { name: "claims.toml".to_owned(), text: CLAIMS.to_owned() }
}

/// The claims of `file`, decided by the results in `store`.
///
/// # Errors
/// If something is wrong in the file, with its place.
pub fn decide(file: &File, store: &Store) -> Result<Decided> {
    let table = file.parse()?;
    let root = Reader::new(file, &table);
    let mut decided = Decided { title: root.need("title")?.text()?.to_owned(), ..Decided::default() };
    for item in root.need("source")?.list()? {
        let table = item.table()?;
        decided.sources.push(Source {
            name: table.need("name")?.text()?.to_owned(),
            title: table.need("title")?.text()?.to_owned(),
            about: table.get("about").map_or(Ok(""), |item| item.text())?.trim().to_owned(),
        });
        table.finish()?;
    }
    for item in root.need("claim")?.list()? {
        let claim = claim(&item, &decided.sources, store)?;
        let same = |other: &&Claim| (&other.source, other.number) == (&claim.source, claim.number);
        if decided.claims.iter().any(|other| same(&other)) {
            return Err(item.error("there is a claim of this source and number already"));
        }
        decided.claims.push(claim);
    }
    for item in root.get("found").map_or(Ok(Vec::new()), |item| item.list())? {
        decided.found.extend(found(&item, &decided.claims)?);
    }
    if let Some(item) = root.get("open") {
        for item in item.list()? {
            let table = item.table()?;
            let pair =
                (table.need("what")?.text()?.to_owned(), table.need("chosen")?.text()?.trim().to_owned());
            decided.open.push(pair);
            table.finish()?;
        }
    }
    root.finish()?;
    Ok(decided)
}

/// The quantities that the claims of `file` ask for, by experiment.
///
/// # Errors
/// If something is wrong in the file, with its place.
pub fn wanted(file: &File, store: &Store) -> Result<BTreeMap<String, Vec<Wanted>>> {
    let table = file.parse()?;
    let mut all = BTreeMap::<String, Vec<Wanted>>::new();
    for item in Reader::new(file, &table).need("claim")?.list()? {
        for check in item.table()?.need("check")?.some() {
            let experiment = check.table()?.need("experiment")?.text()?.to_owned();
            all.entry(experiment).or_default().extend(store.wanted(&check)?);
        }
    }
    all.retain(|_, wanted| !wanted.is_empty());
    Ok(all)
}

fn claim(item: &Item<'_>, sources: &[Source], store: &Store) -> Result<Claim> {
    let table = item.table()?;
    let source = table.need("source")?;
    if !sources.iter().any(|known| source.text().is_ok_and(|name| name == known.name)) {
        return Err(source.unknown(source.text()?, sources.iter().map(|source| source.name.as_str())));
    }
    let text = |key| table.get(key).map_or(Ok(""), |item| item.text());
    let checks = table.need("check")?.some();
    let evidence: Vec<_> = checks.iter().map(|check| store.evidence(check)).collect::<Result<_>>()?;
    let first = evidence.first().map(|evidence| evidence.experiment.clone()).unwrap_or_default();
    let claim = Claim {
        source: source.text()?.to_owned(),
        number: Some(table.need("number")?.whole(1)?),
        place: text("place")?.to_owned(),
        text: table.need("text")?.text()?.trim().to_owned(),
        note: text("note")?.trim().to_owned(),
        experiment: table.get("experiment").map_or(Ok(first), |item| Ok(item.text()?.to_owned()))?,
        evidence,
    };
    table.finish()?;
    Ok(claim)
}

/// A line, if all of its claims are decided: its text if the verdicts are those that it was written for, else what they
/// are.
fn found(item: &Item<'_>, claims: &[Claim]) -> Result<Option<Found>> {
    let table = item.table()?;
    let about = table.need("claims")?;
    let mut verdicts = BTreeMap::new();
    for item in about.list()? {
        let number = item.whole(1)?;
        let of_paper = |claim: &&Claim| claim.source == PAPER && claim.number == Some(number);
        let claim = claims.iter().find(of_paper);
        let claim = claim.ok_or_else(|| item.error(format_args!("the paper has no claim {number}")))?;
        verdicts.insert(number.to_string(), claim.verdict());
    }
    let mut as_written = true;
    for (number, item) in table.need("when")?.table()?.all() {
        let verdict = verdicts.get(number).copied();
        let verdict = verdict.ok_or_else(|| item.error(format_args!("{number} isn't among `claims`")))?;
        let mut allowed = Vec::new();
        for item in item.some() {
            let name = item.text()?;
            let known = Verdict::ALL.into_iter().find(|verdict| verdict.name() == name);
            allowed.push(known.ok_or_else(|| item.unknown(name, Verdict::ALL.iter().map(|v| v.name())))?);
        }
        as_written &= allowed.contains(&verdict);
    }
    let text = table.need("text")?.text()?.trim();
    let otherwise = table.need("otherwise")?.text()?.trim();
    table.finish()?;
    if verdicts.values().any(|verdict| *verdict == Verdict::Open) {
        return Ok(None);
    }
    let text = if as_written { text } else { otherwise }.to_owned();
    let claims = verdicts.keys().filter_map(|number| number.parse().ok()).map(|n| (PAPER.to_owned(), n));
    let mut claims: Vec<(String, u64)> = claims.collect();
    claims.sort();
    Ok(Some(Found { text, claims }))
}

/// The source whose claims lines of what was found are about.
pub const PAPER: &str = "paper";
