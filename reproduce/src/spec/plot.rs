//! Figures of training, as an experiment describes them.

use std::num::NonZero;

use fgc_plot::Scale;
use fgc_train::Result;
use fgc_train::ranges::at_most;
use serde::Deserialize;
use toml::Spanned;

use super::file::{File, Item};
use super::limits::{Finite, MAX_LINES, MAX_PANELS, product};
use super::matrix::{METRICS, Matrix, Wanted, named};
use super::selection::{Labels, Where};

/// A figure of the runs of a matrix.
#[derive(Clone, PartialEq, Debug)]
pub struct Plot {
    /// The name of its files.
    pub name: String,
    /// The title: the subject in a few words.
    pub title: String,
    /// What a reader has to know: what is averaged, what bands are.
    pub caption: String,
    /// The number of panels in a row.
    pub columns: usize,
    /// The runs that there are.
    pub matrix: Matrix,
    /// Those that are shown.
    pub chosen: Where,
    /// The axis that has a panel for each value.
    pub panels: Option<String>,
    /// The axes whose values make lines: colours by the first, dashes by the others.
    pub series: Vec<String>,
    /// The horizontal axis.
    pub x: Across,
    /// The scale of the horizontal axis.
    pub x_scale: Scale,
    /// The vertical axes, each with panels of its own.
    pub y: Vec<Metric>,
}

/// The quantity of the horizontal axis.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(from = "String")]
pub enum Across {
    /// Steps.
    Step,
    /// Epochs.
    Epoch,
    /// The time since the run began.
    Seconds,
    /// An axis of the matrix, by the numbers that its labels are.
    Axis(String),
}

impl From<String> for Across {
    fn from(name: String) -> Across {
        match name.as_str() {
            "step" => Across::Step,
            "epoch" => Across::Epoch,
            "seconds" => Across::Seconds,
            _ => Across::Axis(name),
        }
    }
}

/// The quantity of a vertical axis.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The name of a metric: `test_accuracy`.
    pub of: Spanned<String>,
    label: Option<String>,
    #[serde(default, deserialize_with = "scale")]
    scale: Option<Scale>,
    range: Option<(Finite, Finite)>,
    points: Option<Spanned<Points>>,
    mean_of: Option<NonZero<usize>>,
}

/// The moments of training that are points of a line.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Points {
    /// The ends of epochs.
    Epoch,
    /// The steps that are logged.
    Step,
}

impl Metric {
    /// The label of the axis.
    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(self.of.get_ref())
    }

    /// Its scale.
    pub fn scale(&self) -> Scale {
        self.scale.unwrap_or(Scale::Linear)
    }

    /// The least and the greatest value shown.
    pub fn range(&self) -> Option<(f64, f64)> {
        self.range.map(|(low, high)| (low.0, high.0))
    }

    /// The moments of training that are points.
    pub fn points(&self) -> Points {
        self.points.as_ref().map_or(Points::Epoch, |points| *points.get_ref())
    }

    /// How many logged rows are one point.
    pub fn mean_of(&self) -> usize {
        self.mean_of.map_or(1, NonZero::get)
    }

    fn check(&self, x: &Across, file: &File) -> Result<()> {
        if !METRICS.iter().any(|start| self.of.get_ref().starts_with(start)) {
            let message = "a metric is called `train_…` or `test_…`, such as `test_accuracy`";
            return Err(file.error(self.of.span(), message, None));
        }
        match &self.points {
            Some(points) if *points.get_ref() == Points::Step && *x != Across::Step => {
                Err(file.error(points.span(), "points of steps are for `x = \"step\"`", None))
            }
            _ => Ok(()),
        }
    }
}

/// Reads a scale: `linear` or `log`.
fn scale<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Scale>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Name {
        Linear,
        Log,
    }
    Ok(Some(match Name::deserialize(deserializer)? {
        Name::Linear => Scale::Linear,
        Name::Log => Scale::Log,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlotText {
    name: Spanned<String>,
    title: String,
    #[serde(default)]
    caption: String,
    columns: Option<NonZero<usize>>,
    matrix: Option<Spanned<String>>,
    #[serde(default, rename = "where")]
    chosen: Labels,
    panels: Option<Spanned<String>>,
    #[serde(default)]
    series: Vec<Spanned<String>>,
    x: Spanned<String>,
    #[serde(default, deserialize_with = "scale")]
    x_scale: Option<Scale>,
    y: Vec<Metric>,
}

impl Plot {
    /// The figure that `item` describes, of runs of `matrices`.
    ///
    /// # Errors
    /// If something is wrong in it, with its place.
    pub fn read(mut item: Item<'_>, matrices: &[Matrix]) -> Result<Plot> {
        let (file, table) = (item.file, item.clone());
        item.spell_labels(&["where"])?;
        let given: PlotText = item.decode()?;
        let matrix = named(matrices, given.matrix.as_ref(), file)?;
        let name = given.name.get_ref();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            let message = "the name of a figure is of letters, digits, `-` and `_`";
            return Err(file.error(given.name.span(), message, None));
        }
        let x = Across::from(given.x.get_ref().clone());
        if let Across::Axis(_) = x {
            matrix.axis(&given.x, file)?;
        }
        given.y.iter().try_for_each(|metric| metric.check(&x, file))?;
        let default = if matches!(x, Across::Axis(_)) { Scale::Log } else { Scale::Linear };
        let plot = Plot {
            chosen: given.chosen.of(matrix, file)?,
            panels: given.panels.map(|name| Ok(matrix.axis(&name, file)?.name.clone())).transpose()?,
            series: matrix.axes(&given.series, file)?,
            name: given.name.into_inner(),
            title: given.title,
            caption: given.caption.trim().to_owned(),
            columns: given.columns.map_or(3, NonZero::get),
            matrix: matrix.clone(),
            x,
            x_scale: given.x_scale.unwrap_or(default),
            y: given.y,
        };
        let lengths = |axes: &[String]| axes.iter().map(|axis| plot.labels(axis).len()).collect::<Vec<_>>();
        let panels = product(lengths(plot.panels.as_slice()).into_iter().chain([plot.y.len()]));
        at_most("the number of panels", panels, MAX_PANELS as u64)
            .and_then(|_| {
                at_most("the number of lines in a panel", product(lengths(&plot.series)), MAX_LINES as u64)
            })
            .map_err(|e| table.error(e))?;
        let shown = |axis: &str| {
            plot.panels.as_deref() == Some(axis)
                || plot.series.iter().any(|s| s == axis)
                || plot.x == Across::Axis(axis.to_owned())
                || plot.chosen.0.get(axis).is_some_and(|labels| labels.len() == 1)
        };
        if let Some(axis) = matrix.axes.iter().find(|axis| axis.labels.len() > 1 && !shown(&axis.name)) {
            let name = &axis.name;
            return Err(table.error(format_args!(
                "runs that differ by `{name}` would be one line: put it into `panels`, `series`, `x` or `where`"
            )));
        }
        Ok(plot)
    }

    /// The metrics that it shows.
    pub fn wanted(&self) -> impl Iterator<Item = Wanted> {
        self.y.iter().map(|metric| Wanted::new(&self.matrix, &metric.of))
    }

    /// The labels of `axis` that are shown.
    pub fn labels(&self, axis: &str) -> Vec<String> {
        let allowed = self.chosen.0.get(axis);
        let values = self.matrix.find(axis).into_iter().flat_map(|axis| &axis.values);
        let labels = values.map(|value| value.label.clone());
        labels.filter(|label| allowed.is_none_or(|a| a.contains(label))).collect()
    }
}
