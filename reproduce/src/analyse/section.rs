//! The outcome of experiments: claims with their verdicts, tables, and figures.

use fgc_plot::Figure;

use crate::spec::{Claimed, Source, Verdict};

/// One of the measurements that decide on a claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// Where it was measured: `MLP 512, 2e-4`. Empty where there is only one.
    pub place: String,
    /// The measurement, in words and numbers.
    pub measured: String,
    /// The same in a few characters, for a cell of a table.
    pub short: String,
    /// Whether it is as claimed; `None` if it wasn't measured.
    pub holds: Option<bool>,
}

/// The evidence of one comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// The experiment whose results it is made of.
    pub experiment: String,
    /// The rule for each case, as a clause: `no run diverges`.
    pub rule: String,
    /// Whether it is enough if more than half of the cases are so.
    pub most: bool,
    /// The measurements.
    pub cases: Vec<Case>,
}

impl Evidence {
    /// How many cases are as claimed, and how many were measured.
    pub fn counts(&self) -> (usize, usize) {
        let seen = self.cases.iter().filter_map(|case| case.holds);
        seen.fold((0, 0), |(held, all), holds| (held + usize::from(holds), all + 1))
    }

    /// Holds if all cases do that were measured, partly if some do, fails if none does, and is open if none was measured.
    /// Where most are enough, there is no "partly".
    pub fn verdict(&self) -> Verdict {
        match self.counts() {
            (_, 0) => Verdict::Open,
            (held, all) if held == all || (self.most && 2 * held > all) => Verdict::Holds,
            (0, _) => Verdict::Fails,
            _ if self.most => Verdict::Fails,
            _ => Verdict::Partly,
        }
    }

    /// The measurements of all cases.
    pub fn measured(&self) -> String {
        let cases = self.cases.iter().map(|case| match case.place.as_str() {
            "" => case.measured.clone(),
            place => format!("{place}: {}", case.measured),
        });
        cases.collect::<Vec<_>>().join(". ")
    }

    /// Why the verdict is this one, as a sentence.
    pub fn why(&self) -> String {
        let (held, all) = self.counts();
        let rule = &self.rule;
        let named = |wanted| {
            let cases = self.cases.iter().filter(|case| case.holds == Some(wanted)).map(|case| &case.place);
            cases.map(|place| if place.is_empty() { "what was measured" } else { place }).collect::<Vec<_>>()
        };
        match (self.verdict(), self.most) {
            (Verdict::Open, _) => format!("Nothing that was measured decides whether {rule}."),
            (Verdict::Holds | Verdict::Fails, true) if 0 < held && held < all => {
                format!("It is so that {rule} in {held} of {all} cases; more than half are asked for.")
            }
            (Verdict::Holds, _) => format!("Wherever it was measured, {rule}."),
            (Verdict::Fails, _) => format!("Nowhere is it so that {rule}."),
            (Verdict::Partly, _) => format!(
                "It is so that {rule} at {}, not at {}.",
                named(true).join("; "),
                named(false).join("; ")
            ),
        }
    }
}

/// One claim and what was seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Claim {
    /// Who makes it, in a word: `paper`, `baydin`, `own`, or whatever an experiment of the user's says.
    pub source: String,
    /// Its number among those of its source, if they are numbered.
    pub number: Option<u64>,
    /// Where in the source it is made: `§4.1`.
    pub place: String,
    /// The claim.
    pub text: String,
    /// A remark, such as how a word of it was read.
    pub note: String,
    /// The experiment that shows most of it.
    pub experiment: String,
    /// The measurements.
    pub evidence: Vec<Evidence>,
}

impl Claim {
    /// A claim that an experiment makes itself, with the evidence of its results.
    pub fn new<C>(claimed: &Claimed<C>, evidence: Vec<Evidence>) -> Claim {
        Claim {
            source: claimed.source.clone(),
            text: claimed.text.clone(),
            note: claimed.note.clone(),
            evidence,
            ..Claim::default()
        }
    }

    /// Open if one of its comparisons is, for want of a measurement; holds if all do, fails if all do; else partly.
    pub fn verdict(&self) -> Verdict {
        let all: Vec<Verdict> = self.evidence.iter().map(Evidence::verdict).collect();
        match all.first() {
            None => Verdict::Open,
            Some(_) if all.contains(&Verdict::Open) => Verdict::Open,
            Some(first) if all.iter().all(|verdict| verdict == first) => *first,
            Some(_) => Verdict::Partly,
        }
    }

    /// The numbers that were measured.
    pub fn measured(&self) -> String {
        let measured: Vec<String> =
            self.evidence.iter().map(Evidence::measured).filter(|m| !m.is_empty()).collect();
        if measured.is_empty() { "nothing".to_owned() } else { measured.join(". ") }
    }

    /// Why the verdict is this one.
    pub fn why(&self) -> String {
        self.evidence.iter().map(Evidence::why).collect::<Vec<_>>().join(" ")
    }
}

/// A line of what was found: text, and the claims that it rests on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The line.
    pub text: String,
    /// The claims that it is about, by source and number.
    pub claims: Vec<(String, u64)>,
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

/// The part of the report about one experiment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Section {
    /// The experiment's name, and its folder's.
    pub name: String,
    /// The title: the subject in a few words.
    pub title: String,
    /// Paragraphs, with empty lines between; `code` may be within backticks.
    pub about: String,
    /// Its settings, by name.
    pub settings: Vec<(String, String)>,
    /// Its figures.
    pub figures: Vec<Figure>,
    /// The names of figures that there are no data of.
    pub missing: Vec<String>,
    /// Notes about what is missing, and why.
    pub notes: Vec<String>,
    /// Its tables.
    pub tables: Vec<Table>,
    /// The claims that it makes itself.
    pub claims: Vec<Claim>,
}

/// Everything that `report.html` shows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Report {
    /// The heading of all.
    pub title: String,
    /// The findings, in a few lines.
    pub found: Vec<Found>,
    /// Those whose claims are in the report, in the order in which they are shown.
    pub sources: Vec<Source>,
    /// The claims, those of a source together.
    pub claims: Vec<Claim>,
    /// The experiments.
    pub sections: Vec<Section>,
    /// With what they were made: version, CPU and its features, threads, seeds, dates.
    pub environment: Vec<(String, String)>,
    /// The gaps in the paper, each with the choice that was made; none in a report without its experiments.
    pub open: Vec<(String, String)>,
}
