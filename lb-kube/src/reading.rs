//! The state of reading the objects: counts, and whether the active configuration is stale.

use std::collections::BTreeSet;

use lb_api::problem::{Problem, ReadReason, Reason, Severity};
use lb_runtime::metrics::{MetricSink, MetricType, register};

/// The state of reading the objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Whether they have been read at least once.
    pub loaded: bool,
    /// Whether the active configuration is older than its source, which is invalid or unreadable.
    pub stale: bool,
    /// Number of reads.
    pub updates: u64,
    /// Number of reads that failed, or found an object newly invalid.
    pub errors: u64,
    /// The current errors, by object and reason.
    pub invalid: BTreeSet<String>,
}

impl Reading {
    /// Counts a failed read.
    pub fn failed(&mut self) {
        self.updates += 1;
        self.errors += 1;
        self.stale = self.loaded;
    }

    /// Counts a successful read with these problems.
    pub fn succeeded(&mut self, problems: &[Problem]) {
        self.updates += 1;
        // An object that stays invalid is one error, however often others change.
        let errors = problems.iter().filter(|problem| problem.severity() == Severity::Error);
        let invalid: BTreeSet<String> = errors.map(ToString::to_string).collect();
        self.errors += u64::from(!invalid.is_subset(&self.invalid));
        self.invalid = invalid;
        self.loaded = true;
        let is_stale = |reason: &Reason| {
            matches!(reason, Reason::StaysAsBefore | Reason::Read(ReadReason::UnreadableDirectory { .. }))
        };
        self.stale = problems.iter().any(|problem| is_stale(&problem.reason));
    }

    /// Registers the metrics, by MetalLB's names.
    ///
    /// # Errors
    /// If a name is already registered.
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
    fn the_configuration_is_stale_if_an_invalid_object_or_a_failed_read_keeps_an_older_one() {
        let counted = |reading: &Reading| (reading.loaded, reading.stale, reading.updates, reading.errors);
        let mut reading = Reading::default();
        reading.failed();
        assert_eq!(counted(&reading), (false, false, 1, 1));
        reading.succeeded(&[Problem::general(Reason::NoServingEndpoint)]);
        assert_eq!(counted(&reading), (true, false, 2, 1));
        // A new invalid object: there is no older version that stays in use.
        reading.succeeded(&[Problem::general(ReadReason::NoKind)]);
        assert_eq!(counted(&reading), (true, false, 3, 2));
        reading.succeeded(&[Problem::general(ReadReason::NoKind), Problem::general(Reason::StaysAsBefore)]);
        assert!(reading.stale);
        reading.succeeded(&[]);
        assert!(!reading.stale);
        reading.failed();
        assert!(reading.stale);
    }

    #[test]
    fn an_object_that_stays_invalid_is_one_error_however_often_others_change() {
        let mut reading = Reading::default();
        let invalid = [Problem::general(ReadReason::NoKind)];
        for _ in 0..10 {
            reading.succeeded(&invalid);
        }
        assert_eq!((reading.updates, reading.errors), (10, 1));
        reading.succeeded(&[]);
        reading.succeeded(&invalid);
        assert_eq!(reading.errors, 2, "it became invalid again");
    }
}
