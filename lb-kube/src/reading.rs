//! The state of reading the objects: counts, and whether the active configuration is stale.

use std::collections::BTreeSet;

use lb_api::problem::{Problem, Reason, Severity};
use lb_runtime::metrics::{MetricSink, MetricType, register};

/// What became of reading the objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Whether they have been read at all.
    pub loaded: bool,
    /// Whether what is in force is older than what is written, because that is wrong or cannot be read.
    pub stale: bool,
    /// How often they were read.
    pub updates: u64,
    /// How often nothing could be read, or something was invalid that had not been so before.
    pub errors: u64,
    /// What is invalid, by object and reason.
    pub invalid: BTreeSet<String>,
}

impl Reading {
    /// They could not be read.
    pub fn failed(&mut self) {
        self.updates += 1;
        self.errors += 1;
        self.stale = self.loaded;
    }

    /// They were read, with these problems.
    pub fn succeeded(&mut self, problems: &[Problem]) {
        self.updates += 1;
        // One object that stays invalid is one error, however often others change.
        let errors = problems.iter().filter(|problem| problem.severity() == Severity::Error);
        let invalid: BTreeSet<String> = errors.map(ToString::to_string).collect();
        self.errors += u64::from(!invalid.is_subset(&self.invalid));
        self.invalid = invalid;
        self.loaded = true;
        let is_stale =
            |reason: &Reason| matches!(reason, Reason::StaysAsBefore | Reason::UnreadableDirectory { .. });
        self.stale = problems.iter().any(|problem| is_stale(&problem.reason));
    }

    /// Registers the counts by the names that MetalLB's have.
    ///
    /// # Errors
    /// When a name is registered already.
    pub fn register(&self, registry: &impl MetricSink) -> Result<(), prometheus::Error> {
        use MetricType::{Counter, Gauge};
        let metrics = [
            (
                "metallb_k8s_client_updates_total",
                "Reads of the objects, successful or not",
                Counter,
                self.updates,
            ),
            (
                "metallb_k8s_client_update_errors_total",
                "Reads that failed or found an object newly invalid",
                Counter,
                self.errors,
            ),
            (
                "metallb_k8s_client_config_loaded_bool",
                "1 if the objects have been read at least once",
                Gauge,
                self.loaded.into(),
            ),
            (
                "metallb_k8s_client_config_stale_bool",
                "1 if the active configuration is stale because the current objects are invalid or unreadable",
                Gauge,
                self.stale.into(),
            ),
        ];
        metrics
            .into_iter()
            .try_for_each(|(name, help, of_type, value)| register(registry, name, help, of_type, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_as_it_was_before_is_stale_and_so_is_what_cannot_be_read_any_more() {
        let counted = |reading: &Reading| (reading.loaded, reading.stale, reading.updates, reading.errors);
        let mut reading = Reading::default();
        reading.failed();
        assert_eq!(counted(&reading), (false, false, 1, 1));
        reading.succeeded(&[Problem::general(Reason::NoServingEndpoint)]);
        assert_eq!(counted(&reading), (true, false, 2, 1));
        // New and wrong: there is nothing older that stays in force.
        reading.succeeded(&[Problem::general(Reason::NoKind)]);
        assert_eq!(counted(&reading), (true, false, 3, 2));
        reading.succeeded(&[Problem::general(Reason::NoKind), Problem::general(Reason::StaysAsBefore)]);
        assert!(reading.stale);
        reading.succeeded(&[]);
        assert!(!reading.stale);
        reading.failed();
        assert!(reading.stale);
    }

    #[test]
    fn what_stays_invalid_is_one_error_however_often_others_change() {
        let mut reading = Reading::default();
        let invalid = [Problem::general(Reason::NoKind)];
        for _ in 0..10 {
            reading.succeeded(&invalid);
        }
        assert_eq!((reading.updates, reading.errors), (10, 1));
        reading.succeeded(&[]);
        reading.succeeded(&invalid);
        assert_eq!(reading.errors, 2, "it became invalid again");
    }
}
