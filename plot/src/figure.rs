//! Figures as data: what is drawn to files, and shown in the report, alike.

/// A figure: panels in rows of `columns`, with one legend for all of them.
///
/// Panels whose axes have the same label and scale, and no range of their own, share one range, so that they
/// can be compared at a glance, unless they are [apart](Axis::apart).
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// The name of its files: letters, digits, `-` and `_`.
    pub name: String,
    /// The title: the subject in a few words.
    pub title: String,
    /// What a reader has to know: what is averaged, what bands are.
    pub caption: String,
    /// The number of panels in a row.
    pub columns: usize,
    /// The panels, row by row.
    pub panels: Vec<Panel>,
}

/// One pair of axes and what is drawn in it.
#[derive(Clone, PartialEq, Debug)]
pub struct Panel {
    /// The title, which sets this panel apart from the others of the figure.
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
    /// The label: a quantity, with its unit if it has one.
    pub label: String,
    /// How values are placed on it.
    pub scale: Scale,
    /// The least and the greatest value shown; what is shown of the data, where there is none.
    pub range: Option<(f64, f64)>,
    /// Whether its range is of its own panel's data alone.
    pub apart: bool,
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
    /// The name in the legend. Series of the same name, colour and dash have one entry.
    pub name: String,
    /// Index of the palette, taken around, with hollow markers and other dashes the second time; each colour has a marker of
    /// its own.
    pub colour: usize,
    /// Index of the dashes, taken around; 0 is a full line. Of points without a line, all but the first are hollow.
    pub dash: usize,
    /// The role of the line.
    pub role: Role,
    /// Where something diverges before the first point of the line: a cross is at the edge of the frame there.
    pub stops: Option<Stop>,
    /// Its points in the order in which they are joined. A point that isn't finite breaks the line, and where
    /// the line ends with one, a cross marks the last point before.
    pub points: Vec<Point>,
}

/// The role of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Measurements, or values computed to be compared with them.
    Data,
    /// Measurements that nothing joins: a marker at each, filled where the dash is a full line, and else hollow.
    Points,
    /// A line behind the data, such as a contour: thin, in grey, without markers.
    Backdrop,
}

/// A cross at the edge of the frame.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stop {
    /// Where it is horizontally.
    pub x: f64,
    /// Whether it is at the upper edge, rather than the lower one.
    pub up: bool,
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
        Axis { label: label.into(), scale: Scale::Linear, range: None, apart: false }
    }

    /// A logarithmic axis over the range of the data.
    pub fn log(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), scale: Scale::Log, range: None, apart: false }
    }
}

impl Axis {
    /// This axis, with a range of its own.
    pub fn apart(self) -> Axis {
        Axis { apart: true, ..self }
    }
}

impl Figure {
    /// Whether there is anything to draw.
    pub fn has_data(&self) -> bool {
        let mut series = self.panels.iter().flat_map(|panel| &panel.series);
        series.any(|s| {
            s.role != Role::Backdrop
                && (s.stops.is_some() || s.points.iter().any(|p| p.x.is_finite() && p.y.is_finite()))
        })
    }
}

impl Series {
    /// Points that nothing joins, with filled markers or hollow ones.
    pub fn scattered(name: impl Into<String>, colour: usize, hollow: bool, points: Vec<Point>) -> Series {
        Series { role: Role::Points, ..Series::new(name, colour, usize::from(hollow), points) }
    }

    /// A line of data.
    pub fn new(name: impl Into<String>, colour: usize, dash: usize, points: Vec<Point>) -> Series {
        Series { name: name.into(), colour, dash, role: Role::Data, stops: None, points }
    }
}

impl Point {
    /// A point without spread.
    pub fn new(x: f64, y: f64) -> Point {
        Point { x, y, spread: None }
    }
}
