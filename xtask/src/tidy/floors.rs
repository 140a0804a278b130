//! The table of crates, from the ground up. A crate may depend only on crates that stand above it in this
//! table.

/// One crate of the repository.
#[derive(Debug)]
pub(super) struct Floor {
    /// Its directory below the root.
    pub(super) directory: &'static str,
    /// The name that manifests use.
    pub(super) package: &'static str,
    /// Packages of this repository that it may depend on.
    pub(super) uses: &'static [&'static str],
    /// More of them that only its tests may depend on.
    pub(super) tests_use: &'static [&'static str],
    /// No I/O, no clock, no randomness.
    pub(super) is_pure: bool,
    /// May hold more than [`LARGEST`] lines.
    pub(super) is_exempt_from_size: bool,
}

/// Lines of production code in a crate, at most.
pub(super) const LARGEST: usize = 6000;

/// All crates. `ARCHITECTURE.md` prints `uses`; `cargo xtask test tidy` compares.
pub(super) const FLOORS: &[Floor] = &[
    pure("lb-common", &[]),
    pure("lb-pipeline", &["lb-common"]),
    floor("lb-ebpf", &["lb-common", "lb-pipeline"]),
    pure("lb-bfd", &["lb-common"]),
    pure("lb-bgp", &[]),
    pure("lb-l2", &["lb-common", "lb-pipeline"]),
    pure("lb-api", &[]),
    pure("lb-model", &["lb-api", "lb-bgp", "lb-common"]),
    pure("lb-ipam", &["lb-api", "lb-model"]),
    Floor { tests_use: &["lb-pipeline"], ..pure("lb-plan", &["lb-api", "lb-bgp", "lb-common", "lb-model"]) },
    Floor {
        tests_use: &["lb-common"],
        ..pure("lb-admission", &["lb-api", "lb-bgp", "lb-ipam", "lb-model", "lb-plan"])
    },
    pure("lb-explain", &["lb-api", "lb-common", "lb-ipam", "lb-model", "lb-pipeline", "lb-plan"]),
    floor("lb-runtime", &[]),
    floor("lb-keeper", &[]),
    floor("lb-dataplane", &["lb-bfd", "lb-bgp", "lb-common", "lb-l2", "lb-model", "lb-plan", "lb-runtime"]),
    floor(
        "lb-speaker",
        &["lb-bfd", "lb-bgp", "lb-common", "lb-dataplane", "lb-keeper", "lb-model", "lb-plan", "lb-runtime"],
    ),
    floor("lb-trace", &["lb-common", "lb-dataplane", "lb-runtime"]),
    floor("lb-kube", &["lb-api", "lb-common", "lb-model", "lb-runtime"]),
    floor("lb-controller", &["lb-admission", "lb-api", "lb-ipam", "lb-kube", "lb-model", "lb-runtime"]),
    floor(
        "lb-status",
        &[
            "lb-api",
            "lb-bgp",
            "lb-common",
            "lb-dataplane",
            "lb-explain",
            "lb-kube",
            "lb-model",
            "lb-plan",
            "lb-speaker",
        ],
    ),
    floor("lb-check", &["lb-admission", "lb-api", "lb-kube", "lb-status"]),
    floor("lb-client", &["lb-explain", "lb-runtime", "lb-status", "lb-trace"]),
    floor(
        "lb-agent",
        &[
            "lb-api",
            "lb-bfd",
            "lb-bgp",
            "lb-check",
            "lb-client",
            "lb-common",
            "lb-controller",
            "lb-dataplane",
            "lb-explain",
            "lb-keeper",
            "lb-kube",
            "lb-l2",
            "lb-model",
            "lb-pipeline",
            "lb-plan",
            "lb-runtime",
            "lb-speaker",
            "lb-status",
            "lb-trace",
        ],
    ),
    Floor {
        package: "fairlead-deploy",
        tests_use: &["lb-agent", "lb-controller", "lb-kube"],
        ..floor("deploy", &["lb-api"])
    },
    // An API server, routers and a host model for tests: it grows with what is tested, not with what is
    // shipped.
    Floor {
        package: "fairlead-tests",
        tests_use: &["fairlead-deploy", "lb-l2"],
        is_exempt_from_size: true,
        ..floor(
            "tests",
            &[
                "lb-agent",
                "lb-common",
                "lb-controller",
                "lb-dataplane",
                "lb-kube",
                "lb-model",
                "lb-pipeline",
                "lb-plan",
            ],
        )
    },
    // Each measurement is a program of its own.
    Floor {
        package: "fairlead-bench",
        is_exempt_from_size: true,
        ..floor(
            "bench",
            &[
                "fairlead-deploy",
                "fairlead-tests",
                "lb-api",
                "lb-bgp",
                "lb-common",
                "lb-dataplane",
                "lb-kube",
                "lb-model",
                "lb-pipeline",
                "lb-plan",
            ],
        )
    },
    floor("xtask", &[]),
    Floor { package: "fairlead-fuzz", ..floor("fuzz", &["lb-bfd", "lb-bgp", "lb-common"]) },
];

const fn floor(name: &'static str, uses: &'static [&'static str]) -> Floor {
    Floor { directory: name, package: name, uses, tests_use: &[], is_pure: false, is_exempt_from_size: false }
}

const fn pure(name: &'static str, uses: &'static [&'static str]) -> Floor {
    Floor { is_pure: true, ..floor(name, uses) }
}

/// Whether a package belongs to this repository.
pub(super) fn is_ours(package: &str) -> bool {
    FLOORS.iter().any(|floor| floor.package == package)
}
