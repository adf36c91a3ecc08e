//! A text: parsed, elaborated, verified, printed, and read again.

use fgc_ir::DType;
use fgc_ir::lang::Options;

use crate::laws::valid;
use crate::soup::load;

/// Reads `input` as a model or graph, for training in single precision and for evaluation in double.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for (batch, training, float) in [(Some(2), true, DType::F32), (None, false, DType::F64)] {
        let options = Options { batch, training, float, ..Options::default() };
        match load(&text, &options) {
            Ok(g) => {
                valid(&g).unwrap_or_else(|e| panic!("{e}"));
                let dot = fgc_ir::text::dot::dot(&g);
                assert!(dot.starts_with("digraph"), "{dot}");
            }
            Err(shown) => assert!(shown.contains("error"), "refused without an error: {shown:?}"),
        }
    }
}
