//! Few rows and columns: long sums of products, operands that are vectors, and convolutions with one feature.

use super::super::Method;
use super::*;

fn dot(contract: (usize, usize), lhs: &[usize], rhs: &[usize]) -> (Op, Shape, Shape) {
    (Dot { batch: vec![], contract: vec![contract] }.into(), lhs.into(), rhs.into())
}

/// Products of all pairs of rows of two matrices, with ends of vectors and of tiles, and sums that are split or not.
fn inner() -> Vec<(Op, Shape, Shape)> {
    let one = |dims: &str, pad| Op::from(conv(dims, pad));
    let mut cases = vec![
        dot((1, 1), &[16, 60_160], &[16, 60_160]),
        dot((1, 1), &[3, 70_003], &[11, 70_003]),
        dot((1, 1), &[40, 20_011], &[23, 20_011]),
        dot((0, 0), &[100_003], &[100_003]),
        dot((1, 0), &[200, 5003], &[5003]),
        dot((0, 1), &[777], &[300, 777]),
        (one("b01f_01io->b01f", 1), [6, 20, 20, 64].into(), [3, 3, 64, 1].into()),
        (one("b01f_01io->b01f", 2), [3, 19, 23, 37].into(), [5, 3, 37, 1].into()),
    ];
    // With a batch, and with a sum over two dimensions of which the inner one is contiguous.
    let batched = Dot { batch: vec![(0, 1)], contract: vec![(2, 2)] };
    cases.push((batched.into(), [5, 6, 3001].into(), [7, 5, 3001].into()));
    let two = Dot { batch: vec![], contract: vec![(0, 0), (2, 2)] };
    cases.push((two.into(), [50, 9, 97].into(), [50, 6, 97].into()));
    cases
}

/// Few rows by many columns, which macro-blocks have some panels of.
fn wide() -> Vec<(Op, Shape, Shape)> {
    vec![
        dot((0, 0), &[16], &[16, 40_000]),
        dot((0, 0), &[300], &[300, 9001]),
        dot((0, 0), &[16, 3], &[16, 50_001]),
        dot((1, 1), &[2, 5], &[30_000, 5]),
        (conv("b01f_oi01->b01f", 0).into(), [4, 16, 20, 20].into(), [2, 20, 5, 7].into()),
        (conv("b01f_01io->b01f", 1).into(), [1, 3, 1, 9].into(), [3, 3, 9, 20_000].into()),
    ]
}

/// On every instruction set, and of every element type, those of integers being exact.
#[test]
fn results_are_the_interpreters() {
    let rng = &mut StdRng::seed_from_u64(31);
    for (op, lhs, rhs) in inner().into_iter().chain(wide()) {
        for dtype in NUMERIC {
            let [lhs, rhs] = [&lhs, &rhs].map(|shape| random(&Type::new(dtype, shape.clone()), rng));
            check_dense(&op, &lhs, &rhs);
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let rng = &mut StdRng::seed_from_u64(32);
    let pool = |n: usize| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool");
    let pools = [1, 2, 3, 8].map(pool);
    for (op, lhs, rhs) in inner().into_iter().chain(wide()) {
        let [lhs, rhs] = [lhs, rhs].map(|shape| random(&Type::new(DType::F32, shape), rng));
        let ty = op.infer(&[&lhs.ty(), &rhs.ty()]).expect("a valid case");
        for isa in sets() {
            let plan = plan(&op, &Operand::dense(&lhs.ty()), &Operand::dense(&rhs.ty()), isa);
            let results = pools.each_ref().map(|p| p.install(|| run(&plan, &lhs, &rhs, &ty)));
            assert!(results.iter().all(|r| r == &results[0]), "{isa}: {op:?}");
        }
    }
}

/// Nothing is packed, so that the product of directions takes no more memory than these.
#[test]
fn long_operands_are_read_as_they_lie() {
    for (op, lhs, rhs) in inner() {
        let [lhs, rhs] = [lhs, rhs].map(|shape| Operand::dense(&Type::new(DType::F32, shape)));
        for isa in sets() {
            let plan = plan(&op, &lhs, &rhs, isa);
            let [Method::Direct(direct)] = &plan.methods[..] else { panic!("{op:?} isn't one direct sum") };
            assert!(direct.inner && direct.packed == 0, "{isa}: {op:?}");
        }
    }
    let (op, lhs, rhs) = dot((1, 1), &[16, 401_408], &[16, 401_408]);
    let [lhs, rhs] = [lhs, rhs].map(|shape| Operand::dense(&Type::new(DType::F32, shape)));
    for isa in sets() {
        let scratch = plan(&op, &lhs, &rhs, isa).scratch_bytes();
        assert!(scratch < 1 << 20, "{isa}: {scratch} bytes of scratch");
    }
}

/// Products of matrices of some size have vectors of columns: packing one of them costs less than adding up lanes.
#[test]
fn wide_products_have_vectors_of_columns() {
    let (op, lhs, rhs) = dot((1, 1), &[64, 512], &[512, 512]);
    let [lhs, rhs] = [lhs, rhs].map(|shape| Operand::dense(&Type::new(DType::F32, shape)));
    for isa in sets() {
        let plan = plan(&op, &lhs, &rhs, isa);
        assert!(matches!(&plan.methods[..], [Method::Direct(direct)] if !direct.inner), "{isa}");
    }
}

/// The digits of sums of products of numbers of one sign, which is where they are lost.
#[test]
fn long_sums_keep_their_digits() {
    let rng = &mut StdRng::seed_from_u64(33);
    for (op, lhs, rhs) in inner() {
        let [lhs, rhs] = [&lhs, &rhs].map(|shape| {
            Tensor::generate(&Type::new(DType::F32, shape.clone()), |_| rng.random_range(1e2..1e2 + 1.0))
        });
        let exact = op.eval(&[&lhs.cast(DType::F64), &rhs.cast(DType::F64)]);
        for isa in sets() {
            let plan = plan(&op, &Operand::dense(&lhs.ty()), &Operand::dense(&rhs.ty()), isa);
            let ty = exact.ty().cast(DType::F32);
            let found = run(&plan, &lhs, &rhs, &ty).to_f64();
            for (a, b) in found.into_iter().zip(exact.to_f64()) {
                assert!((a - b).abs() <= digits::ERROR * b, "{isa}: {op:?}: {a} for {b}");
            }
        }
    }
}
