//! Random bits from a counter-based generator.

use super::{Batched, Emit, Lower, OpRules, Operand, Positions, Sample, expect_args, not_linear};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::Tensor;
use crate::types::{DType, Shape, Type, TypeError};

/// `random_bits(key)`: independent uniform `u32`s, a pure function of key, stream and position.
///
/// A key is `u32[…, 2]`; the result has the key's leading dimensions before `shape`. Element
/// `i` within `shape` is word `i mod 4` of Philox4x32-10 (Salmon et al. 2011, "Parallel random
/// numbers: as easy as 1, 2, 3") of counter `(i div 4, 0, stream, 0)` under that key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Random {
    /// Which of the key's independent streams.
    pub stream: u32,
    /// What is drawn for each key.
    pub shape: Shape,
}

/// The rounds of Philox4x32-10.
pub const ROUNDS: usize = 10;

/// The multipliers of the first and third word of a counter.
pub const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];

/// What is added to the key before each round but the first.
pub const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// One block of Philox4x32-10: four random words for a counter and a key.
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let [a, b] = [0, 1].map(|k| MULTIPLIERS[k] as u64 * counter[2 * k] as u64);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

impl OpRules for Random {
    fn name(&self) -> &'static str {
        "random_bits"
    }

    fn attrs(&self) -> Attrs {
        Attrs::none().key("stream", Attr::Int(self.stream as i64)).key("shape", Attr::sizes(&self.shape))
    }

    fn parse(name: &str, attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "random_bits").then(|| {
            let stream = match attrs.need("stream")? {
                Attr::Int(i) => u32::try_from(i).ok(),
                _ => None,
            };
            let stream = stream.ok_or_else(|| AttrError("`stream` is a 32-bit number".to_owned()))?;
            Ok(Random { stream, shape: attrs.sizes("shape")?.into() })
        })
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        expect_args("random_bits", args, 1)?;
        let key = args[0];
        if key.dtype != DType::U32 || key.shape.last() != Some(&2) {
            return Err(TypeError::at(0, format!("a key of `random_bits` is u32[…, 2], not {key}")));
        }
        let keys = &key.shape[..key.rank() - 1];
        Ok(Type::new(DType::U32, keys.iter().chain(self.shape.iter()).copied().collect::<Shape>()))
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        let n = self.shape.elements();
        let keys = args[0].as_slice::<u32>().chunks_exact(2);
        let words = keys.flat_map(|key| {
            let block = move |i: usize| philox4x32([i as u32, 0, self.stream, 0], [key[0], key[1]]);
            (0..n.div_ceil(4)).flat_map(block).take(n)
        });
        let leading = &args[0].shape()[..args[0].shape().rank() - 1];
        let shape: Shape = leading.iter().chain(self.shape.iter()).copied().collect();
        Tensor::of(shape, words.collect())
    }

    fn jvp(&self, _b: &mut Builder, _x: &[Value], _dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        Ok(None)
    }

    fn transpose(&self, _b: &mut Builder, _ct: Value, _args: &[Operand]) -> Built<Vec<Option<Value>>> {
        not_linear("random_bits")
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], _size: usize) -> Built {
        b.push(self.clone(), &[args[0].value])
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Random(self.clone())
    }

    fn emit<E: Emit>(&self, _e: &mut E, _args: &[E::V]) -> Option<E::V> {
        None
    }

    /// Ten rounds of two wide products, four exclusive ors and two additions make four words.
    fn flops(&self, _args: &[&Type], ty: &Type) -> u64 {
        20 * ty.elements() as u64
    }

    fn positions(&self, _args: &[&Type], _ty: &Type) -> Positions {
        Positions::Unknown
    }

    fn samples() -> Vec<Sample> {
        let key = Tensor::of([2], vec![7u32, 9]);
        let keys = Tensor::of([2, 2], vec![7u32, 9, 1, 2]);
        vec![
            Sample::new(Random { stream: 3, shape: [3, 3].into() }, vec![key]),
            Sample::new(Random { stream: u32::MAX, shape: [5].into() }, vec![keys]),
        ]
    }
}
