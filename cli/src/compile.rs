//! `fgc compile`: transforms a model and prints it.

use std::time::Instant;

use fgc::codegen::Code;
use fgc::ir::bounded::MAX_TEXT;
use fgc::ir::lang::DEFAULT_BATCH;
use fgc::ir::text::{dot, print};
use fgc::timing::ms;
use fgc::{Level, Method, MethodKind, StepConfig, Text, trial};

use crate::args::{Compile, Emit, ModeName};
use crate::failure::{self, Done, input, say_notes};
use crate::{explain, model, modes, output, stats};

pub fn compile(args: &Compile, quiet: bool) -> Done {
    if args.json && args.emit != Emit::Stats {
        return Err(input("--json is for --emit stats"));
    }
    if args.mode.step.0.tangent().is_some() && args.mode.mode != ModeName::Step {
        return Err(input("--tangent is for mode step: in the other modes tangents are inputs"));
    }
    if let Some(path) = &args.output {
        output::differs(path, &[&args.model.model])?;
    }
    let start = Instant::now();
    let text = model::text(&args.model)?;
    if let Some(kind) = fgc::method_in(&text) {
        return method(args, kind, text);
    }
    let model = model::of_text(&text, &args.model, modes::float(args.mode.dtype), DEFAULT_BATCH)?;
    let mut passes = vec![("load", ms(start))];
    let (model, timings) = modes::apply(&model, &args.mode)?;
    passes.extend(timings);
    if let Some(name) = &args.explain {
        let text = explain::text(model.graph(), args.opt.level(), name)?;
        return written(args, &text);
    }
    // What is printed may be transformed again, which what saturation does isn't meant for.
    let shown = matches!(args.emit, Emit::Fg | Emit::Dot);
    let level = args.opt.level_or(if shown { Level::AsWritten } else { Level::default() });
    let optimized = model.optimize(level)?;
    let graph = optimized.graph();
    passes.extend(optimized.saturation().map(|saturation| ("saturation", saturation.ms)));
    let text = match args.emit {
        Emit::Fg => print::print(graph),
        Emit::Dot => dot::dot(graph),
        Emit::Stats => {
            let start = Instant::now();
            let lowered = optimized.lower();
            passes.push(("lower", ms(start)));
            let print = if args.json { stats::json } else { stats::text };
            print(graph, &lowered, &passes, optimized.saturation().map(|saturation| &saturation.report))
        }
        Emit::Kernels => optimized.lower().to_string(),
        Emit::Clif => optimized.lower().code(Code::Clif).map_err(input)?,
        Emit::Asm => optimized.lower().code(Code::Asm).map_err(input)?,
    };
    if args.emit == Emit::Fg && text.len() as u64 > MAX_TEXT {
        let size = text.len() >> 20;
        say_notes(&[format!("the text has {size} MiB; fgc reads at most {} MiB", MAX_TEXT >> 20)], quiet);
    }
    written(args, &text)
}

/// Prints what an estimator or optimizer makes of a small model: what is wrong with its file by itself is found there.
fn method(args: &Compile, kind: MethodKind, Text { place, text }: Text) -> Done {
    let method = Method { kind, place, text, settings: args.model.set.clone() };
    let trial = trial()?;
    let model = match kind {
        MethodKind::Estimator => trial.estimate(&method)?,
        // A gradient that only changes is changed once more by the standard optimizer.
        MethodKind::Optimizer => {
            let plain = StepConfig::default();
            let alone = trial.step(&StepConfig { optimizer: vec![method.clone()], ..plain.clone() });
            match alone {
                Err(_) if !method.facts().updates => {
                    let both = std::iter::once(method).chain(plain.optimizer.clone());
                    trial.step(&StepConfig { optimizer: both.collect(), ..plain })?
                }
                alone => alone?,
            }
        }
    };
    let level = args.opt.level_or(Level::AsWritten);
    written(args, &print::print(model.optimize(level)?.graph()))
}

/// Puts `text` where it is asked for.
fn written(args: &Compile, text: &str) -> Done {
    match &args.output {
        None => failure::print(text),
        Some(path) => output::write(path, text.as_bytes()),
    }
}
