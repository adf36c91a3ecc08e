//! `fgc compile`: transforms a model and prints it.

use std::time::Instant;

use fgc_codegen::{Code, Lowered};
use fgc_ir::text::{dot, print};
use fgc_train::opt;

use crate::args::{Compile, Emit, ModeName, OptArgs};
use crate::failure::{self, Done, input};
use crate::{explain, model, modes, output, stats};
use fgc_ir::lang::DEFAULT_BATCH;

pub fn compile(args: &Compile) -> Done {
    if args.json && args.emit != Emit::Stats {
        return Err(input("--json is for --emit stats"));
    }
    if args.mode.step.tangent.is_some() && args.mode.mode != ModeName::Step {
        return Err(input("--tangent is for mode step: in the other modes tangents are inputs"));
    }
    if let Some(path) = &args.output {
        output::differs(path, &[&args.model.model])?;
    }
    let start = Instant::now();
    let loaded = model::load(&args.model, modes::float(args.mode.dtype), DEFAULT_BATCH)?;
    let mut passes = vec![("load", start.elapsed().as_secs_f64() * 1e3)];
    let (graph, timings) = modes::apply(&loaded, &args.mode)?;
    passes.extend(timings);
    if let Some(name) = &args.explain {
        let text = explain::text(&graph, args.opt.level(), name)?;
        return written(args, &text);
    }
    // What is printed may be transformed again, which what saturation does isn't meant for.
    let shown = matches!(args.emit, Emit::Fg | Emit::Dot);
    let level = args.opt.opt.unwrap_or(if shown { 0 } else { OptArgs::DEFAULT });
    let (graph, saturation) = opt::apply(graph, level)?;
    let saturation = saturation.map(|(report, ms)| {
        passes.push(("saturation", ms));
        report
    });
    let text = match args.emit {
        Emit::Fg => print::print(&graph),
        Emit::Dot => dot::dot(&graph),
        Emit::Stats => {
            let start = Instant::now();
            let lowered = Lowered::with(&graph, opt::fusion(level));
            passes.push(("lower", start.elapsed().as_secs_f64() * 1e3));
            let print = if args.json { stats::json } else { stats::text };
            print(&graph, &lowered, &passes, saturation.as_ref())
        }
        Emit::Kernels => Lowered::with(&graph, opt::fusion(level)).to_string(),
        Emit::Clif => Lowered::with(&graph, opt::fusion(level)).code(Code::Clif).map_err(input)?,
        Emit::Asm => Lowered::with(&graph, opt::fusion(level)).code(Code::Asm).map_err(input)?,
    };
    written(args, &text)
}

/// Puts `text` where it is asked for.
fn written(args: &Compile, text: &str) -> Done {
    match &args.output {
        None => failure::print(text),
        Some(path) => output::write(path, text.as_bytes()),
    }
}
