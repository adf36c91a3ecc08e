//! A function's value and its slope along a direction, in one pass over machine code:
//! `cargo run --release -p fgc --example jvp`.

use fgc::{CompileOptions, Model, Options, view};
use ndarray::arr0;

fn main() -> fgc::Result<()> {
    let model = Model::parse(include_str!("../../models/rosenbrock.fg"), &Options::default())?;
    let mut program = model.jvp()?.compile(&CompileOptions::default())?;
    program.init(0)?;
    program.bind("x.tangent", &arr0(1.0f32))?;
    program.bind("y.tangent", &arr0(0.5f32))?;
    program.call();
    let (value, slope) = (program.read("loss")?, program.read("loss.tangent")?);
    println!("f(-1, 0) = {}, and {} along (1, 1/2)", view::<f32>(&value)?, view::<f32>(&slope)?);
    Ok(())
}
