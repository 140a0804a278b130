//! A MetalLB installation as an API server sees it: its objects, and its webhook, which validates objects of
//! all namespaces and admits only those of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use lb_controller::webhook::certificate::{Certificate, dns_names};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::kube_clients::root;

/// Its namespace.
pub const NAMESPACE: &str = "metallb-system";
/// Its webhook configuration.
pub const CONFIGURATION: &str = "metallb-webhook-configuration";
/// Its webhook's Service.
pub const SERVICE: &str = "metallb-webhook-service";

/// Status kinds that later versions have introduced.
const LATER: [&str; 2] = ["configurationstates.metallb.io", "bgpsessionstates.frrk8s.metallb.io"];
/// Name, resource, version and operations of each webhook.
const WEBHOOKS: [(&str, &str, &str, &[&str]); 6] = [
    ("bgppeersvalidationwebhook", "bgppeers", "v1beta2", &["CREATE", "UPDATE"]),
    ("bfdprofilevalidationwebhook", "bfdprofiles", "v1beta1", &["CREATE", "DELETE"]),
    ("bgpadvertisementvalidationwebhook", "bgpadvertisements", "v1beta1", &["CREATE", "UPDATE"]),
    ("communityvalidationwebhook", "communities", "v1beta1", &["CREATE", "UPDATE"]),
    ("ipaddresspoolvalidationwebhook", "ipaddresspools", "v1beta1", &["CREATE", "UPDATE"]),
    ("l2advertisementvalidationwebhook", "l2advertisements", "v1beta1", &["CREATE", "UPDATE"]),
];

/// Returns its manifest, as JSON documents in a YAML stream.
///
/// # Errors
/// When the definitions of kinds cannot be read.
pub fn manifest() -> Result<String> {
    let mut objects = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})];
    objects.extend(definitions()?);
    objects.extend([workload("Deployment", "controller"), workload("DaemonSet", "speaker")]);
    objects.push(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {"selector": {"app": "metallb", "component": "controller"}, "ports": [{"port": 443, "targetPort": 9443}]},
    }));
    objects.push(json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": CONFIGURATION}, "webhooks": WEBHOOKS.map(webhook),
    }));
    Ok(objects.iter().map(|object| format!("---\n{object}\n")).collect())
}

/// Returns Fairlead's definitions with other descriptions, and with conversion by a webhook.
fn definitions() -> Result<Vec<Value>> {
    let mut definitions = Vec::new();
    for entry in std::fs::read_dir(root().join("deploy/crds"))? {
        let text = std::fs::read_to_string(entry?.path())?;
        let mut definition: Value = serde_saphyr::from_str(&text)?;
        let name = definition["metadata"]["name"].as_str().unwrap_or_default();
        if definition["kind"] != "CustomResourceDefinition" || LATER.contains(&name) {
            continue;
        }
        let converts = name == "bgppeers.metallb.io";
        for version in definition["spec"]["versions"].as_array_mut().context("versions")? {
            version["schema"]["openAPIV3Schema"]["description"] = "MetalLB's description.".into();
        }
        if converts {
            let service = json!({"name": SERVICE, "namespace": NAMESPACE, "path": "/convert"});
            let webhook = json!({"clientConfig": {"service": service}, "conversionReviewVersions": ["v1beta1", "v1beta2"]});
            definition["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": webhook});
        }
        definitions.push(definition);
    }
    Ok(definitions)
}

fn workload(kind: &str, component: &str) -> Value {
    let labels = json!({"app": "metallb", "component": component});
    let container = json!({"name": component, "image": format!("quay.io/metallb/{component}:v0.15.2")});
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": component, "namespace": NAMESPACE, "labels": labels},
        "spec": {"selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}},
    })
}

fn webhook((name, resource, version, operations): (&str, &str, &str, &[&str])) -> Value {
    let kind = resource.trim_end_matches('s').replace("communitie", "community");
    let path = format!("/validate-metallb-io-{version}-{kind}");
    json!({
        "name": format!("{name}.metallb.io"), "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
        "clientConfig": {"service": {"name": SERVICE, "namespace": NAMESPACE, "path": path}},
        "rules": [{"apiGroups": ["metallb.io"], "apiVersions": [version], "operations": operations, "resources": [resource]}],
    })
}

/// A running webhook.
pub struct MetallbWebhook {
    /// The backend of its Service.
    pub address: SocketAddr,
    /// The CA bundle as the webhook configuration holds it.
    pub bundle: String,
    judged: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl MetallbWebhook {
    /// Starts the webhook.
    ///
    /// # Errors
    /// When it cannot listen, or cannot make a certificate.
    pub async fn start() -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let certificate = Certificate::issue(&dns_names(SERVICE, NAMESPACE), now, None)?;
        let acceptor = TlsAcceptor::from(Arc::new(certificate.server_config()?));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let judged = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&judged);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, Arc::clone(&count)));
            }
        });
        Ok(Self { address, bundle: STANDARD.encode(certificate.ca_bundle), judged, task })
    }

    /// Returns how many objects it has validated.
    #[must_use]
    pub fn judged(&self) -> u64 {
        self.judged.load(Ordering::Relaxed)
    }
}

impl Drop for MetallbWebhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, judged: Arc<AtomicU64>) {
    // Whether the client trusts the certificate is up to the client.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let answer = |request| {
        judged.fetch_add(1, Ordering::Relaxed);
        review(request)
    };
    let server = hyper::server::conn::http1::Builder::new();
    let _ = server.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

async fn review(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let asked = &review["request"];
    let allowed = asked["namespace"] == NAMESPACE;
    let mut response = json!({"uid": asked["uid"], "allowed": allowed});
    if !allowed {
        let message = format!("resource must be created in {NAMESPACE} namespace");
        response["status"] = json!({"code": 403, "message": message});
    }
    let answer =
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    Ok(Response::builder()
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(answer.to_string())))
        .unwrap_or_default())
}

/// Returns a Service with an address that it has assigned, as stored in a cluster.
///
/// # Errors
/// When the text below is not YAML.
pub fn service(name: &str, address: &str) -> Result<Value> {
    let text = format!(
        "apiVersion: v1\nkind: Service\n\
         metadata: {{name: {name}, namespace: default, annotations: {{metallb.io/ip-allocated-from-pool: pool}}}}\n\
         spec: {{type: LoadBalancer, clusterIP: 10.96.7.{last}, clusterIPs: [10.96.7.{last}], ipFamilies: [IPv4],\
         ipFamilyPolicy: SingleStack, selector: {{app: {name}}}, externalTrafficPolicy: Cluster,\
         internalTrafficPolicy: Cluster, sessionAffinity: None, allocateLoadBalancerNodePorts: false,\
         ports: [{{port: 80, protocol: TCP, targetPort: 80}}]}}\n\
         status: {{loadBalancer: {{ingress: [{{ip: {address}}}]}}}}\n",
        last = address.rsplit('.').next().unwrap_or("1"),
    );
    Ok(serde_saphyr::from_str(&text)?)
}
