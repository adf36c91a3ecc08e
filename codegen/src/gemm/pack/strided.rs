//! Copying elements that are apart from each other.

/// Copies elements `stride` apart, of which the first is at `at`.
pub fn copy_strided<T: Copy>(x: &[T], at: isize, stride: isize, to: &mut [T]) {
    if stride == 1 {
        to.copy_from_slice(&x[at as usize..][..to.len()]);
        return;
    }
    for (i, to) in to.iter_mut().enumerate() {
        *to = x[(at + i as isize * stride) as usize];
    }
}
