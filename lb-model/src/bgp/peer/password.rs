//! Passwords of peers, inline or from Secrets.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::bgp::check::ObjectCheck;
use crate::label;
use lb_api::kind::ObjectKind;
use lb_api::objects::{BgpPeerSpec, Object, Secret, Sourced};
use lb_api::problem::{BgpReason, Reason};

/// The type of a Secret with a password, as set by `kubectl create secret --type`.
pub const SECRET_TYPE: &str = "kubernetes.io/basic-auth";
/// The key of a Secret that holds the password.
pub const SECRET_KEY: &str = "password";
/// The limit of TCP-MD5 on Linux.
const LONGEST: usize = 80;

/// A password, which is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    /// Returns its octets: 1 to 80, without line breaks.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    fn new(octets: Vec<u8>) -> Result<Self, BgpReason> {
        if octets.contains(&b'\n') || octets.contains(&b'\r') {
            return Err(BgpReason::PasswordLineBreak);
        }
        if (1..=LONGEST).contains(&octets.len()) { Ok(Self(octets)) } else { Err(BgpReason::PasswordLength) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Secrets by namespace and name.
pub(super) struct Secrets<'a> {
    by_name: BTreeMap<(&'a str, &'a str), &'a Secret>,
}

impl<'a> Secrets<'a> {
    pub(super) fn of(objects: impl Iterator<Item = &'a Sourced<Object>>) -> Self {
        let secrets = objects.filter_map(|object| match &object.value {
            Object::Secret(secret) => {
                Some(((object.value.namespace()?, secret.metadata.name.as_str()), &**secret))
            }
            _ => None,
        });
        Self { by_name: secrets.collect() }
    }

    /// Returns the password of a peer, if it has one. A peer whose Secret is missing gets no session: one
    /// without the requested password would be insecure.
    pub(super) fn password(&self, spec: &BgpPeerSpec, check: &mut ObjectCheck<'_>) -> Option<Password> {
        let inline = spec.password.as_ref().map(|password| password.reveal()).filter(|text| !text.is_empty());
        let secret = spec.password_secret.as_ref().and_then(|secret| {
            let name = secret.name.as_deref().filter(|name| !name.is_empty())?;
            Some((secret.namespace.as_deref().filter(|namespace| !namespace.is_empty()), name))
        });
        match (inline, secret) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                check.refuse("spec.passwordSecret", Reason::Excludes { other: "spec.password" });
                None
            }
            (Some(text), None) => check.value("spec.password", Password::new(text.as_bytes().to_vec())),
            (None, Some((_, name))) if !label::is_dns_name(name) => {
                check.refuse("spec.passwordSecret.name", BgpReason::NotASecretName);
                None
            }
            (None, Some((namespace, name))) => {
                let own = check.object.value.namespace().unwrap_or_default();
                let password = self.look_up(namespace.unwrap_or(own), name);
                check.value("spec.passwordSecret", password)
            }
        }
    }

    fn look_up(&self, namespace: &str, name: &str) -> Result<Password, Reason> {
        let called = || format!("{namespace}/{name}");
        let secret = self.by_name.get(&(namespace, name));
        let secret = secret
            .ok_or_else(|| Reason::UnknownReference { kind: ObjectKind::SECRET.name, name: called() })?;
        if secret.r#type.as_deref() != Some(SECRET_TYPE) {
            return Err(BgpReason::SecretType { name: called(), wanted: SECRET_TYPE }.into());
        }
        let without = || BgpReason::SecretWithout { name: called(), key: SECRET_KEY };
        match (secret.string_data.get(SECRET_KEY), secret.data.get(SECRET_KEY)) {
            (Some(text), _) => Ok(Password::new(text.reveal().as_bytes().to_vec())?),
            (None, Some(text)) => {
                Ok(Password::new(STANDARD.decode(text.reveal().trim()).map_err(|_| without())?)?)
            }
            (None, None) => Err(without().into()),
        }
    }
}
