//! Claims, and the comparisons that decide on them: those of an experiment, and those of `claims.toml`, each of which may
//! need the results of several experiments.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::num::NonZero;

use fgc_train::Result;
use serde::Deserialize;
use toml::Spanned;

use super::file::{File, Item};
use super::limits::prose;

/// A claim that an experiment makes of its own results, and the comparisons that decide on it.
#[derive(Clone, PartialEq, Debug)]
pub struct Claimed<C> {
    /// Who makes it.
    pub source: String,
    /// The claim.
    pub text: String,
    /// A remark, such as how a word of it was read.
    pub note: String,
    /// The comparisons that decide on it.
    pub checks: Vec<C>,
}

/// The claims that `items` describe; `read` reads a comparison.
///
/// # Errors
/// If something is wrong in one of them, with its place.
pub fn claimed<'a, C>(items: Vec<Item<'a>>, read: impl Fn(Item<'a>) -> Result<C>) -> Result<Vec<Claimed<C>>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Head {
        #[serde(default)]
        source: String,
        #[serde(deserialize_with = "prose")]
        text: String,
        #[serde(default, deserialize_with = "prose")]
        note: String,
    }
    let claim = |mut item: Item<'a>| {
        let checks = item.need("check")?.elements().into_iter().map(&read).collect::<Result<_>>()?;
        let Head { source, text, note } = item.decode()?;
        Ok(Claimed { source, text, note, checks })
    };
    items.into_iter().map(claim).collect()
}

/// A file of claims about several experiments.
pub struct Claims<'a> {
    /// The subject of the experiments, for a report's title.
    pub title: String,
    /// Those who make the claims.
    pub sources: Vec<Source>,
    /// The claims.
    pub claims: Vec<Entry<'a>>,
    /// Lines about what was found.
    pub found: Vec<FoundLine>,
    /// The gaps in the sources, each with the choice that was made.
    pub open: Vec<Open>,
}

/// Someone who claims something.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The name that claims have for it.
    pub name: String,
    /// The name that people have for it.
    pub title: String,
    /// A sentence about it and its claims.
    #[serde(default, deserialize_with = "prose")]
    pub about: String,
}

/// A claim of such a file.
pub struct Entry<'a> {
    /// The claim.
    pub claim: ClaimText,
    /// The comparisons that decide on it, and the experiments whose results they are of.
    pub checks: Vec<(Spanned<String>, Item<'a>)>,
}

/// The keys of a claim, but for its comparisons.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimText {
    /// Who makes it.
    pub source: Spanned<String>,
    /// Its number among those of its source.
    pub number: Spanned<NonZero<u64>>,
    /// Where in the source it is made: `§4.1`.
    #[serde(default)]
    pub place: String,
    /// The claim.
    #[serde(deserialize_with = "prose")]
    pub text: String,
    /// A remark, such as how a word of it was read.
    #[serde(default, deserialize_with = "prose")]
    pub note: String,
    /// The experiment that shows most of it, if not that of the first comparison.
    pub experiment: Option<String>,
}

/// A line about what was found.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundLine {
    /// The numbers of the paper's claims that it rests on.
    pub claims: Vec<Spanned<NonZero<u64>>>,
    /// The verdicts for which it is written, any of those of each claim, by the numbers of claims.
    pub when: BTreeMap<Spanned<String>, Vec<Verdict>>,
    /// The line, if the verdicts are these.
    #[serde(deserialize_with = "prose")]
    pub text: String,
    /// The line, if they are others.
    #[serde(deserialize_with = "prose")]
    pub otherwise: String,
}

/// Whether a claim holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// What was measured is as claimed.
    Holds,
    /// Some of what was measured is as claimed.
    Partly,
    /// What was measured is not as claimed.
    Fails,
    /// What was measured decides nothing, or nothing was measured.
    Open,
}

impl Verdict {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Verdict; 4] = [Verdict::Holds, Verdict::Partly, Verdict::Fails, Verdict::Open];

    /// `holds`, `partly`, `fails`, `open`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Partly => "partly",
            Verdict::Fails => "fails",
            Verdict::Open => "open",
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A gap in the sources.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// The gap.
    pub what: String,
    /// The choice that was made.
    #[serde(deserialize_with = "prose")]
    pub chosen: String,
}

impl<'a> Claims<'a> {
    /// The claims of `file`.
    ///
    /// # Errors
    /// If something is wrong in it, with its place.
    pub fn read(file: &'a File) -> Result<Claims<'a>> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Head {
            title: String,
            source: Vec<Source>,
            #[serde(default)]
            open: Vec<Open>,
        }
        let mut root = file.root()?;
        root.has_only(&["title", "source", "claim", "found", "open"])?;
        let entries = root.need("claim")?.list()?;
        let line = |mut line: Item<'a>| {
            line.spell_labels(&["when"])?;
            line.decode()
        };
        let found = root.take("found")?.map_or_else(|| Ok(Vec::new()), Item::list)?;
        let found = found.into_iter().map(line).collect::<Result<Vec<_>>>()?;
        let Head { title, source: sources, open } = root.decode()?;
        let mut claims: Vec<Entry<'_>> = Vec::new();
        for mut item in entries {
            let check = |mut check: Item<'a>| Ok((check.need("experiment")?.decode()?, check));
            let checks = item.need("check")?.elements().into_iter().map(check).collect::<Result<_>>()?;
            let claim: ClaimText = item.decode()?;
            if !sources.iter().any(|source| source.name == *claim.source.get_ref()) {
                return Err(file.unknown(&claim.source, sources.iter().map(|source| source.name.as_str())));
            }
            let same = |other: &Entry<'_>| {
                (&other.claim.source, &other.claim.number) == (&claim.source, &claim.number)
            };
            if claims.iter().any(same) {
                let message = "there is a claim of this source and number already";
                return Err(file.error(claim.number.span(), message, None));
            }
            claims.push(Entry { claim, checks });
        }
        Ok(Claims { title, sources, claims, found, open })
    }
}
