//! `fgc reproduce`: repeats experiments.

use std::path::Path;

use fgc::Threads;
use fgc_reproduce::{Claim, EXPERIMENTS, Ended, Folders, GROUPS, Overrides};
use fgc_train::interrupt;

use crate::args::Reproduce;
use crate::failure::{self, Done, Failure};
use crate::output;

/// What stands for every experiment that the program carries.
const ALL: &str = "all";

pub fn reproduce(args: &Reproduce, quiet: bool, threads: Option<u16>) -> Done {
    if args.report {
        let published = fgc_reproduce::publish(&args.out)?;
        if !quiet {
            failure::say(&published.report.display().to_string());
        }
        return Ok(());
    }
    let named = |name: &String| match GROUPS.iter().find(|(group, _)| group == name) {
        Some((_, of)) => of.iter().map(|name| (*name).to_owned()).collect(),
        None if name == ALL => EXPERIMENTS.iter().map(|(name, _)| (*name).to_owned()).collect(),
        None => vec![name.clone()],
    };
    let names = args.experiments.iter().flat_map(named);
    fgc_reproduce::built_from(env!("FGC_COMMIT"));
    // What can't be found is said before anything is done.
    let found = names.map(|name| Ok((fgc_reproduce::find(&name)?, name))).collect::<Done<Vec<_>>>()?;
    let threads = Threads::new(threads.map(usize::from))?.count();
    let stop = interrupt::flag()?;
    for ((name, file), given) in found {
        let folders = Folders {
            out: args.out.join(&name),
            data: args.folder.path().to_owned(),
            base: Path::new(&given).parent().map(Path::to_owned).unwrap_or_default(),
        };
        output::differs(&folders.out.join(fgc_reproduce::EXPERIMENT), &[Path::new(&given)])?;
        if !quiet {
            failure::say(&format!("{name}: {}", folders.out.display()));
        }
        let overrides = Overrides { quick: args.quick, seeds: args.seeds };
        let ended = fgc_reproduce::reproduce(&file, overrides, &folders, threads, &stop, quiet)?;
        let published = fgc_reproduce::publish(&args.out)?;
        match ended {
            Ended::All if quiet => {}
            Ended::All => {
                let about = |claim: &&Claim| claim.evidence.iter().any(|e| e.experiment == name);
                for claim in published.claims.iter().filter(about) {
                    failure::print(&format!(
                        "{}: {}\n  {}\n",
                        claim.verdict(),
                        claim.text,
                        claim.measured()
                    ))?;
                }
                failure::say(&format!("{name}: {}", published.report.display()));
            }
            Ended::Interrupted => {
                failure::say("interrupted; the same command goes on");
                return Err(Failure::Interrupted);
            }
        }
    }
    Ok(())
}
