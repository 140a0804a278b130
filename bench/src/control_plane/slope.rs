//! How a cost grows with the size: the exponent of a power law.

use crate::results::{FigureUnit, ResultTable};

/// Returns the slope of a least-squares line through the logarithms of sizes and costs: 0 if the cost is the
/// same at each size, 1 if it is proportional. `None` with fewer than two sizes, or if a value is not
/// positive.
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 2 || points.iter().any(|(size, cost)| *size <= 0.0 || *cost <= 0.0) {
        return None;
    }
    let points: Vec<(f64, f64)> = points.iter().map(|(size, cost)| (size.ln(), cost.ln())).collect();
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (size, cost) = (mean(|it| it.0), mean(|it| it.1));
    let along: f64 = points.iter().map(|it| (it.0 - size).powi(2)).sum();
    let both: f64 = points.iter().map(|it| (it.0 - size) * (it.1 - cost)).sum();
    (along > 0.0).then(|| both / along)
}

/// Adds a row to `slopes` for each line of a figure in a table whose last label is the size, round by round.
pub fn add(slopes: &mut ResultTable, table: &ResultTable, figure: &str) {
    let over = table.labels.last().cloned().unwrap_or_default();
    let mut lines: Vec<&[String]> = Vec::new();
    for row in &table.rows {
        if let Some((_, line)) = row.labels.split_last()
            && !lines.contains(&line)
        {
            lines.push(line);
        }
    }
    for line in lines {
        let of_line = || table.rows.iter().filter(|row| row.labels.starts_with(line));
        let rounds = of_line().filter_map(|row| Some(row.figure(figure)?.samples.len())).min();
        for round in 0..rounds.unwrap_or_default() {
            let points = of_line().filter_map(|row| {
                let size: f64 = row.labels.last()?.parse().ok()?;
                Some((size, *row.figure(figure)?.samples.get(round)?))
            });
            if let Some(slope) = slope(&points.collect::<Vec<_>>()) {
                let row = slopes.row_mut(&[&line.join(", "), figure, &over]);
                row.push("slope", FigureUnit::Number, slope);
            }
        }
    }
}

/// Returns an empty table of slopes.
#[must_use]
pub fn table(id: &str, title: &str) -> ResultTable {
    ResultTable {
        id: id.to_owned(),
        title: title.to_owned(),
        method: "The exponent of a power law, fitted by least squares to the logarithms of size and cost: 0 where the \
                 cost does not grow, 1 where it is proportional to the size."
            .to_owned(),
        labels: ["work", "figure", "over"].map(str::to_owned).into(),
        ..ResultTable::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_has_its_exponent() {
        let of =
            |law: fn(f64) -> f64| slope(&[100.0, 1_000.0, 10_000.0].map(|size| (size, law(size)))).unwrap();
        assert!((of(|size| 3.0 * size) - 1.0).abs() < 1e-9);
        assert!(of(|_| 5.0).abs() < 1e-9);
        assert!((of(|size| size * size / 7.0) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn one_size_or_no_cost_has_no_slope() {
        assert_eq!(slope(&[(1.0, 1.0)]), None);
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(slope(&[(1.0, 0.0), (2.0, 1.0)]), None);
    }

    #[test]
    fn each_line_and_round_has_a_slope_of_its_own() {
        let labels = ["work", "Services"].map(str::to_owned).into();
        let mut of = ResultTable { labels, ..ResultTable::default() };
        for (work, size, costs) in
            [("plan", "10", [1.0, 1.0]), ("plan", "100", [10.0, 1.0]), ("model", "10", [2.0, 2.0])]
        {
            for cost in costs {
                of.row_mut(&[work, size]).push("time", FigureUnit::Seconds, cost);
            }
        }
        let mut slopes = table("s", "s");
        add(&mut slopes, &of, "time");
        assert_eq!(slopes.rows.len(), 1);
        assert_eq!(slopes.rows[0].labels, ["plan", "time", "Services"]);
        let samples = &slopes.rows[0].figures[0].samples;
        assert!((samples[0] - 1.0).abs() < 1e-9 && samples[1].abs() < 1e-9, "{samples:?}");
    }
}
