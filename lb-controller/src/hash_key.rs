//! The Secret with the cluster's flow hash key, created once, by the first controller that finds none.
//!
//! Agents mount it as a volume, so none starts before it exists.

use std::io;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

use lb_kube::client::error_log::ErrorLog;
use lb_runtime::random;

/// Name of the Secret.
pub const SECRET: &str = "fairlead-hash-key";
/// The key in its data; the value is 32 hexadecimal digits.
pub const KEY: &str = "key";

/// Delay after a failed attempt to create it.
const RETRY: Duration = Duration::from_secs(2);

/// Ensures that the Secret exists. An existing one is never changed: nodes with different keys would disagree
/// on the owner of a flow.
pub(super) async fn ensure(client: Client, namespace: &str) {
    let secrets = Api::<Secret>::namespaced(client, namespace);
    let mut log = ErrorLog::new("agents cannot start without the key");
    while let Err(error) = create(&secrets).await {
        match error {
            KeyError::Random(_) => tracing::warn!("cannot create Secret {SECRET}: {error}; retrying"),
            KeyError::Api(error) => log.failed(&format!("create Secret {SECRET}"), &error),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Creates the Secret unless it exists.
async fn create(secrets: &Api<Secret>) -> Result<(), KeyError> {
    let secret = Secret {
        metadata: ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() },
        string_data: Some([(KEY.to_owned(), random_key()?)].into()),
        // A change would have to reach all nodes at once.
        immutable: Some(true),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => {
            tracing::info!(secret = SECRET, "created the flow hash key");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, thiserror::Error)]
enum KeyError {
    #[error("cannot get random bytes from the kernel: {0}")]
    Random(#[from] io::Error),
    #[error(transparent)]
    Api(#[from] kube::Error),
}

fn random_key() -> io::Result<String> {
    Ok(format!("{:032x}", u128::from_be_bytes(random::bytes()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_valid_and_unique() {
        let [one, other] = [random_key().unwrap(), random_key().unwrap()];
        assert!(one.len() == 32 && one.bytes().all(|digit| digit.is_ascii_hexdigit()), "{one}");
        assert_ne!(one, other);
    }
}
