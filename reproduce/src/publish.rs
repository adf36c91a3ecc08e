//! The figures and the report of all experiments in a folder, from their results alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fgc_train::{Error, Result};

use crate::experiment::{Asked, Experiment, KNOWN};
use crate::read::{File, Reader};
use crate::results;
use crate::section::{Report, Section};
use crate::{EXPERIMENT, MADE, draw, measure, report};

/// The file of the report.
pub const REPORT: &str = "report.html";

/// With what the runs of an experiment were made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    /// What was asked for beside the experiment.
    pub asked: Asked,
    /// The version of fgc.
    pub version: String,
    /// The processor.
    pub cpu: String,
    /// Its vector instructions.
    pub features: String,
    /// How many runs there were at once.
    pub threads: u64,
    /// The day on which the last of them ended.
    pub date: String,
}

/// What the paper leaves open, as far as it is known here, and what was chosen.
const OPEN: [(&str, &str); 10] = [
    (
        "The text of the claims",
        "Claims of \"Forward Gradients Are Not All You Need\" are paraphrases from a summary, not quotations; the \
         comparisons that decide on them were chosen here and are in the experiments' files.",
    ),
    ("Batch size", "64 everywhere, as in Baydin et al. (2022)."),
    (
        "Initialiser",
        "LeCun's: a truncated normal of variance 1 / fan-in, biases 0 (Haiku's default), drawn from the seed.",
    ),
    (
        "Normalisation of images",
        "By the usual mean and standard deviation of each channel of the training split; no augmentation.",
    ),
    ("Epochs", "In each experiment's settings: as many as fit into about an hour for all on two cores."),
    ("Direction", "One for each step, standard normal, the same for all samples of the batch."),
    (
        "Figures in the course of training",
        "Training loss is that of the batches before their updates; accuracy is on the whole test split after each \
         epoch, or on its first samples where the settings say so.",
    ),
    (
        "The plain CNN",
        "That of Baydin et al. with fewer features (16) and a smaller hidden layer (128), so that it can be trained \
         in minutes.",
    ),
    (
        "The residual network",
        "A stem and two blocks of one 3×3 convolution of 16 features with batch normalisation, and a mean over the image.",
    ),
    (
        "The variance of a component (§3.1)",
        "‖∇f‖² − (∂ₖf)² is the variance for Rademacher directions. For normal ones, which the experiments use, it is \
         ‖∇f‖² + (∂ₖf)².",
    ),
];

impl Made {
    /// With what runs that end now are made.
    pub fn now(asked: Asked, threads: usize) -> Made {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Made {
            asked,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cpu: cpu(),
            features: features().join(", "),
            threads: threads as u64,
            date: date(seconds / (24 * 60 * 60)),
        }
    }

    /// As text for `made.toml`.
    ///
    /// # Errors
    /// If a text has no form in TOML.
    pub fn to_toml(&self) -> Result<String> {
        let mut table = toml::Table::new();
        table.insert("quick".to_owned(), self.asked.quick.into());
        if let Some(seeds) = self.asked.seeds {
            table.insert("seeds".to_owned(), (seeds as i64).into());
        }
        table.insert("threads".to_owned(), (self.threads as i64).into());
        let texts =
            [("fgc", &self.version), ("cpu", &self.cpu), ("features", &self.features), ("date", &self.date)];
        table.extend(texts.map(|(key, text)| (key.to_owned(), text.clone().into())));
        toml::to_string(&table).map_err(|e| Error::new(e.to_string()))
    }

    /// From the text of `made.toml`.
    ///
    /// # Errors
    /// If it isn't of that form, with the place.
    pub fn read(file: &File) -> Result<Made> {
        let table = file.parse()?;
        let root = Reader::new(file, &table);
        let text = |key| Ok(root.need(key)?.text()?.to_owned());
        let made = Made {
            asked: Asked {
                quick: root.need("quick")?.flag()?,
                seeds: root.get("seeds").map(|item| item.whole(1)).transpose()?,
            },
            version: text("fgc")?,
            cpu: text("cpu")?,
            features: text("features")?,
            threads: root.need("threads")?.whole(1)?,
            date: text("date")?,
        };
        root.finish()?;
        Ok(made)
    }
}

/// The name that the processor has for itself, where the system tells it.
fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// The vector instructions that compiled programs may use.
fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let all = [
            ("AVX2", is_x86_feature_detected!("avx2")),
            ("FMA", is_x86_feature_detected!("fma")),
            ("AVX-512F", is_x86_feature_detected!("avx512f")),
        ];
        all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

/// The date of a day, counted from 1970-01-01, in the Gregorian calendar: Hinnant (2013), "chrono-compatible low-level
/// date algorithms".
fn date(day: u64) -> String {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) =
        (year + era * 400 + u64::from(month >= 10), if month < 10 { month + 3 } else { month - 9 });
    format!("{year}-{month:02}-{of_month:02}")
}

/// What the report shows of the experiment in `folder`, of the results that are there: nothing is run.
///
/// # Errors
/// If there is no such experiment, or its results can't be read.
pub fn section(folder: &Path) -> Result<(Section, Made)> {
    let read = |name: &str| {
        let path = folder.join(name);
        fgc_train::model::read_text(&path).map(|text| File { name: path.display().to_string(), text })
    };
    let made = Made::read(&read(MADE)?)?;
    let file = read(EXPERIMENT)?;
    let mut section = match measure::Experiment::of(&file)? {
        Some(experiment) => experiment.section(folder)?,
        None => Experiment::read(&file, made.asked)?.section(&results::read(folder)?),
    };
    section.name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok((section, made))
}

/// Draws the figures of every experiment in a folder of `out`, into its folder, and writes the report of all. Gives the
/// path of the report.
///
/// # Errors
/// If results can't be read, or a figure or the report can't be written.
pub fn publish(out: &Path) -> Result<PathBuf> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(out).map_err(|e| Error::file(out, e))? {
        let folder = entry.map_err(|e| Error::file(out, e))?.path();
        if folder.join(MADE).is_file() && folder.join(results::RESULTS).is_file() {
            folders.push(folder);
        }
    }
    // Those that the program carries come in its order, before others.
    let place = |folder: &PathBuf| {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        (KNOWN.iter().position(|(known, _)| *known == name).unwrap_or(KNOWN.len()), name)
    };
    folders.sort_by_key(place);
    let mut sections = Vec::new();
    let mut all = Vec::new();
    for folder in folders {
        let (section, made) = section(&folder)?;
        for figure in &section.figures {
            draw::write(figure, &folder)?;
        }
        sections.push(section);
        all.push(made);
    }
    let names: Vec<&str> = sections.iter().map(|section| section.name.as_str()).collect();
    let report = Report {
        title: "Forward gradients: the experiments repeated".to_owned(),
        environment: environment(&names, &all),
        sections,
        open: OPEN.map(|(what, chosen)| (what.to_owned(), chosen.to_owned())).into(),
    };
    let path = out.join(REPORT);
    report::write(&report, &path)?;
    Ok(path)
}

/// With what the experiments `names` were made: what is the same for all of them once.
fn environment(names: &[&str], all: &[Made]) -> Vec<(String, String)> {
    let each = |of: &dyn Fn(&Made) -> String| {
        let different: BTreeSet<String> = all.iter().map(of).collect();
        if different.len() < 2 {
            return different.into_iter().next().unwrap_or_default();
        }
        names
            .iter()
            .zip(all)
            .map(|(name, made)| format!("{name}: {}", of(made)))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let length = |made: &Made| if made.asked.quick { "a quick trial" } else { "in full" }.to_owned();
    let pairs = [
        ("fgc", each(&|made| made.version.clone())),
        ("processor", each(&|made| made.cpu.clone())),
        ("vector instructions", each(&|made| made.features.clone())),
        ("runs at once, each on one thread", each(&|made| made.threads.to_string())),
        ("date", each(&|made| made.date.clone())),
        ("settings", each(&length)),
        ("seeds", "from 0; how many is in the settings of each experiment".to_owned()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        for (day, expected) in
            [(0, "1970-01-01"), (11_016, "2000-02-29"), (19_722, "2023-12-31"), (20_820, "2027-01-02")]
        {
            assert_eq!(date(day), expected);
        }
    }

    #[test]
    fn what_runs_were_made_with_is_read_again() {
        let made = Made::now(Asked { quick: true, seeds: Some(3) }, 2);
        let file = File { name: "made.toml".to_owned(), text: made.to_toml().unwrap_or_default() };
        assert_eq!(Made::read(&file).as_ref(), Ok(&made));
    }
}
