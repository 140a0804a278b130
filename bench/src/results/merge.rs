//! The results of several processes as those of one run.

use anyhow::{Result, bail, ensure};

use super::{FORMAT, Machine, Results};

/// Merges the results of subjects that ran one after the other, in their order.
///
/// # Errors
/// Without results, or when they are of different builds, machines or lengths, or have a table in common.
pub fn merge(parts: Vec<Results>) -> Result<Results> {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { bail!("no results to merge") };
    let machine =
        Machine { load: [first.machine.load_before(), last.machine.load_after()], ..first.machine.clone() };
    let mut merged = Results {
        format: FORMAT,
        machine,
        is_quick: first.is_quick,
        started: first.started.clone(),
        seconds: parts.iter().map(|part| part.seconds).sum(),
        tables: Vec::new(),
    };
    for part in parts {
        ensure!(build(&part.machine) == build(&merged.machine), "results of different builds or machines");
        ensure!(part.is_quick == merged.is_quick, "results of quick and of full runs");
        for table in part.tables {
            let is_new = merged.tables.iter().all(|other| other.id != table.id);
            ensure!(is_new, "two subjects have a table `{}`", table.id);
            merged.tables.push(table);
        }
    }
    Ok(merged)
}

/// What must be the same in all parts.
fn build(machine: &Machine) -> (&str, &str, &str) {
    (&machine.processor, &machine.kernel, &machine.commit)
}

#[cfg(test)]
mod tests {
    use super::merge;
    use crate::results::{FORMAT, Machine, ResultTable, Results};

    fn part(id: &str, commit: &str, load: [f64; 2]) -> Results {
        let machine = Machine {
            processor: "a processor".to_owned(),
            processors: 2,
            memory: 4000,
            kernel: "6.12".to_owned(),
            commit: commit.to_owned(),
            is_modified: false,
            load,
        };
        let table = ResultTable { id: id.to_owned(), ..ResultTable::default() };
        let started = format!("start of {id}");
        Results { format: FORMAT, machine, is_quick: false, started, seconds: 10.0, tables: vec![table] }
    }

    #[test]
    fn tables_follow_each_other_and_the_load_is_of_both_ends() {
        let merged = merge(vec![part("a", "c", [0.1, 0.2]), part("b", "c", [0.3, 0.4])]).unwrap();
        assert_eq!(merged.tables.iter().map(|table| table.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(merged.machine.load, [0.1, 0.4]);
        assert_eq!((merged.started.as_str(), merged.seconds), ("start of a", 20.0));
    }

    #[test]
    fn different_builds_and_equal_tables_are_refused() {
        assert!(merge(vec![part("a", "c", [0.0; 2]), part("b", "d", [0.0; 2])]).is_err());
        assert!(merge(vec![part("a", "c", [0.0; 2]), part("a", "c", [0.0; 2])]).is_err());
        assert!(merge(Vec::new()).is_err());
    }
}
