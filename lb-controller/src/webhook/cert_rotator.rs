//! The certificate in its Secret, and the configurations that tell API servers to trust it.

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

use super::certificate::{Certificate, CertificateError, Standing, names};
use super::{RETRY, SECRET, SERVICE};
use lb_kube::client::error_log::{Log, words};

/// How often Secret and configurations are looked at: who installs the product anew empties the configurations.
const INTERVAL: Duration = Duration::from_secs(10);
/// The definition whose objects may be converted.
const DEFINITION: &str = "bgppeers.metallb.io";
/// What the Secret holds.
const SECRET_TYPE: &str = "kubernetes.io/tls";
const AUTHORITIES: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// Who writes, in the objects' managed fields.
const MANAGER: &str = "fairlead-webhook";

/// What a webhook is known by.
pub(super) struct Identity {
    pub(super) client: Client,
    /// Of the webhook's Service.
    pub(super) namespace: String,
    /// Name of the ValidatingWebhookConfiguration.
    pub(super) configuration: String,
    pub(super) secret_namespace: String,
}

/// Why a webhook cannot be known by anything now.
#[derive(Debug, thiserror::Error)]
enum IdentityError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("{}", words(.0))]
    Server(#[source] Box<kube::Error>),
    #[error("this machine's clock is before 1970")]
    Clock,
}

impl From<kube::Error> for IdentityError {
    fn from(error: kube::Error) -> Self {
        Self::Server(Box::new(error))
    }
}

impl IdentityError {
    fn log(&self, log: &mut Log, task: &str) {
        match self {
            Self::Server(error) => log.failed(task, error),
            Self::Certificate(_) | Self::Clock => tracing::warn!("cannot {task}: {self}; retrying"),
        }
    }
}

/// A certificate, and whether API servers have been told to trust it for a while.
struct Round {
    certificate: Certificate,
    settled: bool,
}

impl Identity {
    /// Keeps certificate and configurations right for ever; `served` is what the server shows.
    pub(super) async fn keep(self, served: watch::Sender<Option<Arc<ServerConfig>>>) {
        let mut shown: Option<Certificate> = None;
        let mut log = Log::new("the last certificate stays in use");
        loop {
            let pause = match self.round(shown.as_ref(), &mut log).await {
                Ok(round) => {
                    // An API server that does not know of a new authority yet is shown the old certificate, as long
                    // as that is any good.
                    let is_time = round.settled || !shown.as_ref().is_some_and(|it| self.is_usable(it));
                    if is_time && shown.as_ref() != Some(&round.certificate) {
                        match round.certificate.server_config() {
                            Ok(config) => drop(served.send_replace(Some(Arc::new(config)))),
                            Err(error) => tracing::error!(%error, "the webhook cannot show itself"),
                        }
                        shown = Some(round.certificate);
                    }
                    INTERVAL
                }
                Err(error) => {
                    error.log(&mut log, "keep the webhook's certificate");
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn round(&self, shown: Option<&Certificate>, log: &mut Log) -> Result<Round, IdentityError> {
        let certificate = self.certificate(now()?, shown).await?;
        let mut settled = true;
        for (name, told) in [
            (self.configuration.as_str(), self.tell_configuration(&certificate).await),
            (DEFINITION, self.tell_definition(&certificate).await),
        ] {
            match told {
                Ok(written) => settled &= !written,
                Err(error) => {
                    // Somebody else may write the bundle, or has: what can be answered is answered.
                    error.log(log, &format!("write the webhook's certificate into {name}"));
                    settled = false;
                }
            }
        }
        if settled {
            log.succeeded();
        }
        Ok(Round { certificate, settled })
    }

    fn is_usable(&self, certificate: &Certificate) -> bool {
        let names = names(SERVICE, &self.namespace);
        let name = names.first().map(String::as_str).unwrap_or_default();
        now().is_ok_and(|now| certificate.standing(name, now) != Standing::Useless)
    }

    /// The certificate of the Secret, made anew where it is time. Of several controllers one writes, and the others
    /// read what it has written in their next round. Until then they show what they have `shown`, which is trusted on
    /// even if the Secret has been taken away.
    async fn certificate(
        &self,
        now: Duration,
        shown: Option<&Certificate>,
    ) -> Result<Certificate, IdentityError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.secret_namespace);
        let there = api.get_opt(SECRET).await?;
        let found = there.as_ref().and_then(read);
        let names = names(SERVICE, &self.namespace);
        let name = names.first().map(String::as_str).unwrap_or_default();
        if let Some(certificate) = &found
            && certificate.standing(name, now) == Standing::Good
        {
            return Ok(certificate.clone());
        }
        let certificate = Certificate::issue(&names, now, found.as_ref().or(shown))?;
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match there {
            // Says which version it replaces, so two that do so at once are one that does.
            Some(secret) if secret.type_.as_deref() == Some(SECRET_TYPE) => {
                let secret = Secret { data: Some(data(&certificate)), ..secret };
                api.replace(SECRET, &params, &secret).await?;
            }
            // A Secret does not change its type.
            Some(_) => {
                api.delete(SECRET, &Default::default()).await?;
                api.create(&params, &self.secret(&certificate)).await?;
            }
            None => {
                api.create(&params, &self.secret(&certificate)).await?;
            }
        }
        tracing::info!(secret = SECRET, "the webhook has a new certificate");
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

    /// True where the configuration had to be written. Where there is none, no API server asks.
    async fn tell_configuration(&self, certificate: &Certificate) -> Result<bool, IdentityError> {
        let resource = resource(
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
        );
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let Some(mut configuration) = api.get_opt(&self.configuration).await? else { return Ok(false) };
        let bundle = bundle(certificate);
        let webhooks = configuration.data.get_mut("webhooks").and_then(Value::as_array_mut);
        let mut stale = false;
        for client in webhooks.into_iter().flatten().filter_map(|webhook| webhook.get_mut("clientConfig")) {
            if self.is_ours(client) && client.get("caBundle") != Some(&bundle) {
                client["caBundle"] = bundle.clone();
                stale = true;
            }
        }
        if stale {
            let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
            api.replace(&self.configuration, &params, &configuration).await?;
        }
        Ok(stale)
    }

    /// True where the definition had to be written. One that names another service, as MetalLB's does, is not ours.
    async fn tell_definition(&self, certificate: &Certificate) -> Result<bool, IdentityError> {
        let resource =
            resource("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions");
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let Some(definition) = api.get_opt(DEFINITION).await? else { return Ok(false) };
        let client = definition.data.pointer("/spec/conversion/webhook/clientConfig");
        let bundle = bundle(certificate);
        if !client.is_some_and(|it| self.is_ours(it) && it.get("caBundle") != Some(&bundle)) {
            return Ok(false);
        }
        let patch = json!({"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": bundle}}}}});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        api.patch(DEFINITION, &params, &Patch::Merge(patch)).await?;
        Ok(true)
    }

    /// Whether a `clientConfig` leads to this webhook.
    fn is_ours(&self, client: &Value) -> bool {
        client.pointer("/service/name").and_then(Value::as_str) == Some(SERVICE)
            && client.pointer("/service/namespace").and_then(Value::as_str) == Some(&self.namespace)
    }
}

/// The time since 1970.
fn now() -> Result<Duration, IdentityError> {
    SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| IdentityError::Clock)
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

/// The authorities as a configuration has them.
fn bundle(certificate: &Certificate) -> Value {
    json!(ByteString(certificate.authorities.clone().into_bytes()))
}

fn read(secret: &Secret) -> Option<Certificate> {
    let data = secret.data.as_ref()?;
    let text = |field| String::from_utf8(data.get(field)?.0.clone()).ok();
    Some(Certificate { authorities: text(AUTHORITIES)?, certificate: text(CERTIFICATE)?, key: text(KEY)? })
}

fn data(certificate: &Certificate) -> BTreeMap<String, ByteString> {
    let Certificate { authorities, certificate, key } = certificate;
    let entries = [(AUTHORITIES, authorities), (CERTIFICATE, certificate), (KEY, key)];
    entries.map(|(field, text)| (field.to_owned(), ByteString(text.clone().into_bytes()))).into()
}
