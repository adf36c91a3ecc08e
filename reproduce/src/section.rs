//! What experiments leave behind for the report: claims with what was seen of them, tables, and figures.

use std::fmt::{self, Display};

use crate::figure::Figure;

/// What was seen of a claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// One claim and what was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Where it is made: `Daprato et al., §4.1`.
    pub source: String,
    /// What is claimed, paraphrased.
    pub text: String,
    /// The numbers that were measured.
    pub measured: String,
    /// Whether they are as claimed.
    pub verdict: Verdict,
    /// Why the verdict is this one.
    pub why: String,
}

/// A table of results.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// The headings.
    pub columns: Vec<String>,
    /// The rows, each with a cell for each heading.
    pub rows: Vec<Vec<String>>,
}

/// What an experiment leaves: everything that the report shows of it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Section {
    /// The experiment's name, and its folder's.
    pub name: String,
    /// What it is about, in a few words.
    pub title: String,
    /// Paragraphs, with empty lines between; `code` may be within backticks.
    pub about: String,
    /// Its settings, by name.
    pub settings: Vec<(String, String)>,
    /// Its figures.
    pub figures: Vec<Figure>,
    /// Its tables.
    pub tables: Vec<Table>,
    /// The claims that it is about.
    pub claims: Vec<Claim>,
}

/// Everything that `report.html` shows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Report {
    /// The heading of all.
    pub title: String,
    /// The experiments.
    pub sections: Vec<Section>,
    /// With what they were made: version, CPU and its features, threads, seeds, dates.
    pub environment: Vec<(String, String)>,
    /// What the paper leaves open, and what was chosen.
    pub open: Vec<(String, String)>,
}
