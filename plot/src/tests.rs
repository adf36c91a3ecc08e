//! Drawings are checked as drawings: what can be read in them, and where it is.

use super::*;
use crate::sample;
use crate::{Axis, Panel, Point, Scale, Stop};

/// The drawing as the reader of PNGs sees it: fails where it isn't XML or isn't SVG.
fn parsed(figure: &Figure) -> usvg::Tree {
    usvg::Tree::from_str(&svg(figure), &usvg::Options::default()).unwrap()
}

fn attributes<'a>(svg: &'a str, class: &str, name: &str) -> Vec<&'a str> {
    let elements = svg.split('<').filter(|e| e.contains(&format!("class=\"{class}")));
    elements.filter_map(|e| e.split_once(&format!(" {name}=\""))?.1.split('"').next()).collect()
}

#[test]
fn everything_is_in_the_drawing() {
    let figure = sample::training();
    let svg = svg(&figure);
    for text in ["Training loss", "rate 2×10⁻⁴", "steps", "backpropagation", "forward gradient"] {
        assert!(svg.contains(text), "{text}");
    }
    let lines: usize = figure.panels.iter().map(|p| p.series.len()).sum();
    let entries = legend(&figure).len();
    assert_eq!(attributes(&svg, "band", "d").len(), lines);
    assert_eq!(attributes(&svg, "line", "d").len(), lines + entries, "and one for each entry of the legend");
    assert!(attributes(&svg, "band", "d").iter().all(|d| d.ends_with('Z')));
    assert_eq!(attributes(&svg, "cross", "d").len(), 1, "a line that diverges ends with a cross");
}

#[test]
fn drawings_are_the_same_each_time_and_readable() {
    for figure in sample::figures() {
        assert_eq!(svg(&figure), svg(&figure));
        let size = parsed(&figure).size();
        assert!(size.width() > 400.0 && size.height() > 200.0);
        let bytes = png(&figure).unwrap();
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() < 400_000, "{} bytes", bytes.len());
        assert_eq!(bytes, png(&figure).unwrap());
    }
}

#[test]
fn points_are_where_they_belong() {
    let points = vec![Point::new(0.0, 0.0), Point::new(5.0, 1.0), Point::new(10.0, 2.0)];
    let axis = |low, high| Axis { range: Some((low, high)), ..Axis::linear("v") };
    let series = Series::new("a", 0, 0, points);
    let panel = Panel { title: String::new(), x: axis(0.0, 10.0), y: axis(0.0, 2.0), series: vec![series] };
    let figure = Figure {
        name: "f".into(),
        title: "t".into(),
        caption: String::new(),
        columns: 1,
        panels: vec![panel],
    };
    let layout = Layout::new(&figure, 400.0, 200.0, 400);
    let (left, top, width, height) = layout.frame();
    let drawn = panel::draw(&figure, 0, &layout, "id");
    let at = |x: f64, y: f64| format!("{} {}", n(left + x * width), n(top + (1.0 - y) * height));
    let expected = format!("M{} {} {}", at(0.0, 0.0), at(0.5, 0.5), at(1.0, 1.0));
    assert_eq!(attributes(&drawn, "line", "d"), [expected.as_str()]);
}

#[test]
fn alike_axes_share_a_range() {
    let figure = sample::training();
    let layout = Layout::new(&figure, 400.0, 200.0, 400);
    assert!(layout.spans.windows(2).all(|w| w[0] == w[1]), "{:?}", layout.spans);
    let own = sample::trajectories();
    let layout = Layout::new(&own, 400.0, 200.0, 400);
    assert!(layout.spans.windows(2).all(|w| w[0] != w[1]), "each has a range of its own");
}

#[test]
fn few_values_have_a_tick_each() {
    let figure = sample::costs();
    let layout = Layout::new(&figure, 400.0, 200.0, 400);
    let ticks = layout.x_ticks(&figure.panels[0], &layout.spans[0].0);
    let texts: Vec<String> = ticks.into_iter().filter_map(|t| t.text).collect();
    assert_eq!(texts, ["256", "512", "1024", "2048", "4096"]);
}

#[test]
fn odd_figures_are_drawn() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e308, -1e308, 1e-320];
    let mut points = Vec::new();
    for (k, x) in odd.into_iter().enumerate() {
        for y in odd {
            let spread = (k % 2 == 0).then_some((y, x));
            points.push(Point { x, y, spread });
        }
    }
    for scale in [Scale::Linear, Scale::Log] {
        for range in
            [None, Some((0.0, 0.0)), Some((f64::NAN, 1.0)), Some((-1e308, 1e308)), Some((1e-320, 1e308))]
        {
            let axis = Axis { label: "<&>".into(), scale, range, apart: false };
            let line = |count: usize| Series {
                stops: points.get(count).map(|p| Stop { x: p.x, up: count == 0 }),
                ..Series::new("\u{1}\"", usize::MAX, usize::MAX, points[..count].to_vec())
            };
            let series = vec![line(0), line(1), line(8), line(points.len())];
            let panel = Panel { title: "]]>".into(), x: axis.clone(), y: axis, series };
            let mut figure = Figure {
                name: "odd".into(),
                title: "&".into(),
                caption: "<".into(),
                columns: 0,
                panels: vec![],
            };
            parsed(&figure);
            figure.panels = vec![panel.clone(), panel];
            figure.columns = usize::MAX;
            parsed(&figure);
            let svg = svg(&figure);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}

#[test]
fn scattered_points_are_joined_by_nothing() {
    let points = || (0..20).map(|k| Point::new(f64::from(k), f64::from(k * k))).collect::<Vec<_>>();
    let series =
        [false, true].map(|hollow| Series::scattered(format!("hollow: {hollow}"), 3, hollow, points()));
    let panel =
        Panel { title: String::new(), x: Axis::linear("x"), y: Axis::linear("y"), series: series.into() };
    let figure = Figure {
        name: "f".into(),
        title: "t".into(),
        caption: String::new(),
        columns: 1,
        panels: vec![panel],
    };
    assert!(figure.has_data());
    let svg = svg(&figure);
    parsed(&figure);
    assert!(attributes(&svg, "line", "d").iter().all(|d| d.is_empty()), "not in the legend either");
    // Each has a marker at every point, and one in the legend.
    assert_eq!(attributes(&svg, "mark\"", "d").len(), 21);
    assert_eq!(attributes(&svg, "mark hollow\"", "d").len(), 21);
}
