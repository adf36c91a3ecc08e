//! The engine against the interpreter.

use fgc_ir::ops::conv::{ConvDims, Layout};
use fgc_ir::ops::{Conv, Dot};
use fgc_ir::{DType, Element, Op, OpRules, Shape, Tensor, Type, View, with_data};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Contraction, Operand, Product, Term};
use crate::isa::Isa;

mod digits;
mod skinny;
mod terms;
mod winograd;

const NUMERIC: [DType; 4] = [DType::F32, DType::F64, DType::I32, DType::U32];

/// Words of memory, aligned for every element type.
fn words(bytes: usize) -> Vec<u64> {
    // Not zero, so that what isn't written is seen.
    vec![0x7FF8_0000_7FC0_0000; bytes.div_ceil(8) + 1]
}

/// The only result of a plan with one term.
fn run(plan: &Contraction, lhs: &Tensor, rhs: &Tensor, ty: &Type) -> Tensor {
    run_terms(plan, &[[lhs, rhs]], 1, ty).remove(0)
}

/// The results, all of type `ty`, of a plan whose terms have these operands.
#[expect(unsafe_code, reason = "calls the engine as compiled code does")]
fn run_terms(plan: &Contraction, operands: &[[&Tensor; 2]], results: usize, ty: &Type) -> Vec<Tensor> {
    fn start(x: &Tensor) -> *const u8 {
        with_data!(x.data(), v => v.as_ptr().cast())
    }
    fn take<T: Element>(at: *const u8, shape: &Shape) -> Tensor {
        let at = at.cast::<T>();
        // SAFETY: the result has been written, and holds so many elements.
        Tensor::of(shape.clone(), (0..shape.elements()).map(|i| unsafe { *at.add(i) }).collect())
    }
    let mut outs: Vec<Vec<u64>> = (0..results).map(|_| words(ty.bytes())).collect();
    let mut scratch = words(plan.scratch_bytes());
    let operands: Vec<[*const u8; 2]> = operands.iter().map(|o| o.map(start)).collect();
    let addresses: Vec<*mut u8> = outs.iter_mut().map(|out| out.as_mut_ptr().cast()).collect();
    // SAFETY: all buffers are as large as the plan says, and apart.
    unsafe { plan.run(&operands, &addresses, scratch.as_mut_ptr().cast()) };
    let result = |out: Vec<u64>| {
        let at = out.as_ptr().cast();
        match ty.dtype {
            DType::F32 => take::<f32>(at, &ty.shape),
            DType::F64 => take::<f64>(at, &ty.shape),
            DType::I32 => take::<i32>(at, &ty.shape),
            _ => take::<u32>(at, &ty.shape),
        }
    };
    outs.into_iter().map(result).collect()
}

fn product(op: &Op) -> Product {
    match op {
        Op::Dot(dot) => Product::Dot(dot.clone()),
        Op::Conv(conv) => Product::Conv(conv.clone()),
        _ => panic!("not a contraction"),
    }
}

fn plan(op: &Op, lhs: &Operand, rhs: &Operand, isa: Isa) -> Contraction {
    let term = Term { op: product(op), lhs: lhs.clone(), rhs: rhs.clone(), result: 0 };
    Contraction::with(&[term], &[], isa)
}

/// The instruction sets that can be tested here.
fn sets() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

fn random(ty: &Type, rng: &mut StdRng) -> Tensor {
    let limit = if ty.dtype.is_float() { 1.0 } else { 2e9 };
    Tensor::generate(ty, |_| rng.random_range(-limit..limit))
}

/// A view of a random buffer: its dimensions permuted, sliced with a step, reversed or
/// broadcast.
fn strided(ty: &Type, rng: &mut StdRng) -> (Tensor, View) {
    let rank = ty.rank();
    let mut order: Vec<usize> = (0..rank).collect();
    for i in (1..rank).rev() {
        order.swap(i, rng.random_range(0..=i));
    }
    let mut view = View { shape: ty.shape.clone(), offset: rng.random_range(0..3), strides: vec![0; rank] };
    let mut len = 1;
    for d in order {
        let size = ty.shape[d];
        if rng.random_ratio(1, 8) {
            continue;
        }
        let step = if rng.random_ratio(1, 6) { 2 } else { 1 } * len as isize;
        view.strides[d] = step;
        if rng.random_ratio(1, 6) {
            view.strides[d] = -step;
            view.offset += size.saturating_sub(1) * step as usize;
        }
        len = step as usize * size.max(1);
    }
    let reach = view.offsets().max().map_or(0, |m| m + 1);
    (random(&Type::new(ty.dtype, [reach]), rng), view)
}

/// The magnitudes of elements, in `f64`.
fn magnitude(x: &Tensor) -> Tensor {
    let v = x.to_f64();
    Tensor::generate(&x.ty().cast(DType::F64), |i| v[i].abs())
}

/// The engine on views of buffers, compared with the interpreter on copies of the views.
fn check(op: &Op, dtype: DType, lhs: (&Tensor, View), rhs: (&Tensor, View)) {
    sets().for_each(|isa| check_on(isa, op, dtype, (lhs.0, &lhs.1), (rhs.0, &rhs.1)));
}

fn check_on(isa: Isa, op: &Op, dtype: DType, lhs: (&Tensor, &View), rhs: (&Tensor, &View)) {
    let operand = |view: &View| Operand { dtype, view: view.clone() };
    let plan = plan(op, &operand(lhs.1), &operand(rhs.1), isa);
    let dense = [lhs.0.read(lhs.1), rhs.0.read(rhs.1)];
    let expected = op.eval(&[&dense[0], &dense[1]]);
    let got = run(&plan, lhs.0, rhs.0, &expected.ty());
    if !dtype.is_float() {
        assert_eq!(got, expected, "{isa:?}: {op:?} of {:?} and {:?}", lhs.1, rhs.1);
        return;
    }
    // Each sum of products is within a rounding error for each term of the sum of magnitudes.
    // That would hide a lost term of many; integers, which are exact, wouldn't.
    let bound = op.eval(&[&magnitude(&dense[0]), &magnitude(&dense[1])]).to_f64();
    let unit = if dtype == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let terms = plan.flops() as f64 / 2.0 / expected.len().max(1) as f64;
    for (i, ((a, b), bound)) in got.to_f64().into_iter().zip(expected.to_f64()).zip(bound).enumerate() {
        let limit = unit * bound * (terms + 2.0);
        assert!((a - b).abs() <= limit, "element {i}: {a} for {b}: {op:?} of {:?} and {:?}", lhs.1, rhs.1);
    }
}

fn check_dense(op: &Op, lhs: &Tensor, rhs: &Tensor) {
    check(op, lhs.dtype(), (lhs, View::dense(lhs.shape())), (rhs, View::dense(rhs.shape())));
}

#[test]
fn samples_of_the_op_table() {
    let samples = Dot::samples().into_iter().chain(Conv::samples());
    for sample in samples {
        for dtype in NUMERIC {
            let scaled = |x: &Tensor| {
                let v = x.to_f64();
                Tensor::generate(&x.ty().cast(dtype), |i| if dtype.is_float() { v[i] } else { v[i] * 100.0 })
            };
            check_dense(&sample.op, &scaled(&sample.args[0]), &scaled(&sample.args[1]));
        }
    }
}

fn shuffled(n: usize, rng: &mut StdRng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, rng.random_range(0..=i));
    }
    order
}

/// A random dot and the shapes of its operands.
fn random_dot(rng: &mut StdRng) -> (Op, Shape, Shape) {
    let mut counts = || [0; 4].map(|_: usize| rng.random_range(0..3usize));
    let [nb, nk, nm, nn] = counts();
    let (left, right) = (shuffled(nb + nk + nm, rng), shuffled(nb + nk + nn, rng));
    let mut lhs = vec![0; left.len()];
    let mut rhs = vec![0; right.len()];
    let most = *[3usize, 6, 14].get(rng.random_range(0..3)).unwrap_or(&3);
    let mut size = || if rng.random_ratio(1, 40) { 0 } else { rng.random_range(1..=most) };
    for i in 0..left.len() {
        lhs[left[i]] = size();
    }
    for i in 0..right.len() {
        rhs[right[i]] = if i < nb + nk { lhs[left[i]] } else { size() };
    }
    let pairs = |from: usize, to: usize| (from..to).map(|i| (left[i], right[i])).collect();
    (Dot { batch: pairs(0, nb), contract: pairs(nb, nb + nk) }.into(), lhs.into(), rhs.into())
}

/// A random convolution and the shapes of its operands.
fn random_conv(rng: &mut StdRng) -> (Op, Shape, Shape) {
    let n = rng.random_range(0..=3);
    let mut layout = || {
        let d = shuffled(n + 2, rng);
        Layout { outer: d[0], inner: d[1], spatial: d[2..].to_vec() }
    };
    let mut dims = ConvDims { lhs: layout(), rhs: layout(), out: layout() };
    if rng.random_ratio(1, 3) {
        dims = ConvDims::channels_last(n);
    }
    let groups = if rng.random_ratio(1, 3) { rng.random_range(2..4) } else { 1 };
    let plain = rng.random_ratio(1, 3);
    let mut upto = |most: usize| if plain { 1 } else { rng.random_range(1..=most) };
    let (stride, lhs_dilation, rhs_dilation) = (
        (0..n).map(|_| upto(3)).collect(),
        (0..n).map(|_| upto(2)).collect(),
        (0..n).map(|_| upto(2)).collect(),
    );
    let padding = (0..n).map(|_| (rng.random_range(-2..4), rng.random_range(-2..4))).collect();
    let (features, outputs) = (rng.random_range(0..5), groups * rng.random_range(1..5));
    let (mut lhs, mut rhs) = (vec![0; n + 2], vec![0; n + 2]);
    lhs[dims.lhs.outer] = rng.random_range(0..4);
    lhs[dims.lhs.inner] = features * groups;
    rhs[dims.rhs.inner] = features;
    rhs[dims.rhs.outer] = outputs;
    for d in 0..n {
        lhs[dims.lhs.spatial[d]] = rng.random_range(0..9);
        rhs[dims.rhs.spatial[d]] = rng.random_range(1..5);
    }
    let conv =
        Conv { dims, stride, padding, lhs_dilation, rhs_dilation, groups, flip: rng.random_ratio(1, 3) };
    (conv.into(), lhs.into(), rhs.into())
}

fn random_case(seed: u64) {
    let rng = &mut StdRng::seed_from_u64(seed);
    let (op, lhs, rhs) = if rng.random() { random_dot(rng) } else { random_conv(rng) };
    let dtype = NUMERIC[rng.random_range(0..4)];
    let (lhs, rhs) = (Type::new(dtype, lhs), Type::new(dtype, rhs));
    if op.infer(&[&lhs, &rhs]).is_err_and(|_| true) || lhs.elements().max(rhs.elements()) > 200_000 {
        return;
    }
    let work = op.infer(&[&lhs, &rhs]).map_or(0, |ty| op.flops(&[&lhs, &rhs], &ty));
    if work > 4_000_000 {
        return;
    }
    let (x, w) = (strided(&lhs, rng), strided(&rhs, rng));
    check(&op, dtype, (&x.0, x.1), (&w.0, w.1));
    check_dense(&op, &random(&lhs, rng), &random(&rhs, rng));
}

#[test]
fn random_shapes_and_strides() {
    for seed in 0..3000 {
        random_case(seed);
    }
}

#[test]
#[ignore = "takes minutes"]
fn many_random_shapes_and_strides() {
    for seed in 0..300_000 {
        random_case(seed);
    }
}

fn conv(dims: &str, padding: i64) -> Conv {
    let dims: ConvDims = dims.parse().expect("dimensions");
    Conv { padding: vec![(padding, padding); dims.spatial()], ..Conv::plain(dims) }
}

/// Contractions large enough to be divided in every way: by rows, columns, batch and depth.
fn large() -> Vec<(Op, Shape, Shape)> {
    let dot = |batch: &[(usize, usize)], contract: &[(usize, usize)], l: &[usize], r: &[usize]| {
        (Op::from(Dot { batch: batch.to_vec(), contract: contract.to_vec() }), Shape::from(l), Shape::from(r))
    };
    let same = conv("b01f_01io->b01f", 1);
    let ct = Conv { flip: true, ..conv("b01f_01oi->b01f", 1) };
    let strided = Conv { stride: vec![2, 2], ..same.clone() };
    let back = Conv { lhs_dilation: vec![2, 2], padding: vec![(1, 2), (1, 2)], ..ct.clone() };
    vec![
        dot(&[], &[(1, 0)], &[64, 300], &[300, 500]),
        dot(&[], &[(0, 0)], &[64, 300], &[64, 500]),
        dot(&[], &[(1, 1)], &[300, 500], &[64, 500]),
        dot(&[], &[(0, 0)], &[20_000, 12], &[20_000, 20]),
        dot(&[(0, 0), (2, 2)], &[(3, 3)], &[8, 40, 4, 32], &[8, 50, 4, 32]),
        dot(&[], &[(1, 2), (2, 1)], &[100, 30, 20], &[150, 20, 30]),
        (same.clone().into(), [6, 20, 20, 24].into(), [3, 3, 24, 32].into()),
        (conv("b01f_01io->b01f", 0).into(), [6, 20, 20, 24].into(), [1, 1, 24, 40].into()),
        (ct.into(), [6, 20, 20, 24].into(), [3, 3, 32, 24].into()),
        (strided.into(), [6, 30, 31, 24].into(), [3, 3, 24, 32].into()),
        (back.into(), [6, 15, 15, 24].into(), [3, 3, 32, 24].into()),
        (conv("f01b_i01o->01bf", 1).into(), [6, 20, 20, 24].into(), [6, 20, 20, 16].into()),
        (conv("f01b_i01o->01bf", 1).into(), [20, 28, 28, 1].into(), [20, 28, 28, 32].into()),
        (same.into(), [12, 28, 28, 3].into(), [3, 3, 3, 48].into()),
        (conv("bf01_oi01->bf01", 1).into(), [4, 16, 20, 20].into(), [24, 16, 3, 3].into()),
        (conv("fb01_io01->bf01", 1).into(), [4, 16, 20, 20].into(), [4, 24, 20, 20].into()),
        (
            Conv { groups: 4, ..conv("b01f_01io->b01f", 1) }.into(),
            [4, 20, 20, 64].into(),
            [3, 3, 16, 64].into(),
        ),
    ]
}

#[test]
fn large_shapes() {
    let rng = &mut StdRng::seed_from_u64(1);
    for (op, lhs, rhs) in large() {
        for dtype in [DType::F32, DType::I32] {
            let (lhs, rhs) = (Type::new(dtype, lhs.clone()), Type::new(dtype, rhs.clone()));
            check_dense(&op, &random(&lhs, rng), &random(&rhs, rng));
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let rng = &mut StdRng::seed_from_u64(2);
    let pool = |n: usize| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool");
    let pools = [1, 2, 3].map(pool);
    for (op, lhs, rhs) in large() {
        let (lhs, rhs) = (random(&Type::new(DType::F32, lhs), rng), random(&Type::new(DType::F32, rhs), rng));
        let ty = op.infer(&[&lhs.ty(), &rhs.ty()]).expect("a valid case");
        let plan = plan(&op, &Operand::dense(&lhs.ty()), &Operand::dense(&rhs.ty()), Isa::best());
        let results = pools.each_ref().map(|p| p.install(|| run(&plan, &lhs, &rhs, &ty)));
        assert_eq!(results[0], results[1], "{op:?} on 2 threads");
        assert_eq!(results[0], results[2], "{op:?} on 3 threads");
    }
}
