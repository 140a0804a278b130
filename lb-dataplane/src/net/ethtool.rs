//! Features and queues of network devices, from `ethtool`.

use std::fs;

use lb_runtime::commands;

/// The driver of a device, and its combined queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceQueues {
    /// Its driver.
    pub driver: String,
    /// Queues that it uses.
    pub used: u32,
    /// Queues that it has.
    pub available: u32,
}

/// Returns whether a feature of a device is on. Without `ethtool`, none is known.
pub fn has_feature(device: &str, feature: &str) -> bool {
    let Some((true, features)) = commands::run("ethtool", &["-k", device]) else { return false };
    let line = format!("{feature}: on");
    features.lines().any(|it| it.trim().starts_with(&line))
}

/// Returns the driver of a device and its queues; `None` without `ethtool`.
pub fn queues(device: &str) -> Option<DeviceQueues> {
    let (_, text) = commands::run("ethtool", &["-l", device]).filter(|it| it.0)?;
    let [available, used] = combined(&text)?;
    let driver = fs::read_link(format!("/sys/class/net/{device}/device/driver")).ok()?;
    let driver = driver.file_name()?.to_string_lossy().into_owned();
    Some(DeviceQueues { driver, used, available })
}

/// Returns the numbers of combined queues: the maximum, then the current one.
fn combined(text: &str) -> Option<[u32; 2]> {
    let numbers = text.lines().filter_map(|line| line.strip_prefix("Combined:")?.trim().parse().ok());
    numbers.collect::<Vec<_>>().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::combined;

    #[test]
    fn combined_queues_are_read() {
        let text = "Channel parameters for eth0:\nPre-set maximums:\nRX:\t\tn/a\nCombined:\t8\n\
                    Current hardware settings:\nRX:\t\tn/a\nCombined:\t2\n";
        assert_eq!(combined(text), Some([8, 2]));
        assert_eq!(combined("Pre-set maximums:\nRX:\t4\nCombined:\tn/a\n"), None);
    }
}
