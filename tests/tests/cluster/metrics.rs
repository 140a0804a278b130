//! Tests of metrics over TLS: the tokens of clients are reviewed by the API server.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::cluster::{NAMESPACE, TestCluster};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use lb_kube::client::ClientRole;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(20);

/// Returns the status code and the body of a GET over TLS, without a check of the certificate.
fn get(address: &str, path: &str, token: Option<&str>) -> Result<(u16, String)> {
    let url = format!("https://{address}{path}");
    let mut command = Command::new("curl");
    command.args(["-sSk", "-m", "10", "-w", "\n%{http_code}", &url]);
    if let Some(token) = token {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    let (body, code) = text.rsplit_once('\n').with_context(|| text.clone())?;
    Ok((code.parse()?, body.to_owned()))
}

/// Waits until the port answers its health check.
async fn wait_served(address: &str) -> Result<()> {
    let begun = Instant::now();
    while !matches!(get(address, "/healthz", None), Ok((200, _))) {
        ensure!(begun.elapsed() < SOON, "{:?}", get(address, "/healthz", None));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}

fn role(verb: &str, url: &str) -> [Value; 2] {
    let group = "rbac.authorization.k8s.io";
    [
        json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": "scrape"},
               "rules": [{"nonResourceURLs": [url], "verbs": [verb]}]}),
        json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "scrape"},
               "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "scrape"},
               "subjects": [{"kind": "ServiceAccount", "name": "prometheus", "namespace": NAMESPACE}]}),
    ]
}

/// Returns a token of a new service account.
async fn token(cluster: &TestCluster, account: &str) -> Result<String> {
    let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": NAMESPACE}});
    cluster.store.put(&object)?;
    let client = lb_kube::client::connect(Some(&cluster.kubeconfig()), ClientRole::Command).await?;
    let accounts = Api::<ServiceAccount>::namespaced(client, NAMESPACE);
    let request =
        accounts.create_token_request(account, &PostParams::default(), &TokenRequest::default()).await?;
    Ok(request.status.context("no token")?.token)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tokens_that_the_api_server_allows_may_scrape() -> Result<()> {
    let mut cluster = TestCluster::start().await?;
    let [allowed, other, late] = [
        token(&cluster, "prometheus").await?,
        token(&cluster, "other").await?,
        token(&cluster, "late").await?,
    ];
    role("get", "/metrics").iter().try_for_each(|object| cluster.store.put(object))?;
    let address = free_address().await?;
    let controller =
        cluster.controller_with("one", &["--metrics-address", &address, "--metrics-tls", "on"])?;
    wait_served(&address).await?;
    let (code, body) = get(&address, "/metrics", Some(&allowed))?;
    ensure!(code == 200 && body.contains("metallb_k8s_client_config_loaded_bool"), "{code} {body}");
    for (token, expected, part) in [
        (None, 401, "bearer token is required"),
        (Some("invented"), 401, "not valid"),
        (Some(other.as_str()), 403, "system:serviceaccount:metallb-system:other"),
    ] {
        let (code, body) = get(&address, "/metrics", token)?;
        ensure!(code == expected && body.contains(part), "{token:?}: {code} {body}");
    }
    let plain =
        Command::new("curl").args(["-sS", "-m", "5", &format!("http://{address}/metrics")]).output()?;
    ensure!(!plain.status.success(), "served over HTTP: {}", String::from_utf8_lossy(&plain.stdout));

    // Without the API server, what is known is answered, the rest is named, and health stays open.
    cluster.stop_server();
    ensure!(get(&address, "/metrics", Some(&allowed))?.0 == 200, "a known token");
    let (code, body) = get(&address, "/metrics", Some(&late))?;
    ensure!(code == 503 && body.contains("TokenReview") | body.contains("API server"), "{code} {body}");
    ensure!(get(&address, "/healthz", None)?.0 == 200);
    controller.kill()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_for_another_verb_does_not_allow_a_scrape() -> Result<()> {
    let cluster = TestCluster::start().await?;
    let token = token(&cluster, "prometheus").await?;
    role("post", "/metrics").iter().try_for_each(|object| cluster.store.put(object))?;
    let address = free_address().await?;
    let controller =
        cluster.controller_with("one", &["--metrics-address", &address, "--metrics-tls", "on"])?;
    wait_served(&address).await?;
    ensure!(get(&address, "/metrics", Some(&token))?.0 == 403, "not the verb get");
    controller.kill()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_ones_own_is_served_and_replaced() -> Result<()> {
    let cluster = TestCluster::start().await?;
    let directory = tempfile::TempDir::new()?;
    let certificate = |name: &str| -> Result<Vec<u8>> {
        let args =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        let subject = format!("/CN={name}");
        let alternative = format!("subjectAltName=DNS:{name}");
        let files = [directory.path().join("tls.key"), directory.path().join("tls.crt")];
        let mut command = Command::new("openssl");
        command.args(args).args(["-subj", &subject, "-addext", &alternative, "-keyout"]).arg(&files[0]);
        let output = command.arg("-out").arg(&files[1]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(std::fs::read(&files[1])?)
    };
    certificate("first.example")?;
    let address = free_address().await?;
    let path = directory.path().to_string_lossy().into_owned();
    let arguments = ["--metrics-address", &address, "--metrics-tls", "on", "--metrics-cert-dir", &path];
    let controller = cluster.controller_with("one", &arguments)?;
    wait_served(&address).await?;
    let port = address.rsplit_once(':').context("no port")?.1.to_owned();
    let verifies = |name: &str| -> Result<bool> {
        let url = format!("https://{name}:{port}/healthz");
        let mut command = Command::new("curl");
        command.args(["-sS", "-m", "5", "--cacert"]).arg(directory.path().join("tls.crt"));
        Ok(command.args(["--resolve", &format!("{name}:{port}:127.0.0.1"), &url]).output()?.status.success())
    };
    ensure!(verifies("first.example")?, "{}", controller.log());
    certificate("second.example")?;
    let begun = Instant::now();
    while !verifies("second.example")? {
        ensure!(begun.elapsed() < SOON, "the new certificate is not served: {}", controller.log());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    controller.kill()
}
