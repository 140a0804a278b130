//! The requests of `fairlead why`, `fairlead flow` and `fairlead doctor --reboot-safe`: their parameters and
//! answers.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use lb_model::Protocol;

use super::flow::FlowQuery;
use super::{AdminState, flow as flows, why as explanations};

/// The parameters of a request.
struct Parameters(Vec<(String, String)>);

/// A parameter is missing or invalid.
#[derive(Debug, thiserror::Error)]
#[error("parameter {0} is missing or invalid")]
struct BadParameter(&'static str);

impl Parameters {
    fn of(uri: &Uri) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// Returns a parameter that may be left out.
    fn optional<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, BadParameter> {
        self.get(name).map(|text| text.parse().map_err(|_| BadParameter(name))).transpose()
    }

    fn required<T: FromStr>(&self, name: &'static str) -> Result<T, BadParameter> {
        self.optional(name)?.ok_or(BadParameter(name))
    }

    fn protocol(&self) -> Result<Option<Protocol>, BadParameter> {
        let parse = |text: &str| Protocol::parse(Some(&text.to_uppercase())).ok_or(BadParameter("protocol"));
        self.get("protocol").map(parse).transpose()
    }
}

fn bad_request(error: &impl ToString) -> Response {
    (StatusCode::BAD_REQUEST, error.to_string()).into_response()
}

fn unavailable(error: &impl ToString) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response()
}

/// Explains a Service or a VIP: `target`, and optionally the client `from`.
pub(super) async fn why(State(state): State<Arc<AdminState>>, uri: Uri) -> Response {
    let parameters = Parameters::of(&uri);
    let (target, client) =
        match (parameters.required::<String>("target"), parameters.optional::<IpAddr>("from")) {
            (Ok(target), Ok(client)) => (target, client),
            (Err(error), _) | (_, Err(error)) => return bad_request(&error),
        };
    match explanations::explain(&state, &target, client).await {
        Ok(explanation) => Json(explanation).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// Shows the nodes of a flow: `client`, `client_port`, `vip`, `port` and `protocol`; ports and protocol may
/// be left out.
pub(super) async fn flow(State(state): State<Arc<AdminState>>, uri: Uri) -> Response {
    let query = match flow_query(&Parameters::of(&uri)) {
        Ok(query) => query,
        Err(error) => return bad_request(&error),
    };
    match flows::flow(&state, query).await {
        Ok(view) => Json(view).into_response(),
        Err(error) => unavailable(&error),
    }
}

fn flow_query(parameters: &Parameters) -> Result<FlowQuery, BadParameter> {
    Ok(FlowQuery {
        client: parameters.required("client")?,
        client_port: parameters.optional("client_port")?,
        vip: parameters.required("vip")?,
        port: parameters.optional("port")?,
        protocol: parameters.protocol()?,
    })
}

/// Shows what a reboot of a node would cost: `node`; by default this one.
pub(super) async fn reboot(State(state): State<Arc<AdminState>>, uri: Uri) -> Response {
    let node = Parameters::of(&uri).get("node").map(str::to_owned);
    match explanations::reboot(&state, node.as_deref()).await {
        Ok(Some(report)) => Json(report).into_response(),
        Ok(None) => {
            let name = node.unwrap_or_default();
            (StatusCode::NOT_FOUND, format!("there is no Node {name}")).into_response()
        }
        Err(error) => unavailable(&error),
    }
}
