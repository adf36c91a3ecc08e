//! Convolutions by Winograd's method: against the sums as they are, and `f64`.

use super::super::{Method, Target};
use super::terms::gather;
use super::*;

/// Convolutions that the method is for, whatever the instruction set: images of even and odd sizes,
/// more or fewer zeros around them, kernels in any layout, many channels and few.
fn cases() -> Vec<(Conv, Shape, Shape)> {
    let pads = |y: (i64, i64), x: (i64, i64)| Conv { padding: vec![y, x], ..conv("b01f_01io->b01f", 1) };
    let back = Conv { flip: true, ..conv("b01f_01oi->b01f", 1) };
    vec![
        (conv("b01f_01io->b01f", 1), [3, 14, 14, 64].into(), [3, 3, 64, 64].into()),
        (conv("b01f_01io->b01f", 1), [3, 13, 9, 32].into(), [3, 3, 32, 48].into()),
        (conv("b01f_01io->b01f", 0), [5, 9, 12, 16].into(), [3, 3, 16, 80].into()),
        (conv("b01f_01io->b01f", 2), [2, 8, 8, 160].into(), [3, 3, 160, 32].into()),
        (pads((1, 0), (0, 3)), [9, 7, 10, 16].into(), [3, 3, 16, 16].into()),
        (pads((-1, 2), (2, -2)), [9, 10, 11, 32].into(), [3, 3, 32, 16].into()),
        (back, [4, 11, 16, 32].into(), [3, 3, 64, 32].into()),
        (conv("b01f_oi01->b01f", 1), [1, 30, 20, 16].into(), [32, 16, 3, 3].into()),
    ]
}

/// Gradients of kernels that the method is for.
fn gradients() -> Vec<(Conv, Shape, Shape)> {
    let gradient =
        |padding: [(i64, i64); 2]| Conv { padding: padding.to_vec(), ..conv("f01b_i01o->01bf", 0) };
    let same = || gradient([(1, 1), (1, 1)]);
    vec![
        (same(), [3, 14, 14, 64].into(), [3, 14, 14, 64].into()),
        (same(), [20, 13, 9, 32].into(), [20, 13, 9, 48].into()),
        (gradient([(0, 0), (0, 0)]), [5, 9, 12, 16].into(), [5, 7, 10, 80].into()),
        (gradient([(2, 2), (0, 3)]), [9, 8, 10, 96].into(), [9, 10, 11, 16].into()),
        (gradient([(-1, 2), (2, -2)]), [9, 10, 31, 16].into(), [9, 9, 29, 32].into()),
        (same(), [1, 30, 21, 16].into(), [1, 30, 21, 16].into()),
        (conv("f01b_i01o->b01f", 1), [6, 12, 12, 32].into(), [6, 12, 12, 64].into()),
    ]
}

/// The sums of these terms for each instruction set: by the method, and as they are.
fn plans(terms: &[Term], stored: &[bool]) -> impl Iterator<Item = [Contraction; 2]> {
    sets().map(move |isa| {
        let plan = |winograd| {
            let target = Target { winograd, ..Target::new(DType::F32, isa) };
            Contraction::planned(terms, stored, (DType::F32, isa), &target)
        };
        let plans = [plan(true), plan(false)];
        assert!(
            matches!(plans[0].methods[..], [Method::Convolution(_) | Method::KernelGradient(_)]),
            "{isa}: {terms:?}"
        );
        assert!(plans[0].done() < plans[0].flops() && plans[1].done() == plans[1].flops());
        plans
    })
}

fn term(op: &Conv, operands: [&Tensor; 2], result: usize) -> Term {
    let [lhs, rhs] = operands.map(|x| Operand::dense(&x.ty()));
    Term { op: Product::Conv(op.clone()), lhs, rhs, result }
}

/// Errors are about those of the sums as they are, here and there and all in all.
#[test]
fn errors_are_those_of_the_sums() {
    let rng = &mut StdRng::seed_from_u64(5);
    for (op, lhs, rhs) in cases().into_iter().chain(gradients()) {
        let [lhs, rhs] = [lhs, rhs].map(|shape| random(&Type::new(DType::F32, shape), rng));
        let exact = Op::from(op.clone()).eval(&[&lhs.cast(DType::F64), &rhs.cast(DType::F64)]).to_f64();
        let scale = (exact.iter().map(|x| x * x).sum::<f64>() / exact.len() as f64).sqrt();
        let ty = op.infer(&[&lhs.ty(), &rhs.ty()]).expect("a valid case");
        for plans in plans(&[term(&op, [&lhs, &rhs], 0)], &[]) {
            let errors = plans.each_ref().map(|plan| {
                let got = run(plan, &lhs, &rhs, &ty).to_f64();
                got.iter().zip(&exact).map(|(a, b)| (a - b).abs() / scale).collect::<Vec<f64>>()
            });
            let rms =
                errors.each_ref().map(|e| (e.iter().map(|x| x * x).sum::<f64>() / e.len() as f64).sqrt());
            let most = errors.each_ref().map(|e| e.iter().copied().fold(0.0, f64::max));
            assert!(rms[0] < 2.0 * rms[1], "{op:?}: {rms:?}");
            assert!(most[0] < 3.0 * most[1], "{op:?}: {most:?}");
        }
    }
}

/// Terms that share images and weights, added up in two results, which need not be stored; on any
/// number of threads the same bits.
#[test]
fn several_terms_and_finished_blocks() {
    let rng = &mut StdRng::seed_from_u64(6);
    for (op, lhs, rhs) in cases() {
        let mut random = |shape: &Shape| random(&Type::new(DType::F32, shape.clone()), rng);
        let [x, dx, w, dw] = [random(&lhs), random(&lhs), random(&rhs), random(&rhs)];
        check_blocks(&op, &[[&x, &w], [&dx, &w], [&x, &dw]], &[0, 1, 1]);
    }
    for (op, lhs, rhs) in gradients() {
        let [x, y] = [lhs, rhs].map(|shape| random(&Type::new(DType::F32, shape), rng));
        check_blocks(&op, &[[&x, &y]], &[0]);
    }
}

fn check_blocks(op: &Conv, operands: &[[&Tensor; 2]], results: &[usize]) {
    let pools = [1, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"));
    let terms: Vec<Term> = operands.iter().zip(results).map(|(&o, &r)| term(op, o, r)).collect();
    let ty = op.infer(&operands[0].map(Tensor::ty).each_ref()).expect("a valid case");
    let count = results.last().map_or(0, |r| r + 1);
    for [plan, direct] in plans(&terms, &[]) {
        let all = pools.each_ref().map(|pool| pool.install(|| run_terms(&plan, operands, count, &ty)));
        assert_eq!(all[0], all[1], "{op:?} on 3 threads");
        for (got, expected) in all[0].iter().zip(run_terms(&direct, operands, count, &ty)) {
            for (a, b) in got.to_f64().into_iter().zip(expected.to_f64()) {
                assert!((a - b).abs() < 1e-3, "{a} for {b}: {op:?}");
            }
        }
        for stored in [[true, true], [false, true], [false, false]] {
            let target = Target::new(DType::F32, plan.isa);
            let plan = Contraction::planned(&terms, &stored[..count], (DType::F32, plan.isa), &target);
            if plan.columns().is_none() {
                continue;
            }
            let (blocks, _) = pools[1].install(|| gather(&plan, operands, &ty, count));
            for (got, expected) in blocks.iter().zip(&all[0]) {
                let bits: Vec<u32> = expected.as_slice::<f32>().iter().map(|x| x.to_bits()).collect();
                assert_eq!(*got, bits, "{op:?}, stored {stored:?}");
            }
        }
    }
}
