//! The certificate rotator: keeps the serving certificate in its Secret, and the CA bundles by which API
//! servers trust it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::certificate::{Certificate, CertificateError, CertificateState, dns_names};
use super::names::{SECRET, SERVICE};
use lb_kube::client::error_log::{ErrorLog, describe};

/// Interval of checks: reinstalling the load balancer clears the CA bundles.
const INTERVAL: Duration = Duration::from_secs(10);
/// Delay after a failed check.
const RETRY: Duration = Duration::from_secs(5);
/// The definition whose objects the webhook converts.
const BGP_PEER_DEFINITION: &str = "bgppeers.metallb.io";
/// Type and fields of the Secret.
const SECRET_TYPE: &str = "kubernetes.io/tls";
const CA_BUNDLE_FIELD: &str = "ca.crt";
const CERTIFICATE_FIELD: &str = "tls.crt";
const KEY_FIELD: &str = "tls.key";
/// The field manager of the writes.
const FIELD_MANAGER: &str = "fairlead-webhook";

/// The certificate rotator.
pub(super) struct CertRotator {
    pub(super) client: Client,
    /// Namespace of the webhook's Service.
    pub(super) namespace: String,
    /// Name of the ValidatingWebhookConfiguration.
    pub(super) configuration: String,
    pub(super) secret_namespace: String,
}

/// The certificate cannot be updated now.
#[derive(Debug, thiserror::Error)]
enum RotationError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("{}", describe(.0))]
    Server(#[source] Box<kube::Error>),
    #[error("the system clock is before 1970; set it")]
    Clock,
}

impl From<kube::Error> for RotationError {
    fn from(error: kube::Error) -> Self {
        Self::Server(Box::new(error))
    }
}

impl RotationError {
    fn log(&self, log: &mut ErrorLog, task: &str) {
        match self {
            Self::Server(error) => log.failed(task, error),
            Self::Certificate(_) | Self::Clock => tracing::warn!("cannot {task}: {self}; retrying"),
        }
    }
}

/// The current certificate, and whether API servers have trusted it for at least one interval.
struct Rotation {
    certificate: Certificate,
    is_trusted: bool,
}

impl CertRotator {
    /// Keeps certificate and CA bundles up to date until the task is aborted; sends the TLS configuration to
    /// serve.
    pub(super) async fn run(self, tls_config: watch::Sender<Option<Arc<ServerConfig>>>) {
        let mut served: Option<Certificate> = None;
        let mut log = ErrorLog::new("the last certificate stays in use");
        loop {
            let pause = match self.rotate(served.as_ref(), &mut log).await {
                Ok(Rotation { certificate, is_trusted }) => {
                    // An API server may not know the new CA yet: serve the old certificate as long as it is
                    // usable.
                    let is_due = is_trusted || !served.as_ref().is_some_and(|it| self.is_usable(it));
                    if is_due && served.as_ref() != Some(&certificate) {
                        match certificate.server_config() {
                            Ok(config) => drop(tls_config.send_replace(Some(Arc::new(config)))),
                            Err(error) => {
                                tracing::error!(%error, "cannot install the webhook's serving certificate");
                            }
                        }
                        served = Some(certificate);
                    }
                    INTERVAL
                }
                Err(error) => {
                    error.log(&mut log, "update the webhook's serving certificate");
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn rotate(
        &self,
        served: Option<&Certificate>,
        log: &mut ErrorLog,
    ) -> Result<Rotation, RotationError> {
        let certificate = self.certificate(now()?, served).await?;
        let mut is_trusted = true;
        for (name, result) in [
            (self.configuration.as_str(), self.update_configuration(&certificate).await),
            (BGP_PEER_DEFINITION, self.update_definition(&certificate).await),
        ] {
            match result {
                Ok(written) => is_trusted &= !written,
                Err(error) => {
                    // The bundle may have been set by other means, so the webhook is served in any case.
                    error.log(log, &format!("write the webhook's CA bundle into {name}"));
                    is_trusted = false;
                }
            }
        }
        if is_trusted {
            log.succeeded();
        }
        Ok(Rotation { certificate, is_trusted })
    }

    fn is_usable(&self, certificate: &Certificate) -> bool {
        let names = dns_names(SERVICE, &self.namespace);
        let name = names.first().map(String::as_str).unwrap_or_default();
        now().is_ok_and(|now| certificate.state(name, now) != CertificateState::Unusable)
    }

    /// Returns the certificate of the Secret, renewed if it is time. One of several controllers writes it,
    /// and the others read it in their next check. Until then they serve the last one, which stays trusted
    /// even if the Secret is deleted.
    async fn certificate(
        &self,
        now: Duration,
        served: Option<&Certificate>,
    ) -> Result<Certificate, RotationError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.secret_namespace);
        let secret = api.get_opt(SECRET).await?;
        let found = secret.as_ref().and_then(read);
        let names = dns_names(SERVICE, &self.namespace);
        let name = names.first().map(String::as_str).unwrap_or_default();
        if let Some(certificate) = &found
            && certificate.state(name, now) == CertificateState::Valid
        {
            return Ok(certificate.clone());
        }
        let certificate = Certificate::issue(&names, now, found.as_ref().or(served))?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match secret {
            // Replaces a certain version, so of two controllers that renew at once one succeeds.
            Some(secret) if secret.type_.as_deref() == Some(SECRET_TYPE) => {
                let secret = Secret { data: Some(data(&certificate)), ..secret };
                api.replace(SECRET, &params, &secret).await?;
            }
            // The type of a Secret is immutable.
            Some(_) => {
                api.delete(SECRET, &Default::default()).await?;
                api.create(&params, &self.secret(&certificate)).await?;
            }
            None => {
                api.create(&params, &self.secret(&certificate)).await?;
            }
        }
        tracing::info!(secret = SECRET, "issued a new serving certificate for the webhook");
        Ok(certificate)
    }

    fn secret(&self, certificate: &Certificate) -> Secret {
        Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                namespace: Some(self.secret_namespace.clone()),
                ..ObjectMeta::default()
            },
            type_: Some(SECRET_TYPE.to_owned()),
            data: Some(data(certificate)),
            ..Secret::default()
        }
    }

    /// Writes the CA bundle into the webhook configuration, if there is one; returns whether that was
    /// necessary.
    async fn update_configuration(&self, certificate: &Certificate) -> Result<bool, RotationError> {
        let resource = resource(
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
        );
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let Some(mut configuration) = api.get_opt(&self.configuration).await? else { return Ok(false) };
        let bundle = ca_bundle_value(certificate);
        let webhooks = configuration.data.get_mut("webhooks").and_then(Value::as_array_mut);
        let mut stale = false;
        for client in webhooks.into_iter().flatten().filter_map(|webhook| webhook.get_mut("clientConfig")) {
            if self.is_ours(client) && client.get("caBundle") != Some(&bundle) {
                client["caBundle"] = bundle.clone();
                stale = true;
            }
        }
        if stale {
            let params =
                PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            api.replace(&self.configuration, &params, &configuration).await?;
        }
        Ok(stale)
    }

    /// Writes the CA bundle into the definition, unless that names another service, as MetalLB's does;
    /// returns whether that was necessary.
    async fn update_definition(&self, certificate: &Certificate) -> Result<bool, RotationError> {
        let resource =
            resource("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions");
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let Some(definition) = api.get_opt(BGP_PEER_DEFINITION).await? else { return Ok(false) };
        let client = definition.data.pointer("/spec/conversion/webhook/clientConfig");
        let bundle = ca_bundle_value(certificate);
        if !client.is_some_and(|it| self.is_ours(it) && it.get("caBundle") != Some(&bundle)) {
            return Ok(false);
        }
        let patch = json!({"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": bundle}}}}});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        api.patch(BGP_PEER_DEFINITION, &params, &Patch::Merge(patch)).await?;
        Ok(true)
    }

    /// Returns whether a `clientConfig` refers to this webhook.
    fn is_ours(&self, client: &Value) -> bool {
        client.pointer("/service/name").and_then(Value::as_str) == Some(SERVICE)
            && client.pointer("/service/namespace").and_then(Value::as_str) == Some(&self.namespace)
    }
}

/// Returns the Unix time.
fn now() -> Result<Duration, RotationError> {
    SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| RotationError::Clock)
}

fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.to_owned(),
        version: "v1".to_owned(),
        api_version: format!("{group}/v1"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// Returns the CA bundle in the form of a `clientConfig`.
fn ca_bundle_value(certificate: &Certificate) -> Value {
    json!(ByteString(certificate.ca_bundle.clone().into_bytes()))
}

fn read(secret: &Secret) -> Option<Certificate> {
    let data = secret.data.as_ref()?;
    let text = |field| String::from_utf8(data.get(field)?.0.clone()).ok();
    Some(Certificate {
        ca_bundle: text(CA_BUNDLE_FIELD)?,
        certificate: text(CERTIFICATE_FIELD)?,
        key: text(KEY_FIELD)?,
    })
}

fn data(certificate: &Certificate) -> BTreeMap<String, ByteString> {
    let Certificate { ca_bundle, certificate, key } = certificate;
    let entries = [(CA_BUNDLE_FIELD, ca_bundle), (CERTIFICATE_FIELD, certificate), (KEY_FIELD, key)];
    entries.map(|(field, text)| (field.to_owned(), ByteString(text.clone().into_bytes()))).into()
}
