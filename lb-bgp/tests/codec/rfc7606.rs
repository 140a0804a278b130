//! RFC 7606, section by section: the handling of each flaw.

use ipnet::IpNet;
use lb_bgp::codec::{self, Decoding, MessageError, UpdateFault, attribute_code as code};
use lb_bgp::message::{ErrorHandling, Message, Update, UpdateFlaw};
use lb_bgp::value::{AddressFamily, StandardCommunity};

use crate::wire::{DECODING, attribute, update};

const OPTIONAL: u8 = 0x80;
const TRANSITIVE: u8 = 0x40;
const BOTH: u8 = 0xc0;
const PARTIAL: u8 = 0x20;
const LONG: u8 = 0x10;

/// 198.51.100.0/24, advertised by each message of the table.
const PREFIX: [u8; 4] = [24, 198, 51, 100];
/// 2001:db8::/32.
const PREFIX_V6: [u8; 5] = [32, 0x20, 1, 0xd, 0xb8];

/// What the handling of a flaw discards.
#[derive(Clone, Copy, Debug)]
enum Discarded {
    Nothing,
    /// One attribute.
    Attribute(u8),
    /// Its routes.
    Routes(u8),
    /// A family.
    Family(u8, AddressFamily),
    /// The session.
    Session(UpdateFault),
}

/// An UPDATE with one flaw or none.
struct Case {
    section: &'static str,
    name: &'static str,
    context: Decoding<'static>,
    withdrawn: Vec<u8>,
    attributes: Vec<Vec<u8>>,
    nlri: Vec<u8>,
    discarded: Discarded,
}

fn case(section: &'static str, name: &'static str, discarded: Discarded) -> Case {
    let attributes = vec![
        attribute(TRANSITIVE, code::ORIGIN, &[0]),
        attribute(TRANSITIVE, code::AS_PATH, &[2, 1, 0, 0, 0xfd, 0xea]),
        attribute(TRANSITIVE, code::NEXT_HOP, &[192, 0, 2, 1]),
        attribute(BOTH, code::COMMUNITIES, &[0xfc, 0, 0, 1]),
    ];
    let nlri = PREFIX.to_vec();
    Case { section, name, context: DECODING, withdrawn: Vec::new(), attributes, nlri, discarded }
}

impl Case {
    /// Replaces the attribute of this code, or adds it.
    fn with(mut self, flags: u8, code: u8, value: &[u8]) -> Self {
        let new = attribute(flags, code, value);
        match self.attributes.iter_mut().find(|old| old.get(1) == Some(&code)) {
            Some(old) => *old = new,
            None => self.attributes.push(new),
        }
        self
    }

    /// Appends octets to the attribute list.
    fn and(mut self, octets: &[u8]) -> Self {
        self.attributes.push(octets.to_vec());
        self
    }

    fn without(mut self, code: u8) -> Self {
        self.attributes.retain(|attribute| attribute.get(1) != Some(&code));
        self
    }

    fn nlri(mut self, nlri: &[u8]) -> Self {
        self.nlri = nlri.to_vec();
        self
    }

    fn withdrawing(mut self, withdrawn: &[u8]) -> Self {
        self.withdrawn = withdrawn.to_vec();
        self
    }

    /// From an internal peer.
    fn internal(mut self) -> Self {
        self.context.internal = true;
        self.with(TRANSITIVE, code::LOCAL_PREF, &[0, 0, 0, 100])
    }

    /// From a peer with two-octet AS numbers.
    fn two_octet(mut self) -> Self {
        self.context.four_octet_asn = false;
        self.with(TRANSITIVE, code::AS_PATH, &[2, 2, 0xfd, 0xea, 0x5b, 0xa0])
    }

    fn decode(&self) -> Result<Update, MessageError> {
        let message = update(&self.withdrawn, &self.attributes.concat(), &self.nlri);
        match codec::decode(&message, &self.context)? {
            Message::Update(update) => Ok(update),
            other => panic!("{other:?}"),
        }
    }

    fn check(&self) {
        let Self { section, name, discarded, .. } = self;
        let place = format!("section {section}: {name}");
        let result = self.decode();
        if let Discarded::Session(fault) = *discarded {
            let Err(MessageError::Update { fault: found, .. }) = result else {
                panic!("{place}: {result:?}")
            };
            assert_eq!(found, fault, "{place}");
            return;
        }
        let update = result.unwrap_or_else(|error| panic!("{place}: {error}"));
        let flaws: Vec<_> =
            update.flaws.iter().map(|flaw| (flaw.attribute, flaw.handling, flaw.family)).collect();
        let expected = match *discarded {
            Discarded::Nothing | Discarded::Session(_) => Vec::new(),
            Discarded::Attribute(code) => vec![(code, ErrorHandling::AttributeDiscard, None)],
            Discarded::Routes(code) => vec![(code, ErrorHandling::TreatAsWithdraw, None)],
            Discarded::Family(code, family) => vec![(code, ErrorHandling::AfiSafiDisable, Some(family))],
        };
        assert_eq!(flaws, expected, "{place}");
        self.check_routes(&update, &place);
    }

    /// Checks that the prefixes are advertised or withdrawn as expected, and that a flaw in one attribute
    /// affects no other.
    fn check_routes(&self, update: &Update, place: &str) {
        let prefix: IpNet = "198.51.100.0/24".parse().unwrap();
        if let Discarded::Routes(_) = self.discarded {
            assert_eq!((&update.reach, &update.second_reach), (&None, &None), "{place}");
            let counts = self.nlri.is_empty() || update.withdrawn.contains(&prefix);
            assert!(counts, "{place}: {update:?}");
        } else if !self.nlri.is_empty() {
            let reach = update.reach.as_ref().unwrap_or_else(|| panic!("{place}: {update:?}"));
            assert_eq!(reach.prefixes, [prefix], "{place}");
            assert!(
                reach.attributes.communities.contains(&StandardCommunity::new(0xfc00, 1)),
                "{place}: {reach:?}"
            );
        }
    }
}

/// MP_REACH_NLRI of IPv6 with one prefix.
fn reach_v6() -> Vec<u8> {
    reach(2, &[0x20; 16], &PREFIX_V6)
}

fn reach(afi: u8, next_hop: &[u8], nlri: &[u8]) -> Vec<u8> {
    [&[0, afi, 1, u8::try_from(next_hop.len()).unwrap()], next_hop, &[0], nlri].concat()
}

fn section_3() -> Vec<Case> {
    use Discarded::{Attribute, Nothing, Routes, Session};
    use UpdateFault::{MalformedAttributeList, UnrecognizedWellKnown};
    let mut cases =
        vec![
            case("3", "no flaw", Nothing),
            case("3", "no flaw, internal", Nothing).internal(),
            case("3 (c)", "well-known attribute that is optional", Routes(code::ORIGIN)).with(
                BOTH,
                code::ORIGIN,
                &[0],
            ),
            case("3 (c)", "well-known attribute that is not transitive", Routes(code::NEXT_HOP)).with(
                0,
                code::NEXT_HOP,
                &[192, 0, 2, 1],
            ),
            case("3 (c)", "non-transitive attribute that is transitive", Routes(code::MULTI_EXIT_DISC)).with(
                BOTH,
                code::MULTI_EXIT_DISC,
                &[0; 4],
            ),
            case("3 (c)", "optional attribute that is not", Routes(code::COMMUNITIES)).with(
                TRANSITIVE,
                code::COMMUNITIES,
                &[0; 4],
            ),
            case("3 (c)", "wrong flags outweigh attribute discard", Routes(code::ATOMIC_AGGREGATE)).with(
                BOTH,
                code::ATOMIC_AGGREGATE,
                &[],
            ),
            case("3 (c)", "a partial well-known attribute", Nothing).with(
                TRANSITIVE | PARTIAL,
                code::ORIGIN,
                &[0],
            ),
            case("3 (c)", "reserved flags", Nothing).with(TRANSITIVE | 0x0f, code::ORIGIN, &[0]),
            case("3 (c)", "an extended length where one octet suffices", Nothing)
                .without(code::ORIGIN)
                .and(&[TRANSITIVE | LONG, code::ORIGIN, 0, 1, 0]),
            case("3 (d)", "ORIGIN missing", Routes(code::ORIGIN)).without(code::ORIGIN),
            case("3 (d)", "AS_PATH missing", Routes(code::AS_PATH)).without(code::AS_PATH),
            case("3 (d)", "NEXT_HOP missing", Routes(code::NEXT_HOP)).without(code::NEXT_HOP),
            case("3 (d)", "LOCAL_PREF missing, internal", Routes(code::LOCAL_PREF))
                .internal()
                .without(code::LOCAL_PREF),
            case("3 (d)", "NEXT_HOP is not needed beside MP_REACH_NLRI", Nothing)
                .with(OPTIONAL, code::MP_REACH_NLRI, &reach_v6())
                .without(code::NEXT_HOP)
                .nlri(&[]),
            case("3 (d)", "ORIGIN missing beside MP_REACH_NLRI", Routes(code::ORIGIN))
                .with(OPTIONAL, code::MP_REACH_NLRI, &reach_v6())
                .without(code::ORIGIN)
                .nlri(&[]),
            case("3 (g)", "MED twice", Attribute(code::MULTI_EXIT_DISC))
                .and(&attribute(OPTIONAL, code::MULTI_EXIT_DISC, &[0; 4]))
                .and(&attribute(OPTIONAL, code::MULTI_EXIT_DISC, &[1; 4])),
            case("3 (g)", "COMMUNITIES twice, the second malformed", Attribute(code::COMMUNITIES))
                .and(&attribute(BOTH, code::COMMUNITIES, &[1])),
            case("3 (g)", "an unknown attribute twice", Attribute(200))
                .and(&attribute(BOTH, 200, &[1]))
                .and(&attribute(BOTH, 200, &[2])),
            case("3 (g)", "MP_REACH_NLRI twice", Session(MalformedAttributeList))
                .and(&attribute(OPTIONAL, code::MP_REACH_NLRI, &reach_v6()))
                .and(&attribute(OPTIONAL, code::MP_REACH_NLRI, &reach_v6())),
            case("3 (g)", "MP_UNREACH_NLRI twice", Session(MalformedAttributeList))
                .and(&attribute(OPTIONAL, code::MP_UNREACH_NLRI, &[0, 2, 1]))
                .and(&attribute(OPTIONAL, code::MP_UNREACH_NLRI, &[0, 2, 1])),
            case("3", "an unknown well-known attribute", Session(UnrecognizedWellKnown)).with(
                TRANSITIVE,
                200,
                &[1],
            ),
            case("3", "an unknown optional attribute", Nothing).with(BOTH, 200, &[]),
            case("3", "an unknown non-transitive attribute", Nothing).with(OPTIONAL, 200, &[1, 2, 3]),
            // RFC 9552, section 8.2.2, has milder rules for speakers that support the attribute.
            case("3", "the attribute of BGP-LS, garbled", Nothing).with(OPTIONAL, 29, &[0, 1, 0xff]),
        ];
    for code in [code::AS_PATH, code::LARGE_COMMUNITY, code::EXTENDED_COMMUNITIES, code::ATTR_SET] {
        cases.push(case("3 (c)", "neither optional nor transitive", Routes(code)).with(0, code, &[]));
    }
    cases
}

fn sections_4_and_5() -> Vec<Case> {
    use Discarded::{Family as Disabled, Nothing, Routes, Session};
    use UpdateFault::{AttributeLength, InvalidNetwork, MalformedAttributeList, OptionalAttribute};
    let v6 = |section, name, value: &[u8]| {
        let discarded = Disabled(code::MP_REACH_NLRI, AddressFamily::Ipv6);
        case(section, name, discarded).with(OPTIONAL, code::MP_REACH_NLRI, value)
    };
    let unreach = |section, name, discarded, value: &[u8]| {
        case(section, name, discarded).with(OPTIONAL, code::MP_UNREACH_NLRI, value)
    };
    let is_gone = Disabled(code::MP_UNREACH_NLRI, AddressFamily::Ipv6);
    let mut long = PREFIX_V6.to_vec();
    long[0] = 129;
    vec![
        case("4", "an attribute exceeds the list", Routes(200)).and(&[BOTH, 200, 9, 1]),
        case("4", "a long attribute exceeds the list", Routes(200)).and(&[BOTH | LONG, 200, 0xff, 0xff, 1]),
        case("4", "one octet is left", Routes(0)).and(&[BOTH]),
        case("4", "two octets are left", Routes(200)).and(&[BOTH, 200]),
        case("4", "three octets are left of a long attribute", Routes(200)).and(&[BOTH | LONG, 200, 0]),
        case("3 (j)", "MP_REACH_NLRI exceeds the list", Session(MalformedAttributeList)).and(&[
            OPTIONAL,
            code::MP_REACH_NLRI,
            30,
            0,
            2,
            1,
        ]),
        case("3 (j)", "MP_UNREACH_NLRI exceeds the list", Session(MalformedAttributeList)).and(&[
            OPTIONAL,
            code::MP_UNREACH_NLRI,
            30,
            0,
            2,
            1,
        ]),
        case("5.2", "a malformed attribute and no prefix", Session(AttributeLength))
            .with(OPTIONAL, code::MULTI_EXIT_DISC, &[0; 3])
            .nlri(&[]),
        case("5.2", "a malformed attribute and only withdrawn prefixes", Session(AttributeLength))
            .with(OPTIONAL, code::MULTI_EXIT_DISC, &[0; 3])
            .withdrawing(&PREFIX)
            .nlri(&[]),
        case("5.2", "a truncated list and no prefix", Session(MalformedAttributeList)).and(&[BOTH]).nlri(&[]),
        case("5.2", "a discarded attribute and no prefix", Discarded::Attribute(code::ATOMIC_AGGREGATE))
            .with(TRANSITIVE, code::ATOMIC_AGGREGATE, &[1])
            .nlri(&[]),
        case("5.3", "a prefix that is too long", Session(InvalidNetwork)).nlri(&[33, 1, 2, 3, 4, 5]),
        case("5.3", "a prefix that is truncated", Session(InvalidNetwork)).nlri(&[24, 198, 51]),
        case("5.3", "a withdrawn prefix that is too long", Session(InvalidNetwork))
            .withdrawing(&[40, 1, 2, 3, 4, 5]),
        case("5.3", "a withdrawn prefix that is truncated", Session(InvalidNetwork)).withdrawing(&[32]),
        v6("5.3", "MP_REACH_NLRI with a prefix that is too long", &reach(2, &[0x20; 16], &long)),
        v6("5.3", "MP_REACH_NLRI with a prefix that is truncated", &reach(2, &[0x20; 16], &[32, 0x20])),
        v6(
            "5.3",
            "MP_REACH_NLRI that ends before the reserved octet",
            &[&[0, 2, 1, 16][..], &[0x20; 16]].concat(),
        ),
        v6("5.3", "MP_REACH_NLRI of four octets", &[0, 2, 1, 0]),
        v6("5.3", "MP_REACH_NLRI that is transitive", &[]).with(BOTH, code::MP_REACH_NLRI, &reach_v6()),
        case("5.3", "MP_REACH_NLRI without a family", Session(OptionalAttribute)).with(
            OPTIONAL,
            code::MP_REACH_NLRI,
            &[0, 2],
        ),
        unreach("5.3", "MP_UNREACH_NLRI without a family", Session(OptionalAttribute), &[0, 2]),
        unreach(
            "5.3",
            "MP_UNREACH_NLRI with a prefix that is too long",
            is_gone,
            &[&[0, 2, 1][..], &long].concat(),
        ),
        unreach("5.3", "MP_UNREACH_NLRI with a prefix that is truncated", is_gone, &[0, 2, 1, 64, 1]),
        case("5.3", "MP_UNREACH_NLRI that is well-known", is_gone).with(
            TRANSITIVE,
            code::MP_UNREACH_NLRI,
            &[0, 2, 1],
        ),
        unreach("5.3", "MP_UNREACH_NLRI of a sound prefix", Nothing, &[&[0, 2, 1][..], &PREFIX_V6].concat()),
        // A family that was not negotiated is not parsed, so it cannot be malformed.
        unreach(
            "5.4",
            "MP_UNREACH_NLRI of labels",
            Discarded::Attribute(code::MP_UNREACH_NLRI),
            &[0, 1, 4, 99],
        ),
        case("5.4", "MP_REACH_NLRI of EVPN", Discarded::Attribute(code::MP_REACH_NLRI)).with(
            OPTIONAL,
            code::MP_REACH_NLRI,
            &[0, 25, 70, 4, 1, 2, 3, 4, 0, 9],
        ),
    ]
}

fn sections_7_1_to_7_7() -> Vec<Case> {
    use Discarded::{Attribute, Nothing, Routes};
    let path = |section, name, discarded, value: &[u8]| {
        case(section, name, discarded).with(TRANSITIVE, code::AS_PATH, value)
    };
    let bad_path = |name, value: &[u8]| path("7.2", name, Routes(code::AS_PATH), value);
    let hop = |name, value: &[u8]| {
        case("7.3", name, Routes(code::NEXT_HOP)).with(TRANSITIVE, code::NEXT_HOP, value)
    };
    let origin =
        |name, value: &[u8]| case("7.1", name, Routes(code::ORIGIN)).with(TRANSITIVE, code::ORIGIN, value);
    vec![
        origin("ORIGIN of no octet", &[]),
        origin("ORIGIN of two octets", &[0, 0]),
        origin("ORIGIN of an undefined value", &[3]),
        case("7.1", "ORIGIN incomplete", Nothing).with(TRANSITIVE, code::ORIGIN, &[2]),
        bad_path("a segment of an unknown type", &[5, 1, 0, 0, 0, 1]),
        bad_path("a segment that is longer than the attribute", &[2, 2, 0, 0, 0, 1]),
        bad_path("one octet is left", &[2, 1, 0, 0, 0, 1, 2]),
        bad_path("an empty segment", &[2, 0]),
        bad_path("numbers of two octets", &[2, 1, 0xfd, 0xea]),
        path("7.2", "an empty path", Nothing, &[]),
        path("7.2", "two segments", Nothing, &[2, 1, 0, 0, 0, 1, 2, 1, 0, 0, 0, 2]),
        path("7.2, RFC 5065", "a confederation's segment", Routes(code::AS_PATH), &[3, 1, 0, 0, 0, 1]),
        path("7.2, RFC 5065", "a confederation's segment, internal", Nothing, &[]).internal().with(
            TRANSITIVE,
            code::AS_PATH,
            &[3, 1, 0, 0, 0, 1],
        ),
        path("7.2, RFC 7607", "AS 0", Routes(code::AS_PATH), &[2, 1, 0, 0, 0, 0]),
        path("7.2, RFC 9774", "a set", Routes(code::AS_PATH), &[1, 1, 0, 0, 0, 1]),
        case("7.2", "a two-octet speaker's path", Nothing).two_octet(),
        case("7.2", "a two-octet speaker's path of an odd length", Routes(code::AS_PATH)).two_octet().with(
            TRANSITIVE,
            code::AS_PATH,
            &[2, 1, 0xfd],
        ),
        hop("NEXT_HOP of no octet", &[]),
        hop("NEXT_HOP of three octets", &[192, 0, 2]),
        hop("NEXT_HOP of IPv6", &[0x20; 16]),
        hop("NEXT_HOP 0.0.0.0", &[0; 4]),
        hop("NEXT_HOP loopback", &[127, 0, 0, 1]),
        hop("NEXT_HOP multicast", &[224, 0, 0, 5]),
        hop("NEXT_HOP broadcast", &[255; 4]),
        case("7.4", "MED", Nothing).with(OPTIONAL, code::MULTI_EXIT_DISC, &[0; 4]),
        case("7.4", "MED of no octet", Routes(code::MULTI_EXIT_DISC)).with(
            OPTIONAL,
            code::MULTI_EXIT_DISC,
            &[],
        ),
        case("7.4", "MED of three octets", Routes(code::MULTI_EXIT_DISC)).with(
            OPTIONAL,
            code::MULTI_EXIT_DISC,
            &[0; 3],
        ),
        case("7.5", "LOCAL_PREF, external", Attribute(code::LOCAL_PREF)).with(
            TRANSITIVE,
            code::LOCAL_PREF,
            &[0; 4],
        ),
        case("7.5", "LOCAL_PREF of three octets, external", Attribute(code::LOCAL_PREF)).with(
            TRANSITIVE,
            code::LOCAL_PREF,
            &[0; 3],
        ),
        case("7.5", "LOCAL_PREF of three octets, internal", Routes(code::LOCAL_PREF)).internal().with(
            TRANSITIVE,
            code::LOCAL_PREF,
            &[0; 3],
        ),
        case("7.5", "LOCAL_PREF of no octet, internal", Routes(code::LOCAL_PREF)).internal().with(
            TRANSITIVE,
            code::LOCAL_PREF,
            &[],
        ),
        case("7.6", "ATOMIC_AGGREGATE", Nothing).with(TRANSITIVE, code::ATOMIC_AGGREGATE, &[]),
        case("7.6", "ATOMIC_AGGREGATE with a value", Attribute(code::ATOMIC_AGGREGATE)).with(
            TRANSITIVE,
            code::ATOMIC_AGGREGATE,
            &[0],
        ),
        case("7.7", "AGGREGATOR", Nothing).with(BOTH, code::AGGREGATOR, &[0, 0, 0, 1, 192, 0, 2, 1]),
        case("7.7", "AGGREGATOR of a two-octet speaker", Attribute(code::AGGREGATOR)).with(
            BOTH,
            code::AGGREGATOR,
            &[0, 1, 192, 0, 2, 1],
        ),
        case("7.7", "AGGREGATOR from a two-octet speaker", Nothing).two_octet().with(
            BOTH,
            code::AGGREGATOR,
            &[0, 1, 192, 0, 2, 1],
        ),
        case(
            "7.7",
            "AGGREGATOR with a number of four octets from a two-octet speaker",
            Attribute(code::AGGREGATOR),
        )
        .two_octet()
        .with(BOTH, code::AGGREGATOR, &[0, 0, 0, 1, 192, 0, 2, 1]),
        case("7.7", "AGGREGATOR of no octet", Attribute(code::AGGREGATOR)).with(BOTH, code::AGGREGATOR, &[]),
        case("7.7, RFC 7607", "AGGREGATOR of AS 0", Attribute(code::AGGREGATOR)).with(
            BOTH,
            code::AGGREGATOR,
            &[0, 0, 0, 0, 192, 0, 2, 1],
        ),
    ]
}

fn sections_7_8_to_7_16() -> Vec<Case> {
    use Discarded::{Attribute, Family as Disabled, Nothing, Routes};
    let reached = |name, afi, next_hop: &[u8], nlri: &[u8]| {
        let family = if afi == 1 { AddressFamily::Ipv4 } else { AddressFamily::Ipv6 };
        case("7.11", name, Disabled(code::MP_REACH_NLRI, family)).with(
            OPTIONAL,
            code::MP_REACH_NLRI,
            &reach(afi, next_hop, nlri),
        )
    };
    let sound = |name, afi, next_hop: &[u8], nlri: &[u8]| {
        case("7.11", name, Nothing).with(OPTIONAL, code::MP_REACH_NLRI, &reach(afi, next_hop, nlri))
    };
    let mut cases = vec![
        reached("a next hop of no octet", 2, &[], &PREFIX_V6),
        reached("an IPv4 next hop of IPv6", 2, &[192, 0, 2, 1], &PREFIX_V6),
        reached("an IPv4 next hop of IPv6, and nothing else", 2, &[192, 0, 2, 1], &PREFIX_V6).nlri(&[]),
        reached("a next hop of 24 octets", 2, &[0x20; 24], &PREFIX_V6),
        reached("a next hop of 33 octets", 2, &[0x20; 33], &PREFIX_V6),
        reached("a next hop of IPv4 of five octets", 1, &[1; 5], &PREFIX),
        sound("an IPv6 next hop", 2, &[0x20; 16], &PREFIX_V6),
        sound("two IPv6 next hops", 2, &[0x20; 32], &PREFIX_V6),
        sound("IPv4 with an IPv4 next hop", 1, &[192, 0, 2, 1], &[8, 10]),
        sound("IPv4 with an IPv6 next hop", 1, &[0x20; 16], &[8, 10]),
        sound("IPv4 with two IPv6 next hops", 1, &[0x20; 32], &[8, 10]),
        case("7.12", "MP_UNREACH_NLRI empty", Nothing).with(OPTIONAL, code::MP_UNREACH_NLRI, &[0, 2, 1]),
        case("7.13", "traffic engineering", Nothing).with(OPTIONAL, code::TRAFFIC_ENGINEERING, &[1; 36]),
        case("7.13", "traffic engineering of no octet", Routes(code::TRAFFIC_ENGINEERING)).with(
            OPTIONAL,
            code::TRAFFIC_ENGINEERING,
            &[],
        ),
        case("7.13", "traffic engineering of half a descriptor", Routes(code::TRAFFIC_ENGINEERING)).with(
            OPTIONAL,
            code::TRAFFIC_ENGINEERING,
            &[1; 18],
        ),
        case("7.16", "a set of attributes", Nothing).with(
            BOTH,
            code::ATTR_SET,
            &[0, 0, 0, 1, TRANSITIVE, 1, 1, 0],
        ),
        case("7.16", "a set of attributes without an AS", Routes(code::ATTR_SET)).with(
            BOTH,
            code::ATTR_SET,
            &[0, 0],
        ),
        case("7.16", "a set of attributes that is truncated", Routes(code::ATTR_SET)).with(
            BOTH,
            code::ATTR_SET,
            &[0, 0, 0, 1, TRANSITIVE, 1, 2, 0],
        ),
        case("RFC 6793, 6", "AS4_PATH from a four-octet speaker", Attribute(code::AS4_PATH)).with(
            BOTH,
            code::AS4_PATH,
            &[2, 1, 0, 1, 0, 0],
        ),
        case("RFC 6793, 6", "AS4_AGGREGATOR from a four-octet speaker", Attribute(code::AS4_AGGREGATOR))
            .with(BOTH, code::AS4_AGGREGATOR, &[0; 8]),
        case("RFC 6793, 6", "AS4_PATH", Nothing).two_octet().with(BOTH, code::AS4_PATH, &[2, 1, 0, 1, 0, 0]),
        case("RFC 6793, 6", "AS4_PATH of four octets", Attribute(code::AS4_PATH)).two_octet().with(
            BOTH,
            code::AS4_PATH,
            &[2, 1, 0, 1],
        ),
        case("RFC 6793, 6", "AS4_PATH with an empty segment", Attribute(code::AS4_PATH)).two_octet().with(
            BOTH,
            code::AS4_PATH,
            &[2, 1, 0, 1, 0, 0, 2, 0],
        ),
        case("RFC 6793, 6", "AS4_PATH of an unknown type", Attribute(code::AS4_PATH)).two_octet().with(
            BOTH,
            code::AS4_PATH,
            &[7, 1, 0, 1, 0, 0],
        ),
        case("RFC 7607", "AS4_PATH of AS 0", Attribute(code::AS4_PATH)).two_octet().with(
            BOTH,
            code::AS4_PATH,
            &[2, 1, 0, 0, 0, 0],
        ),
        case("RFC 9774", "AS4_PATH with a set", Routes(code::AS4_PATH)).two_octet().with(
            BOTH,
            code::AS4_PATH,
            &[1, 1, 0, 1, 0, 0],
        ),
        case("RFC 6793, 6", "AS4_AGGREGATOR of six octets", Attribute(code::AS4_AGGREGATOR))
            .two_octet()
            .with(BOTH, code::AS4_AGGREGATOR, &[1; 6]),
    ];
    let of_units = [
        ("7.8", code::COMMUNITIES, BOTH, 4_usize),
        ("7.14", code::EXTENDED_COMMUNITIES, BOTH, 8),
        ("7.15", code::IPV6_EXTENDED_COMMUNITIES, BOTH, 20),
        ("RFC 8092, 6", code::LARGE_COMMUNITY, BOTH, 12),
    ];
    for (section, code, flags, unit) in of_units {
        let sized = |name, discarded, octets| {
            // The community by which the message is recognized.
            let value = [[0xfc, 0, 0, 1].repeat(6), vec![0; 20]].concat();
            case(section, name, discarded).with(flags, code, value.get(..octets).unwrap())
        };
        cases.extend([
            sized("one", Nothing, unit),
            sized("two", Nothing, unit * 2),
            sized("none", Routes(code), 0),
            sized("one octet more", Routes(code), unit + 1),
            sized("one octet less", Routes(code), unit - 1),
        ]);
    }
    for (section, code, units) in [("7.9", code::ORIGINATOR_ID, 1_usize), ("7.10", code::CLUSTER_LIST, 2)] {
        let sized =
            |name, discarded, octets| case(section, name, discarded).with(OPTIONAL, code, &vec![1; octets]);
        cases.extend([
            sized("external", Attribute(code), 4 * units),
            sized("malformed, external", Attribute(code), 3),
            sized("internal", Nothing, 4 * units).internal(),
            sized("of no octet, internal", Routes(code), 0).internal(),
            sized("of five octets, internal", Routes(code), 5).internal(),
        ]);
    }
    cases
}

fn table() -> Vec<Case> {
    [section_3(), sections_4_and_5(), sections_7_1_to_7_7(), sections_7_8_to_7_16()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn each_flaw_is_handled_as_its_section_requires() {
    for case in table() {
        case.check();
    }
}

#[test]
fn every_subsection_of_section_7_is_in_the_table() {
    let table = table();
    for section in 1..=16 {
        let section = format!("7.{section}");
        let is_of = |case: &&Case| case.section.split(',').next() == Some(&section);
        assert!(table.iter().any(|case| is_of(&case)), "{section}");
    }
    assert!(table.len() >= 60, "{}", table.len());
}

#[test]
fn flaws_are_ordered_by_severity() {
    let case = case("3 (h)", "three flaws", Discarded::Nothing)
        .with(TRANSITIVE, code::ATOMIC_AGGREGATE, &[1])
        .with(TRANSITIVE, code::ORIGIN, &[9])
        .with(OPTIONAL, code::MP_REACH_NLRI, &[0, 2, 1, 3, 1, 2, 3, 0]);
    let update = case.decode().unwrap();
    let flaw = |attribute, handling, family| UpdateFlaw { attribute, family, handling };
    assert_eq!(
        update.flaws,
        [
            flaw(code::MP_REACH_NLRI, ErrorHandling::AfiSafiDisable, Some(AddressFamily::Ipv6)),
            flaw(code::ORIGIN, ErrorHandling::TreatAsWithdraw, None),
            flaw(code::ATOMIC_AGGREGATE, ErrorHandling::AttributeDiscard, None),
        ]
    );
    assert_eq!((update.reach, update.withdrawn.len()), (None, 1));
}

#[test]
fn treat_as_withdraw_covers_all_prefixes() {
    let case = case("2", "prefixes everywhere", Discarded::Nothing)
        .with(TRANSITIVE, code::ORIGIN, &[9])
        .with(OPTIONAL, code::MP_REACH_NLRI, &reach_v6())
        .with(OPTIONAL, code::MP_UNREACH_NLRI, &[0, 2, 1, 16, 0x20, 2])
        .withdrawing(&[8, 10]);
    let withdrawn: Vec<String> = case.decode().unwrap().withdrawn.iter().map(IpNet::to_string).collect();
    assert_eq!(withdrawn, ["10.0.0.0/8", "2002::/16", "198.51.100.0/24", "2001:db8::/32"]);
}

#[test]
fn an_unreadable_attribute_list_is_a_session_error() {
    for body in [&[][..], &[0], &[0, 1], &[0, 0, 0], &[0, 0, 0, 1], &[0, 9, 0, 0]] {
        let result = codec::decode(&crate::wire::message(2, body), &DECODING);
        let code = result.unwrap_err().notification().code;
        assert!(matches!(code, 1 | 3), "{body:?}");
    }
}

#[test]
fn the_notification_contains_the_erroneous_attribute() {
    let case = case("RFC 4271, 6.3", "unknown", Discarded::Nothing).with(TRANSITIVE, 200, &[1, 2]);
    let notification = case.decode().unwrap_err().notification();
    assert_eq!((notification.code, notification.subcode), (3, 2));
    assert_eq!(notification.data, [TRANSITIVE, 200, 2, 1, 2]);
}

#[test]
fn as4_path_is_ignored_after_aggregation_by_a_two_octet_speaker() {
    let path_with = |aggregator: &[u8]| {
        let case = case("RFC 6793, 4.2.3", "aggregated", Discarded::Nothing)
            .two_octet()
            .with(BOTH, code::AS4_PATH, &[2, 1, 0, 1, 0, 0])
            .with(BOTH, code::AGGREGATOR, aggregator)
            .with(BOTH, code::AS4_AGGREGATOR, &[0, 1, 0, 0, 192, 0, 2, 1]);
        let reach = case.decode().unwrap().reach.unwrap();
        reach.as_path.iter().map(|asn| asn.get()).collect::<Vec<_>>()
    };
    assert_eq!(path_with(&[0x5b, 0xa0, 192, 0, 2, 1]), [65_002, 65_536]);
    assert_eq!(path_with(&[0, 7, 192, 0, 2, 1]), [65_002, 23_456]);
}
