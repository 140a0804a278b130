//! Tests of the controller's webhook, called as by an API server: over TLS, trusting only the configured CA
//! bundle.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fairlead_tests::cluster::{Controller, NAMESPACE, TestCluster, eventually};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use lb_controller::webhook::certificate::{Certificate, LIFETIME, RENEW_BEFORE, dns_names};
use lb_controller::webhook::names::{CONFIGURATION, SECRET, SERVICE};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const SOON: Duration = Duration::from_secs(20);
const VALIDATE: &str = "/validate-metallb-io-v1beta1-ipaddresspool";

/// Returns the chart's webhook configuration with an additional foreign webhook.
fn configuration() -> Value {
    let webhook = |service: &str| {
        json!({"name": format!("{service}.example.com"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
               "clientConfig": {"service": {"name": service, "namespace": NAMESPACE, "path": "/validate"}}})
    };
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
           "metadata": {"name": CONFIGURATION}, "webhooks": [webhook(SERVICE), webhook("other")]})
}

/// Returns the definition of a kind with a conversion webhook.
fn definition(kind: &str, plural: &str, service: &str) -> Value {
    let version = |name: &str, stored: bool| {
        json!({"name": name, "served": true, "storage": stored, "schema": {"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        }}})
    };
    let client = json!({"service": {"name": service, "namespace": NAMESPACE, "path": "/convert"}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
           "metadata": {"name": format!("{plural}.metallb.io")},
           "spec": {"group": "metallb.io", "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                    "conversion": {"strategy": "Webhook", "webhook": {
                        "clientConfig": client, "conversionReviewVersions": ["v1"],
                    }},
                    "versions": [version("v1beta1", true), version("v1beta2", false)]}})
}

fn bundle(cluster: &TestCluster, webhook: usize) -> Option<String> {
    let group = "admissionregistration.k8s.io";
    let there = cluster.store.get(group, "validatingwebhookconfigurations", "", CONFIGURATION)?;
    let encoded = there["webhooks"][webhook]["clientConfig"]["caBundle"].as_str()?.to_owned();
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

fn conversion_bundle(cluster: &TestCluster) -> Option<String> {
    let group = "apiextensions.k8s.io";
    let there = cluster.store.get(group, "customresourcedefinitions", "", "bgppeers.metallb.io")?;
    let encoded = there.pointer("/spec/conversion/webhook/clientConfig/caBundle")?.as_str()?.to_owned();
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

fn secret(cluster: &TestCluster) -> Option<Value> {
    cluster.store.get("", "secrets", NAMESPACE, SECRET)
}

/// A client of one webhook.
struct Client {
    port: u16,
    /// The authorities that it trusts.
    trusts: String,
}

impl Client {
    async fn connect(&self) -> Result<hyper::client::conn::http1::SendRequest<Full<Bytes>>> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(self.trusts.as_bytes()) {
            roots.add(authority?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let name = ServerName::try_from(format!("{SERVICE}.{NAMESPACE}.svc"))?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn ask(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Result<(StatusCode, Value)> {
        let request = Request::builder().method(method).uri(path).header("host", SERVICE);
        let request = request.body(Full::new(body.into()))?;
        let response = self.connect().await?.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Returns the response to a review of a change.
    async fn review(&self, path: &str, operation: &str, object: &Value) -> Result<Value> {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "the-uid", "operation": operation, "kind": {"kind": object["kind"]}, "namespace": NAMESPACE,
            "name": object["metadata"]["name"], "object": if operation == "DELETE" { &Value::Null } else { object },
            "oldObject": if operation == "DELETE" { object } else { &Value::Null },
        }});
        let (status, answer) = self.ask("POST", path, review.to_string()).await?;
        ensure!(status == StatusCode::OK, "{status}");
        ensure!(answer["kind"] == "AdmissionReview" && answer["response"]["uid"] == "the-uid", "{answer}");
        Ok(answer["response"].clone())
    }
}

fn object(version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": format!("metallb.io/{version}"), "kind": kind,
           "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}

fn pool(name: &str, addresses: &str) -> Value {
    object("v1beta1", "IPAddressPool", name, &json!({"addresses": [addresses]}))
}

/// Returns a cluster as installed by the chart, with a pool, a profile and a peer that uses it.
async fn cluster() -> Result<TestCluster> {
    let cluster = TestCluster::start().await?;
    cluster.store.put(&configuration())?;
    cluster.store.put(&definition("BGPPeer", "bgppeers", SERVICE))?;
    cluster.store.put(&definition("BFDProfile", "bfdprofiles", "another"))?;
    cluster.store.put(&pool("a", "192.0.2.0/24"))?;
    cluster.store.put(&object("v1beta1", "BFDProfile", "fast", &json!({})))?;
    let peer = json!({"myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1", "bfdProfile": "fast"});
    cluster.store.put(&object("v1beta2", "BGPPeer", "tor", &peer))?;
    Ok(cluster)
}

/// Starts a controller whose webhook listens on a free port.
fn start(cluster: &TestCluster, identity: &str, mode: &str) -> Result<(Controller, u16)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let arguments = ["--webhook-mode", mode, "--webhook-port", &port.to_string()];
    Ok((cluster.controller_with(identity, &arguments)?, port))
}

/// Returns a client that trusts the configured bundle, once the webhook answers.
async fn client(cluster: &TestCluster, port: u16) -> Result<Client> {
    eventually("the configuration has a bundle", SOON, || bundle(cluster, 0).is_some()).await?;
    let client = Client { port, trusts: bundle(cluster, 0).context("a bundle")? };
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        match client.review("/validate", "CREATE", &pool("probe", "203.0.113.0/24")).await {
            Ok(_) => return Ok(client),
            Err(error) if tokio::time::Instant::now() > deadline => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

#[tokio::test]
async fn the_webhook_validates_requests_of_clients_that_trust_the_ca_bundle() -> Result<()> {
    let cluster = cluster().await?;
    let (controller, port) = start(&cluster, "one", "enabled")?;
    let client = client(&cluster, port).await?;
    assert_eq!(bundle(&cluster, 1), None, "a foreign webhook is not changed");
    eventually("the conversion has the bundle, too", SOON, || {
        conversion_bundle(&cluster) == bundle(&cluster, 0)
    })
    .await?;
    assert_eq!(secret(&cluster).context("a Secret")?["type"], "kubernetes.io/tls");

    let taken = client.review(VALIDATE, "CREATE", &pool("b", "192.0.3.0/24")).await?;
    assert_eq!(taken, json!({"uid": "the-uid", "allowed": true}));
    let refused = client.review(VALIDATE, "CREATE", &pool("b", "192.0.2.128/25")).await?;
    assert_eq!((&refused["allowed"], &refused["status"]["code"]), (&json!(false), &json!(422)));
    let message = refused["status"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("IPAddressPool metallb-system/b: spec.addresses[0]: "), "{message}");
    let waits = json!({"myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.2", "bfdProfile": "none"});
    let peer = object("v1beta2", "BGPPeer", "new", &waits);
    let warned = client.review("/validate-metallb-io-v1beta2-bgppeer", "CREATE", &peer).await?;
    assert_eq!(warned["allowed"], true);
    assert!(warned["warnings"][0].as_str().unwrap_or_default().contains("BFDProfile none"), "{warned}");

    let profile = object("v1beta1", "BFDProfile", "fast", &json!({}));
    let path = "/validate-metallb-io-v1beta1-bfdprofile";
    assert_eq!(client.review(path, "DELETE", &profile).await?["allowed"], false);
    cluster.store.remove("metallb.io", "bgppeers", NAMESPACE, "tor");
    let deadline = tokio::time::Instant::now() + SOON;
    while client.review(path, "DELETE", &profile).await?["allowed"] == false {
        ensure!(tokio::time::Instant::now() < deadline, "the profile cannot be deleted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    controller.kill()
}

#[tokio::test]
async fn peers_are_converted_both_ways() -> Result<()> {
    let cluster = cluster().await?;
    let (controller, port) = start(&cluster, "one", "enabled")?;
    let client = client(&cluster, port).await?;
    let spec = json!({"myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1", "vrf": "red"});
    for (from, to, vrf) in [("v1beta1", "v1beta2", json!("red")), ("v1beta2", "v1beta1", Value::Null)] {
        let review = json!({"kind": "ConversionReview", "request": {
            "uid": "c", "desiredAPIVersion": format!("metallb.io/{to}"), "objects": [object(from, "BGPPeer", "p", &spec)],
        }});
        let (status, answer) = client.ask("POST", "/convert", review.to_string()).await?;
        assert_eq!((status, &answer["response"]["result"]["status"]), (StatusCode::OK, &json!("Success")));
        let converted = &answer["response"]["convertedObjects"][0];
        assert_eq!(converted["apiVersion"], format!("metallb.io/{to}"));
        assert_eq!((&converted["spec"]["peerASN"], &converted["spec"]["vrf"]), (&json!(2), &vrf));
    }
    controller.kill()
}

#[tokio::test]
async fn malformed_requests_are_rejected_and_affect_no_other() -> Result<()> {
    let cluster = cluster().await?;
    let (controller, port) = start(&cluster, "one", "enabled")?;
    let client = client(&cluster, port).await?;
    for (method, path, body, expected) in [
        ("POST", VALIDATE, "{", 400),
        ("POST", VALIDATE, "", 400),
        ("POST", VALIDATE, "\u{0}\u{ff}", 400),
        ("POST", VALIDATE, "{\"request\": {\"uid\": []}}", 400),
        ("POST", "/convert", "[]", 400),
        ("POST", "/convert", "{\"request\": null}", 400),
        ("GET", VALIDATE, "", 405),
        ("POST", "/metrics", "{}", 404),
    ] {
        let (status, _) = client.ask(method, path, body).await?;
        assert_eq!(status.as_u16(), expected, "{method} {path} {body:?}");
    }
    let (status, _) = client
        .ask("POST", VALIDATE, vec![b'['; 9 << 20])
        .await
        .unwrap_or((StatusCode::PAYLOAD_TOO_LARGE, Value::Null));
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await?;
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let stranger = Client { port, trusts: issued(Duration::ZERO)?.ca_bundle };
    assert!(stranger.connect().await.is_err(), "a client that trusts another authority must fail");
    assert_eq!(client.review(VALIDATE, "CREATE", &pool("b", "192.0.3.0/24")).await?["allowed"], true);
    controller.kill()
}

/// Issues a certificate as of that long ago.
fn issued(ago: Duration) -> Result<Certificate> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Certificate::issue(&dns_names(SERVICE, NAMESPACE), now - ago, None)?)
}

fn put(cluster: &TestCluster, certificate: &Certificate) -> Result<()> {
    let encode = |text: &str| STANDARD.encode(text);
    cluster.store.put(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": NAMESPACE},
        "type": "kubernetes.io/tls",
        "data": {"ca.crt": encode(&certificate.ca_bundle), "tls.crt": encode(&certificate.certificate),
                 "tls.key": encode(&certificate.key)},
    }))
}

#[tokio::test]
async fn an_expiring_certificate_is_replaced_and_stays_trusted() -> Result<()> {
    let cluster = cluster().await?;
    let old = issued(LIFETIME - RENEW_BEFORE + Duration::from_secs(60))?;
    put(&cluster, &old)?;
    let before = secret(&cluster);
    let (controller, port) = start(&cluster, "one", "enabled")?;
    eventually("the Secret has a new certificate", SOON, || secret(&cluster) != before).await?;
    let client = client(&cluster, port).await?;
    assert_eq!(client.trusts.matches("BEGIN CERTIFICATE").count(), 2, "{}", client.trusts);
    assert!(
        client.trusts.contains(old.ca_bundle.trim()),
        "another controller may still use the old certificate"
    );
    controller.kill()
}

/// Follows the configured bundle while the certificate `old` is served, and calls the webhook all the time.
async fn follow_until_replaced(cluster: &TestCluster, port: u16, old: &str) -> Result<u32> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut asked = 0;
    loop {
        let trusts = bundle(cluster, 0).context("a bundle")?;
        let fresh = trusts.replace(old.trim(), "");
        let object = pool("probe", "203.0.113.0/24");
        let answer = Client { port, trusts }.review(VALIDATE, "CREATE", &object).await;
        answer.with_context(|| format!("request {asked}"))?;
        asked += 1;
        if (Client { port, trusts: fresh }).connect().await.is_ok() {
            return Ok(asked);
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "the old certificate is still served after {asked} requests"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_running_webhook_replaces_its_certificate_without_failed_requests() -> Result<()> {
    let cluster = cluster().await?;
    // Valid for a few seconds more.
    let old = issued(LIFETIME - RENEW_BEFORE - Duration::from_secs(5))?;
    put(&cluster, &old)?;
    let (controller, port) = start(&cluster, "one", "enabled")?;
    assert_eq!(client(&cluster, port).await?.trusts, old.ca_bundle, "it must not be replaced at the start");
    let asked = follow_until_replaced(&cluster, port, &old.ca_bundle).await?;
    println!("answered {asked} times until the certificate was replaced");

    let second = bundle(&cluster, 0).context("a bundle")?.replace(old.ca_bundle.trim(), "");
    assert!(cluster.store.remove("", "secrets", NAMESPACE, SECRET));
    let asked = follow_until_replaced(&cluster, port, &second).await?;
    println!("answered {asked} times after the Secret was deleted");
    controller.kill()
}

#[tokio::test]
async fn controllers_share_a_valid_certificate_also_in_webhook_only_mode() -> Result<()> {
    let cluster = cluster().await?;
    let good = issued(Duration::from_secs(3600))?;
    put(&cluster, &good)?;
    let before = secret(&cluster);
    let (one, first) = start(&cluster, "one", "onlywebhook")?;
    let (two, second) = start(&cluster, "two", "onlywebhook")?;
    for port in [first, second] {
        assert_eq!(client(&cluster, port).await?.trusts, good.ca_bundle);
    }
    assert_eq!(secret(&cluster), before, "the certificate must not change");
    let leases = cluster.store.all("coordination.k8s.io", "leases");
    assert_eq!(leases, [] as [Value; 0], "no controller leads");
    // A new installation empties the configuration.
    cluster.store.put(&configuration())?;
    eventually("the bundle is restored", SOON, || bundle(&cluster, 0).as_ref() == Some(&good.ca_bundle))
        .await?;
    one.kill()?;
    two.kill()
}
