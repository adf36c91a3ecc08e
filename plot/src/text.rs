//! The font of figures: how wide text is, and where a line of it ends.

use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

/// Its regular face.
pub const REGULAR: &[u8] = include_bytes!("../assets/font/regular.ttf");
/// Its bold face.
pub const BOLD: &[u8] = include_bytes!("../assets/font/bold.ttf");
/// The name of the font.
pub const FAMILY: &str = "DejaVu Sans Condensed";

/// How wide `text` is at a size of `size`, in a face: [`REGULAR`] or [`BOLD`].
pub fn width(text: &str, size: f64, face: &[u8]) -> f64 {
    // What a character takes of which the font knows nothing.
    let unknown = 0.6 * size;
    let Ok(font) = FontRef::new(face) else {
        return unknown * text.chars().count() as f64;
    };
    let characters = font.charmap();
    let metrics = font.glyph_metrics(Size::new(size as f32), LocationRef::default());
    let one = |c| characters.map(c).and_then(|glyph| metrics.advance_width(glyph)).map_or(unknown, f64::from);
    text.chars().map(one).sum()
}

/// `text` in lines that are at most `room` wide in the regular face, as far as words can be parted.
pub fn lines(text: &str, size: f64, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line, size, REGULAR) + width(&format!(" {word}"), size, REGULAR) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// `text` as it stands in XML and HTML, attributes included; characters that XML has no place for are left
/// out.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_the_fonts() {
        assert!(width("iii", 12.0, REGULAR) < width("mmm", 12.0, REGULAR));
        assert!(width("loss", 12.0, REGULAR) < width("loss", 12.0, BOLD));
        let (small, large) = (width("loss", 10.0, REGULAR), width("loss", 20.0, REGULAR));
        assert!((2.0 * small - large).abs() < 1e-3);
        assert!(width("字", 10.0, REGULAR) > 0.0);
    }

    #[test]
    fn lines_keep_words_and_room() {
        let text = "the mean over three seeds, and the lowest and highest of them as a band";
        let lines = lines(text, 11.0, 120.0);
        assert!(lines.len() > 2);
        assert!(lines.iter().all(|l| width(l, 11.0, REGULAR) <= 120.0));
        assert_eq!(lines.join(" "), text);
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("a<b & \"c\"\u{0}\n'd'"), "a&lt;b &amp; &quot;c&quot; &#39;d&#39;");
    }
}
