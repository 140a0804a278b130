//! Cases of kept, returned and excluded addresses.

use super::cases::{Case, case};

const DUAL: &[&str] = &["a 10.0.0.0/30,2001:db8::/126"];

pub(super) const CASES: &[Case] = &[
    // Families that are added and removed.
    case(
        "two families are needed now: the other is added",
        DUAL,
        &["x v4v6 require hold=10.0.0.2"],
        &["x 10.0.0.2,2001:db8:: of a news"],
    ),
    case(
        "one family is needed any more: its address stays",
        DUAL,
        &["x v4 hold=10.0.0.2,2001:db8::2", "y v6 hold=10.0.0.3,2001:db8::3"],
        &["x 10.0.0.2 of a", "y 2001:db8::3 of a"],
    ),
    case(
        "both are preferred and one cluster address is left",
        DUAL,
        &["x v6 prefer hold=10.0.0.2,2001:db8::2"],
        &["x 2001:db8::2 of a"],
    ),
    case(
        "the primary is the other one now",
        DUAL,
        &["x v6v4 hold=10.0.0.2"],
        &["x 2001:db8:: of a news cleared:Families"],
    ),
    case(
        "two families are needed and the other is full: what is held stays",
        &["a 10.0.0.0/30,2001:db8::1/128"],
        &["x v4v6 require hold=10.0.0.2", "y v6 hold=2001:db8::1"],
        &["x 10.0.0.2 of a refused:PoolFull", "y 2001:db8::1 of a"],
    ),
    case(
        "two families are needed and the pool has one: both of another pool",
        &["a 10.0.0.0/30", "b 10.0.1.0/30,2001:db8::/126"],
        &["x v4v6 require hold=10.0.0.2"],
        &["x 10.0.1.0,2001:db8:: of b news cleared:Families"],
    ),
    case(
        "two families are needed and one address is asked for",
        DUAL,
        &["x v4v6 require hold=10.0.0.2 ask=10.0.0.2"],
        &["x - cleared:Families refused:Families"],
    ),
    case(
        "the other family is asked for, too",
        DUAL,
        &["x v4v6 prefer hold=10.0.0.2 ask=10.0.0.2,2001:db8::3"],
        &["x 10.0.0.2,2001:db8::3 of a news cleared:AsksForOthers"],
    ),
    case(
        "one of two ranges is gone: the address of the other stays",
        &["a 10.0.0.0/30"],
        &["x v4v6 prefer hold=10.0.0.2,2001:db8::2", "y v4v6 require hold=10.0.0.3,2001:db8::3"],
        &["x 10.0.0.2 of a refused:PoolFull", "y - cleared:Families refused:AllFull"],
    ),
    // A pool reserved for the Service.
    case(
        "both are preferred: one of its own pool before two of a pool for all",
        &["everybody 10.0.1.0/30,2001:db8::/126", "reserved 10.0.0.0/30 prio=1 ns=shop"],
        &["x v4v6 prefer ns=shop", "y v4v6 prefer ns=farm"],
        &["y 10.0.1.0,2001:db8:: of everybody news", "x 10.0.0.0 of reserved news"],
    ),
    case(
        "both are required: of the pool for all that has both",
        &["everybody 10.0.1.0/30,2001:db8::/126", "reserved 10.0.0.0/30 prio=1 ns=shop"],
        &["x v4v6 require ns=shop"],
        &["x 10.0.1.0,2001:db8:: of everybody news"],
    ),
    case(
        "namespace selectors without a match do not restrict requests",
        &["gold 10.0.0.0/30 prio=1 team=gold"],
        &["u v4 ns=shop", "v v4 ns=shop pool=gold", "w v4 ns=ghost ask=10.0.0.3"],
        &["w 10.0.0.3 of gold news", "u - refused:AllFull", "v 10.0.0.0 of gold news"],
    ),
    case(
        "selectors that select one restrict all others",
        &["red 10.0.0.0/30 prio=1 team=red"],
        &["v v4 ns=farm pool=red", "w v4 ns=ghost ask=10.0.0.3", "x v4 ns=shop"],
        &["v - refused:Forbidden", "w - refused:Forbidden", "x 10.0.0.0 of red news"],
    ),
    // The last addresses of a Service.
    case(
        "it gets again what it had, before all others",
        &["c 10.0.0.0/30"],
        &["u v4 age=1", "v v4 age=2 last=10.0.0.2", "w v4 age=3 last=10.0.0.0"],
        &["u 10.0.0.1 of c news", "v 10.0.0.2 of c news", "w 10.0.0.0 of c news"],
    ),
    case(
        "both families again",
        DUAL,
        &["x v4v6 require last=10.0.0.2,2001:db8::3"],
        &["x 10.0.0.2,2001:db8::3 of a news"],
    ),
    case(
        "one family of what it had",
        DUAL,
        &["x v6 last=10.0.0.2,2001:db8::3"],
        &["x 2001:db8::3 of a news"],
    ),
    case(
        "not what another has, nor what is in no pool",
        &["a 10.0.0.0/30"],
        &["v v4 hold=10.0.0.2", "w v4 last=10.0.0.2", "x v4 last=10.9.9.9"],
        &["v 10.0.0.2 of a", "w 10.0.0.0 of a news", "x 10.0.0.1 of a news"],
    ),
    case(
        "not of a pool that it would not get without asking",
        &["a 10.0.0.0/30", "b 10.0.1.0/30 manual", "c 10.0.2.0/30 ns=shop"],
        &["v v4 last=10.0.1.2", "w v4 last=10.0.2.2", "x v4 last=10.0.1.3 pool=b"],
        &["v 10.0.0.0 of a news", "w 10.0.0.1 of a news", "x 10.0.1.3 of b news"],
    ),
    case(
        "what it asks for, and not what it had",
        &["a 10.0.0.0/30"],
        &["x v4 last=10.0.0.2 ask=10.0.0.3"],
        &["x 10.0.0.3 of a news"],
    ),
    case(
        "what it holds, and not what it had",
        &["a 10.0.0.0/30"],
        &["x v4 last=10.0.0.2 hold=10.0.0.3"],
        &["x 10.0.0.3 of a"],
    ),
    // Addresses of machines.
    case(
        "addresses of nodes and peers are passed over",
        &["a 10.0.0.0/29", "node n1 10.0.0.0", "peer tor 10.0.0.2"],
        &["x v4", "y v4"],
        &["x 10.0.0.1 of a news", "y 10.0.0.3 of a news"],
    ),
    case(
        "and not given to who asks",
        &["a 10.0.0.0/30", "node n1 10.0.0.1", "peer tor 10.0.0.2"],
        &["x v4 ask=10.0.0.1", "y v4 ask=10.0.0.2"],
        &["x - refused:Reserved", "y - refused:Reserved"],
    ),
    case(
        "nor kept, nor given again",
        &["a 10.0.0.0/30", "node n1 10.0.0.1"],
        &["x v4 hold=10.0.0.1", "y v4 last=10.0.0.1"],
        &["x 10.0.0.2 of a news cleared:Reserved", "y 10.0.0.0 of a news"],
    ),
    case(
        "a pool of nothing else is full",
        &["a 10.0.0.1/32", "node n1 10.0.0.1"],
        &["x v4 pool=a"],
        &["x - refused:PoolFull"],
    ),
];
