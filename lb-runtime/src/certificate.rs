//! The certificate of a server: from files that may be replaced, or made at the start of the process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;
use tokio::sync::watch;

/// The files in a directory with a certificate, as a Secret of type `kubernetes.io/tls` is mounted.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// Interval at which the files are read again.
const RELOAD: Duration = Duration::from_secs(10);
/// The lifetime of a certificate that this process makes, and when it makes the next one.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
const RENEW_AFTER: Duration = Duration::from_secs(180 * 24 * 3600);
/// Tolerance for clients whose clocks are behind.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// Where a server's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// Made by this process for these names. Clients cannot verify it.
    SelfSigned(Vec<String>),
    /// `tls.crt` and `tls.key` in this directory.
    Directory(PathBuf),
}

/// A certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServedCertificateError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// It is not PEM.
    #[error("cannot parse {what} as PEM: {source}")]
    Pem {
        /// The certificate or its key.
        what: String,
        /// The error.
        source: rustls::pki_types::pem::Error,
    },
    /// It cannot be used for TLS.
    #[error("cannot use the certificate in {what} for TLS: {source}")]
    Tls {
        /// Where it comes from.
        what: String,
        /// The error.
        source: rustls::Error,
    },
    /// It cannot be made.
    #[error("cannot make a certificate: {0}")]
    Issue(#[from] rcgen::Error),
}

/// A certificate and its key, as PEM.
#[derive(PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl CertificateSource {
    /// Returns the TLS configuration of a server, which a task replaces while there are receivers. Must be
    /// called inside a runtime.
    ///
    /// # Errors
    /// When there is no usable certificate now. Later the last usable one stays.
    pub fn serve(self) -> Result<watch::Receiver<Option<Arc<ServerConfig>>>, ServedCertificateError> {
        let (pem, config) = self.load(None)?;
        let (sender, receiver) = watch::channel(config.map(Arc::new));
        tokio::spawn(self.reload(pem, sender));
        Ok(receiver)
    }

    async fn reload(self, mut served: Pem, sender: watch::Sender<Option<Arc<ServerConfig>>>) {
        let every = match self {
            Self::SelfSigned(_) => RENEW_AFTER,
            Self::Directory(_) => RELOAD,
        };
        let mut reported = String::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = sender.closed() => return,
            }
            match self.load(Some(&served)) {
                Ok((pem, Some(config))) => {
                    tracing::info!("serving a new certificate on the metrics port");
                    sender.send_replace(Some(Arc::new(config)));
                    served = pem;
                    reported.clear();
                }
                Ok((_, None)) => reported.clear(),
                Err(error) => {
                    let error = error.to_string();
                    if error != reported {
                        tracing::error!("{error}; the metrics port serves the certificate that it had");
                        reported = error;
                    }
                }
            }
        }
    }

    /// Returns the current certificate, and its TLS configuration if it is not the one that is served.
    fn load(&self, served: Option<&Pem>) -> Result<(Pem, Option<ServerConfig>), ServedCertificateError> {
        let (pem, what) = match self {
            Self::SelfSigned(names) => (issue(names)?, "this process".to_owned()),
            Self::Directory(directory) => {
                let pem = Pem { certificate: read(directory, CERTIFICATE)?, key: read(directory, KEY)? };
                (pem, directory.display().to_string())
            }
        };
        if served == Some(&pem) {
            return Ok((pem, None));
        }
        let config = pem.server_config(&what)?;
        Ok((pem, Some(config)))
    }
}

impl Pem {
    fn server_config(&self, what: &str) -> Result<ServerConfig, ServedCertificateError> {
        let pem = |file: &str| {
            let what = format!("{file} in {what}");
            move |source| ServedCertificateError::Pem { what, source }
        };
        let tls = |source| ServedCertificateError::Tls { what: what.to_owned(), source };
        let chain = CertificateDer::pem_slice_iter(&self.certificate);
        let chain = chain.collect::<Result<Vec<_>, _>>().map_err(pem(CERTIFICATE))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(pem(KEY))?;
        let versions = &[&rustls::version::TLS13];
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_protocol_versions(versions).map_err(tls)?;
        config.with_no_client_auth().with_single_cert(chain, key).map_err(tls)
    }
}

fn read(directory: &Path, file: &str) -> Result<Vec<u8>, ServedCertificateError> {
    let path = directory.join(file);
    fs::read(&path).map_err(|source| ServedCertificateError::Read { path, source })
}

/// Makes a certificate that signs itself.
fn issue(names: &[String]) -> Result<Pem, ServedCertificateError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // With a clock that is out of range, the default validity stays.
    if let (Ok(begin), Ok(end)) = (at(now.saturating_sub(CLOCK_SKEW)), at(now + LIFETIME)) {
        (params.not_before, params.not_after) = (begin, end);
    }
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("fairlead", String::as_str));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?.pem().into_bytes();
    Ok(Pem { certificate, key: key.serialize_pem().into_bytes() })
}

fn at(since: Duration) -> Result<OffsetDateTime, time::error::ComponentRange> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, pem: &Pem) {
        fs::write(directory.join(CERTIFICATE), &pem.certificate).unwrap();
        fs::write(directory.join(KEY), &pem.key).unwrap();
    }

    #[test]
    fn replaced_files_are_served_and_half_replaced_ones_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let source = CertificateSource::Directory(directory.path().to_owned());
        let error = source.load(None).map(drop).unwrap_err().to_string();
        assert!(error.contains("tls.crt"), "{error}");
        let [first, second] = [(); 2].map(|()| issue(&["n1".to_owned()]).unwrap());
        write(directory.path(), &first);
        let (served, config) = source.load(None).unwrap();
        assert!(config.is_some() && source.load(Some(&served)).unwrap().1.is_none());
        fs::write(directory.path().join(CERTIFICATE), &second.certificate).unwrap();
        let error = source.load(Some(&served)).map(drop).unwrap_err();
        assert!(matches!(error, ServedCertificateError::Tls { .. }), "{error}");
        write(directory.path(), &second);
        assert!(source.load(Some(&served)).unwrap().1.is_some());
    }
}
