//! A loop of one's own: the forward gradient from K directions that are drawn here rather than by the program, and a
//! descent along it: `cargo run --release -p fgc --example custom_loop`.

use fgc::{CompileOptions, Model, Options, view};
use ndarray::{Array1, Array2, Axis};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Directions at once.
const K: usize = 8;

fn main() -> fgc::Result<()> {
    let model = Model::parse(include_str!("../../models/quadratic.fg"), &Options::default())?;
    let mut program = model.jvp_many(&["x"], K)?.compile(&CompileOptions::default())?;
    let mut random = StdRng::seed_from_u64(0);
    let mut x = Array1::<f32>::ones(64);
    for step in 0..=400 {
        // Signs: independent, of mean 0 and variance 1.
        let v = Array2::from_shape_simple_fn((K, x.len()), || if random.random() { 1.0f32 } else { -1.0 });
        program.bind("x", &x)?;
        program.bind("x.tangent", &v)?;
        program.call();
        let slopes = program.read("loss.tangent")?;
        let slopes = view::<f32>(&slopes)?.insert_axis(Axis(1));
        // Baydin et al. (2022), equation 3, and its mean over K directions.
        let gradient = (&slopes * &v).sum_axis(Axis(0)) / K as f32;
        if step % 100 == 0 {
            println!("step {step:3}: loss {:.4}", view::<f32>(&program.read("loss")?)?);
        }
        let gradient: Array1<f32> = gradient.into_dimensionality().expect("as many axes as x has");
        x -= &(0.05 * &gradient);
    }
    Ok(())
}
