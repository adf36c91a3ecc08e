//! The samples of the op table on every element type, with sizes 0 and 1, and with extreme numbers. All is made of the
//! table: what an operation that is added accepts is covered without being named here.

use std::collections::BTreeSet;

use fgc_ir::ops::index::IndexKind;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::window::WindowKind;
use fgc_ir::ops::{Op, Sample};
use fgc_ir::{DType, Lower, OpRules, Tensor, Type};
use rand::RngExt;
use rand::rngs::StdRng;

/// Numbers at which arithmetic of an element type is special, and a few that aren't.
pub fn extremes(dtype: DType) -> Vec<f64> {
    let floats = |tiny: f64, normal: f64, largest: f64, digit: f64| {
        let positive = [
            0.0,
            tiny,
            3.0 * tiny,
            normal - tiny,
            normal,
            0.5,
            1.0,
            1.0 + digit,
            2.5,
            1e4,
            largest / 2.0,
            largest,
        ];
        let both = positive.into_iter().chain([f64::INFINITY]).flat_map(|x| [x, -x]);
        both.chain([f64::NAN]).collect()
    };
    match dtype {
        DType::F32 => {
            floats(f32::from_bits(1).into(), f32::MIN_POSITIVE.into(), f32::MAX.into(), f32::EPSILON.into())
        }
        DType::F64 => floats(f64::from_bits(1), f64::MIN_POSITIVE, f64::MAX, f64::EPSILON),
        DType::I32 => [
            i32::MIN,
            i32::MIN + 1,
            -65536,
            -33,
            -32,
            -1,
            0,
            1,
            2,
            3,
            31,
            32,
            33,
            65536,
            i32::MAX - 1,
            i32::MAX,
        ]
        .map(f64::from)
        .to_vec(),
        DType::U32 => {
            [0, 1, 2, 3, 31, 32, 33, 65536, 1 << 31, u32::MAX - 1, u32::MAX].map(f64::from).to_vec()
        }
        DType::Bool => vec![0.0, 1.0],
    }
}

/// Whether `op` takes operands of those types.
pub fn accepts(op: &Op, args: &[Tensor]) -> bool {
    let types: Vec<Type> = args.iter().map(Tensor::ty).collect();
    op.infer(&types.iter().collect::<Vec<_>>()).is_ok()
}

/// `x` as an array of `dtype`, with numbers that it has.
fn of_type(x: &Tensor, dtype: DType) -> Tensor {
    let numbers = x.to_f64();
    Tensor::generate(&x.ty().cast(dtype), |i| match dtype {
        DType::F32 | DType::F64 => numbers[i],
        DType::I32 => numbers[i].round(),
        DType::U32 => numbers[i].round().abs(),
        DType::Bool => f64::from(numbers[i] > 0.0),
    })
}

/// Every sample, and each with any other element type in place of one of its own that its operation accepts; each
/// operation on each type once for every shape of its operands.
pub fn typed() -> Vec<Sample> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for sample in Op::samples() {
        let own: BTreeSet<DType> = sample.args.iter().map(Tensor::dtype).collect();
        let mut add = |args: Vec<Tensor>| {
            let types: Vec<String> = args.iter().map(|x| x.ty().to_string()).collect();
            if accepts(&sample.op, &args) && seen.insert((sample.op.clone(), types)) {
                found.push(Sample { op: sample.op.clone(), args });
            }
        };
        add(sample.args.clone());
        for from in own {
            for to in DType::ALL {
                let arg = |x: &Tensor| if x.dtype() == from { of_type(x, to) } else { x.clone() };
                add(sample.args.iter().map(arg).collect());
            }
        }
    }
    found
}

/// `sample` with 0 or 1 in place of one of its sizes, wherever its operation accepts that: in all operands, or in one.
pub fn resized(sample: &Sample) -> Vec<Sample> {
    let mut found: Vec<Sample> = Vec::new();
    let sizes: BTreeSet<usize> = sample.args.iter().flat_map(|x| x.shape().to_vec()).collect();
    let mut add = |change: &dyn Fn(usize, usize, usize) -> usize| {
        let arg = |(k, x): (usize, &Tensor)| {
            let shape: Vec<usize> = x.shape().iter().enumerate().map(|(d, &n)| change(k, d, n)).collect();
            let (ty, numbers) = (x.ty().reshaped(shape), x.to_f64());
            Tensor::generate(&ty, |i| numbers.get(i % numbers.len().max(1)).copied().unwrap_or_default())
        };
        let args: Vec<Tensor> = sample.args.iter().enumerate().map(arg).collect();
        let types = |args: &[Tensor]| args.iter().map(Tensor::ty).collect::<Vec<_>>();
        let known =
            types(&args) == types(&sample.args) || found.iter().any(|s| types(&s.args) == types(&args));
        if !known && accepts(&sample.op, &args) {
            found.push(Sample { op: sample.op.clone(), args });
        }
    };
    for to in [0, 1] {
        for &from in &sizes {
            add(&|_, _, n| if n == from { to } else { n });
        }
        for (k, x) in sample.args.iter().enumerate() {
            for d in 0..x.shape().rank() {
                add(&|arg, dim, n| if (arg, dim) == (k, d) { to } else { n });
            }
        }
    }
    found
}

/// An elementwise sample on every combination of extreme numbers.
pub fn combined(sample: &Sample) -> Sample {
    let lists: Vec<Vec<f64>> = sample.args.iter().map(|x| extremes(x.dtype())).collect();
    let count = lists.iter().map(Vec::len).product();
    let mut every = 1;
    let mut args = Vec::new();
    for (x, list) in sample.args.iter().zip(&lists) {
        args.push(Tensor::generate(&Type::new(x.dtype(), [count]), |i| list[i / every % list.len()]));
        every *= list.len();
    }
    Sample { op: sample.op.clone(), args }
}

/// The operands of `sample` with some extreme numbers among their own.
pub fn sprinkled(sample: &Sample, rng: &mut StdRng) -> Vec<Tensor> {
    let arg = |x: &Tensor| {
        let (own, list) = (x.to_f64(), extremes(x.dtype()));
        // Now one kind in few places, now many.
        let (one, part) = (list[rng.random_range(0..list.len())], rng.random_range(2..9));
        let mixed: bool = rng.random();
        Tensor::generate(&x.ty(), |i| match rng.random_range(0..part) {
            0 if mixed => list[rng.random_range(0..list.len())],
            0 => one,
            _ => own[i],
        })
    };
    sample.args.iter().map(arg).collect()
}

/// Whether the result is sums, of operands or products, in which the order of terms matters.
pub fn is_sum(lower: &Lower) -> bool {
    match lower {
        Lower::Reduce(reduce) => reduce.kind == ReduceKind::Sum,
        Lower::Dot(_) | Lower::Conv(_) => true,
        Lower::Window(window) => matches!(window.kind, WindowKind::Sum | WindowKind::Scatter(_)),
        Lower::Gather(index) => matches!(index.kind, IndexKind::ScatterAdd(_)),
        _ => false,
    }
}
