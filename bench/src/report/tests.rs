use super::html::page;
use super::markdown::summary;
use super::plot::charts;
use crate::results::{
    Bound, FORMAT, FigureUnit, Goal, GoalSubject, Machine, Plot, ResultTable, Results, RoundRatio,
};

/// A table of each kind of plot.
fn tables() -> Vec<ResultTable> {
    let labels = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut tables = Vec::new();
    for (id, plot) in [("bars", Plot::Bars), ("orders", Plot::LogarithmicBars)] {
        let mut table = ResultTable {
            id: id.to_owned(),
            title: "<latency> & \"more\"".to_owned(),
            method: "HTTP at a fixed rate.".to_owned(),
            labels: labels(&["contender"]),
            plot: Some(plot),
            ..ResultTable::default()
        };
        for round in [1.0, 1.2, 1.5] {
            for (name, factor) in [("MetalLB-like L2", 2.0), ("Fairlead L2", 1.0)] {
                let row = table.row_mut(&[name]);
                row.push("p50", FigureUnit::Seconds, 0.5e-3 * factor * round);
                row.push("p99", FigureUnit::Seconds, 5e-3 * factor * factor * round);
                row.push("failed", FigureUnit::Count, if factor > 1.0 { 3.0 * round } else { 0.0 });
            }
        }
        let (of, to) = (labels(&["Fairlead L2"]), labels(&["MetalLB-like L2"]));
        table.ratios = vec![RoundRatio { name: "half".to_owned(), figure: "p50".to_owned(), of, to }];
        let goal = |row: &str, bound| Goal {
            name: format!("few failures of {row}"),
            subject: GoalSubject::Figure { row: labels(&[row]), figure: "failed".to_owned() },
            bound,
        };
        table.goals =
            vec![goal("Fairlead L2", Bound::AtMost(0.0)), goal("MetalLB-like L2", Bound::AtMost(0.0))];
        tables.push(table);
    }
    for (id, plot) in [("growth", Plot::Lines), ("time", Plot::Timeline)] {
        let mut table = ResultTable {
            id: id.to_owned(),
            title: "Over a number".to_owned(),
            labels: labels(&["contender", "services"]),
            plot: Some(plot),
            ..ResultTable::default()
        };
        for name in ["Fairlead", "other"] {
            for over in [0.5, 10.0, 100.0, 1000.0] {
                let row = table.row_mut(&[name, &over.to_string()]);
                row.push("served", FigureUnit::Share, if over < 5.0 { 0.0 } else { over / 1000.0 });
            }
        }
        tables.push(table);
    }
    tables
}

fn results() -> Results {
    let machine = Machine {
        processor: "A Processor".to_owned(),
        processors: 2,
        memory: 3934,
        kernel: "6.12.1".to_owned(),
        commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        is_modified: true,
        load: [0.25, 1.5],
    };
    let started = "2026-01-02T03:04:05Z".to_owned();
    Results { format: FORMAT, machine, is_quick: true, started, seconds: 125.0, tables: tables() }
}

#[test]
fn a_page_loads_nothing() {
    let page = page(&results()).unwrap();
    // The name of a namespace is no address that a browser would load.
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for part in ["http:", "https:", "src=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(part), "{part}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_head_says_where_and_how_it_was_measured() {
    for text in [page(&results()).unwrap(), summary(&results())] {
        for part in [
            "A Processor, 2 CPUs",
            "6.12.1",
            "not committed",
            "0.25 before, 1.5 after",
            "quick",
            "2 min 05 s",
        ] {
            assert!(text.contains(part), "{part}");
        }
    }
}

#[test]
fn goals_stand_before_the_tables_and_missed_ones_first() {
    for text in [page(&results()).unwrap(), summary(&results())] {
        let place = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word}: {text}"));
        assert!(place("Goals: 2 of 4 met") < place("few failures of MetalLB-like"));
        assert!(place("few failures of MetalLB-like") < place("few failures of Fairlead"));
        assert!(place("few failures of Fairlead") < place("HTTP at a fixed rate."));
    }
}

#[test]
fn text_is_escaped() {
    let page = page(&results()).unwrap();
    assert!(page.contains("&lt;latency&gt; &amp; &quot;more&quot;") && !page.contains("<latency>"));
}

#[test]
fn each_unit_has_its_chart_and_takes_the_color_of_the_text() {
    let [bars, orders, growth, time] = tables().try_into().unwrap();
    let bars = charts(&bars).unwrap();
    assert_eq!(bars.iter().map(|chart| chart.title.as_str()).collect::<Vec<_>>(), ["p50, p99", "failed"]);
    assert_eq!((bars[0].legend.len(), bars[1].legend.len()), (2, 0));
    assert!(bars[0].svg.contains("currentColor") && !bars[0].svg.contains("#010101"), "{}", bars[0].svg);
    assert_eq!(charts(&orders).unwrap()[0].title, "p50, p99 (logarithmic)");
    assert_eq!(charts(&growth).unwrap()[0].title, "served over services (logarithmic)");
    assert_eq!(charts(&time).unwrap()[0].legend.len(), 2);
}

#[test]
fn a_long_table_has_a_chart_for_each_first_label() {
    let labels = ["event", "contender"].map(str::to_owned).to_vec();
    let mut table = ResultTable { labels, plot: Some(Plot::Bars), ..ResultTable::default() };
    for event in ["join", "death"] {
        for contender in 0..9 {
            table.row_mut(&[event, &contender.to_string()]).push("broken", FigureUnit::Count, 1.0);
        }
    }
    let titles = charts(&table).unwrap().into_iter().map(|chart| chart.title).collect::<Vec<_>>();
    assert_eq!(titles, ["join: broken", "death: broken"]);
}

#[test]
fn rows_of_a_timeline_are_drawn_and_not_listed() {
    let page = page(&results()).unwrap();
    assert!(page.contains("<td>1000</td>"));
    let timeline = page.split("id=\"time\"").nth(1).unwrap();
    assert!(timeline.contains("<svg") && !timeline.contains("<td>"));
}
