//! Which dimension of a convolution's operands and result means what.

use std::fmt;
use std::str::FromStr;

/// The dimensions of one operand or result. For the left operand and the result `outer` is the
/// batch and `inner` the features; for the kernel they are output and input features.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Layout {
    /// The batch dimension, or a kernel's output features.
    pub outer: usize,
    /// The feature dimension, or a kernel's input features.
    pub inner: usize,
    /// The spatial dimensions, in the order of the window attributes.
    pub spatial: Vec<usize>,
}

impl Layout {
    /// The layout spatial…, inner, outer: that of a channels-last kernel.
    pub fn spatial_first(spatial: usize) -> Layout {
        Layout { outer: spatial + 1, inner: spatial, spatial: (0..spatial).collect() }
    }

    /// The layout outer, inner, spatial….
    pub fn spatial_last(spatial: usize) -> Layout {
        Layout { outer: 0, inner: 1, spatial: (2..spatial + 2).collect() }
    }

    /// Batch and features (or both kinds of features) exchanged.
    pub fn swapped(&self) -> Layout {
        Layout { outer: self.inner, inner: self.outer, spatial: self.spatial.clone() }
    }

    fn parse(s: &str, outer: char, inner: char) -> Option<Layout> {
        let spatial = s.len().checked_sub(2)?;
        let at = |c: char| s.chars().position(|x| x == c);
        let digit = |k: usize| at(char::from_digit(k as u32, 10)?);
        let spatial = (0..spatial).map(digit).collect::<Option<Vec<_>>>()?;
        Some(Layout { outer: at(outer)?, inner: at(inner)?, spatial })
    }

    fn show(&self, outer: char, inner: char) -> String {
        let mut letters = vec![' '; self.spatial.len() + 2];
        letters[self.outer] = outer;
        letters[self.inner] = inner;
        for (k, &d) in self.spatial.iter().enumerate() {
            letters[d] = char::from_digit(k as u32, 10).unwrap_or('?');
        }
        letters.into_iter().collect()
    }
}

/// The layouts of both operands and the result, written as in HLO: `b01f_01io->b01f`, where `b`
/// is the batch, `f` the features, `i` and `o` a kernel's input and output features, and digits
/// count the spatial dimensions.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConvDims {
    /// The left operand's.
    pub lhs: Layout,
    /// The kernel's.
    pub rhs: Layout,
    /// The result's.
    pub out: Layout,
}

impl ConvDims {
    /// Channels last with `spatial` dimensions: for two, `b01f_01io->b01f`.
    pub fn channels_last(spatial: usize) -> ConvDims {
        let image = Layout { outer: 0, inner: spatial + 1, spatial: (1..=spatial).collect() };
        ConvDims { lhs: image.clone(), rhs: Layout::spatial_first(spatial), out: image }
    }

    /// The number of spatial dimensions.
    pub fn spatial(&self) -> usize {
        self.lhs.spatial.len()
    }
}

impl FromStr for ConvDims {
    type Err = ();

    fn from_str(s: &str) -> Result<ConvDims, ()> {
        let (operands, out) = s.split_once("->").ok_or(())?;
        let (lhs, rhs) = operands.split_once('_').ok_or(())?;
        // With each letter in its string and equal lengths, no letter can be there twice.
        if lhs.len() != rhs.len() || lhs.len() != out.len() {
            return Err(());
        }
        let lhs = Layout::parse(lhs, 'b', 'f').ok_or(())?;
        let rhs = Layout::parse(rhs, 'o', 'i').ok_or(())?;
        let out = Layout::parse(out, 'b', 'f').ok_or(())?;
        Ok(ConvDims { lhs, rhs, out })
    }
}

impl fmt::Display for ConvDims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lhs, rhs, out) = (self.lhs.show('b', 'f'), self.rhs.show('o', 'i'), self.out.show('b', 'f'));
        write!(f, "{lhs}_{rhs}->{out}")
    }
}
