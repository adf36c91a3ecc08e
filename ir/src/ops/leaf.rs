//! Values without operands: what the caller binds, constants, and index ramps.

use std::sync::Arc;

use super::{Batched, Emit, Lower, OpRules, Operand, Positions, Sample, not_linear};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::real::Real;
use crate::tensor::Tensor;
use crate::types::{DType, Type, TypeError};

/// A value without operands.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Leaf {
    /// Bound by the caller under a name that is unique in the graph.
    Bound {
        /// The name, as in array files: `x`, `fc.0.w`, `fc.0.w.tangent`.
        name: Arc<str>,
        /// What it stands for.
        role: Role,
        /// Its type.
        ty: Type,
    },
    /// A constant: one element for all positions, or each.
    Const {
        /// Its type.
        ty: Type,
        /// One value, or as many as the type has elements, in row-major order. Of `f32` they are as written, in
        /// double precision, and are rounded where they are used: so a graph that is printed and read with `f64`
        /// for `f32` has the constants of its source. None is finite that the element type rounds to infinity.
        values: Arc<[Real]>,
    },
    /// Each element is its own index along a dimension.
    Iota {
        /// The type; not bool.
        ty: Type,
        /// The dimension that counts.
        dim: usize,
    },
}

/// What a bound leaf stands for.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Data, a tangent or a cotangent.
    Input,
    /// What training adjusts.
    Param(Init),
    /// What a step updates: running statistics, optimiser moments.
    State(Init),
    /// The `u32[2]` key from which a program draws its random numbers.
    Seed,
}

/// The distribution from which a parameter or state starts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Init {
    /// Every element is this.
    Constant(Real),
    /// Normal with mean 0 and this standard deviation.
    Normal(Real),
    /// Normal with mean 0 and this standard deviation *before* it is cut off at two standard
    /// deviations, as `jax.random.truncated_normal(key, -2, 2) * stddev`.
    TruncatedNormal(Real),
    /// Uniform from the first number (included) to the second (excluded).
    Uniform(Real, Real),
}

impl Init {
    /// The names of all distributions.
    pub const NAMES: [&'static str; 4] = ["constant", "normal", "truncated_normal", "uniform"];

    /// The distribution called `name` with parameters `args`; `None` if there is none of that
    /// name with that many parameters.
    pub fn named(name: &str, args: &[f64]) -> Option<Init> {
        match (name, args) {
            ("constant", [c]) => Some(Init::Constant(Real::new(*c))),
            ("normal", [std]) => Some(Init::Normal(Real::new(*std))),
            ("truncated_normal", [std]) => Some(Init::TruncatedNormal(Real::new(*std))),
            ("uniform", [lo, hi]) => Some(Init::Uniform(Real::new(*lo), Real::new(*hi))),
            _ => None,
        }
    }

    fn attr(&self) -> Attr {
        let call = |name: &str, args: &[Real]| {
            Attr::Call(name.to_owned(), args.iter().map(|x| Attr::Float(x.get())).collect())
        };
        match self {
            Init::Constant(c) => call("constant", &[*c]),
            Init::Normal(std) => call("normal", &[*std]),
            Init::TruncatedNormal(std) => call("truncated_normal", &[*std]),
            Init::Uniform(lo, hi) => call("uniform", &[*lo, *hi]),
        }
    }

    fn parse(attr: &Attr) -> Result<Init, AttrError> {
        let bad =
            || AttrError(format!("`{attr}` isn't an initial distribution ({})", Init::NAMES.join(", ")));
        let Attr::Call(name, args) = attr else { return Err(bad()) };
        let args: Option<Vec<f64>> = args.iter().map(Attr::number).collect();
        args.and_then(|args| Init::named(name, &args)).ok_or_else(bad)
    }
}

impl Leaf {
    /// The constant `c` in every element of `ty`.
    pub fn constant(ty: Type, c: f64) -> Leaf {
        Leaf::Const { values: Arc::new([stored(ty.dtype, c)]), ty }
    }

    /// The constant array `x`; one value if all its elements are equal.
    pub fn array(x: &Tensor) -> Leaf {
        Leaf::numbers(x.ty(), &x.to_f64())
    }

    /// The constant of type `ty` with these elements, in row-major order; one value if all are equal.
    pub fn numbers(ty: Type, elements: &[f64]) -> Leaf {
        let mut values: Vec<Real> = elements.iter().map(|&x| stored(ty.dtype, x)).collect();
        if !values.is_empty() && values.iter().all(|v| *v == values[0]) {
            values.truncate(1);
        }
        if values.is_empty() {
            values.push(Real::new(0.0));
        }
        Leaf::Const { ty, values: values.into() }
    }

    /// The name and role, of a bound leaf.
    pub fn binding(&self) -> Option<(&str, &Role)> {
        match self {
            Leaf::Bound { name, role, .. } => Some((name, role)),
            _ => None,
        }
    }

    /// The value that every element of a constant has, rounded to its element type, if they have one.
    pub fn uniform(&self) -> Option<f64> {
        match self {
            Leaf::Const { values, .. } if values.len() == 1 => self.rounded().next(),
            _ => None,
        }
    }

    /// The values of a constant, one or each, rounded to its element type; none of another leaf.
    pub fn rounded(&self) -> impl Iterator<Item = f64> {
        let (dtype, values): (DType, &[Real]) = match self {
            Leaf::Const { ty, values } => (ty.dtype, values),
            Leaf::Bound { ty, .. } | Leaf::Iota { ty, .. } => (ty.dtype, &[]),
        };
        values.iter().map(move |c| round(dtype, c.get()).get())
    }
}

/// `c` rounded to an element of `dtype`.
fn round(dtype: DType, c: f64) -> Real {
    Real::new(Tensor::scalar(dtype, c).to_f64()[0])
}

/// `c` as a constant of `dtype` keeps it.
fn stored(dtype: DType, c: f64) -> Real {
    let rounded = round(dtype, c);
    if dtype == DType::F32 && rounded.get().is_finite() { Real::new(c) } else { rounded }
}

fn number_attr(dtype: DType, x: Real) -> Attr {
    match dtype {
        DType::F32 | DType::F64 => Attr::Float(x.get()),
        DType::I32 | DType::U32 => Attr::Int(x.get() as i64),
        DType::Bool => Attr::Word((x.get() != 0.0).to_string()),
    }
}

fn parse_number(dtype: DType, attr: &Attr) -> Result<Real, AttrError> {
    let bad = || AttrError(format!("`{attr}` isn't a value of type {dtype}"));
    let x = attr.number().ok_or_else(bad)?;
    if !dtype.holds(x) {
        return Err(bad());
    }
    let exact = match dtype {
        DType::F32 | DType::F64 => matches!(attr, Attr::Int(_) | Attr::Float(_) | Attr::Word(_)),
        DType::I32 | DType::U32 => matches!(attr, Attr::Int(_)),
        DType::Bool => matches!(attr, Attr::Word(_)),
    };
    if exact { Ok(stored(dtype, x)) } else { Err(bad()) }
}

impl OpRules for Leaf {
    fn name(&self) -> &'static str {
        match self {
            Leaf::Bound { role: Role::Input, .. } => "input",
            Leaf::Bound { role: Role::Param(_), .. } => "param",
            Leaf::Bound { role: Role::State(_), .. } => "state",
            Leaf::Bound { role: Role::Seed, .. } => "seed",
            Leaf::Const { .. } => "const",
            Leaf::Iota { .. } => "iota",
        }
    }

    fn attrs(&self) -> Attrs {
        match self {
            Leaf::Bound { name, role, .. } => {
                let attrs = Attrs::none().item(Attr::Str(name.to_string()));
                match role {
                    Role::Param(init) | Role::State(init) => attrs.key("init", init.attr()),
                    Role::Input | Role::Seed => attrs,
                }
            }
            Leaf::Const { ty, values } if values.len() == 1 => {
                Attrs::none().item(number_attr(ty.dtype, values[0]))
            }
            Leaf::Const { ty, values } => {
                let values = values.iter().map(|&x| number_attr(ty.dtype, x)).collect();
                Attrs::none().item(Attr::List(values))
            }
            Leaf::Iota { dim, .. } => Attrs::none().key("dim", Attr::Int(*dim as i64)),
        }
    }

    fn parse(name: &str, attrs: &mut AttrReader, ty: &Type) -> Option<Result<Self, AttrError>> {
        let ty = ty.clone();
        Some(match name {
            "input" | "param" | "state" | "seed" => parse_bound(name, attrs, ty),
            "const" => parse_const(attrs, ty),
            "iota" => attrs.size("dim").map(|dim| Leaf::Iota { ty, dim }),
            _ => return None,
        })
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        super::expect_args(self.name(), args, 0)?;
        match self {
            Leaf::Bound { role: Role::Seed, ty, .. } => {
                if *ty == Type::new(DType::U32, [2]) {
                    Ok(ty.clone())
                } else {
                    Err(TypeError::new(format!("a seed is u32[2], not {ty}")))
                }
            }
            Leaf::Bound { role: Role::Param(_) | Role::State(_), name, ty } if !ty.dtype.is_float() => {
                Err(TypeError::new(format!(
                    "`{name}` is initialised from real numbers and can't be {}",
                    ty.dtype
                )))
            }
            Leaf::Bound { ty, .. } => Ok(ty.clone()),
            Leaf::Const { ty, values } => {
                if values.len() != 1 && values.len() != ty.elements() {
                    return Err(TypeError::new(format!(
                        "a constant of type {ty} has {} elements, not {}",
                        ty.elements(),
                        values.len()
                    )));
                }
                Ok(ty.clone())
            }
            Leaf::Iota { ty, dim } => {
                super::expect_dims("dimension", &[*dim], ty.rank())?;
                if ty.dtype == DType::Bool {
                    return Err(TypeError::new("an iota counts; it can't be bool"));
                }
                Ok(ty.clone())
            }
        }
    }

    /// A bound leaf has no value of its own: the interpreter binds it. Here it is zero.
    fn eval(&self, _args: &[&Tensor]) -> Tensor {
        match self {
            Leaf::Bound { ty, .. } => Tensor::filled(ty, 0.0),
            Leaf::Const { ty, values } if values.len() == 1 => Tensor::filled(ty, values[0].get()),
            Leaf::Const { ty, values } => Tensor::generate(ty, |i| values[i].get()),
            Leaf::Iota { ty, dim } => {
                let (stride, size) = (ty.shape.strides()[*dim], ty.shape[*dim]);
                Tensor::generate(ty, |i| (i / stride % size) as f64)
            }
        }
    }

    fn jvp(&self, _b: &mut Builder, _x: &[Value], _dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        Ok(None)
    }

    fn transpose(&self, _b: &mut Builder, _ct: Value, _args: &[Operand]) -> Built<Vec<Option<Value>>> {
        not_linear(self.name())
    }

    fn batch(&self, b: &mut Builder, _args: &[Batched], size: usize) -> Built {
        let value = b.push(self.clone(), &[])?;
        b.repeat(value, size)
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Leaf(self.clone())
    }

    fn emit<E: Emit>(&self, _e: &mut E, _args: &[E::V]) -> Option<E::V> {
        None
    }

    fn flops(&self, _args: &[&Type], _ty: &Type) -> u64 {
        0
    }

    fn positions(&self, _args: &[&Type], ty: &Type) -> Positions {
        match self {
            Leaf::Iota { dim, .. } => Positions::Below(ty.shape[*dim]),
            Leaf::Bound { .. } | Leaf::Const { .. } => Positions::Unknown,
        }
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for dtype in DType::ALL {
            let ty = Type::new(dtype, [2, 3]);
            let ramp = Tensor::generate(&ty, |i| i as f64 * 0.7 - (dtype != DType::U32) as u8 as f64);
            samples.push(Sample::new(Leaf::array(&ramp), vec![]));
            samples.push(Sample::new(Leaf::constant(ty.clone(), 1.0), vec![]));
            if dtype != DType::Bool {
                samples.push(Sample::new(Leaf::Iota { ty, dim: 1 }, vec![]));
            }
        }
        samples
    }
}

fn parse_bound(name: &str, attrs: &mut AttrReader, ty: Type) -> Result<Leaf, AttrError> {
    let bound = match attrs.item("a name in quotes")? {
        Attr::Str(s) if !s.is_empty() => Arc::from(s),
        a => return Err(AttrError(format!("expected a name in quotes, not `{a}`"))),
    };
    let role = match name {
        "input" => Role::Input,
        "seed" => Role::Seed,
        "param" => Role::Param(Init::parse(&attrs.need("init")?)?),
        _ => Role::State(Init::parse(&attrs.need("init")?)?),
    };
    Ok(Leaf::Bound { name: bound, role, ty })
}

fn parse_const(attrs: &mut AttrReader, ty: Type) -> Result<Leaf, AttrError> {
    let attr = attrs.item("a value or a list of values")?;
    let values = match &attr {
        Attr::List(items) => {
            items.iter().map(|a| parse_number(ty.dtype, a)).collect::<Result<Vec<_>, _>>()?
        }
        one => vec![parse_number(ty.dtype, one)?],
    };
    Ok(Leaf::Const { values: values.into(), ty })
}
