//! `fgc init`: draws initial parameters and state.

use std::collections::BTreeMap;

use fgc::ir::arrays;
use fgc::ir::lang::DEFAULT_BATCH;
use fgc::{DType, Threads, random};

use crate::args::Init;
use crate::failure::{self, Done, input, say_notes};
use crate::{model, output};

pub fn init(args: &Init, quiet: bool, threads: Option<u16>) -> Done {
    output::differs(&args.output, &[&args.model.model])?;
    let model = model::load(&args.model, DType::F32, DEFAULT_BATCH)?;
    let threads = Threads::new(threads.map(usize::from))?;
    let mut drawn = threads.install(|| random::initial(model.graph(), args.seed))?;
    if let Some(weights) = args.params.read()? {
        let missing = |name: &String| !weights.arrays.contains_key(name);
        let (fresh, wanted): (Vec<String>, Vec<String>) = drawn.keys().cloned().partition(missing);
        if wanted.is_empty() {
            let place = weights.path.display();
            return Err(input(format_args!("{place}: it has no parameter or state of `{}`", model.name())));
        }
        let (given, notes) = weights.of_some(model.graph(), &wanted)?;
        say_notes(&notes, quiet);
        say_notes(
            &fresh.iter().map(|name| format!("`{name}` isn't there, and is drawn")).collect::<Vec<_>>(),
            quiet,
        );
        drawn.extend(given);
    }
    let metadata = BTreeMap::from([
        ("model".to_owned(), model.name().to_owned()),
        ("seed".to_owned(), args.seed.to_string()),
    ]);
    output::write(&args.output, &arrays::to_bytes(&drawn, &metadata).map_err(input)?)?;
    if !quiet {
        let elements: usize = drawn.values().map(|x| x.len()).sum();
        failure::say(&format!("{} arrays, {elements} elements: {}", drawn.len(), args.output.display()));
    }
    Ok(())
}
