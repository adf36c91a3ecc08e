//! What the fuzzers of `fuzz/` have found, again: each input of their corpora through its target.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use fgc_tests::soup;
use fgc_tests::targets::{TARGETS, folder};
use fgc_tests::watch::{Plan, run};

/// The most bytes that the corpora have together.
const MAX_BYTES: u64 = 300_000;

fn inputs(target: &str) -> Vec<PathBuf> {
    let corpus = folder().join("corpus").join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(&corpus)
        .unwrap_or_else(|e| panic!("{}: {e}", corpus.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_input_of_a_corpus_passes() {
    for target in TARGETS {
        let paths = inputs(target.name);
        assert!(paths.len() > 50, "the corpus of `{}` has only {} inputs", target.name, paths.len());
        let plan = Plan {
            count: paths.len() as u64,
            seed: 0,
            threads: 2,
            limit: Duration::from_secs(20),
            verbose: false,
        };
        let report = run(plan, |k| {
            (target.run)(&fs::read(&paths[k as usize]).map_err(|e| e.to_string())?);
            Ok("passed")
        });
        let shown: Vec<String> = report
            .failures
            .iter()
            .map(|(k, e)| {
                format!(
                    "fuzz/corpus/{}/{}: {e}",
                    target.name,
                    paths[*k as usize].file_name().unwrap().display()
                )
            })
            .collect();
        assert!(shown.is_empty(), "{} inputs fail:\n{}", shown.len(), shown.join("\n"));
    }
}

#[test]
fn corpora_are_small() {
    let sizes =
        TARGETS.iter().flat_map(|target| inputs(target.name)).map(|path| fs::metadata(path).unwrap().len());
    let all: u64 = sizes.sum();
    assert!(all <= MAX_BYTES, "{all} bytes; `fuzz/run TARGET 0` makes a corpus small");
}

/// A word that is added to the language is one that the fuzzer knows.
#[test]
fn the_dictionary_has_every_word() {
    let known = fs::read_to_string(folder().join("text.dict")).unwrap();
    let words: String = soup::words().iter().map(|word| format!("{word:?}\n")).collect();
    assert_eq!(known, words, "fuzz/text.dict should be this");
}
