//! An epoch of training on the embedded images, with a step that is one compiled program:
//! `cargo run --release -p fgc --example train`.

use fgc::{CompileOptions, Model, Options, StepConfig, optimizers, view};
use fgc_train::data::{self, Batches, fit};
use fgc_train::training::fitted;
use ndarray::arr0;

fn main() -> fgc::Result<()> {
    let set = data::load(data::EMBEDDED, data::FOLDER.as_ref())?;
    let model = Model::parse(include_str!("../../models/mlp.fg"), &Options::default())?;
    let data = fitted(&model, &set, &fit::Options::default())?;
    let step = model.step(&StepConfig { optimizer: optimizers("adam")?, ..StepConfig::default() })?;
    let mut program = step.compile(&CompileOptions::default())?;
    program.init(0)?;
    program.bind("lr", &arr0(1e-3f32))?;
    let (mut loss, mut accuracy, mut steps) = (0.0, 0.0, 0);
    for batch in Batches::training(&data.name, &data.train, 64, 0, 0)? {
        for (name, x) in &batch.inputs {
            program.bind(name, x)?;
        }
        program.call();
        loss += view::<f32>(&program.read("loss")?)?.sum();
        accuracy += view::<f32>(&program.read("accuracy")?)?.sum();
        steps += 1;
    }
    let steps = steps as f32;
    println!("{} steps: mean loss {:.3}, accuracy {:.3}", steps, loss / steps, accuracy / steps);
    // What evaluation needs is another program of the same parameters.
    let samples = data.test.expect("the set has a test split");
    let options = Options { default_batch: samples.len(), training: false, ..Options::default() };
    let model = Model::parse(include_str!("../../models/mlp.fg"), &options)?;
    let mut test = model.compile(&CompileOptions::default())?;
    for name in model.params() {
        test.bind(name, &program.read(name)?)?;
    }
    for (name, x) in Batches::testing(&samples, samples.len())?.flat_map(|batch| batch.inputs) {
        test.bind(&name, &x)?;
    }
    test.call();
    println!("test accuracy {:.3}", view::<f32>(&test.read("accuracy")?)?);
    Ok(())
}
