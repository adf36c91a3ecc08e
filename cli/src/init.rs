//! `fgc init`: draws initial parameters and state.

use std::collections::BTreeMap;

use fgc_ir::{DType, arrays};

use crate::args::Init;
use crate::failure::{self, Done, input};
use crate::{model, output};
use fgc_ir::lang::DEFAULT_BATCH;
use fgc_train::compiled;
use fgc_train::step::initial;

pub fn init(args: &Init, quiet: bool, threads: Option<u16>) -> Done {
    output::differs(&args.output, &[&args.model.model])?;
    let loaded = model::load(&args.model, DType::F32, DEFAULT_BATCH)?;
    let threads = compiled::threads(threads.map(usize::from))?;
    let drawn = threads.install(|| initial(&loaded.graph, args.seed)).map_err(input)?;
    let metadata = BTreeMap::from([
        ("model".to_owned(), loaded.graph.name.clone()),
        ("seed".to_owned(), args.seed.to_string()),
    ]);
    output::write(&args.output, &arrays::to_bytes(&drawn, &metadata).map_err(input)?)?;
    if !quiet {
        let elements: usize = drawn.values().map(|x| x.len()).sum();
        failure::say(&format!("{} arrays, {elements} elements: {}", drawn.len(), args.output.display()));
    }
    Ok(())
}
