//! Operations with random shapes and attributes against definitions written out here, and the
//! laws of their derivatives and batches.

use fgc_ir::ops::conv::{Conv, ConvDims, Layout};
use fgc_ir::ops::index::{Index, IndexKind};
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::window::{Window, WindowKind, WindowSpec};
use fgc_ir::ops::{Broadcast, Concat, Dot, Op, Pad, Reduce, Reshape, Reverse, Sample, Slice, Transpose};
use fgc_ir::{DType, OpRules, Tensor, Type};
use fgc_tests::laws;
use fgc_tests::naive::{Array, indices, put};
use fgc_tests::numeric::{distance, random};
use fgc_tests::single::single;
use fgc_transforms::params;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn floats(shape: &[usize], rng: &mut StdRng) -> Tensor {
    random(&Type::new(DType::F64, shape), rng)
}

/// `op` on `args` is `expected`, and keeps the laws. Nothing is checked if it doesn't accept them.
fn check(
    op: impl Into<Op>,
    args: Vec<Tensor>,
    seed: u64,
    expected: impl Fn(&[Array]) -> Array,
) -> Result<(), TestCaseError> {
    let op = op.into();
    let types: Vec<Type> = args.iter().map(Tensor::ty).collect();
    let inferred = op.infer(&types.iter().collect::<Vec<_>>());
    prop_assume!(inferred.as_ref().is_ok_and(|ty| ty.elements() < 3000));
    let found = op.eval(&args.iter().collect::<Vec<_>>());
    prop_assert_eq!(&Ok(found.ty()), &inferred);
    let defined = expected(&args.iter().map(Array::of).collect::<Vec<_>>());
    prop_assert_eq!(found.shape().to_vec(), defined.shape.clone());
    let apart = distance(&found.to_f64(), &defined.elements, 1.0);
    prop_assert!(apart < 1e-12, "{:?} and {:?}", found.to_f64(), defined.elements);

    let mut rng = StdRng::seed_from_u64(seed);
    let run = || -> laws::Law {
        let (g, arrays) = single(&Sample::new(op.clone(), args))?;
        laws::valid(&g)?;
        let wrt = params(&g);
        laws::jvp_is_difference(&g, &arrays, &wrt, 1e-5, 1e-7, &mut rng)?;
        laws::grad_is_jvp(&g, &arrays, &wrt, 1e-10, &mut rng)?;
        laws::transpose_is_adjoint(&g, &arrays, &wrt, 1e-10, &mut rng)?;
        laws::hvp_both_ways(&g, &arrays, &wrt, 1e-10, &mut rng)?;
        let some: Vec<&str> =
            arrays.keys().map(String::as_str).filter(|_| rng.random_range(0..3) > 0).collect();
        for count in [0, 1, 3] {
            laws::vmap_is_stack(&g, &arrays, &some, count, 1e-13, &mut rng)?;
        }
        Ok(())
    };
    run().map_err(|e| TestCaseError::fail(format!("{}{}: {e}", op.name(), op.attrs())))
}

/// Sizes with 0 and 1 among them.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0usize), 2 => Just(1), 6 => 2usize..5]
}

fn shape(rank: std::ops::Range<usize>) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(size(), rank)
}

fn permutation(n: usize) -> impl Strategy<Value = Vec<usize>> {
    Just((0..n).collect::<Vec<usize>>()).prop_shuffle()
}

fn shape_and_permutation() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    shape(0..5).prop_flat_map(|s| (Just(s.clone()), permutation(s.len())))
}

/// What each spatial dimension of a convolution has: size, kernel, stride, padding, dilations.
type Spatial = (usize, usize, usize, (i64, i64), usize, usize);

fn spatial() -> impl Strategy<Value = Vec<Spatial>> {
    prop::collection::vec((0usize..6, 1usize..4, 1usize..4, (-2i64..4, -2i64..4), 1usize..4, 1usize..4), 0..3)
}

fn layout(order: &[usize]) -> Layout {
    Layout { outer: order[0], inner: order[1], spatial: order[2..].to_vec() }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 384,
        failure_persistence: None,
        // The same cases each time: differences across a tie of a maximum would be wrong.
        rng_seed: RngSeed::Fixed(1),
        max_global_rejects: 100_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn conv(
        (window, orders) in spatial().prop_flat_map(|w| {
            let n = w.len() + 2;
            (Just(w), prop::collection::vec(permutation(n), 3))
        }),
        (batch, groups, features, outputs) in (0usize..3, 1usize..4, 0usize..3, 0usize..3),
        flip: bool,
        seed: u64,
    ) {
        let dims = ConvDims { lhs: layout(&orders[0]), rhs: layout(&orders[1]), out: layout(&orders[2]) };
        let n = window.len();
        let (d, rank) = (dims.clone(), n + 2);
        let conv = Conv {
            dims,
            stride: window.iter().map(|w| w.2).collect(),
            padding: window.iter().map(|w| w.3).collect(),
            lhs_dilation: window.iter().map(|w| w.4).collect(),
            rhs_dilation: window.iter().map(|w| w.5).collect(),
            groups,
            flip,
        };
        let sizes = |f: fn(&Spatial) -> usize| window.iter().map(f).collect::<Vec<_>>();
        let arrange = |l: &Layout, outer, inner, spatial: &[usize]| {
            put(rank, &[(&[l.outer, l.inner], &[outer, inner]), (&l.spatial, spatial)])
        };
        let mut rng = StdRng::seed_from_u64(seed);
        let x = floats(&arrange(&d.lhs, batch, groups * features, &sizes(|w| w.0)), &mut rng);
        let w = floats(&arrange(&d.rhs, groups * outputs, features, &sizes(|w| w.1)), &mut rng);
        check(conv, vec![x, w], seed, |args| {
            // The image with its zeros, cut off or added, and the kernel with its own, are made
            // in full; then it is a plain correlation.
            let dilated = |n: usize, by: usize| if n == 0 { 0 } else { (n - 1) * by + 1 };
            let image: Vec<usize> = window.iter().map(|w| (dilated(w.0, w.4) as i64 + w.3.0 + w.3.1) as usize).collect();
            let padded = Array::new([vec![batch, groups * features], image.clone()].concat(), |i| {
                let from = (0..n).map(|k| (i[k + 2] as i64 - window[k].3.0, window[k].4 as i64));
                if from.clone().any(|(at, by)| at % by != 0) {
                    return 0.0;
                }
                let mut index = vec![0i64; rank];
                (index[d.lhs.outer], index[d.lhs.inner]) = (i[0] as i64, i[1] as i64);
                for (k, (at, by)) in from.enumerate() {
                    index[d.lhs.spatial[k]] = at / by;
                }
                args[0].or_zero(&index)
            });
            let taps: Vec<usize> = window.iter().map(|w| dilated(w.1, w.5)).collect();
            let kernel = Array::new([vec![groups * outputs, features], taps.clone()].concat(), |i| {
                if (0..n).any(|k| i[k + 2] % window[k].5 != 0) {
                    return 0.0;
                }
                let tap = |k: usize| {
                    let t = i[k + 2] / window[k].5;
                    if flip { window[k].1 - 1 - t } else { t }
                };
                args[1].at(&arrange(&d.rhs, i[0], i[1], &(0..n).map(tap).collect::<Vec<_>>()))
            });
            let out: Vec<usize> = (0..n).map(|k| (image[k] + window[k].2).saturating_sub(taps[k]) / window[k].2).collect();
            Array::new(arrange(&d.out, batch, groups * outputs, &out), |i| {
                let o = i[d.out.inner];
                let mut sum = 0.0;
                for t in indices(&taps) {
                    for c in 0..features {
                        let at = (0..n).map(|k| i[d.out.spatial[k]] * window[k].2 + t[k]);
                        let group = o / outputs;
                        let x: Vec<usize> = [i[d.out.outer], group * features + c].into_iter().chain(at).collect();
                        sum += padded.at(&x) * kernel.at(&[vec![o, c], t.clone()].concat());
                    }
                }
                sum
            })
        })?;
    }

    #[test]
    fn dot(
        (batch, contract, left, right) in (shape(0..3), shape(0..3), shape(0..3), shape(0..3)),
        (orders, seed) in (prop::collection::vec(permutation(9), 2), any::<u64>()),
    ) {
        // Each operand's dimensions are its batch, contracted and free ones, in some order.
        let place = |n: usize, order: &[usize]| order.iter().copied().filter(|&d| d < n).collect::<Vec<_>>();
        let (nb, nc) = (batch.len(), contract.len());
        let at = [place(nb + nc + left.len(), &orders[0]), place(nb + nc + right.len(), &orders[1])];
        let pairs = |from: usize, n: usize| (from..from + n).map(|k| (at[0][k], at[1][k])).collect::<Vec<_>>();
        let dot = Dot { batch: pairs(0, nb), contract: pairs(nb, nc) };
        let index = |side: usize, b: &[usize], c: &[usize], f: &[usize]| {
            put(at[side].len(), &[(&at[side], &[b, c, f].concat())])
        };
        // The free dimensions of the result are in the order in which the operand has them.
        let free = |side: usize| {
            let mut dims = at[side][nb + nc..].to_vec();
            dims.sort();
            dims
        };
        let mut rng = StdRng::seed_from_u64(seed);
        let x = floats(&index(0, &batch, &contract, &left), &mut rng);
        let y = floats(&index(1, &batch, &contract, &right), &mut rng);
        let (xs, ys) = (x.shape().to_vec(), y.shape().to_vec());
        check(dot, vec![x, y], seed, |args| {
            let size = |dims: &[usize], shape: &[usize]| dims.iter().map(|&d| shape[d]).collect::<Vec<_>>();
            let (lf, rf) = (free(0), free(1));
            Array::new([batch.clone(), size(&lf, &xs), size(&rf, &ys)].concat(), |i| {
                let (b, rest) = i.split_at(nb);
                let (l, r) = rest.split_at(lf.len());
                let term = |c: &Vec<usize>| {
                    let x = put(xs.len(), &[(&at[0][..nb], b), (&at[0][nb..nb + nc], c), (&lf, l)]);
                    let y = put(ys.len(), &[(&at[1][..nb], b), (&at[1][nb..nb + nc], c), (&rf, r)]);
                    args[0].at(&x) * args[1].at(&y)
                };
                indices(&contract).iter().map(term).sum()
            })
        })?;
    }

    #[test]
    fn window_sum(windows in windows(), seed: u64) {
        let (shape, spec) = windows;
        let x = floats(&shape, &mut StdRng::seed_from_u64(seed));
        let op = Window { kind: WindowKind::Sum, spec: spec.clone() };
        check(op, vec![x], seed, |args| {
            Array::new(counts(&shape, &spec), |i| {
                positions(i, &spec).iter().map(|at| args[0].or_zero(at)).sum()
            })
        })?;
    }

    #[test]
    fn max_pool(windows in windows(), seed: u64) {
        let (shape, spec) = windows;
        let x = floats(&shape, &mut StdRng::seed_from_u64(seed));
        let inside = |at: &[i64]| at.iter().zip(&shape).all(|(&i, &n)| (0..n as i64).contains(&i));
        let argmax = Window { kind: WindowKind::Argmax, spec: spec.clone() };
        prop_assume!(argmax.infer(&[&x.ty()]).is_ok());
        let index = argmax.eval(&[&x]);
        let best = |x: &Array, i: &[usize]| {
            let at = positions(i, &spec);
            let best = at.iter().enumerate().filter(|(_, at)| inside(at));
            best.fold((0, f64::NEG_INFINITY), |best, (t, at)| {
                let x = x.or_zero(at);
                if x > best.1 { (t, x) } else { best }
            })
        };
        check(argmax, vec![x.clone()], seed, |args| {
            Array::new(counts(&shape, &spec), |i| best(&args[0], i).0 as f64)
        })?;
        let gather = Window { kind: WindowKind::Gather, spec: spec.clone() };
        check(gather, vec![x, index.clone()], seed, |args| {
            Array::new(counts(&shape, &spec), |i| best(&args[0], i).1)
        })?;
        let y = floats(index.shape(), &mut StdRng::seed_from_u64(!seed));
        let scatter = Window { kind: WindowKind::Scatter(shape.clone().into()), spec: spec.clone() };
        check(scatter, vec![y, index], seed, |args| {
            let mut sums = Array::new(shape.clone(), |_| 0.0);
            for i in indices(&args[0].shape) {
                let at = &positions(&i, &spec)[args[1].at(&i) as usize];
                let flat = at.iter().zip(&shape).fold(0, |flat, (&i, &n)| flat * n + i as usize);
                sums.elements[flat] += args[0].at(&i);
            }
            sums
        })?;
    }

    #[test]
    fn reduce((shape, order) in shape_and_permutation(), count in 0usize..4, seed: u64) {
        let mut axes: Vec<usize> = order.into_iter().take(count).collect();
        axes.sort();
        let kept: Vec<usize> = (0..shape.len()).filter(|d| !axes.contains(d)).collect();
        let size = |dims: &[usize]| dims.iter().map(|&d| shape[d]).collect::<Vec<_>>();
        let x = floats(&shape, &mut StdRng::seed_from_u64(seed));
        for (kind, fold) in [
            (ReduceKind::Sum, (|a, b| a + b) as fn(f64, f64) -> f64),
            (ReduceKind::Max, f64::max),
            (ReduceKind::Min, f64::min),
        ] {
            if kind != ReduceKind::Sum && size(&axes).contains(&0) {
                continue;
            }
            check(Reduce { kind, axes: axes.clone() }, vec![x.clone()], seed, |args| {
                Array::new(size(&kept), |i| {
                    let folded = indices(&size(&axes));
                    let at = folded.iter().map(|j| args[0].at(&put(shape.len(), &[(&kept, i), (&axes, j)])));
                    at.reduce(fold).unwrap_or(0.0)
                })
            })?;
        }
    }

    #[test]
    fn pad(
        dims in prop::collection::vec((size(), -3i64..4, -3i64..4, 0usize..3), 0..4),
        seed: u64,
    ) {
        let shape: Vec<usize> = dims.iter().map(|d| d.0).collect();
        let pad = Pad {
            low: dims.iter().map(|d| d.1).collect(),
            high: dims.iter().map(|d| d.2).collect(),
            interior: dims.iter().map(|d| d.3).collect(),
        };
        let x = floats(&shape, &mut StdRng::seed_from_u64(seed));
        check(pad, vec![x], seed, |args| {
            let size = |d: &(usize, i64, i64, usize)| {
                (d.0 + d.0.saturating_sub(1) * d.3) as i64 + d.1 + d.2
            };
            Array::new(dims.iter().map(|d| size(d) as usize).collect(), |i| {
                let from: Vec<(i64, i64)> =
                    i.iter().zip(&dims).map(|(&i, d)| (i as i64 - d.1, d.3 as i64 + 1)).collect();
                if from.iter().any(|(at, by)| at % by != 0) {
                    return 0.0;
                }
                args[0].or_zero(&from.iter().map(|(at, by)| at / by).collect::<Vec<_>>())
            })
        })?;
    }

    #[test]
    fn slice(dims in prop::collection::vec((0usize..4, 0usize..4, 0usize..4, 1usize..4), 0..4), seed: u64) {
        let slice = Slice {
            start: dims.iter().map(|d| d.0).collect(),
            stop: dims.iter().map(|d| d.0 + d.1).collect(),
            step: dims.iter().map(|d| d.3).collect(),
        };
        let shape: Vec<usize> = dims.iter().map(|d| d.0 + d.1 + d.2).collect();
        let x = floats(&shape, &mut StdRng::seed_from_u64(seed));
        check(slice, vec![x], seed, |args| {
            let count = |d: &(usize, usize, usize, usize)| (0..d.1).step_by(d.3).count();
            Array::new(dims.iter().map(count).collect(), |i| {
                args[0].at(&i.iter().zip(&dims).map(|(i, d)| d.0 + i * d.3).collect::<Vec<_>>())
            })
        })?;
    }

    #[test]
    fn views((shape, order) in shape_and_permutation(), count in 0usize..4, extra in prop::collection::vec(size(), 3), seed: u64) {
        let x = floats(&shape, &mut StdRng::seed_from_u64(seed));
        let axes: Vec<usize> = order.iter().copied().take(count).collect();
        check(Reverse { axes: axes.clone() }, vec![x.clone()], seed, |args| {
            Array::new(shape.clone(), |i| {
                let at = |k: usize| if axes.contains(&k) { shape[k] - 1 - i[k] } else { i[k] };
                args[0].at(&(0..i.len()).map(at).collect::<Vec<_>>())
            })
        })?;
        check(Transpose { perm: order.clone() }, vec![x.clone()], seed, |args| {
            Array::new(order.iter().map(|&p| shape[p]).collect(), |i| args[0].at(&put(i.len(), &[(&order, i)])))
        })?;
        let flat = vec![1, shape.iter().product()];
        check(Reshape { shape: flat.clone().into() }, vec![x.clone()], seed, |args| {
            Array { shape: flat.clone(), elements: args[0].elements.clone() }
        })?;
        // The operand's dimensions at the places that its axes say, new ones elsewhere.
        let mut to = extra.clone();
        let mut dims: Vec<usize> = axes.iter().map(|a| a % 3).collect();
        dims.sort();
        dims.dedup();
        let part: Vec<usize> = shape.iter().copied().take(dims.len()).collect();
        dims.truncate(part.len());
        for (&d, &n) in dims.iter().zip(&part) {
            to[d] = n;
        }
        let y = floats(&part, &mut StdRng::seed_from_u64(seed));
        check(Broadcast { shape: to.clone().into(), dims: dims.clone() }, vec![y], seed, |args| {
            Array::new(to.clone(), |i| args[0].at(&dims.iter().map(|&d| i[d]).collect::<Vec<_>>()))
        })?;
    }

    #[test]
    fn concat(shape in shape(1..4), axis in 0usize..3, sizes in prop::collection::vec(size(), 1..4), seed: u64) {
        let axis = axis % shape.len();
        let mut rng = StdRng::seed_from_u64(seed);
        let with = |n: usize| put(shape.len(), &[(&(0..shape.len()).collect::<Vec<_>>(), &shape), (&[axis], &[n])]);
        let args = sizes.iter().map(|&n| floats(&with(n), &mut rng)).collect();
        check(Concat { axis }, args, seed, |args| {
            Array::new(with(sizes.iter().sum()), |i| {
                let (mut k, mut at) = (0, i[axis]);
                while at >= sizes[k] {
                    at -= sizes[k];
                    k += 1;
                }
                args[k].at(&put(i.len(), &[(&(0..i.len()).collect::<Vec<_>>(), i), (&[axis], &[at])]))
            })
        })?;
    }

    #[test]
    fn gather_and_scatter(shape in shape(1..4), (axis, batch) in (0usize..3, 0usize..3), free in shape(0..3), seed: u64) {
        let axis = axis % shape.len();
        let batch = batch.min(axis);
        let mut rng = StdRng::seed_from_u64(seed);
        let x = floats(&shape, &mut rng);
        let n = shape[axis] as i32;
        let index = Type::new(DType::I32, [shape[..batch].to_vec(), free.clone()].concat());
        // Some positions are outside.
        let index = Tensor::generate(&index, |_| rng.random_range(-1..=n) as f64);
        let out = [&shape[..axis], &free, &shape[axis + 1..]].concat();
        // For an index of the result, the one of x that it stands for.
        let source = |i: &[usize], index: &Array| {
            let (before, rest) = i.split_at(axis);
            let (at, after) = rest.split_at(free.len());
            let position = index.at(&[&before[..batch], at].concat());
            let before = before.iter().map(|&i| i as i64).chain([position as i64]);
            before.chain(after.iter().map(|&i| i as i64)).collect::<Vec<i64>>()
        };
        check(Index::gather(batch, axis), vec![x, index.clone()], seed, |args| {
            Array::new(out.clone(), |i| args[0].or_zero(&source(i, &args[1])))
        })?;
        let y = floats(&out, &mut rng);
        let scatter = Index { kind: IndexKind::ScatterAdd(shape.clone().into()), batch, axis };
        check(scatter, vec![y, index], seed, |args| {
            let mut sums = Array::new(shape.clone(), |_| 0.0);
            for i in indices(&out) {
                let at = source(&i, &args[1]);
                if (0..n as i64).contains(&at[axis]) {
                    let flat = at.iter().zip(&shape).fold(0, |flat, (&i, &n)| flat * n + i as usize);
                    sums.elements[flat] += args[0].at(&i);
                }
            }
            sums
        })?;
    }
}

/// A shape and windows over it.
fn windows() -> impl Strategy<Value = (Vec<usize>, WindowSpec)> {
    let dim = (0usize..6, 1usize..4, 1usize..4, (-1i64..3, -1i64..3), 1usize..4);
    prop::collection::vec(dim, 1..4).prop_map(|dims| {
        let spec = WindowSpec {
            size: dims.iter().map(|d| d.1).collect(),
            stride: dims.iter().map(|d| d.2).collect(),
            padding: dims.iter().map(|d| d.3).collect(),
            dilation: dims.iter().map(|d| d.4).collect(),
        };
        (dims.iter().map(|d| d.0).collect(), spec)
    })
}

/// How many windows there are in each dimension: as many as begin so that they end in time.
fn counts(shape: &[usize], spec: &WindowSpec) -> Vec<usize> {
    let count = |k: usize| {
        let padded = shape[k] as i64 + spec.padding[k].0 + spec.padding[k].1;
        let span = ((spec.size[k] - 1) * spec.dilation[k] + 1) as i64;
        (0..=padded - span).step_by(spec.stride[k]).count()
    };
    (0..shape.len()).map(count).collect()
}

/// The positions of the elements of window `i`, in order; some may be outside.
fn positions(i: &[usize], spec: &WindowSpec) -> Vec<Vec<i64>> {
    let at = |t: &Vec<usize>| {
        let one = |k: usize| (i[k] * spec.stride[k] + t[k] * spec.dilation[k]) as i64 - spec.padding[k].0;
        (0..i.len()).map(one).collect()
    };
    indices(&spec.size).iter().map(at).collect()
}
