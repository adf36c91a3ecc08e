//! The digits of long sums of products: errors against `f64`, in terms of the sums of magnitudes.

use super::super::Method;
use super::*;

/// What a sum of products keeps to, like any other reduction. Winograd's convolutions have twice that:
/// beside zeros around an image their transforms add and subtract more than the sum itself does.
pub(super) const ERROR: f64 = 4e-7;

/// Gradients of kernels, which are sums over all pixels of all images, by every method; and
/// convolutions of many channels.
fn cases() -> Vec<(Conv, Shape, Shape)> {
    let gradient = |pad: i64, step: usize| {
        let base = conv("f01b_i01o->01bf", pad);
        Conv { rhs_dilation: vec![step, step], ..base }
    };
    vec![
        (gradient(1, 1), [64, 28, 28, 16].into(), [64, 28, 28, 16].into()),
        (gradient(1, 1), [32, 32, 32, 8].into(), [32, 32, 32, 32].into()),
        (gradient(1, 1), [64, 32, 32, 4].into(), [64, 32, 32, 4].into()),
        (gradient(1, 1), [64, 32, 32, 3].into(), [64, 32, 32, 32].into()),
        (gradient(1, 1), [128, 28, 28, 1].into(), [128, 28, 28, 16].into()),
        (gradient(2, 1), [64, 28, 28, 1].into(), [64, 28, 28, 8].into()),
        (gradient(0, 1), [64, 28, 28, 16].into(), [64, 28, 28, 16].into()),
        (gradient(0, 1), [1, 301, 307, 2].into(), [1, 299, 303, 3].into()),
        (gradient(1, 2), [64, 28, 28, 16].into(), [64, 14, 14, 16].into()),
        (conv("b01f_01io->b01f", 1), [1, 6, 6, 2048].into(), [3, 3, 2048, 16].into()),
        (conv("b01f_01io->b01f", 2), [1, 6, 6, 1024].into(), [5, 5, 1024, 16].into()),
    ]
}

#[test]
fn long_sums_of_products_keep_their_digits() {
    let rng = &mut StdRng::seed_from_u64(17);
    let mut failures = Vec::new();
    for (conv, lhs, rhs) in cases() {
        for range in [-1.0..1.0, 1e2..1e2 + 1.0] {
            let [lhs, rhs] = [&lhs, &rhs].map(|shape| {
                Tensor::generate(&Type::new(DType::F32, shape.clone()), |_| rng.random_range(range.clone()))
            });
            let op = Op::from(conv.clone());
            let exact = op.eval(&[&lhs.cast(DType::F64), &rhs.cast(DType::F64)]).to_f64();
            let sizes = op.eval(&[&magnitude(&lhs), &magnitude(&rhs)]).to_f64();
            let ty = op.infer(&[&lhs.ty(), &rhs.ty()]).expect("a valid case");
            let [x, y] = [&lhs, &rhs].map(|x| Operand::dense(&x.ty()));
            for isa in sets() {
                let plan = plan(&op, &x, &y, isa);
                let found = run(&plan, &lhs, &rhs, &ty).to_f64();
                let errors = found.iter().zip(&exact).zip(&sizes).map(|((a, b), size)| (a - b).abs() / size);
                let worst =
                    errors.fold(0.0f64, |worst, e| if e <= worst || worst.is_nan() { worst } else { e });
                let limit =
                    if matches!(plan.methods[..], [Method::Convolution(_)]) { 2.0 * ERROR } else { ERROR };
                if worst.is_nan() || worst > limit {
                    failures.push(format!("{isa}: {conv:?} of {x:?} and {y:?} in {range:?}: {worst:e}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
