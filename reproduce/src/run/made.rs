//! With what results were made.

use std::fs;
use std::ops::Not;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use fgc_train::{Error, Result, versions};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::spec::{File, Overrides};

/// The form of the folder of an experiment: of `made.toml`, `results.csv` and `times.csv`. The first had no number.
const FORMAT: u64 = 1;

/// With what the runs of an experiment were made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    #[serde(default)]
    format: u64,
    /// Whether the settings for a quick trial were used.
    pub quick: bool,
    /// How many seeds there were, if other than the experiment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<u64>,
    /// How many runs there were at once.
    pub threads: u64,
    /// Whether the experiment is the user's rather than a built-in one.
    #[serde(default, rename = "own", skip_serializing_if = "Not::not")]
    pub custom: bool,
    /// The version of fgc.
    #[serde(rename = "fgc")]
    pub version: String,
    /// The commit that it was built from, if it was built in its repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// The first digits of the SHA-256 of the program: the same for results of the same build.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build: String,
    /// The processor.
    pub cpu: String,
    /// Its vector instructions.
    pub features: String,
    /// The day on which the last of the runs ended.
    pub date: String,
}

impl Made {
    /// With what runs that end now are made.
    pub fn now(overrides: Overrides, threads: usize, custom: bool) -> Made {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Made {
            format: FORMAT,
            quick: overrides.quick,
            seeds: overrides.seeds,
            custom,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: COMMIT.get().copied().unwrap_or_default().to_owned(),
            build: build().to_owned(),
            cpu: cpu(),
            features: features().join(", "),
            threads: threads as u64,
            date: date(seconds / (24 * 60 * 60)),
        }
    }

    /// The settings that replaced those of the experiment.
    pub fn overrides(&self) -> Overrides {
        Overrides { quick: self.quick, seeds: self.seeds }
    }

    /// As text for `made.toml`.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("texts, numbers and truth values have forms in TOML")
    }

    /// From the text of `made.toml`.
    ///
    /// # Errors
    /// If it isn't of that form, with the place, or is of another format.
    pub fn read(file: &File) -> Result<Made> {
        let root = file.root()?;
        versions::check(&file.text, "results", FORMAT).map_err(|e| Error::at(&file.name, e))?;
        root.decode()
    }
}

impl Made {
    /// The version, and the commit or the build, for people.
    pub fn version(&self) -> String {
        let Made { version, commit, build, .. } = self;
        match (commit.as_str(), build.as_str()) {
            ("", "") => version.clone(),
            ("", build) => format!("{version} (build {build})"),
            (commit, "") => format!("{version} (commit {commit})"),
            (commit, build) => format!("{version} (commit {commit}, build {build})"),
        }
    }
}

/// The commit that [`built_from`] has.
static COMMIT: OnceLock<&str> = OnceLock::new();

/// Notes the commit that the program is built from, which is empty if it isn't known. The first call counts.
pub fn built_from(commit: &'static str) {
    COMMIT.get_or_init(|| commit);
}

/// The first digits of the SHA-256 of this program; nothing if it can't be read.
fn build() -> &'static str {
    static BUILD: OnceLock<String> = OnceLock::new();
    BUILD.get_or_init(|| {
        let program = std::env::current_exe().and_then(fs::read).unwrap_or_default();
        let hash = Sha256::digest(&program);
        if program.is_empty() {
            String::new()
        } else {
            hash.iter().take(6).map(|b| format!("{b:02x}")).collect()
        }
    })
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
        let made = Made::now(Overrides { quick: true, seeds: Some(3) }, 2, true);
        let file = File { name: "made.toml".to_owned(), text: made.to_toml() };
        assert_eq!(Made::read(&file).as_ref(), Ok(&made));
        assert!(made.build.len() == 12 && made.version().contains(&made.build));
        // As versions wrote it that knew neither of commits nor of builds.
        let old = "quick = false\nthreads = 2\nfgc = '0.1.0'\ncpu = 'c'\nfeatures = 'f'\ndate = '2026-11-24'";
        let old = Made::read(&File { name: "made.toml".to_owned(), text: old.to_owned() });
        assert_eq!(old.map(|made| (made.version(), made.custom)), Ok(("0.1.0".to_owned(), false)));
    }

    #[test]
    fn another_format_is_refused() {
        let text = Made::now(Overrides::default(), 1, false).to_toml();
        assert!(text.contains("format = 1\n"), "{text}");
        let text = text.replace("format = 1", "format = 2\nmore = 1");
        let error = Made::read(&File { name: "made.toml".to_owned(), text }).map_err(|e| e.to_string());
        let expected = "made.toml: results of format 2: this version of fgc, ";
        assert!(
            error.as_ref().is_err_and(|e| e.starts_with(expected) && e.ends_with("reads format 1")),
            "{error:?}"
        );
    }
}
