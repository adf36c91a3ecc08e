//! Prose as HTML.

use fgc_plot::text::escaped;

/// `text` with what is between backticks as code.
pub fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    let last = parts.len() - 1;
    let mut out = String::new();
    for (k, part) in parts.into_iter().enumerate() {
        match (k % 2 == 1, k == last) {
            (true, false) => out += &format!("<code>{}</code>", escaped(part)),
            // A backtick that isn't closed is one.
            (true, true) => out += &format!("`{}", escaped(part)),
            (false, _) => out += &escaped(part),
        }
    }
    out
}

/// `text` in paragraphs, which empty lines part.
pub fn paragraphs(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let parts = lines.split(|line| line.is_empty()).filter(|part| !part.is_empty());
    parts.map(|part| format!("<p>{}</p>\n", prose(&part.join(" ")))).collect()
}
