//! The metrics of a run over its steps, as a figure.

use fgc_plot::{Axis, Figure, Panel, Point, Role, Series};
use serde_json::{Map, Value};

use crate::metrics::{LOSS, TAKEN};

/// The most points that are kept of a line: more can't be told apart.
const MAX_POINTS: usize = 1000;

/// A step and a value.
type At = (f64, f64);

/// The lines of a panel: of single steps, of the means of epochs, and of the test split.
type Lines = [Thinned; 3];

/// The points of the figure: a bounded number of them, however many lines the metrics file has.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Curves {
    loss: Lines,
    /// The first metric by name, if the model has any.
    metric: Option<(String, Lines)>,
}

impl Curves {
    /// Adds a line of the metrics file.
    pub fn add(&mut self, record: &Value) {
        let splits = ["train", "test"].map(|split| record.get(split).and_then(Value::as_object));
        let figures = splits[0].or(record.as_object());
        if self.metric.is_none() {
            let name = figures.and_then(|of| of.keys().filter(|key| !TAKEN.contains(&key.as_str())).min());
            self.metric = name.map(|name| (name.clone(), Lines::default()));
        }
        let Some(step) = record["step"].as_f64() else { return };
        let loss = std::iter::once((LOSS, &mut self.loss));
        for (name, [steps, train, test]) in loss.chain(self.metric.iter_mut().map(|(name, of)| (&**name, of)))
        {
            let number = |of: &Map<String, Value>| of.get(name)?.as_f64();
            let add = |line: &mut Thinned, y: Option<f64>| y.into_iter().for_each(|y| line.add((step, y)));
            match splits {
                [None, None] => add(steps, record.as_object().and_then(number)),
                of => [train, test].into_iter().zip(of).for_each(|(line, of)| add(line, of.and_then(number))),
            }
        }
    }

    /// An SVG of the loss and of the first metric over the steps.
    pub fn svg(&self, title: &str) -> String {
        let metric = self.metric.iter().map(|(name, lines)| panel(name, lines));
        let panels: Vec<Panel> = std::iter::once(panel(LOSS, &self.loss)).chain(metric).collect();
        fgc_plot::svg(&Figure {
            name: "curves".to_owned(),
            title: title.to_owned(),
            caption: String::new(),
            columns: panels.len(),
            panels,
        })
    }
}

fn panel(name: &str, [steps, train, test]: &Lines) -> Panel {
    let line = |name, colour, line: &Thinned| Series::new(name, colour, colour, line.points().collect());
    Panel {
        title: String::new(),
        x: Axis::linear("step"),
        y: Axis::linear(name),
        series: vec![
            Series { role: Role::Backdrop, ..line("step", 0, steps) },
            line("train", 0, train),
            line("test", 1, test),
        ],
    }
}

/// Points of a line, or means of as many neighbouring ones each that at most [`MAX_POINTS`] are left. They depend on the
/// points alone, not on when they came.
#[derive(Clone, PartialEq, Debug)]
struct Thinned {
    /// How many points a group has, but for the last.
    size: u64,
    /// The sums of groups and how many points they have.
    groups: Vec<(At, u64)>,
}

impl Default for Thinned {
    fn default() -> Thinned {
        Thinned { size: 1, groups: Vec::new() }
    }
}

impl Thinned {
    fn add(&mut self, (x, y): At) {
        if let Some(((sum_x, sum_y), n)) = self.groups.last_mut().filter(|(_, n)| *n < self.size) {
            *sum_x += x;
            *sum_y += y;
            *n += 1;
            return;
        }
        if self.groups.len() == MAX_POINTS {
            let joined = |pair: &[(At, u64)]| {
                pair.iter().fold(((0.0, 0.0), 0), |((a, b), n), ((x, y), m)| ((a + x, b + y), n + m))
            };
            self.groups = self.groups.chunks(2).map(joined).collect();
            self.size *= 2;
        }
        self.groups.push(((x, y), 1));
    }

    fn points(&self) -> impl Iterator<Item = Point> {
        self.groups.iter().map(|((x, y), n)| Point::new(x / *n as f64, y / *n as f64))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn points(line: &Thinned) -> Vec<At> {
        line.points().map(|p| (p.x, p.y)).collect()
    }

    #[test]
    fn a_line_has_a_bounded_number_of_points() {
        let mut line = Thinned::default();
        for k in 0..3000 {
            line.add((k as f64, 1.0));
            assert!(line.groups.len() <= MAX_POINTS && line.groups.capacity() <= 2 * MAX_POINTS);
            assert_eq!(line.groups.iter().map(|(_, n)| n).sum::<u64>(), k + 1);
        }
        assert_eq!((line.size, line.groups.len()), (4, 750));
        assert_eq!(points(&line)[..2], [(1.5, 1.0), (5.5, 1.0)]);
        let mut short = Thinned::default();
        (0..1000).for_each(|k| short.add((k as f64, 0.5)));
        assert_eq!(short.points().count(), MAX_POINTS, "nothing is joined that can be told apart");
    }

    #[test]
    fn lines_of_the_file_become_points() {
        let mut curves = Curves::default();
        let lines = [
            json!({"step": 2, "epoch": 1, "loss": 3.0, "lr": 0.1, "norm": 7.0, "accuracy": 0.25}),
            json!({"step": 4, "epoch": 1, "loss": null, "lr": 0.1, "norm": 7.0, "accuracy": 0.5, "diverged": true}),
            json!({"step": 4, "epoch": 1, "train": {"loss": 2.0, "accuracy": 0.4}, "test": {"loss": 1.0}, "seconds": 1}),
        ];
        lines.iter().for_each(|line| curves.add(line));
        let points = |lines: &Lines| lines.each_ref().map(points);
        assert_eq!(points(&curves.loss), [vec![(2.0, 3.0)], vec![(4.0, 2.0)], vec![(4.0, 1.0)]]);
        let (name, lines) = curves.metric.as_ref().unwrap();
        assert_eq!(name, "accuracy");
        assert_eq!(points(lines), [vec![(2.0, 0.25), (4.0, 0.5)], vec![(4.0, 0.4)], vec![]]);
        let svg = curves.svg("a run");
        for text in ["a run", "loss", "accuracy", "step", "train", "test"] {
            assert!(svg.contains(&format!(">{text}</text>")), "{text}: {svg}");
        }
    }
}
