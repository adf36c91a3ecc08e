//! Several terms and results, and what is done with finished blocks.

use super::super::{BlockEpilogue, FinishedBlock};
use super::*;

/// Sums of several products, in several results, some of them of other loops than the rest.
#[test]
fn sums_of_products() {
    let rng = &mut StdRng::seed_from_u64(3);
    let matmul = || Op::from(Dot { batch: vec![], contract: vec![(1, 0)] });
    let left = || Op::from(Dot { batch: vec![], contract: vec![(0, 0)] });
    let same = || Op::from(conv("b01f_01io->b01f", 1));
    let pointwise = || Op::from(Dot { batch: vec![], contract: vec![(3, 0)] });
    let channels_first = || Op::from(conv("b01f_oi01->b01f", 2));
    let image = [3, 9, 8, 5];
    type Case = (Op, Vec<usize>, Vec<usize>, usize);
    let mut cases: Vec<Vec<Case>> = Vec::new();
    for [m, k, n] in [[64, 70, 96], [3, 5, 7], [130, 2, 200], [64, 512, 100]] {
        let (x, w) = (vec![m, k], vec![k, n]);
        cases.push(vec![
            (matmul(), x.clone(), w.clone(), 0),
            (matmul(), x.clone(), w.clone(), 1),
            (matmul(), x, w, 1),
        ]);
        cases.push(vec![(matmul(), vec![m, k], vec![k, n], 0), (left(), vec![9, m], vec![9, n], 0)]);
        cases.push(vec![(left(), vec![0, m], vec![0, n], 1), (left(), vec![k, m], vec![k, n], 0)]);
    }
    cases.push(vec![
        (same(), image.to_vec(), vec![3, 3, 5, 6], 0),
        (same(), image.to_vec(), vec![3, 3, 5, 6], 1),
        (same(), image.to_vec(), vec![3, 3, 5, 6], 1),
        (pointwise(), image.to_vec(), vec![5, 6], 1),
        (channels_first(), image.to_vec(), vec![6, 5, 5, 5], 0),
    ]);
    for terms in cases {
        for (isa, dtype) in sets().flat_map(|isa| [DType::F32, DType::U32].map(|dtype| (isa, dtype))) {
            let typed = |shape: &Vec<usize>| Type::new(dtype, shape.clone());
            let operands: Vec<[Tensor; 2]> =
                terms.iter().map(|t| [random(&typed(&t.1), rng), random(&typed(&t.2), rng)]).collect();
            let term = |(op, l, r, result): &Case| Term {
                op: product(op),
                lhs: Operand::dense(&typed(l)),
                rhs: Operand::dense(&typed(r)),
                result: *result,
            };
            let plan = Contraction::with(&terms.iter().map(term).collect::<Vec<_>>(), &[], isa);
            let products: Vec<Tensor> =
                terms.iter().zip(&operands).map(|(t, [l, r])| t.0.eval(&[l, r])).collect();
            let results = terms.iter().map(|t| t.3 + 1).max().unwrap_or(0);
            let ty = products[0].ty();
            let given: Vec<[&Tensor; 2]> = operands.iter().map(|[l, r]| [l, r]).collect();
            let got = run_terms(&plan, &given, results, &ty);
            for (r, got) in got.iter().enumerate() {
                let mut sum = vec![0.0; ty.elements()];
                for (product, _) in products.iter().zip(&terms).filter(|(_, t)| t.3 == r) {
                    sum.iter_mut().zip(product.to_f64()).for_each(|(s, x)| *s += x);
                }
                let limit = if dtype.is_float() { 1e-3 } else { 0.0 };
                for (a, b) in got.to_f64().into_iter().zip(sum) {
                    let b = if dtype.is_float() { b } else { b.rem_euclid(2f64.powi(32)) };
                    assert!((a - b).abs() <= limit, "{a} for {b} in result {r}: {isa:?} {terms:?}");
                }
            }
        }
    }
}

/// A buffer of which tasks write parts.
struct Gathered(*mut u32);

#[expect(unsafe_code, reason = "blocks of a result are written side by side")]
// SAFETY: every element is written by one task.
unsafe impl Sync for Gathered {}

/// Runs a plan whose epilogue gathers every block of every result; which results are stored is
/// up to the plan. Gives what was gathered, and how many blocks there were.
#[expect(unsafe_code, reason = "calls the engine as compiled code does")]
pub fn gather(
    plan: &Contraction,
    operands: &[[&Tensor; 2]],
    ty: &Type,
    results: usize,
) -> (Vec<Vec<u32>>, usize) {
    let columns = plan.columns().expect("a matrix");
    let mut outs: Vec<Vec<u64>> = (0..results).map(|_| words(ty.bytes())).collect();
    let mut scratch = words(plan.scratch_bytes());
    let operands: Vec<[*const u8; 2]> =
        operands.iter().map(|o| o.map(|x| with_data!(x.data(), v => v.as_ptr().cast()))).collect();
    let addresses: Vec<*mut u8> = outs.iter_mut().map(|out| out.as_mut_ptr().cast()).collect();
    let mut gathered = vec![vec![0xDEAD_BEEF; ty.elements()]; results];
    let to: Vec<Gathered> = gathered.iter_mut().map(|g| Gathered(g.as_mut_ptr())).collect();
    let blocks = std::sync::atomic::AtomicUsize::new(0);
    let epilogue = |block: &FinishedBlock| {
        blocks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        for (place, to) in block.results.iter().zip(&to) {
            for (i, row) in block.rows.clone().enumerate() {
                for (j, column) in block.columns.clone().enumerate() {
                    assert!(column < columns && row * columns + column < ty.elements());
                    // SAFETY: the block is there, and its elements are no other's.
                    unsafe {
                        let from = place.at.cast::<u32>().add(i * place.row_stride + j);
                        *to.0.add(row * columns + column) = *from;
                        *from = 0;
                    }
                }
            }
        }
    };
    let epilogue = BlockEpilogue { finish: &epilogue, reads: &[8] };
    // SAFETY: all buffers are as large as the plan says, and apart.
    unsafe { plan.run_with(&operands, &addresses, scratch.as_mut_ptr().cast(), Some(epilogue)) };
    drop(to);
    (gathered, blocks.into_inner())
}

#[test]
fn every_element_is_in_one_finished_block() {
    let rng = &mut StdRng::seed_from_u64(4);
    let transposed = Dot { batch: vec![], contract: vec![(1, 1)] };
    let mut cases = large();
    cases.push((transposed.into(), [64, 512].into(), [784, 512].into()));
    cases.push((Dot::matmul(2).into(), [5, 0].into(), [0, 9].into()));
    cases.push((Dot::matmul(1).into(), [30].into(), [30, 100].into()));
    cases.push((Dot::matmul(2).into(), [70, 30].into(), [30].into()));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool");
    let mut matrices = 0;
    for (op, lhs, rhs) in cases {
        let [lhs, rhs] = [lhs, rhs].map(|shape| random(&Type::new(DType::U32, shape), rng));
        let other = random(&rhs.ty(), rng);
        let ty = op.infer(&[&lhs.ty(), &rhs.ty()]).expect("a valid case");
        let operands = [[&lhs, &rhs], [&lhs, &other], [&lhs, &rhs]];
        let dense = |x: &Tensor| Operand::dense(&x.ty());
        let terms = [0, 1, 1].into_iter().zip(operands);
        let term = |(result, [l, r]): (usize, [&Tensor; 2])| Term {
            op: product(&op),
            lhs: dense(l),
            rhs: dense(r),
            result,
        };
        let terms: Vec<Term> = terms.map(term).collect();
        for stored in [vec![true, true], vec![false, true], vec![false, false]] {
            let plan = Contraction::with(&terms, &stored, Isa::best());
            if plan.columns().is_none() {
                continue;
            }
            matrices += 1;
            let expected = run_terms(&Contraction::new(&terms), &operands, 2, &ty);
            let (got, blocks) = pool.install(|| gather(&plan, &operands, &ty, 2));
            for (got, expected) in got.iter().zip(&expected) {
                assert_eq!(got[..], *expected.as_slice::<u32>(), "{op:?} in {blocks} blocks");
            }
            assert!(blocks * (1 << 16) >= ty.elements(), "blocks are small");
        }
    }
    assert_eq!(matrices, 3 * 19, "matrices among the cases");
}
