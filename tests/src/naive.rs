//! Arrays by index, for definitions of operations that are plain to see.

use fgc_ir::Tensor;

/// An array as a function of its index, for definitions.
pub struct Array {
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its elements, in row-major order.
    pub elements: Vec<f64>,
}

impl Array {
    /// The elements of `x`.
    pub fn of(x: &Tensor) -> Array {
        Array { shape: x.shape().to_vec(), elements: x.to_f64() }
    }

    /// The array whose element at each index is what `f` says.
    pub fn new(shape: Vec<usize>, mut f: impl FnMut(&[usize]) -> f64) -> Array {
        let elements = indices(&shape).iter().map(|i| f(i)).collect();
        Array { shape, elements }
    }

    /// The element at `index`.
    ///
    /// # Panics
    /// If it is outside.
    pub fn at(&self, index: &[usize]) -> f64 {
        let flat = index.iter().zip(&self.shape).fold(0, |flat, (&i, &n)| {
            assert!(i < n);
            flat * n + i
        });
        self.elements[flat]
    }

    /// The element at an index that may be outside, where there are zeros.
    pub fn or_zero(&self, index: &[i64]) -> f64 {
        let inside = index.iter().zip(&self.shape).all(|(&i, &n)| (0..n as i64).contains(&i));
        if inside { self.at(&index.iter().map(|&i| i as usize).collect::<Vec<_>>()) } else { 0.0 }
    }
}

/// All indices of a shape, in row-major order.
pub fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |all, &n| {
        let longer = |i: &Vec<usize>| {
            let i = i.clone();
            (0..n).map(move |k| i.iter().copied().chain([k]).collect::<Vec<usize>>())
        };
        all.iter().flat_map(longer).collect()
    })
}

/// An index of `rank` dimensions, from parts: dimensions and the positions in them.
pub fn put(rank: usize, parts: &[(&[usize], &[usize])]) -> Vec<usize> {
    let mut index = vec![0; rank];
    for (dims, values) in parts {
        for (&d, &v) in dims.iter().zip(*values) {
            index[d] = v;
        }
    }
    index
}
