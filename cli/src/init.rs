//! `fgc init`: draws initial parameters and state.

use std::collections::BTreeMap;

use fgc::ir::arrays;
use fgc::ir::lang::DEFAULT_BATCH;
use fgc::{DType, Threads, random};

use crate::args::Init;
use crate::failure::{self, Done, input};
use crate::{model, output};

pub fn init(args: &Init, quiet: bool, threads: Option<u16>) -> Done {
    output::differs(&args.output, &[&args.model.model])?;
    let model = model::load(&args.model, DType::F32, DEFAULT_BATCH)?;
    let threads = Threads::new(threads.map(usize::from))?;
    let drawn = threads.install(|| random::initial(model.graph(), args.seed))?;
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
