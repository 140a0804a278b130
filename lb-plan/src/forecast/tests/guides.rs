//! The table. Two nodes are in each that needs any.

use super::Guide;

/// Two workers, and a Service that asks for a pool by an annotation's old name.
macro_rules! world {
    ($pool:literal) => {
        concat!(
            "\n---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {node-role.kubernetes.io/worker: ''}}
status: {addresses: [{type: InternalIP, address: 10.5.0.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2, labels: {node-role.kubernetes.io/worker: ''}}
status: {addresses: [{type: InternalIP, address: 10.5.0.2}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, annotations: {metallb.universe.tf/address-pool: ",
            $pool,
            "}}
spec: {type: LoadBalancer, clusterIPs: [10.96.0.7], selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"
        )
    };
}

/// A pool for all of what follows.
macro_rules! prod {
    () => {
        "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: prod, namespace: metallb-system}
spec: {addresses: [10.6.0.20-10.6.0.90], autoAssign: true, avoidBuggyIPs: true}
"
    };
}

/// A BFDProfile and a router that is watched by it; `$more` goes into the router's spec.
macro_rules! router {
    ($name:literal, $address:literal, $more:literal) => {
        concat!(
            "---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: ",
            $name,
            ", namespace: metallb-system}
spec:
  myASN: 64701
  peerASN: 64700
  peerAddress: ",
            $address,
            "
  keepaliveTime: 3s
  holdTime: 9s
",
            $more
        )
    };
}

macro_rules! profile {
    ($echo:literal) => {
        concat!(
            "---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: quick, namespace: metallb-system}
spec: {receiveInterval: 50, transmitInterval: 50, detectMultiplier: 3, echoMode: true, echoInterval: ",
            $echo,
            ", passiveMode: false, minimumTtl: 254}
"
        )
    };
}

pub(super) const GUIDES: &[Guide] = &[
    Guide {
        says: "a range announced on the local network, and a Service that asks for it by an old name",
        text: concat!(
            "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: lan, namespace: metallb-system}
spec:
  addresses:
  - 10.6.0.240-10.6.0.249
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: lan, namespace: metallb-system}
spec:
  ipAddressPools:
  - lan
",
            world!("lan")
        ),
        errors: &[],
        warnings: &[],
        services: &["web 10.6.0.240 l2:n1,n2"],
    },
    Guide {
        says: "a range announced to a router, with the times that are usual",
        text: concat!(
            prod!(),
            router!("tor", "10.6.0.1", ""),
            "---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: prod, namespace: metallb-system}
spec: {ipAddressPools: [prod], aggregationLength: 32, localPref: 100}
",
            world!("prod")
        ),
        errors: &[],
        warnings: &[],
        services: &["web 10.6.0.20 tor:n1,n2"],
    },
    Guide {
        says: "an advertisement of a pool that is not there, for nodes with labels that none has",
        text: concat!(
            prod!(),
            "---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: swift, namespace: metallb-system}
spec:
  ipAddressPools: [production]
  interfaces: [eth0]
  nodeSelectors:
  - matchLabels: {announces: first}
  - matchLabels: {announces: second}
",
            world!("prod")
        ),
        errors: &[],
        warnings: &[
            &["IPAddressPool metallb-system/prod", "write one"],
            &[
                "L2Advertisement metallb-system/swift: spec.ipAddressPools[0]: there is no valid IPAddressPool production",
            ],
            &["spec.nodeSelectors: no Node is selected; write labels that a Node has, or label one so"],
        ],
        services: &["web 10.6.0.20"],
    },
    Guide {
        says: "graceful restart as another product writes it",
        text: concat!(
            prod!(),
            router!(
                "tor",
                "10.6.0.1",
                "  connectTime: 3s
  gracefulRestart:
    enabled: true
    time: 60s
  nodeSelectors:
  - matchLabels: {node-role.kubernetes.io/worker: ''}
"
            ),
            "---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: prod, namespace: metallb-system}
",
            world!("prod")
        ),
        errors: &[&[
            "BGPPeer metallb-system/tor: spec.gracefulRestart: ",
            "write enableGracefulRestart: true",
        ]],
        warnings: &[],
        services: &["web 10.6.0.20"],
    },
    Guide {
        says: "graceful restart as it is written",
        text: concat!(
            prod!(),
            router!(
                "tor",
                "10.6.0.1",
                "  connectTime: 3s
  enableGracefulRestart: true
  nodeSelectors:
  - matchLabels: {node-role.kubernetes.io/worker: ''}
"
            ),
            "---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: prod, namespace: metallb-system}
",
            world!("prod")
        ),
        errors: &[],
        warnings: &[],
        services: &["web 10.6.0.20 tor:n1,n2"],
    },
    Guide {
        says: "BFD as fast as it goes, of a router with a password and an identifier",
        text: concat!(
            prod!(),
            profile!("25"),
            router!("tor", "10.6.0.1", "  bfdProfile: quick\n  password: 'hush'\n  routerID: 10.6.0.9\n"),
            "---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: prod, namespace: metallb-system}
",
            world!("prod")
        ),
        errors: &[],
        warnings: &[],
        services: &["web 10.6.0.20 tor:n1,n2"],
    },
    Guide {
        says: "BFD faster than it goes",
        text: concat!(
            prod!(),
            profile!("5"),
            router!("tor", "10.6.0.1", "  bfdProfile: quick\n"),
            "---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: prod, namespace: metallb-system}
",
            world!("prod")
        ),
        errors: &[
            &[
                "BFDProfile metallb-system/quick: spec.echoInterval: 5 is not allowed here; allowed is 10 to 60000",
            ],
            &["BGPPeer metallb-system/tor: spec.bfdProfile: there is no valid BFDProfile quick"],
        ],
        warnings: &[],
        services: &["web 10.6.0.20"],
    },
    Guide {
        says: "BFD of a profile that is in no file",
        text: concat!(prod!(), router!("tor", "10.6.0.1", "  bfdProfile: quick\n"), world!("prod")),
        errors: &[&["BGPPeer metallb-system/tor: spec.bfdProfile: there is no valid BFDProfile quick"]],
        warnings: &[&["IPAddressPool metallb-system/prod", "write one"]],
        services: &["web 10.6.0.20"],
    },
    Guide {
        says: "a community by a name that only routers know",
        text: concat!(
            prod!(),
            router!("tor", "10.6.0.1", ""),
            "---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: prod, namespace: metallb-system}
spec:
  ipAddressPools: [prod]
  aggregationLength: 32
  aggregationLengthV6: 128
  localPref: 100
  communities: [no-export, '64700:100']
  peers: [tor]
",
            world!("prod")
        ),
        errors: &[&[
            "BGPAdvertisement metallb-system/prod: spec.communities[0]: ",
            "\"no-export\"; write its value, 65535:65281, or define the name",
        ]],
        warnings: &[&["IPAddressPool metallb-system/prod", "write one"]],
        services: &["web 10.6.0.20"],
    },
    Guide {
        says: "and that name, defined",
        text: concat!(
            prod!(),
            router!("tor", "10.6.0.1", ""),
            "---
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {name: known, namespace: metallb-system}
spec: {communities: [{name: no-export, value: '65535:65281'}]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: prod, namespace: metallb-system}
spec: {communities: [no-export, '64700:100'], peers: [tor]}
",
            world!("prod")
        ),
        errors: &[],
        warnings: &[],
        services: &["web 10.6.0.20 tor:n1,n2"],
    },
    Guide {
        says: "an advertisement to routers that are not there yet",
        text: concat!(
            prod!(),
            "---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: spread, namespace: metallb-system}
spec: {ipAddressPools: [prod], peers: [left, right], aggregationLength: 32, localPref: 100}
",
            world!("prod")
        ),
        errors: &[],
        warnings: &[
            &["spec.peers[0]: there is no valid BGPPeer left"],
            &["spec.peers[1]: there is no valid BGPPeer right"],
        ],
        services: &["web 10.6.0.20"],
    },
    Guide {
        says: "an advertisement to two routers",
        text: concat!(
            prod!(),
            router!("left", "10.6.0.1", ""),
            router!("right", "10.6.0.2", ""),
            "---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: spread, namespace: metallb-system}
spec: {ipAddressPools: [prod], peers: [left, right], aggregationLength: 32, localPref: 100}
",
            world!("prod")
        ),
        errors: &[],
        warnings: &[],
        services: &["web 10.6.0.20 left:n1,n2 right:n1,n2"],
    },
    Guide {
        says: "all at once: what is right of it is announced, what is wrong of it is told",
        text: concat!(
            "
apiVersion: v1
kind: Namespace
metadata: {name: metallb-system, labels: {pod-security.kubernetes.io/enforce: privileged}}
---",
            prod!(),
            profile!("25"),
            router!(
                "one",
                "10.6.0.1",
                "  sourceAddress: 10.6.0.9\n  bfdProfile: quick\n  ebgpMultiHop: false\n  gracefulRestart: {enabled: true, time: 60s}\n"
            ),
            router!(
                "two",
                "10.6.0.2",
                "  sourceAddress: 10.6.0.9\n  bfdProfile: quick\n  peerPort: 179\n  nodeSelectors: [{matchLabels: {announces: 'yes'}}]\n"
            ),
            "---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: prod, namespace: metallb-system}
spec: {ipAddressPools: [prod], communities: ['64701:100'], peers: [one, two]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: also, namespace: metallb-system}
spec: {ipAddressPools: [prod], interfaces: [eth0]}
",
            world!("prod")
        ),
        errors: &[&[
            "BGPPeer metallb-system/one: spec.gracefulRestart: ",
            "write enableGracefulRestart: true",
        ]],
        warnings: &[
            &["BGPPeer metallb-system/two: spec.nodeSelectors: no Node is selected"],
            &["spec.peers[0]: there is no valid BGPPeer one"],
        ],
        services: &["web 10.6.0.20 l2:n1,n2"],
    },
];
