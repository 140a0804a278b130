//! The table of kinds: those that are read, and those that are written as status.

/// A kind of objects, as manifests and the API server name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKind {
    /// Name, as in `kind`.
    pub name: &'static str,
    /// Plural, as in URLs.
    pub plural: &'static str,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Versions, oldest first. Clients use the last.
    pub versions: &'static [&'static str],
}

/// The API group of MetalLB.
pub const METALLB_GROUP: &str = "metallb.io";

impl ObjectKind {
    /// `v1` Service.
    pub const SERVICE: Self = Self::core("Service", "services");
    /// `v1` Node.
    pub const NODE: Self = Self::core("Node", "nodes");
    /// `v1` Namespace.
    pub const NAMESPACE: Self = Self::core("Namespace", "namespaces");
    /// `v1` Secret.
    pub const SECRET: Self = Self::core("Secret", "secrets");
    /// `v1` ConfigMap, which manifests may contain and nothing reads.
    pub const CONFIG_MAP: Self = Self::core("ConfigMap", "configmaps");
    /// `discovery.k8s.io/v1` EndpointSlice.
    pub const ENDPOINT_SLICE: Self = Self {
        name: "EndpointSlice",
        plural: "endpointslices",
        group: "discovery.k8s.io",
        versions: &["v1"],
    };
    /// `metallb.io/v1beta1` IPAddressPool.
    pub const IP_ADDRESS_POOL: Self = Self::metallb("IPAddressPool", "ipaddresspools");
    /// `metallb.io/v1beta1` L2Advertisement.
    pub const L2_ADVERTISEMENT: Self = Self::metallb("L2Advertisement", "l2advertisements");
    /// `metallb.io/v1beta1` BGPAdvertisement.
    pub const BGP_ADVERTISEMENT: Self = Self::metallb("BGPAdvertisement", "bgpadvertisements");
    /// `metallb.io/v1beta1` and `v1beta2` BGPPeer.
    pub const BGP_PEER: Self =
        Self { versions: &["v1beta1", "v1beta2"], ..Self::metallb("BGPPeer", "bgppeers") };
    /// `metallb.io/v1beta1` BFDProfile.
    pub const BFD_PROFILE: Self = Self::metallb("BFDProfile", "bfdprofiles");
    /// `metallb.io/v1beta1` Community.
    pub const COMMUNITY: Self = Self::metallb("Community", "communities");
    /// `metallb.io/v1beta1` ServiceL2Status.
    pub const SERVICE_L2_STATUS: Self = Self::metallb("ServiceL2Status", "servicel2statuses");
    /// `metallb.io/v1beta1` ServiceBGPStatus.
    pub const SERVICE_BGP_STATUS: Self = Self::metallb("ServiceBGPStatus", "servicebgpstatuses");
    /// `metallb.io/v1beta1` ConfigurationState.
    pub const CONFIGURATION_STATE: Self = Self::metallb("ConfigurationState", "configurationstates");
    /// `frrk8s.metallb.io/v1beta1` BGPSessionState.
    pub const BGP_SESSION_STATE: Self =
        Self { group: "frrk8s.metallb.io", ..Self::metallb("BGPSessionState", "bgpsessionstates") };

    /// The kinds that configure the load balancer.
    pub const CONFIGURATION: [Self; 6] = [
        Self::IP_ADDRESS_POOL,
        Self::L2_ADVERTISEMENT,
        Self::BGP_ADVERTISEMENT,
        Self::BGP_PEER,
        Self::BFD_PROFILE,
        Self::COMMUNITY,
    ];

    /// The kinds that manifests may contain.
    pub(crate) const READ: [Self; 12] = {
        let [a, b, c, d, e, f] = Self::CONFIGURATION;
        let (slices, maps) = (Self::ENDPOINT_SLICE, Self::CONFIG_MAP);
        [Self::SERVICE, Self::NODE, Self::NAMESPACE, Self::SECRET, maps, slices, a, b, c, d, e, f]
    };

    const fn core(name: &'static str, plural: &'static str) -> Self {
        Self { name, plural, group: "", versions: &["v1"] }
    }

    const fn metallb(name: &'static str, plural: &'static str) -> Self {
        Self { name, plural, group: METALLB_GROUP, versions: &["v1beta1"] }
    }

    /// Returns the kind with this name and version, if manifests may contain it.
    pub(crate) fn find(api_version: &str, name: &str) -> Option<Self> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let mut kinds = Self::READ.into_iter();
        kinds.find(|kind| kind.name == name && kind.group == group && kind.versions.contains(&version))
    }

    /// Returns the version that clients use.
    pub fn version(&self) -> &'static str {
        self.versions.last().copied().unwrap_or_default()
    }

    /// Returns group and version, as in `apiVersion`.
    pub fn api_version(&self) -> String {
        match self.group {
            "" => self.version().to_owned(),
            group => format!("{group}/{}", self.version()),
        }
    }

    /// Returns whether objects of this kind configure the load balancer.
    pub fn is_configuration(&self) -> bool {
        Self::CONFIGURATION.contains(self)
    }
}

#[cfg(test)]
mod tests {
    use super::ObjectKind;

    #[test]
    fn kinds_are_found_by_any_of_their_versions() {
        for version in ["metallb.io/v1beta1", "metallb.io/v1beta2"] {
            assert_eq!(ObjectKind::find(version, "BGPPeer"), Some(ObjectKind::BGP_PEER));
        }
        assert_eq!(ObjectKind::find("v1", "Service"), Some(ObjectKind::SERVICE));
        assert_eq!(ObjectKind::find("metallb.io/v1beta2", "Community"), None);
        assert_eq!(ObjectKind::find("v1beta1", "BGPPeer"), None);
        assert_eq!(ObjectKind::find("metallb.io/v1beta1", "ServiceBGPStatus"), None);
    }

    #[test]
    fn clients_use_the_newest_version() {
        assert_eq!(ObjectKind::BGP_PEER.api_version(), "metallb.io/v1beta2");
        assert_eq!(ObjectKind::NODE.api_version(), "v1");
    }
}
