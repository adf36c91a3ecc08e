//! Fewer points for the same picture.

/// Which of `points` to keep, at most `most`, so that the line looks the same: of each of equally long parts
/// the point that spans the largest triangle with the one kept before and the mean of the next part ("largest
/// triangle three buckets", Steinarsson 2013). Points are in units of the picture; those that are `None`
/// break the line and are kept apart from that limit where a break begins.
pub fn kept(points: &[Option<(f64, f64)>], most: usize) -> Vec<usize> {
    let most = most.max(3);
    if points.len() <= most {
        return (0..points.len()).collect();
    }
    let mut kept = Vec::with_capacity(most);
    let (mut start, total) = (0, points.len());
    while start < total {
        let run = points[start..].iter().take_while(|p| p.is_some()).count();
        if run == 0 {
            kept.push(start);
            start += points[start..].iter().take_while(|p| p.is_none()).count();
            continue;
        }
        let share = (most * run).div_ceil(total).max(3);
        let line: Vec<(f64, f64)> = points[start..start + run].iter().flatten().copied().collect();
        kept.extend(of_line(&line, share).into_iter().map(|k| start + k));
        start += run;
    }
    kept
}

/// Which points to keep of a line without breaks.
fn of_line(line: &[(f64, f64)], most: usize) -> Vec<usize> {
    let total = line.len();
    if total <= most {
        return (0..total).collect();
    }
    let parts = most - 2;
    // Where part `k` begins; the first and the last point are parts of their own.
    let begin = |k: usize| 1 + k * (total - 2) / parts;
    let mut kept = vec![0];
    let mut before = line[0];
    for part in 0..parts {
        let next = &line[begin(part + 1)..(begin(part + 2)).clamp(begin(part + 1) + 1, total)];
        let count = next.len() as f64;
        let mean = next.iter().fold((0.0, 0.0), |m, p| (m.0 + p.0 / count, m.1 + p.1 / count));
        let area = |p: (f64, f64)| {
            ((before.0 - mean.0) * (p.1 - before.1) - (before.0 - p.0) * (mean.1 - before.1)).abs()
        };
        let candidates = begin(part)..begin(part + 1);
        if let Some(best) = candidates.max_by(|a, b| area(line[*a]).total_cmp(&area(line[*b]))) {
            kept.push(best);
            before = line[best];
        }
    }
    kept.push(total - 1);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_peaks_are_kept() {
        let line: Vec<_> =
            (0..1000).map(|k| Some((f64::from(k), if k == 500 { 100.0 } else { 0.0 }))).collect();
        let kept = kept(&line, 20);
        assert!(kept.len() <= 20 && kept.contains(&500), "{kept:?}");
        assert_eq!((kept.first(), kept.last()), (Some(&0), Some(&999)));
        assert!(kept.windows(2).all(|w| w[0] < w[1]), "{kept:?}");
    }

    #[test]
    fn breaks_are_kept() {
        let mut line: Vec<_> = (0..300).map(|k| Some((f64::from(k), 1.0))).collect();
        line[100] = None;
        line[299] = None;
        let kept = kept(&line, 30);
        assert!(kept.contains(&100) && kept.contains(&299), "{kept:?}");
        assert!(kept.len() < 40);
    }

    #[test]
    fn short_lines_stay() {
        assert_eq!(kept(&[Some((0.0, 0.0)), None], 5), [0, 1]);
        assert!(kept(&[], 5).is_empty());
        for most in 0..20 {
            let line: Vec<_> = (0..17).map(|k| Some((f64::from(k), f64::from(k % 3)))).collect();
            let kept = kept(&line, most);
            assert!(kept.windows(2).all(|w| w[0] < w[1]) && kept.len() <= most.max(3), "{most}: {kept:?}");
        }
    }
}
