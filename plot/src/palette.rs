//! Colours, dashes and markers.
//!
//! A line is told from another by colour, by the shape of the markers that goes with the colour, and by its
//! dash, so that figures can be read by everyone and in black and white.

use std::fmt::Write as _;

use crate::{Role, Series};

/// The colours of figures and the report on one ground.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Theme {
    /// The ground.
    pub ground: &'static str,
    /// Text.
    pub ink: &'static str,
    /// Text of less weight, and the frame of panels.
    pub quiet: &'static str,
    /// Lines at ticks.
    pub grid: &'static str,
    /// The palette of series.
    pub series: [&'static str; COLOURS],
}

/// How many colours the palette has.
pub const COLOURS: usize = 8;

/// For paper and light screens. The palette is that of Okabe and Ito (2008), "Color universal design": blue, vermilion,
/// bluish green, reddish purple, yellow, sky blue, black and, for orange, brown. Each is as dark as it has to be for a
/// contrast of 3 to 1 to the ground, and all are apart from each other for the three kinds of colour blindness, which a
/// test measures.
pub const LIGHT: Theme = Theme {
    ground: "#ffffff",
    ink: "#1b1f24",
    quiet: "#59626c",
    grid: "#e3e6ea",
    series: ["#0f5fa8", "#cc3d00", "#00936f", "#96306f", "#b58c00", "#3a9be0", "#101418", "#5a3a10"],
};

/// For dark screens.
pub const DARK: Theme = Theme {
    ground: "#15181c",
    ink: "#e8eaed",
    quiet: "#a3abb5",
    grid: "#2d333a",
    series: ["#3f86d8", "#f2743a", "#2ab58f", "#f0a0d0", "#f0d050", "#b4e0fa", "#ffffff", "#a5563c"],
};

/// Dashes, as lengths of strokes and gaps; the first is a full line.
pub const DASHES: [&str; 4] = ["none", "7 3", "2 2.5", "9 3 2 3"];

/// The class of the colour of that index.
pub fn colour_class(colour: usize) -> String {
    format!("c{}", colour % COLOURS)
}

/// The class of what `series` is drawn in.
pub fn series_class(series: &Series) -> String {
    match series.role {
        Role::Data | Role::Points => colour_class(series.colour),
        Role::Backdrop => "backdrop".to_owned(),
    }
}

/// How often the colours have gone around before that of `series`.
fn turns(series: &Series) -> usize {
    series.colour / COLOURS
}

/// The class of the markers of `series`: hollow ones are of points with a dash, and of every second turn of the colours.
pub fn mark_class(series: &Series) -> &'static str {
    let dashed = series.role == Role::Points && !series.dash.is_multiple_of(DASHES.len());
    if dashed != (turns(series) % 2 == 1) { "mark hollow" } else { "mark" }
}

/// The class of the dash of `series`: the next one with every turn of the colours.
pub fn dash_class(series: &Series) -> String {
    let turned = series.dash % DASHES.len() + turns(series) % DASHES.len();
    format!("d{}", turned % DASHES.len())
}

/// The outline of the marker of `colour` around a point, as data of a path.
pub fn marker(colour: usize, x: f64, y: f64, size: f64) -> String {
    let at = |corners: &[(f64, f64)]| {
        let mut path = String::new();
        for (k, (dx, dy)) in corners.iter().enumerate() {
            let command = if k == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{} {}", super::n(x + dx * size), super::n(y + dy * size));
        }
        path + "Z"
    };
    match colour % COLOURS {
        0 => {
            let (r, left) = (super::n(size * 0.95), super::n(x - size * 0.95));
            let (across, y) = (super::n(size * 1.9), super::n(y));
            format!("M{left} {y}a{r} {r} 0 1 0 {across} 0a{r} {r} 0 1 0 -{across} 0Z")
        }
        1 => at(&[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]),
        2 => at(&[(0.0, -1.15), (1.05, 0.8), (-1.05, 0.8)]),
        3 => at(&[(0.0, -1.25), (1.1, 0.0), (0.0, 1.25), (-1.1, 0.0)]),
        4 => at(&[(0.0, 1.15), (1.05, -0.8), (-1.05, -0.8)]),
        6 => at(&[(-1.35, -0.5), (1.35, -0.5), (1.35, 0.5), (-1.35, 0.5)]),
        7 => at(&[(-0.5, -1.35), (0.5, -1.35), (0.5, 1.35), (-0.5, 1.35)]),
        _ => {
            let (a, b) = (0.38, 1.15);
            let corners = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a)];
            let turned = corners.iter().map(|(x, y)| (-x, -y));
            at(&corners.iter().copied().chain(turned).collect::<Vec<_>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red, green and blue, in proportion to light.
    fn light(hex: &str) -> [f64; 3] {
        [1, 3, 5].map(|k| {
            let c = f64::from(u8::from_str_radix(&hex[k..k + 2], 16).unwrap()) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        })
    }

    fn times(m: [[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
        m.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
    }

    /// The contrast of WCAG 2.
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance = |hex| times([[0.2126, 0.7152, 0.0722]; 3], light(hex))[0] + 0.05;
        let (a, b) = (luminance(a), luminance(b));
        a.max(b) / a.min(b)
    }

    /// Oklab (Ottosson 2020), in which distances are about as they are seen.
    fn oklab(rgb: [f64; 3]) -> [f64; 3] {
        let lms = times(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ],
            rgb,
        );
        times(
            [
                [0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660],
            ],
            lms.map(f64::cbrt),
        )
    }

    /// How colours look without the cones for long, middle and short waves (Machado et al. 2009, severity 1).
    const SIGHT: [[[f64; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ];

    #[test]
    fn colours_stand_out() {
        for theme in [LIGHT, DARK] {
            for colour in theme.series {
                assert!(contrast(colour, theme.ground) >= 3.0, "{colour} on {}", theme.ground);
            }
            for text in [theme.ink, theme.quiet] {
                assert!(contrast(text, theme.ground) >= 4.5, "{text} on {}", theme.ground);
            }
        }
    }

    #[test]
    fn colours_differ_for_every_eye() {
        for theme in [LIGHT, DARK] {
            for sight in SIGHT {
                let seen = theme.series.map(|c| oklab(times(sight, light(c)).map(|v| v.clamp(0.0, 1.0))));
                for (k, a) in seen.iter().enumerate() {
                    for (other, b) in seen.iter().enumerate().skip(k + 1) {
                        let apart = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                        assert!(apart > 0.075, "colours {k} and {other} on {}: {apart}", theme.ground);
                    }
                }
            }
        }
    }

    #[test]
    fn markers_differ() {
        let shapes: std::collections::BTreeSet<String> =
            (0..COLOURS).map(|c| marker(c, 0.0, 0.0, 4.0)).collect();
        assert_eq!(shapes.len(), COLOURS);
        assert_eq!(marker(COLOURS, 1.0, 2.0, 3.0), marker(0, 1.0, 2.0, 3.0));
    }

    /// Twice as many lines as there are colours, each with a dash of its own index, are all told apart.
    #[test]
    fn lines_of_a_second_turn_differ_from_those_of_the_first() {
        let looks = (0..2 * COLOURS).map(|k| {
            let series = Series::new("", k, k, Vec::new());
            (series_class(&series), mark_class(&series), dash_class(&series))
        });
        let looks: std::collections::BTreeSet<_> = looks.collect();
        assert_eq!(looks.len(), 2 * COLOURS);
    }
}
