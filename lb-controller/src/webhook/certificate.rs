//! The webhook's serving certificate.
//!
//! Each has a CA of its own, whose key is discarded at once and so signs nothing else: a reader of the Secret
//! can impersonate this webhook, but no other server.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{RootCertStore, ServerConfig};
use time::OffsetDateTime;

use super::names::SERVICE;

/// The lifetime of a certificate.
pub const LIFETIME: Duration = Duration::from_secs(365 * DAY);
/// A certificate is replaced when its remaining lifetime is shorter than this.
pub const RENEW_BEFORE: Duration = Duration::from_secs(90 * DAY);
/// Tolerance for API servers whose clocks are behind.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);
const DAY: u64 = 24 * 3600;

/// A certificate, its private key and its CA bundle, all as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The CAs that API servers are to trust: its own first, then the previous one, whose certificate another
    /// controller may still serve.
    pub ca_bundle: String,
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// Omits the private key, which must not appear in logs.
impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Whether a certificate can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateState {
    /// It is valid for long enough.
    Valid,
    /// It is valid, but has to be renewed.
    Expiring,
    /// It has expired or is damaged.
    Unusable,
}

/// A certificate cannot be issued or served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Keys or signatures cannot be created.
    #[error("cannot issue a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// Its validity is out of range.
    #[error("cannot issue a certificate with this validity; check the system clock: {0}")]
    Time(#[from] time::error::ComponentRange),
    /// It is not PEM.
    #[error("cannot parse the certificate or its key as PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// It cannot be used for TLS.
    #[error("cannot use the certificate for TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Returns the DNS names of a Service: first the one that API servers use, then the fully qualified one.
pub fn dns_names(service: &str, namespace: &str) -> Vec<String> {
    ["", ".cluster.local"].map(|end| format!("{service}.{namespace}.svc{end}")).to_vec()
}

impl Certificate {
    /// Issues a certificate for these names. `now` is the Unix time; `previous` is the certificate that it
    /// replaces.
    ///
    /// # Errors
    /// If keys or signatures cannot be created.
    pub fn issue(names: &[String], now: Duration, previous: Option<&Self>) -> Result<Self, CertificateError> {
        let ca_key = KeyPair::generate()?;
        let ca = ca_params(now)?;
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        (params.not_before, params.not_after) = validity(now)?;
        params.distinguished_name = distinguished_name(names.first().map_or(SERVICE, String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &Issuer::new(ca, ca_key))?.pem();
        let former = previous.and_then(|previous| previous.ca_bundle.split_inclusive(END).next());
        let former =
            former.filter(|former| former.ends_with(END)).map(|former| format!("{}\n", former.trim()));
        Ok(Self { ca_bundle: ca_pem + &former.unwrap_or_default(), certificate, key: key.serialize_pem() })
    }

    /// Returns the certificate's state for a DNS name at a Unix time.
    pub(crate) fn state(&self, name: &str, now: Duration) -> CertificateState {
        if self.server_config().is_err() || !self.is_valid(name, now) {
            CertificateState::Unusable
        } else if self.is_valid(name, now + RENEW_BEFORE) {
            CertificateState::Valid
        } else {
            CertificateState::Expiring
        }
    }

    /// Returns the TLS configuration of a server with this certificate.
    ///
    /// # Errors
    /// If the certificate or its key is damaged.
    pub fn server_config(&self) -> Result<ServerConfig, CertificateError> {
        let chain = self.chain()?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok(config.with_no_client_auth().with_single_cert(chain, key)?)
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        Ok(CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<_, _>>()?)
    }

    /// Returns whether a client that trusts only its CA bundle accepts it: signature, names, purpose and
    /// validity.
    fn is_valid(&self, name: &str, now: Duration) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(
            CertificateDer::pem_slice_iter(self.ca_bundle.as_bytes()).filter_map(Result::ok),
        );
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()
        else {
            return false;
        };
        let (Ok(chain), Ok(name)) = (self.chain(), ServerName::try_from(name)) else { return false };
        let Some((certificate, intermediates)) = chain.split_first() else { return false };
        let now = UnixTime::since_unix_epoch(now);
        verifier.verify_server_cert(certificate, intermediates, &name, &[], now).is_ok()
    }
}

/// The last line of a PEM certificate.
const END: &str = "-----END CERTIFICATE-----";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn ca_params(now: Duration) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::new(Vec::new())?;
    (params.not_before, params.not_after) = validity(now)?;
    // A client with two CAs in its bundle selects by name.
    params.distinguished_name = distinguished_name(&format!("fairlead-webhook {}", now.as_secs()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

fn distinguished_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

fn validity(now: Duration) -> Result<(OffsetDateTime, OffsetDateTime), time::error::ComponentRange> {
    let at = |since: Duration| {
        OffsetDateTime::from_unix_timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    };
    Ok((at(now.saturating_sub(CLOCK_SKEW))?, at(now.saturating_add(LIFETIME))?))
}

#[cfg(test)]
mod tests;
