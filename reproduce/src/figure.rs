//! Figures as data: what is drawn to files, and shown in the report, alike.

/// A figure: panels in rows of `columns`, with one legend for all of them.
///
/// Panels whose axes have the same label and scale, and no range of their own, share one range, so that they
/// can be compared at a glance.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// What its files are called: letters, digits, `-` and `_`.
    pub name: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What one has to know to read it: what is averaged, what the bands are.
    pub caption: String,
    /// How many panels are beside each other.
    pub columns: usize,
    /// The panels, row by row.
    pub panels: Vec<Panel>,
}

/// One pair of axes and what is drawn in it.
#[derive(Clone, PartialEq, Debug)]
pub struct Panel {
    /// What sets this panel apart from the others of the figure.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines, drawn in that order.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// What it measures, with its unit if it has one.
    pub label: String,
    /// How values are placed on it.
    pub scale: Scale,
    /// The least and the greatest value shown; what is shown of the data, where there is none.
    pub range: Option<(f64, f64)>,
}

/// How values are placed on an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal ratios are equally long; what isn't above zero is left out.
    Log,
}

/// A line.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// What the legend calls it. Series of the same name, colour and dash have one entry.
    pub name: String,
    /// Index of the palette, taken around; each colour has a marker of its own.
    pub colour: usize,
    /// Index of the dashes, taken around; 0 is a full line.
    pub dash: usize,
    /// Its points in the order in which they are joined. A point that isn't finite breaks the line, and where
    /// the line ends with one, a cross marks the last point before.
    pub points: Vec<Point>,
}

/// A point of a line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// Where it is horizontally.
    pub x: f64,
    /// Where it is vertically: a mean over seeds, or a single value.
    pub y: f64,
    /// The lowest and the highest of what `y` is the mean of, which a band shows.
    pub spread: Option<(f64, f64)>,
}

impl Axis {
    /// A linear axis over the range of the data.
    pub fn linear(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), scale: Scale::Linear, range: None }
    }

    /// A logarithmic axis over the range of the data.
    pub fn log(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), scale: Scale::Log, range: None }
    }
}

impl Point {
    /// A point without spread.
    pub fn new(x: f64, y: f64) -> Point {
        Point { x, y, spread: None }
    }
}
