//! The laws of operations and passes, over every sample of every operation in the op table.

use fgc_ir::attrs::AttrReader;
use fgc_ir::ops::random::philox4x32;
use fgc_ir::ops::{Op, Sample};
use fgc_ir::{Arrays, Graph, OpRules, Tensor, Type};
use fgc_tests::laws::{self, Law};
use fgc_tests::numeric::{arrays_to_f64, graph_to_f64, run};
use fgc_tests::single::single;
use fgc_transforms::{grad, jvp, params, vmap};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Differences are taken this far to each side.
const STEP: f64 = 1e-5;
/// How far differences may be from derivatives, relative to the largest.
const DIFFERENCE: f64 = 1e-7;
/// How far two exact ways of computing may be apart in `f64`.
const EXACT: f64 = 1e-10;

/// Checks `law` on every sample and reports all failures at once.
fn on_every_sample(law: impl Fn(&Sample, &mut StdRng) -> Law) {
    let mut failures = Vec::new();
    let samples = Op::samples();
    for (k, sample) in samples.iter().enumerate() {
        let mut rng = StdRng::seed_from_u64(k as u64);
        if let Err(e) = law(sample, &mut rng) {
            let args: Vec<String> = sample.args.iter().map(|x| x.ty().to_string()).collect();
            failures.push(format!("{}{} {}: {e}", sample.op.name(), sample.op.attrs(), args.join(", ")));
        }
    }
    let (count, all) = (failures.len(), samples.len());
    failures.truncate(10);
    assert!(failures.is_empty(), "{count} of {all} samples break the law:\n{}", failures.join("\n\n"));
}

/// [`on_every_sample`] that has an operand of floats, as a graph of one operation in `f64`.
fn on_every_float(law: impl Fn(&Graph, &Arrays, &[&str], &mut StdRng) -> Law) {
    on_every_sample(|sample, rng| {
        let (g, arrays) = single(sample)?;
        let (g, arrays) = (graph_to_f64(&g)?, arrays_to_f64(&arrays));
        let wrt = params(&g);
        if wrt.is_empty() { Ok(()) } else { law(&g, &arrays, &wrt, rng) }
    });
}

/// Derivatives take its operand for a constant, so differences disagree.
fn is_opaque(g: &Graph) -> bool {
    g.values().any(|v| g.node(v).op.name() == "stop_gradient")
}

#[test]
fn attributes_read_back() {
    on_every_sample(|sample, _| {
        let types: Vec<Type> = sample.args.iter().map(Tensor::ty).collect();
        let types: Vec<&Type> = types.iter().collect();
        let ty = sample.op.infer(&types).map_err(|e| e.message)?;
        let mut reader = AttrReader::new(sample.op.attrs());
        match Op::parse(sample.op.name(), &mut reader, &ty) {
            Some(Ok(op)) if op == sample.op => reader.finish().map_err(|e| e.0),
            other => Err(format!("reads back as {other:?}")),
        }
    });
}

#[test]
fn samples_read_back() {
    on_every_sample(|sample, _| laws::valid(&single(sample)?.0));
}

#[test]
fn results_have_the_inferred_type() {
    on_every_sample(|sample, _| {
        let types: Vec<Type> = sample.args.iter().map(Tensor::ty).collect();
        let inferred = sample.op.infer(&types.iter().collect::<Vec<_>>()).map_err(|e| e.message)?;
        let found = sample.op.eval(&sample.args.iter().collect::<Vec<_>>()).ty();
        if found == inferred { Ok(()) } else { Err(format!("inferred {inferred}, computed {found}")) }
    });
}

#[test]
fn every_operation_has_samples_of_each_class() {
    let samples = Op::samples();
    for class in fgc_ir::Lower::CLASSES {
        assert!(samples.iter().any(|s| s.class() == class), "{class}");
    }
}

#[test]
fn tangents_are_limits_of_differences() {
    on_every_float(|g, arrays, wrt, rng| {
        if is_opaque(g) {
            return Ok(());
        }
        laws::jvp_is_difference(g, arrays, wrt, STEP, DIFFERENCE, rng)?;
        wrt.iter().try_for_each(|one| laws::jvp_is_difference(g, arrays, &[one], STEP, DIFFERENCE, rng))
    });
}

#[test]
fn stop_gradient_has_no_tangent() {
    on_every_float(|g, arrays, wrt, rng| {
        if !is_opaque(g) {
            return Ok(());
        }
        let suffix = fgc_transforms::Suffix::tangent(g, wrt);
        let along = laws::directions(g, wrt, rng);
        let out = run(&laws::passed(jvp(g, wrt))?, &laws::with(arrays, &along, &suffix))?;
        let zero = out["y.tangent"].to_f64().iter().all(|&t| t == 0.0);
        if zero { Ok(()) } else { Err("the tangent isn't zero".to_owned()) }
    });
}

#[test]
fn gradients_are_tangents_backwards() {
    on_every_float(|g, arrays, wrt, rng| {
        laws::grad_is_jvp(g, arrays, wrt, EXACT, rng)?;
        wrt.iter().try_for_each(|one| laws::grad_is_jvp(g, arrays, &[one], EXACT, rng))
    });
}

#[test]
fn transposes_are_adjoints() {
    on_every_float(|g, arrays, wrt, rng| {
        laws::transpose_is_adjoint(g, arrays, wrt, EXACT, rng)?;
        wrt.iter().try_for_each(|one| laws::transpose_is_adjoint(g, arrays, &[one], EXACT, rng))
    });
}

#[test]
fn batches_are_stacks() {
    on_every_sample(|sample, rng| {
        let (g, arrays) = single(sample)?;
        let names: Vec<String> = arrays.keys().cloned().collect();
        for choice in 0..1u32 << names.len() {
            let chosen = |k: &usize| choice >> k & 1 == 1;
            let batched: Vec<&str> = (0..names.len()).filter(chosen).map(|k| names[k].as_str()).collect();
            for count in [0, 1, 3] {
                laws::vmap_is_stack(&g, &arrays, &batched, count, 0.0, rng)
                    .map_err(|e| format!("over {batched:?}: {e}"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn batches_of_batches_are_stacks() {
    on_every_sample(|sample, rng| {
        let (g, arrays) = single(sample)?;
        let names: Vec<String> = arrays.keys().cloned().collect();
        let some: Vec<&str> = names.iter().map(String::as_str).filter(|_| rng.random()).collect();
        let inner = laws::passed(vmap(&g, &some, 2))?;
        let mut all = arrays.clone();
        for name in some {
            let x = arrays[name].clone();
            all.insert(name.to_owned(), fgc_tests::numeric::stack(&x.ty(), &[x.clone(), x.clone()]));
        }
        let more: Vec<&str> = names.iter().map(String::as_str).filter(|_| rng.random()).collect();
        laws::vmap_is_stack(&inner, &all, &more, 3, 0.0, rng)
    });
}

#[test]
fn derivatives_of_derivatives_are_limits_of_differences() {
    on_every_float(|g, arrays, wrt, rng| {
        if is_opaque(g) {
            return Ok(());
        }
        // Forward over reverse, then forward over forward.
        let gradient = laws::passed(grad(g, wrt));
        if g.loss().is_some() {
            laws::jvp_is_difference(&gradient?, arrays, wrt, STEP, DIFFERENCE, rng)?;
        }
        let along = laws::directions(g, wrt, rng);
        let with = laws::with(arrays, &along, &fgc_transforms::Suffix::tangent(g, wrt));
        let tangent = laws::passed(jvp(g, wrt))?;
        laws::jvp_is_difference(&tangent, &with, wrt, STEP, DIFFERENCE, rng)?;
        laws::transpose_is_adjoint(&tangent, &with, wrt, EXACT, rng)
    });
}

#[test]
fn hessians_are_the_same_both_ways() {
    on_every_float(|g, arrays, wrt, rng| laws::hvp_both_ways(g, arrays, wrt, EXACT, rng));
}

#[test]
fn derivatives_batch() {
    on_every_float(|g, arrays, wrt, rng| {
        laws::many_tangents(g, arrays, wrt, 3, 1e-13, rng)?;
        laws::many_tangents(g, arrays, wrt, 0, 1e-13, rng)?;
        if g.loss().is_some() {
            laws::vmap_is_stack(&laws::passed(grad(g, wrt))?, arrays, wrt, 3, 1e-13, rng)?;
        }
        // The derivatives of a batch are those of its members.
        let batch = laws::passed(vmap(g, wrt, 2))?;
        let mut all = arrays.clone();
        for name in wrt {
            let x = &arrays[*name];
            all.insert((*name).to_owned(), fgc_tests::numeric::stack(&x.ty(), &[x.clone(), x.clone()]));
        }
        laws::transpose_is_adjoint(&batch, &all, wrt, EXACT, rng)
    });
}

/// What doesn't depend on what a graph is differentiated by costs nothing.
#[test]
fn zero_tangents_are_absent() {
    let source = "graph g {
        %a = param[\"a\", init=constant(1.0)] : f32[3]
        %b = param[\"b\", init=constant(1.0)] : f32[3]
        %c = exp %a : f32[3]
        %d = sin %c : f32[3]
        %e = mul %d, %b : f32[3]
        %l = sum[axes=[0]] %e : f32[]
        output d = %d
        loss l = %l
    }";
    let g = fgc_tests::numeric::parse_graph(source, fgc_ir::DType::F32).unwrap();
    let names = |g: &Graph| g.values().map(|v| g.node(v).op.name()).collect::<Vec<_>>();
    let by_b = jvp(&g, &["b"]).unwrap();
    // The tangent leaf, its product, the sum, and the zero that the output `d` has for a tangent.
    assert_eq!(by_b.len(), g.len() + 4, "{by_b}");
    assert_eq!(names(&by_b).iter().filter(|n| ["exp", "sin", "cos"].contains(n)).count(), 2, "{by_b}");
    let gradient = grad(&g, &["b"]).unwrap();
    assert_eq!(names(&gradient).iter().filter(|n| **n == "cos").count(), 0, "{gradient}");
    // By nothing: the outputs' zeros only.
    let by_none = jvp(&g, &[]).unwrap();
    assert_eq!(by_none.len(), g.len() + 2, "{by_none}");
}

/// From the known-answer tests of the Random123 distribution (file `kat_vectors`).
#[test]
fn random_bits_have_the_published_values() {
    let pi = ([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
    let cases = [
        ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (pi.0, pi.1, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
    ];
    for (counter, key, expected) in cases {
        assert_eq!(philox4x32(counter, key), expected);
    }
}
