//! Operands and attributes that an operation can't have: each is refused with an error. Whatever is accepted works.

use std::collections::{BTreeMap, BTreeSet};

use fgc_ir::attrs::{Attr, AttrReader};
use fgc_ir::ops::Sample;
use fgc_ir::{DType, MAX_ELEMENTS, Op, OpRules, Shape, Tensor, Type};
use fgc_tests::numeric::parse_graph;
use fgc_tests::variants::typed;

use crate::tidy::families;

/// What is accepted is run if its result and its operands have at most so many elements, and it takes so many operations.
const SMALL: (usize, u64) = (4096, 1 << 20);

/// What became of each operation: how often it was refused, and how often accepted.
#[derive(Default)]
struct Outcomes(BTreeMap<&'static str, (usize, usize)>);

impl Outcomes {
    /// Asks `op` about operands of those types, and runs it if it takes them.
    fn ask(&mut self, op: &Op, types: &[Type]) {
        let counts = self.0.entry(op.name()).or_default();
        let types: Vec<&Type> = types.iter().collect();
        let ty = match op.infer(&types) {
            Ok(ty) => ty,
            Err(e) => {
                assert!(e.message.len() > 5, "`{}` refuses {types:?} without saying why", op.name());
                return counts.0 += 1;
            }
        };
        counts.1 += 1;
        assert!(ty.check_size().is_ok(), "`{}` gives {ty}, which is too large", op.name());
        let (elements, flops) = SMALL;
        let small = types.iter().chain([&&ty]).all(|ty| ty.elements() <= elements);
        if !small || op.flops(&types, &ty) > flops {
            return;
        }
        op.lower(&types);
        op.positions(&types, &ty);
        let args: Vec<Tensor> = types.iter().map(|ty| Tensor::filled(ty, 1.0)).collect();
        let found = op.eval(&args.iter().collect::<Vec<_>>()).ty();
        assert_eq!(found, ty, "`{}{}` of {types:?}", op.name(), op.attrs());
    }

    fn never_refused(&self) -> Vec<&'static str> {
        self.0.iter().filter(|(_, counts)| counts.0 == 0).map(|(name, _)| *name).collect()
    }
}

/// `ty` with something changed.
fn other_types(ty: &Type) -> Vec<Type> {
    let mut found: Vec<Type> = DType::ALL.into_iter().map(|dtype| ty.cast(dtype)).collect();
    let dims = ty.shape.to_vec();
    let mut shapes =
        vec![[&dims[..], &[2]].concat(), [&[2], &dims[..]].concat(), [&dims[..], &[0]].concat(), vec![1; 32]];
    for d in 0..dims.len() {
        let with = |n: usize| [&dims[..d], &[n], &dims[d + 1..]].concat();
        shapes.extend([0, 1, dims[d] + 1, dims[d] * 2, MAX_ELEMENTS].map(with));
        shapes.push([&dims[..d], &dims[d + 1..]].concat());
        let mut swapped = dims.clone();
        swapped.swap(d, 0);
        shapes.push(swapped);
    }
    found.extend(shapes.into_iter().map(|shape| ty.reshaped(Shape::from(shape))));
    found.retain(|other| other != ty && other.check_size().is_ok());
    found
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let mut outcomes = Outcomes::default();
    for Sample { op, args } in typed() {
        let types: Vec<Type> = args.iter().map(Tensor::ty).collect();
        if types.is_empty() {
            assert!(op.infer(&[&Type::scalar(DType::F32)]).is_err(), "`{}` takes an operand", op.name());
            continue;
        }
        assert!(op.infer(&[]).is_err(), "`{}` takes no operands", op.name());
        for k in 0..types.len() {
            let mut fewer = types.clone();
            fewer.remove(k);
            let more = [&types[..], &types[k..=k]].concat();
            if op.name() == "concat" {
                outcomes.ask(&op, &fewer);
                outcomes.ask(&op, &more);
            } else {
                let taken = |types: &[Type]| op.infer(&types.iter().collect::<Vec<_>>()).is_ok();
                assert!(!taken(&fewer) && !taken(&more), "`{}` takes any number of operands", op.name());
            }
            for other in other_types(&types[k]) {
                let mut one = types.clone();
                one[k] = other.clone();
                outcomes.ask(&op, &one);
                outcomes.ask(&op, &vec![other; types.len()]);
            }
        }
    }
    // These take any array.
    let any = ["barrier", "cast", "neg", "reverse", "stop_gradient", "transpose"];
    let never = outcomes.never_refused();
    assert!(never.iter().all(|name| any.contains(name)), "{never:?} refuse nothing");
}

/// Numbers that an attribute can hardly have, beside `i`.
fn other_numbers(i: i64) -> Vec<i64> {
    let bounds = MAX_ELEMENTS as i64;
    let mut found = vec![
        i - 1,
        i + 1,
        -i,
        0,
        1,
        2,
        3,
        1000,
        bounds,
        bounds + 1,
        -bounds,
        i64::MAX,
        i64::MIN,
        i64::from(u32::MAX),
    ];
    found.retain(|&other| other != i);
    found
}

/// `attr` with something changed.
fn other_attrs(attr: &Attr) -> Vec<Attr> {
    let mut found =
        vec![Attr::Word("x".into()), Attr::Float(0.5), Attr::Float(f64::NAN), Attr::Str("é".into())];
    found.extend([Attr::Str(String::new()), Attr::List(vec![]), Attr::Int(1), Attr::Range(vec![1, 0, -1])]);
    match attr {
        Attr::Int(i) => found.extend(other_numbers(*i).into_iter().map(Attr::Int)),
        Attr::Range(v) => {
            for k in 0..v.len() {
                for other in other_numbers(v[k]) {
                    let mut changed = v.clone();
                    changed[k] = other;
                    found.push(Attr::Range(changed));
                }
            }
            found.push(Attr::Range([&v[..], &[1]].concat()));
        }
        Attr::List(v) => found.extend(other_lists(v).into_iter().map(Attr::List)),
        Attr::Call(name, args) => {
            found.extend(other_lists(args).into_iter().map(|args| Attr::Call(name.clone(), args)));
            found.push(Attr::Call(format!("{name}s"), args.clone()));
        }
        Attr::Str(s) => {
            found.push(Attr::Str(format!("{s}{s}")));
            found.push(Attr::Str(s.chars().rev().collect()));
            found.extend((0..s.len()).filter_map(|k| Some(Attr::Str(s.get(..k)?.to_owned()))));
        }
        Attr::Float(_) | Attr::Word(_) => {}
    }
    found.retain(|other| other != attr);
    found
}

fn other_lists(v: &[Attr]) -> Vec<Vec<Attr>> {
    let mut found = vec![vec![], v.iter().cloned().rev().collect(), vec![Attr::Int(0); 40]];
    for k in 0..v.len() {
        found.push([&v[..k], &v[k + 1..]].concat());
        found.push([&v[..=k], &v[k..]].concat());
        for other in other_attrs(&v[k]) {
            let mut changed = v.to_vec();
            changed[k] = other;
            found.push(changed);
        }
    }
    found
}

#[test]
fn attributes_that_do_not_fit_are_refused() {
    let mut outcomes = Outcomes::default();
    let mut unread = BTreeMap::<&str, usize>::new();
    for Sample { op, args } in Op::samples() {
        let types: Vec<Type> = args.iter().map(Tensor::ty).collect();
        let ty = op.infer(&types.iter().collect::<Vec<_>>()).expect("a sample");
        let own = op.attrs();
        let mut changed =
            vec![own.clone().key("unheard_of", Attr::Int(1)), own.clone().item(Attr::Word("x".into()))];
        for k in 0..own.0.len() {
            let mut fewer = own.clone();
            fewer.0.remove(k);
            let mut twice = own.clone();
            twice.0.push(own.0[k].clone());
            changed.extend([fewer, twice]);
            for other in other_attrs(&own.0[k].1) {
                let mut attrs = own.clone();
                attrs.0[k].1 = other;
                changed.push(attrs);
            }
        }
        for (k, attrs) in changed.into_iter().enumerate() {
            let mut reader = AttrReader::new(attrs.clone());
            let read = Op::parse(op.name(), &mut reader, &ty).unwrap_or_else(|| panic!("no `{}`", op.name()));
            match read.and_then(|op| reader.finish().map(|()| op)) {
                Err(e) => {
                    assert!(e.0.len() > 5, "`{}{attrs}` is refused without saying why", op.name());
                    *unread.entry(op.name()).or_default() += 1;
                }
                Ok(read) => {
                    assert!(k > 0, "`{}{attrs}` is read", op.name());
                    outcomes.ask(&read, &types);
                    if let Ok(ty) = read.infer(&types.iter().collect::<Vec<_>>()) {
                        let mut reader = AttrReader::new(read.attrs());
                        let again = Op::parse(read.name(), &mut reader, &ty);
                        assert_eq!(
                            again,
                            Some(Ok(read.clone())),
                            "`{}{attrs}` reads back otherwise",
                            op.name()
                        );
                    }
                }
            }
        }
    }
    let names: BTreeSet<&str> = Op::samples().iter().map(|s| s.op.name()).collect();
    for name in names {
        assert!(unread.contains_key(name), "`{name}` reads any attributes");
    }
}

/// A line of a graph with `%x`, `%y` of f32[2, 3], `%i` of i32[2, 3], `%b` of bool[2, 3], `%u` of u32[2, 3], `%s` of
/// f32[] and `%q` of f32[3, 3], by family, and what is said of it.
const REFUSED: &[(&str, &str, &str)] = &[
    ("Unary", "exp %i : i32[2, 3]", "`exp` doesn't apply to i32"),
    ("Unary", "not %x : f32[2, 3]", "`not` doesn't apply to f32"),
    ("Unary", "exp %x, %y : f32[2, 3]", "`exp` takes 1 operand, not 2"),
    ("Unary", "exp %x : f32[3, 2]", "f32[2, 3]"),
    ("Binary", "add %x, %s : f32[2, 3]", "the operands of `add` differ: f32[2, 3] and f32[]"),
    ("Binary", "add %x, %i : f32[2, 3]", "the operands of `add` differ: f32[2, 3] and i32[2, 3]"),
    ("Binary", "add %b, %b : bool[2, 3]", "`add` doesn't apply to bool"),
    ("Binary", "shl %x, %y : f32[2, 3]", "`shl` doesn't apply to f32"),
    ("Binary", "add %x : f32[2, 3]", "`add` takes 2 operands, not 1"),
    ("Compare", "lt %b, %b : bool[2, 3]", "doesn't apply to bool"),
    ("Compare", "lt %x, %i : bool[2, 3]", "the operands of `lt` differ"),
    ("Compare", "lt %x, %y : f32[2, 3]", "bool[2, 3]"),
    ("Select", "select %x, %x, %y : f32[2, 3]", "the condition of `select` is bool, not f32"),
    ("Select", "select %b, %x, %i : f32[2, 3]", "the branches of `select` differ"),
    ("Select", "select %b, %s, %s : f32[]", "bool[2, 3]"),
    ("Cast", "cast[1] %x : i32[2, 3]", "unexpected attribute `1`"),
    ("Cast", "cast %x : i32[3, 2]", "i32[2, 3]"),
    ("Reshape", "reshape %x : f32[7]", "f32[2, 3]"),
    ("Reshape", "reshape %x : i32[6]", "f32[6]"),
    ("Transpose", "transpose[perm=[0]] %x : f32[2]", "f32[2, 3]"),
    ("Transpose", "transpose[perm=[0, 0]] %x : f32[2, 2]", "twice"),
    ("Transpose", "transpose[perm=[0, 2]] %x : f32[2, 2]", "out of range"),
    ("Broadcast", "broadcast[dims=[0, 0]] %x : f32[2, 3]", "twice"),
    ("Broadcast", "broadcast[dims=[0, 5]] %x : f32[2, 3]", "out of range"),
    ("Broadcast", "broadcast[dims=[0, 1]] %x : f32[2, 4]", "f32[2, 3]"),
    ("Broadcast", "broadcast[dims=[0]] %x : f32[2, 3]", "f32[2, 3]"),
    ("Slice", "slice[0:1] %x : f32[1, 3]", "a slice of f32[2, 3] has 2 ranges, not 1"),
    ("Slice", "slice[0:3, 0:3] %x : f32[3, 3]", "0:3"),
    ("Slice", "slice[2:1, 0:3] %x : f32[0, 3]", "2:1"),
    ("Slice", "slice[0:2:0, 0:3] %x : f32[0, 3]", "0"),
    ("Pad", "pad[low=[1], high=[1]] %x : f32[4, 3]", "padding of 1 dimensions on f32[2, 3]"),
    ("Pad", "pad[low=[-3, 0], high=[0, 0]] %x : f32[0, 3]", "leaves -1 elements"),
    (
        "Pad",
        "pad[low=[2147483647, 0], high=[2147483647, 0]] %x : f32[1, 3]",
        "f32[4294967296, 3] is too large",
    ),
    ("Concat", "concat[axis=0] : f32[0]", "`concat` takes at least one operand"),
    ("Concat", "concat[axis=2] %x, %y : f32[4, 3]", "out of range"),
    ("Concat", "concat[axis=0] %x, %i : f32[4, 3]", "i32[2, 3]"),
    ("Concat", "concat[axis=0] %x, %s : f32[4, 3]", "f32[]"),
    ("Reverse", "reverse[axes=[2]] %x : f32[2, 3]", "out of range"),
    ("Reverse", "reverse[axes=[1, 1]] %x : f32[2, 3]", "twice"),
    ("Reduce", "sum[axes=[2]] %x : f32[2, 3]", "axis 2 is out of range for rank 2"),
    ("Reduce", "sum[axes=[0, 0]] %x : f32[3]", "axis 0 is given twice"),
    ("Reduce", "sum[axes=[1, 0]] %x : f32[]", "aren't in increasing order"),
    ("Reduce", "sum[axes=[0]] %b : bool[3]", "`sum` doesn't apply to bool"),
    ("Reduce", "max[axes=[1]] %e : f32[2]", "over an empty axis of f32[2, 0] has no value"),
    ("Reduce", "argmax[axes=[0, 1]] %x : i32[]", "`argmax` takes one axis, not 2"),
    ("Reduce", "sum[axes=[-1]] %x : f32[2]", "not `-1`"),
    ("Dot", "dot[contract=[1:0]] %x, %y : f32[2, 3]", "3"),
    ("Dot", "dot[contract=[1:1]] %x, %i : f32[2, 2]", "of one numeric type"),
    ("Dot", "dot[contract=[1:1]] %b, %b : bool[2, 2]", "of one numeric type"),
    ("Dot", "dot[batch=[1:1], contract=[1:1]] %x, %y : f32[3]", "twice"),
    ("Dot", "dot[contract=[2:2]] %x, %y : f32[2, 2]", "out of range"),
    ("Dot", "dot[contract=[-1:1]] %x, %y : f32[2, 2]", "aren't negative"),
    ("Conv", "conv[dims=\"bf_io->bf\"] %x, %y : f32[2, 3]", "2"),
    ("Conv", "conv[dims=\"b0f_0io->b0f\"] %x, %y : f32[2, 3]", "rank 3"),
    ("Conv", "conv[dims=\"bb_io->bf\"] %x, %y : f32[2, 3]", "bb_io->bf"),
    ("Conv", "conv[dims=\"bf_oi->bf\", stride=[1]] %x, %y : f32[2, 2]", "isn't of 0 spatial dimensions"),
    ("Conv", "conv[dims=\"bf_oi->bf\", groups=0] %x, %y : f32[2, 2]", "at least 1"),
    ("Conv", "conv[dims=\"bf_oi->bf\"] %x, %i : f32[2, 2]", "of one numeric type"),
    ("Window", "window_sum[size=[1]] %x : f32[2, 3]", "don't have the 2 dimensions"),
    ("Window", "window_sum[size=[1, 0]] %x : f32[2, 3]", "at least 1"),
    ("Window", "window_sum[size=[1, 1], stride=[0, 1]] %x : f32[2, 3]", "at least 1"),
    ("Window", "window_sum[size=[1, 1], padding=[-2:-1, 0:0]] %x : f32[2, 3]", "cuts off more than"),
    ("Window", "window_sum[size=[1, 1]] %b : bool[2, 3]", "doesn't apply to bool"),
    ("Window", "window_gather[size=[1, 1]] %x, %y : f32[2, 3]", "are indexed by i32[2, 3], not f32[2, 3]"),
    ("Index", "gather[axis=0] %x, %y : f32[2, 3, 3]", "the index of `gather` is i32, not f32"),
    ("Index", "gather[axis=2] %x, %i : f32[2, 3]", "2"),
    ("Index", "gather[axis=0, batch=1] %x, %i : f32[2, 3]", "axis 0 isn't one of [2, 3] behind 1"),
    ("Index", "gather[axis=0] %s, %i : f32[2, 3]", "axis 0 isn't one of []"),
    ("Barrier", "barrier %x : f32[2, 3]", "`barrier` takes 2 operands, not 1"),
    ("Linalg", "cholesky %x : f32[2, 3]", "takes square matrices […, n, n]: those of f32[2, 3] are 2 × 3"),
    ("Linalg", "cholesky %s : f32[]", "`cholesky` takes matrices […, n, n], not f32[]"),
    ("Linalg", "cholesky %i : i32[2, 3]", "`cholesky` doesn't apply to i32"),
    ("Linalg", "cholesky %x, %y : f32[2, 3]", "`cholesky` takes 1 operand, not 2"),
    ("Linalg", "cholesky[upper=true] %x : f32[2, 3]", "unknown attribute `upper`"),
    ("Linalg", "triangular_solve %x, %y : f32[2, 3]", "takes square matrices"),
    (
        "Linalg",
        "triangular_solve %q, %x : f32[2, 3]",
        "with f32[3, 3] takes matrices [3] with any number of columns",
    ),
    ("Linalg", "triangular_solve %q, %s : f32[]", "with any number of columns, not f32[]"),
    ("Linalg", "triangular_solve %q, %i : i32[2, 3]", "are of one element type, not f32[3, 3] and i32[2, 3]"),
    ("Linalg", "triangular_solve[upper=1] %q, %q : f32[3, 3]", "`upper` is `true` or `false`, not `1`"),
    (
        "Random",
        "random_bits[stream=0, shape=[3]] %x : u32[2, 3]",
        "a key of `random_bits` is u32[…, 2], not f32[2, 3]",
    ),
    (
        "Random",
        "random_bits[stream=0, shape=[3]] %u : u32[2, 3]",
        "a key of `random_bits` is u32[…, 2], not u32[2, 3]",
    ),
    ("Leaf", "seed[\"k\"] : u32[3]", "a seed is u32[2], not u32[3]"),
    ("Leaf", "param[\"w\", init=constant(1.0)] : i32[2]", "can't be i32"),
    ("Leaf", "const[0.5] : i32[2]", "0.5"),
    ("Leaf", "const[1e39] : f32[2]", "1e39"),
    ("Leaf", "iota[dim=1] : i32[2]", "out of range"),
    ("Leaf", "iota[dim=0] : bool[2]", "it can't be bool"),
    ("Leaf", "input[\"x\"] : f32[2]", "`x`"),
    ("Leaf", "input[\"big\"] : f32[65536, 65536]", "65536"),
];

#[test]
fn each_family_says_what_it_refuses() {
    let mut failures = Vec::new();
    for (family, line, expected) in REFUSED {
        let text = format!(
            "graph g {{\n  %x = input[\"x\"] : f32[2, 3]\n  %y = input[\"y\"] : f32[2, 3]\n  %i = input[\"i\"] : i32[2, 3]\n  \
             %b = input[\"b\"] : bool[2, 3]\n  %u = input[\"u\"] : u32[2, 3]\n  %s = input[\"s\"] : f32[]\n  \
             %e = input[\"e\"] : f32[2, 0]\n  %q = input[\"q\"] : f32[3, 3]\n  %z = {line}\n\n  output z = %z\n}}\n"
        );
        match parse_graph(&text, DType::F32) {
            Ok(_) => failures.push(format!("{family}: `{line}` is accepted")),
            Err(said) => {
                let said = said.split("\ngraph g").next().unwrap_or_default();
                let message = said.lines().next().unwrap_or_default();
                if !message.starts_with("error: ") || !message.contains(expected) {
                    failures.push(format!("{family}: `{line}`: {said}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
    let covered: BTreeSet<&str> = REFUSED.iter().map(|(family, ..)| *family).collect();
    for (_, family) in families() {
        assert!(covered.contains(family.as_str()), "what does {family} refuse?");
    }
}
