//! The certificate that API servers know a webhook by.
//!
//! Its authority signs it and nothing else ever, as the authority's key is forgotten at once: whoever reads the
//! Secret can be this webhook, and no other server.

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

/// How long a certificate lasts.
pub const LIFETIME: Duration = Duration::from_secs(365 * DAY);
/// It is replaced when it does not last this long any more.
pub const RENEWED_BEFORE: Duration = Duration::from_secs(90 * DAY);
/// Clocks of API servers may be behind ours.
const SKEW: Duration = Duration::from_secs(3600);
const DAY: u64 = 24 * 3600;

/// A certificate, its key, and the authorities to trust, all as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The authorities that API servers are to trust: its own first, then the one before it, whose certificate
    /// another controller may still show.
    pub authorities: String,
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// A key is nobody's to read in a log.
impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Whether a certificate can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// For long enough.
    Good,
    /// Still, and it is time for another.
    Ending,
    /// Not any more, or it never could.
    Useless,
}

/// Why a certificate cannot be made or shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be signed.
    #[error("cannot make a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// It does not last as long as that.
    #[error("cannot make a certificate that ends so late: {0}")]
    Time(#[from] time::error::ComponentRange),
    /// It is no PEM.
    #[error("the certificate or its key is no PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// It cannot be used for TLS.
    #[error("the certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// The names of a Service: one that API servers use, and those that people do.
pub fn names(service: &str, namespace: &str) -> Vec<String> {
    ["", ".cluster.local"].map(|end| format!("{service}.{namespace}.svc{end}")).to_vec()
}

impl Certificate {
    /// A new one for these names. `now` is the time since 1970; `before` is the one that it replaces.
    ///
    /// # Errors
    /// When keys cannot be made or used.
    pub fn issue(names: &[String], now: Duration, before: Option<&Self>) -> Result<Self, CertificateError> {
        let authority_key = KeyPair::generate()?;
        let authority = authority(now)?;
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        (params.not_before, params.not_after) = lifetime(now)?;
        params.distinguished_name = called(names.first().map_or(super::SERVICE, String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &Issuer::new(authority, authority_key))?.pem();
        let former = before.and_then(|before| before.authorities.split_inclusive(END).next());
        let former =
            former.filter(|former| former.ends_with(END)).map(|former| format!("{}\n", former.trim()));
        Ok(Self {
            authorities: authority_pem + &former.unwrap_or_default(),
            certificate,
            key: key.serialize_pem(),
        })
    }

    /// How it stands at a time since 1970, for a name.
    pub fn standing(&self, name: &str, now: Duration) -> Standing {
        if self.server_config().is_err() || !self.is_valid(name, now) {
            Standing::Useless
        } else if self.is_valid(name, now + RENEWED_BEFORE) {
            Standing::Good
        } else {
            Standing::Ending
        }
    }

    /// What a server shows.
    ///
    /// # Errors
    /// When it is not what it should be.
    pub fn server_config(&self) -> Result<ServerConfig, CertificateError> {
        let chain = self.chain()?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok(config.with_no_client_auth().with_single_cert(chain, key)?)
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        Ok(CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<_, _>>()?)
    }

    /// Whether a client that trusts only its authorities would take it: signature, names, purpose and time.
    fn is_valid(&self, name: &str, now: Duration) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(
            CertificateDer::pem_slice_iter(self.authorities.as_bytes()).filter_map(Result::ok),
        );
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()
        else {
            return false;
        };
        let (Ok(chain), Ok(name)) = (self.chain(), ServerName::try_from(name)) else { return false };
        let Some((certificate, between)) = chain.split_first() else { return false };
        let now = UnixTime::since_unix_epoch(now);
        verifier.verify_server_cert(certificate, between, &name, &[], now).is_ok()
    }
}

/// What ends each certificate of a PEM text.
const END: &str = "-----END CERTIFICATE-----";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn authority(now: Duration) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::new(Vec::new())?;
    (params.not_before, params.not_after) = lifetime(now)?;
    // Two authorities at a time are told apart by their names.
    params.distinguished_name = called(&format!("fairlead-webhook {}", now.as_secs()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn lifetime(now: Duration) -> Result<(OffsetDateTime, OffsetDateTime), time::error::ComponentRange> {
    let at = |since: Duration| {
        OffsetDateTime::from_unix_timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    };
    Ok((at(now.saturating_sub(SKEW))?, at(now.saturating_add(LIFETIME))?))
}

#[cfg(test)]
mod tests;
