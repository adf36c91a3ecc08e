//! Figures made up for tests: what looks like training, costs and trajectories, without a run.

use crate::{Axis, Figure, Panel, Point, Scale, Series};

/// A number in −1..1 that looks like chance.
fn noise(k: usize) -> f64 {
    let bits = (k as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((bits ^ (bits >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn series(name: &str, colour: usize, dash: usize, points: impl Iterator<Item = Point>) -> Series {
    Series::new(name, colour, dash, points.collect())
}

/// Losses at three rates, of which one diverges.
pub fn training() -> Figure {
    let panel = |(rate, speed): (&str, f64)| {
        let curve = |name: &str, colour, speed: f64, wild: f64| {
            let point = move |k: usize| {
                let x = k as f64 * 10.0;
                let y = (2.3 * (-x * speed / 2000.0).exp() + 0.08) * (1.0 + wild * noise(k * 7 + colour));
                let spread = Some((y * (1.0 - wild - 0.04), y * (1.0 + wild + 0.06)));
                let diverged = wild > 0.2 && k >= 400;
                Point { x, y: if diverged { f64::NAN } else { y }, spread }
            };
            series(name, colour, colour, (0..939).map(point))
        };
        Panel {
            title: format!("rate {rate}"),
            x: Axis::linear("steps"),
            y: Axis::log("loss"),
            series: vec![
                curve("backpropagation", 0, 4.0 * speed, 0.03),
                curve("forward gradient", 1, 1.2 * speed, if speed > 2.0 { 0.3 } else { 0.08 }),
            ],
        }
    };
    Figure {
        name: "training".into(),
        title: "Training loss of the MLP on MNIST".into(),
        caption: "Lines are means over three seeds of the loss of a batch, averaged over 10 steps; bands \
                  go from the lowest to the highest seed. A cross marks where a run diverged."
            .into(),
        columns: 3,
        panels: [("2×10⁻⁵", 0.1), ("2×10⁻⁴", 1.0), ("2×10⁻³", 4.0)].map(panel).into(),
    }
}

/// The time of a step against width, as few points.
pub fn costs() -> Figure {
    let widths = [256.0, 512.0, 1024.0, 2048.0, 4096.0];
    let line = |name: &str, colour, dash, scale: f64| {
        let time = move |w: f64| 1e-4 * scale * (w / 256.0f64).powf(1.9);
        series(
            name,
            colour,
            dash,
            widths.into_iter().map(move |w| Point {
                x: w,
                y: time(w),
                spread: Some((time(w) * 0.9, time(w) * 1.2)),
            }),
        )
    };
    let x = Axis::log("width of the layers");
    let all = vec![
        line("forward step", 0, 0, 2.0),
        line("backprop step", 1, 1, 3.0),
        line("forward, K = 4", 2, 2, 5.0),
        line("forward, K = 16", 3, 3, 17.0),
        line("forward, K = 32", 4, 0, 33.0),
        line("bound by flops", 5, 1, 1.1),
    ];
    let panel = Panel { title: "time".into(), x, y: Axis::log("seconds a step"), series: all };
    Figure {
        name: "costs".into(),
        title: "What a step costs".into(),
        caption: String::new(),
        columns: 2,
        panels: vec![panel],
    }
}

/// Two paths in the plane, which go to and fro.
pub fn trajectories() -> Figure {
    let panel = |title: &str, range: f64| {
        let axis = |label: &str| Axis { range: Some((-range, range)), ..Axis::linear(label) };
        let path = |name: &str, colour, wild: f64| {
            let point = move |k: usize| {
                let (t, r) = (k as f64 / 10.0, range * 0.9 * (-(k as f64) / 60.0).exp());
                Point::new(r * t.cos() + wild * noise(k), r * t.sin() + wild * noise(k + 999))
            };
            series(name, colour, 0, (0..200).map(point))
        };
        let series = vec![path("gradient descent", 0, 0.0), path("forward gradient", 1, 0.04 * range)];
        Panel { title: title.into(), x: axis("x"), y: axis("y"), series }
    };
    Figure {
        name: "trajectories".into(),
        title: "Paths to the minimum".into(),
        caption: "From the same start, with the same rate.".into(),
        columns: 2,
        panels: vec![panel("Beale", 4.0), panel("Rosenbrock", 2.0)],
    }
}

/// Small numbers on linear axes, and a panel without data.
pub fn variance() -> Figure {
    let points = (1..30).map(|k| Point::new(k as f64 * 1e4, k as f64 * 3e-6));
    let panel = |series| Panel {
        title: "variance".into(),
        x: Axis::linear("parameters"),
        y: Axis { label: "variance".into(), scale: Scale::Linear, range: None, apart: false },
        series,
    };
    Figure {
        name: "variance".into(),
        title: "Var[gₖ] = ‖∇f‖² − (∂ₖf)²".into(),
        caption: String::new(),
        columns: 4,
        panels: vec![panel(vec![series("Rademacher", 2, 0, points)]), panel(vec![])],
    }
}

/// All of them.
pub fn figures() -> Vec<Figure> {
    vec![training(), costs(), trajectories(), variance()]
}
