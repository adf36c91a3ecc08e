//! Sizes, and other integers that are computed from them: numbers that may depend on the size of a batch.

use std::fmt;

/// `batch · B + fixed`, where B is the size of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Dim {
    /// How often the size of a batch is in it.
    pub batch: i64,
    /// The rest.
    pub fixed: i64,
}

impl Dim {
    /// The size of a batch.
    pub const BATCH: Dim = Dim { batch: 1, fixed: 0 };

    /// The integer `fixed`.
    pub fn of(fixed: i64) -> Dim {
        Dim { batch: 0, fixed }
    }

    /// The size `n`.
    pub fn size(n: usize) -> Dim {
        Dim::of(n as i64)
    }

    /// The integer, if it doesn't depend on the size of a batch.
    pub fn known(self) -> Option<i64> {
        (self.batch == 0).then_some(self.fixed)
    }

    /// The sum, unless it overflows.
    pub fn add(self, other: Dim) -> Option<Dim> {
        Some(Dim { batch: self.batch.checked_add(other.batch)?, fixed: self.fixed.checked_add(other.fixed)? })
    }

    /// The difference, unless it overflows.
    pub fn sub(self, other: Dim) -> Option<Dim> {
        self.add(other.mul(Dim::of(-1))?)
    }

    /// The product, if it is again of this form.
    pub fn mul(self, other: Dim) -> Option<Dim> {
        let (of, by) = match (self.known(), other.known()) {
            (_, Some(by)) => (self, by),
            (Some(by), None) => (other, by),
            (None, None) => return None,
        };
        Some(Dim { batch: of.batch.checked_mul(by)?, fixed: of.fixed.checked_mul(by)? })
    }

    /// The quotient, rounded towards 0 where both are numbers; otherwise if it is exact for any size of a batch.
    pub fn div(self, other: Dim) -> Option<Dim> {
        if let (Some(a), Some(b)) = (self.known(), other.known()) {
            return a.checked_div(b).map(Dim::of);
        }
        if let Some(b) = other.known() {
            let exact = b != 0 && self.batch % b == 0 && self.fixed % b == 0;
            return exact.then(|| Dim { batch: self.batch / b, fixed: self.fixed / b });
        }
        let times = self.batch.checked_div(other.batch)?;
        (other.mul(Dim::of(times)) == Some(self)).then(|| Dim::of(times))
    }

    /// The remainder, with the sign of `other`, of numbers.
    pub fn rem(self, other: Dim) -> Option<Dim> {
        let (a, b) = (self.known()?, other.known()?);
        let rest = a.checked_rem(b)?;
        Some(Dim::of(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }))
    }

    /// Whether both are the same for any size of a batch, which is at least 1; `None` where that depends on it.
    pub fn equals(self, other: Dim) -> Option<bool> {
        self.less(other).and_then(|less| if less { Some(false) } else { other.less(self).map(|more| !more) })
    }

    /// Whether it is less than `other` for any size of a batch, which is at least 1; `None` where that depends on it.
    pub fn less(self, other: Dim) -> Option<bool> {
        // The least difference is that of a batch of 1.
        let difference = other.sub(self)?;
        let least = difference.batch.checked_add(difference.fixed)?;
        match difference.batch {
            0 => Some(difference.fixed > 0),
            n if n > 0 && least > 0 => Some(true),
            n if n < 0 && least <= 0 => Some(false),
            _ => None,
        }
    }

    /// The larger one, where one is for any size of a batch.
    pub fn max(self, other: Dim) -> Option<Dim> {
        Some(if self.less(other)? { other } else { self })
    }

    /// The smaller one, where one is for any size of a batch.
    pub fn min(self, other: Dim) -> Option<Dim> {
        Some(if other.less(self)? { other } else { self })
    }
}

/// As the language writes it.
impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.batch, self.fixed) {
            (0, n) => write!(f, "{n}"),
            (1, 0) => write!(f, "batch"),
            (b, 0) => write!(f, "{b} * batch"),
            (1, n) => write!(f, "batch {} {}", if n < 0 { '-' } else { '+' }, n.unsigned_abs()),
            (b, n) => write!(f, "{b} * batch {} {}", if n < 0 { '-' } else { '+' }, n.unsigned_abs()),
        }
    }
}

/// `dims` as a list of the language.
pub fn list(dims: &[Dim]) -> String {
    format!("[{}]", dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(", "))
}

/// The product of `dims`, if it is of their form.
pub fn product(dims: &[Dim]) -> Option<Dim> {
    dims.iter().try_fold(Dim::of(1), |product, dim| product.mul(*dim))
}

/// `dims` as numbers, if all are.
pub fn known(dims: &[Dim]) -> Option<Vec<usize>> {
    dims.iter().map(|d| usize::try_from(d.known()?).ok()).collect()
}

/// The shape that `a` and `b` broadcast to, aligned at the last dimension; `None` if they don't.
pub fn broadcast(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[Dim], k: usize| (k + dims.len()).checked_sub(rank).map_or(Dim::of(1), |k| dims[k]);
    let joined = |k| match (at(a, k), at(b, k)) {
        (x, y) if x == y || y == Dim::of(1) => Some(x),
        (x, y) if x == Dim::of(1) => Some(y),
        _ => None,
    };
    (0..rank).map(joined).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_with_a_batch_in_them() {
        let (b, n) = (Dim::BATCH, Dim::of);
        assert_eq!(b.mul(n(6)).and_then(|x| x.div(n(3))), Some(Dim { batch: 2, fixed: 0 }));
        assert_eq!(b.mul(n(6)).and_then(|x| x.div(b)), Some(n(6)));
        assert_eq!((b.mul(b), b.div(n(2)), n(5).div(n(0))), (None, None, None));
        assert_eq!((n(7).div(n(-2)), n(-7).rem(n(2))), (Some(n(-3)), Some(n(1))));
        assert_eq!((b.equals(n(-1)), b.equals(b), b.equals(n(1))), (Some(false), Some(true), None));
        assert_eq!((n(0).less(b), b.less(n(2)), b.less(n(1))), (Some(true), None, Some(false)));
        assert_eq!(list(&[b, n(3), Dim { batch: 2, fixed: -1 }]), "[batch, 3, 2 * batch - 1]");
        assert_eq!(n(i64::MAX).add(n(1)), None);
        assert_eq!(broadcast(&[b, n(1)], &[n(4)]), Some(vec![b, n(4)]));
        assert_eq!(broadcast(&[n(3)], &[n(4)]), None);
    }
}
