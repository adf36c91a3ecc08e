//! Tables of text for terminals.

/// Lines of `rows`, the first column from the left and the others from the right, two spaces apart. A row may be shorter
/// than others.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|s| s.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cell = |(column, text): (usize, &String)| {
            let width = widths[column];
            if column == 0 { format!("{text:<width$}") } else { format!("  {text:>width$}") }
        };
        row.iter().enumerate().map(cell).collect::<String>().trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let rows = [vec!["", "a", "bcd"], vec!["loss", "0.5"], vec!["é", "10", "2"]];
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|s| s.to_string()).collect()).collect();
        assert_eq!(aligned(&rows), "        a  bcd\nloss  0.5\né      10    2\n");
    }
}
