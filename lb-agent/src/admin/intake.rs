//! What came of objects that were taken in, by the names that MetalLB's alerts ask for.

use prometheus::{IntCounter, IntGauge, Registry};
use serde::Serialize;

/// What came of objects that were taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Intake {
    /// How often they were taken in.
    pub updates: u64,
    /// How often something of them could not be done.
    pub errors: u64,
    /// Whether they have been taken in at least once.
    pub loaded: bool,
    /// Whether something of what configures the load balancer is wrong, and what was right before is in force.
    pub stale: bool,
}

impl Intake {
    /// Objects have been taken in once more.
    pub fn count(&mut self, failed: bool, stale: bool) {
        *self =
            Self { updates: self.updates + 1, errors: self.errors + u64::from(failed), loaded: true, stale };
    }

    /// Adds its metrics.
    ///
    /// # Errors
    /// When one of them is there already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let counters = [
            ("metallb_k8s_client_updates_total", "Times that objects were taken in", self.updates),
            ("metallb_k8s_client_update_errors_total", "Times that taking them in failed", self.errors),
        ];
        for (name, help, value) in counters {
            let counter = IntCounter::new(name, help)?;
            counter.inc_by(value);
            registry.register(Box::new(counter))?;
        }
        let gauges = [
            ("metallb_k8s_client_config_loaded_bool", "Whether there has been a configuration", self.loaded),
            ("metallb_k8s_client_config_stale_bool", "Whether the last configuration was wrong", self.stale),
        ];
        for (name, help, value) in gauges {
            let gauge = IntGauge::new(name, help)?;
            gauge.set(value.into());
            registry.register(Box::new(gauge))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::TextEncoder;

    #[test]
    fn objects_that_are_wrong_are_counted_and_stale() {
        let mut intake = Intake::default();
        intake.count(true, true);
        intake.count(false, true);
        let registry = Registry::new();
        intake.register(&registry).unwrap();
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "metallb_k8s_client_updates_total 2",
            "metallb_k8s_client_update_errors_total 1",
            "metallb_k8s_client_config_loaded_bool 1",
            "metallb_k8s_client_config_stale_bool 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
        }
    }
}
