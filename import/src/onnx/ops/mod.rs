//! The operators of ONNX, and what says them: <https://onnx.ai/onnx/operators/>.

mod elementwise;
mod layers;
mod linear;
mod normalise;
mod positions;
mod recurrent;
mod reduce;
mod resize;
mod shapes;
mod windows;

use super::graph::{Node, Said};
use super::importer::Importer;

/// What says an operator.
pub type Run = for<'a> fn(&mut Importer<'a>, Node<'a>) -> Said;

/// What says the operator `op`, if the language can.
pub fn find(op: &str) -> Option<Run> {
    if elementwise::is_row(op) {
        return Some(elementwise::row);
    }
    Some(match op {
        "BatchNormalization" => normalise::batch_norm,
        "Cast" | "CastLike" => elementwise::cast,
        "Clip" => elementwise::clip,
        "Concat" => shapes::concat,
        "Constant" => shapes::constant,
        "ConstantOfShape" => shapes::constant_of_shape,
        "Conv" => layers::conv,
        "ConvTranspose" => layers::conv_transpose,
        "CumSum" => reduce::cumulative_sum,
        "DepthToSpace" | "SpaceToDepth" => resize::depth,
        "Dropout" => layers::dropout,
        "Einsum" => linear::einsum,
        "Expand" => shapes::expand,
        "Flatten" => shapes::flatten,
        "Gather" => positions::gather,
        "GatherElements" => positions::gather_elements,
        "GatherND" => positions::gather_nd,
        "Gemm" => linear::gemm,
        "GlobalAveragePool" | "GlobalMaxPool" => windows::global,
        "GroupNormalization" | "InstanceNormalization" => normalise::groups,
        "GRU" | "LSTM" | "RNN" => recurrent::run,
        "Identity" => shapes::identity,
        "LayerNormalization" => normalise::layer_norm,
        "LRN" => normalise::local_response,
        "LpNormalization" => normalise::lp,
        "MatMul" => linear::matmul,
        "AveragePool" | "MaxPool" => windows::pool,
        "OneHot" => positions::one_hot,
        "Pad" => shapes::pad,
        "Range" => shapes::range,
        "Reshape" => shapes::reshape,
        "Resize" => resize::resize,
        "Shape" | "Size" => shapes::shape,
        "Slice" => positions::slice,
        "Softmax" | "LogSoftmax" => reduce::softmax,
        "Split" => positions::split,
        "Squeeze" | "Unsqueeze" => shapes::units,
        "Tile" => shapes::tile,
        "Transpose" => shapes::transpose,
        "Trilu" => positions::trilu,
        "Where" => elementwise::select,
        "ArgMax" | "ArgMin" => reduce::position,
        _ if op.starts_with("Reduce") => return reduce::find(op),
        _ => return None,
    })
}

/// Whether `op` works on images, [batch, channels, …].
pub fn is_of_images(op: &str) -> bool {
    matches!(
        op,
        "Conv"
            | "ConvTranspose"
            | "MaxPool"
            | "AveragePool"
            | "GlobalAveragePool"
            | "GlobalMaxPool"
            | "BatchNormalization"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "Resize"
            | "DepthToSpace"
            | "SpaceToDepth"
            | "LRN"
    )
}

/// Whether `op` gives for each element of its operand one at the same place.
pub fn is_elementwise(op: &str) -> bool {
    elementwise::is_row(op) || matches!(op, "Cast" | "Clip" | "Dropout" | "Identity" | "Pad")
}
