//! The cluster's secret for the flow hash: made once, by whichever controller finds none.
//!
//! Agents have it as a file of their pods, so none starts before it is there.

use std::io;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

use lb_kube::client::error_log::Log;
use lb_runtime::random;

/// Name of the Secret.
pub const SECRET: &str = "fairlead-hash-key";
/// Its key; the value is 32 hexadecimal digits.
pub const KEY: &str = "key";

/// When it is tried again to make it.
const RETRY: Duration = Duration::from_secs(2);

/// Sees to it that the Secret is there. One that is there stays as it is: nodes that hash by different keys do not agree
/// on whose a flow is.
pub(super) async fn provide(client: Client, namespace: &str) {
    let secrets = Api::<Secret>::namespaced(client, namespace);
    let mut log = Log::new("agents that have no key yet do not start");
    while let Err(error) = create(&secrets).await {
        match error {
            Failure::Random(_) => tracing::warn!("cannot create Secret {SECRET}: {error}; retrying"),
            Failure::Server(error) => log.failed(&format!("create Secret {SECRET}"), &error),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Made, or there already.
async fn create(secrets: &Api<Secret>) -> Result<(), Failure> {
    let secret = Secret {
        metadata: ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() },
        string_data: Some([(KEY.to_owned(), random_key()?)].into()),
        // A change of it would have to reach all nodes at once.
        immutable: Some(true),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => {
            tracing::info!(secret = SECRET, "the key of the flow hash has been made");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the kernel gives no random bytes: {0}")]
    Random(#[from] io::Error),
    #[error(transparent)]
    Server(#[from] kube::Error),
}

fn random_key() -> io::Result<String> {
    Ok(format!("{:032x}", u128::from_be_bytes(random::bytes()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_an_agent_reads_and_never_the_same() {
        let [one, other] = [random_key().unwrap(), random_key().unwrap()];
        assert!(one.len() == 32 && one.bytes().all(|digit| digit.is_ascii_hexdigit()), "{one}");
        assert_ne!(one, other);
    }
}
