//! Adapters to other codecs, with results in our types.
//!
//! Shared with the fuzz targets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use lb_bgp::message::{Reach, Update};
use lb_bgp::value::{Asn, Attributes, RouteNextHop};

/// An UPDATE before its parts are assembled.
#[derive(Debug, Default)]
struct Parts {
    withdrawn: Vec<IpNet>,
    unreach: Vec<IpNet>,
    prefixes: Vec<IpNet>,
    next_hop: Option<Ipv4Addr>,
    reach: Option<(RouteNextHop, Vec<IpNet>)>,
    as_path: Vec<Asn>,
    attributes: Attributes,
}

impl Parts {
    fn update(self, internal: bool) -> Update {
        let Self { withdrawn, unreach, prefixes, next_hop, reach, as_path, mut attributes } = self;
        if !internal {
            attributes.local_pref = None;
        }
        let plain = next_hop.map(|next_hop| (RouteNextHop::V4(next_hop), prefixes));
        let parts = plain.into_iter().chain(reach).filter(|(_, prefixes)| !prefixes.is_empty());
        let mut reaches = parts.map(|(next_hop, prefixes)| Reach {
            prefixes,
            next_hop,
            as_path: as_path.clone(),
            attributes: attributes.clone(),
        });
        let (reach, second_reach) = (reaches.next(), reaches.next().map(Box::new));
        Update { withdrawn: [withdrawn, unreach].concat(), reach, second_reach, ..Update::default() }
    }
}

fn net(address: impl Into<IpAddr>, length: u8) -> IpNet {
    IpNet::new(address.into(), length).unwrap().trunc()
}

fn hop(address: IpAddr, link_local: Option<Ipv6Addr>) -> RouteNextHop {
    match address {
        IpAddr::V4(address) => RouteNextHop::V4(address),
        IpAddr::V6(address) => RouteNextHop::V6 { address, link_local },
    }
}

/// rustbgpd's codec, which implements RFC 7606.
pub(crate) mod rustbgpd {
    use lb_bgp::message::{Capabilities, GracefulRestartCapability, Open, Update};
    use lb_bgp::value::{AddressFamily, Asn, HoldTime, LargeCommunity, RouterId, StandardCommunity};
    use rustbgpd_wire::attribute::PathAttribute;
    use rustbgpd_wire::nlri::Prefix;
    use rustbgpd_wire::validate::{
        ErrorDisposition, UpdateValidationOptions, validate_update_attributes_with_context,
    };
    use rustbgpd_wire::{Afi, Capability, OpenMessage, Safi, UpdateMessage, peek_message_length};

    use super::{Parts, hop, net};

    const HEADER_LEN: usize = 19;

    /// Returns the length of the first message; `Err` if the header is invalid.
    pub(crate) fn frame(buffer: &[u8], max_length: u16) -> Result<Option<usize>, ()> {
        let length = peek_message_length(buffer, max_length).map_err(drop)?.map(usize::from);
        Ok(length.filter(|&length| length <= buffer.len()))
    }

    /// Decodes an OPEN.
    pub(crate) fn open(frame: &[u8]) -> Option<Open> {
        let mut body = frame.get(HEADER_LEN..)?;
        let length = body.len();
        let open = OpenMessage::decode(&mut body, length).ok()?;
        let mut capabilities = Capabilities::default();
        for capability in &open.capabilities {
            add(capability, &mut capabilities);
        }
        Some(Open {
            asn: Asn::new(open.four_byte_as())?,
            hold_time: HoldTime::new(open.hold_time)?,
            router_id: RouterId::new(open.bgp_identifier)?,
            capabilities,
        })
    }

    fn add(capability: &Capability, to: &mut Capabilities) {
        let spoken = |afi: Afi, safi: Safi| AddressFamily::new(afi as u16, safi as u8);
        match capability {
            Capability::MultiProtocol { afi, safi } => to.families.extend(spoken(*afi, *safi)),
            Capability::RouteRefresh => to.route_refresh = true,
            Capability::ExtendedMessage => to.extended_message = true,
            Capability::FourOctetAs { .. } => to.four_octet_asn = true,
            Capability::ExtendedNextHop(families) => {
                to.extended_next_hop = families.iter().any(|family| {
                    spoken(family.nlri_afi, family.nlri_safi) == Some(AddressFamily::Ipv4)
                        && family.next_hop_afi == Afi::Ipv6
                });
            }
            Capability::GracefulRestart { restart_state, notification, restart_time, families } => {
                let families = families.iter().filter_map(|family| {
                    Some((spoken(family.afi, family.safi)?, family.forwarding_preserved))
                });
                to.graceful_restart = Some(GracefulRestartCapability {
                    restarted: *restart_state,
                    notification: *notification,
                    restart_time: *restart_time,
                    families: families.collect(),
                });
            }
            _ => {}
        }
    }

    /// Decodes an UPDATE; returns also the attributes that cause treat-as-withdraw. `None` on a session
    /// reset.
    pub(crate) fn update(frame: &[u8], internal: bool, four_octet_asn: bool) -> Option<(Update, Vec<u8>)> {
        let mut body = frame.get(HEADER_LEN..)?;
        let length = body.len();
        let message = UpdateMessage::decode(&mut body, length).ok()?;
        let revised = message.parse_revised(four_octet_asn, internal, false, &[]).ok()?;
        let update = &revised.update;
        let mut parts = Parts::default();
        for attribute in &update.attributes {
            take(attribute, &mut parts);
        }
        let v4 = |entry: &rustbgpd_wire::nlri::Ipv4NlriEntry| net(entry.prefix.addr, entry.prefix.len);
        parts.withdrawn = update.withdrawn.iter().map(v4).collect();
        parts.prefixes = update.announced.iter().map(v4).collect();
        let has_prefixes = !parts.prefixes.is_empty();
        let has_routes = has_prefixes || parts.reach.is_some();
        let options = UpdateValidationOptions::default();
        let validity = validate_update_attributes_with_context(
            &update.attributes,
            has_routes,
            has_prefixes,
            !internal,
            options,
        );
        let severe =
            revised.malformed.iter().filter(|one| one.disposition != ErrorDisposition::AttributeDiscard);
        let severe = severe.map(|one| one.type_code).chain(validity.err().map(|error| error.type_code));
        let severe = severe.collect();
        Some((parts.update(internal), severe))
    }

    fn take(attribute: &PathAttribute, parts: &mut Parts) {
        let prefix = |entry: &rustbgpd_wire::nlri::NlriEntry| match entry.prefix {
            Prefix::V4(prefix) => net(prefix.addr, prefix.len),
            Prefix::V6(prefix) => net(prefix.addr, prefix.len),
        };
        match attribute {
            PathAttribute::AsPath(path) => parts.as_path = path.asns().filter_map(Asn::new).collect(),
            PathAttribute::NextHop(address) => parts.next_hop = Some(*address),
            PathAttribute::LocalPref(value) => parts.attributes.local_pref = Some(*value),
            PathAttribute::Communities(all) | PathAttribute::CommunitiesPartial(all) => {
                parts.attributes.communities = all.iter().copied().map(StandardCommunity).collect();
            }
            PathAttribute::LargeCommunities(all) | PathAttribute::LargeCommunitiesPartial(all) => {
                let numbers = all
                    .iter()
                    .map(|one| LargeCommunity([one.global_admin, one.local_data1, one.local_data2]));
                parts.attributes.large_communities = numbers.collect();
            }
            PathAttribute::MpReachNlri(reach) => {
                let prefixes = reach.announced.iter().map(prefix).collect();
                parts.reach = Some((hop(reach.next_hop, reach.link_local_next_hop), prefixes));
            }
            PathAttribute::MpUnreachNlri(unreach) => {
                parts.unreach = unreach.withdrawn.iter().map(prefix).collect();
            }
            _ => {}
        }
    }
}

/// netgauze's codec, which accepts valid messages only.
pub(crate) mod netgauze {
    use std::collections::HashMap;

    use lb_bgp::message::{Capabilities, GracefulRestartCapability, Open, Update};
    use lb_bgp::value::{AddressFamily, Asn, HoldTime, LargeCommunity, RouterId, StandardCommunity};
    use netgauze_bgp_pkt::BgpMessage;
    use netgauze_bgp_pkt::capabilities::BgpCapability;
    use netgauze_bgp_pkt::nlri::{Ipv4UnicastAddress, Ipv6UnicastAddress};
    use netgauze_bgp_pkt::path_attribute::{AsPath, MpReach, MpUnreach, PathAttributeValue};
    use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
    use netgauze_parse_utils::reader::SliceReader;
    use netgauze_parse_utils::traits::ParseFromWithOneInput;

    use super::{Parts, hop};

    fn parse(frame: &[u8], four_octet_asn: bool) -> Option<BgpMessage> {
        let (labels, paths) = (HashMap::new(), HashMap::new());
        let mut context = BgpParsingContext::new(four_octet_asn, labels, paths, true, true, true, true);
        BgpMessage::parse(&mut SliceReader::new(frame), &mut context).ok()
    }

    /// Decodes an OPEN.
    pub(crate) fn open(frame: &[u8]) -> Option<Open> {
        let BgpMessage::Open(open) = parse(frame, true)? else { return None };
        let mut capabilities = Capabilities::default();
        for capability in open.capabilities() {
            add(capability, &mut capabilities);
        }
        Some(Open {
            asn: Asn::new(open.my_asn4())?,
            hold_time: HoldTime::new(open.hold_time())?,
            router_id: RouterId::new(open.bgp_id())?,
            capabilities,
        })
    }

    fn add(capability: &BgpCapability, to: &mut Capabilities) {
        match capability {
            BgpCapability::MultiProtocolExtensions(one) => {
                let family = one.address_type();
                let (afi, safi) = (family.address_family(), family.subsequent_address_family());
                to.families.extend(AddressFamily::new(afi as u16, safi as u8));
            }
            BgpCapability::RouteRefresh => to.route_refresh = true,
            BgpCapability::ExtendedMessage => to.extended_message = true,
            BgpCapability::FourOctetAs(_) => to.four_octet_asn = true,
            BgpCapability::Fqdn(name) => to.host_name = Some(name.hostname().to_owned()),
            BgpCapability::ExtendedNextHopEncoding(all) => {
                to.extended_next_hop = all.encodings().iter().any(|one| {
                    let family = one.address_type();
                    let numbers = (family.address_family() as u16, family.subsequent_address_family() as u8);
                    numbers == (1, 1) && one.next_hop_afi() as u16 == 2
                });
            }
            BgpCapability::GracefulRestartCapability(restart) => {
                let families = restart.address_families().iter().filter_map(|one| {
                    let family = one.address_type();
                    let (afi, safi) = (family.address_family(), family.subsequent_address_family());
                    Some((AddressFamily::new(afi as u16, safi as u8)?, one.forwarding_state()))
                });
                to.graceful_restart = Some(GracefulRestartCapability {
                    restarted: restart.restart(),
                    notification: restart.graceful_notification(),
                    restart_time: restart.time(),
                    families: families.collect(),
                });
            }
            _ => {}
        }
    }

    /// Decodes an UPDATE; `None` on any error.
    pub(crate) fn update(frame: &[u8], internal: bool, four_octet_asn: bool) -> Option<Update> {
        let BgpMessage::Update(update) = parse(frame, four_octet_asn)? else { return None };
        let mut parts = Parts::default();
        for attribute in update.path_attributes() {
            take(attribute.value(), &mut parts);
        }
        parts.withdrawn = update.withdraw_routes().iter().map(v4).collect();
        parts.prefixes = update.nlri().iter().map(v4).collect();
        Some(parts.update(internal))
    }

    fn v4(address: &Ipv4UnicastAddress) -> ipnet::IpNet {
        ipnet::IpNet::V4(address.network().address()).trunc()
    }

    fn v6(address: &Ipv6UnicastAddress) -> ipnet::IpNet {
        ipnet::IpNet::V6(address.network().address()).trunc()
    }

    fn take(value: &PathAttributeValue, parts: &mut Parts) {
        match value {
            PathAttributeValue::AsPath(AsPath::As2PathSegments(segments)) => {
                let numbers = segments.iter().flat_map(|segment| segment.as_numbers().to_vec());
                parts.as_path = numbers.filter_map(|number| Asn::new(number.into())).collect();
            }
            PathAttributeValue::AsPath(AsPath::As4PathSegments(segments)) => {
                let numbers = segments.iter().flat_map(|segment| segment.as_numbers().to_vec());
                parts.as_path = numbers.filter_map(Asn::new).collect();
            }
            PathAttributeValue::As4Path(path) => {
                let numbers = path.segments().iter().flat_map(|segment| segment.as_numbers().to_vec());
                parts.as_path = numbers.filter_map(Asn::new).collect();
            }
            PathAttributeValue::NextHop(next_hop) => parts.next_hop = Some(next_hop.next_hop()),
            PathAttributeValue::LocalPreference(value) => parts.attributes.local_pref = Some(value.metric()),
            PathAttributeValue::Communities(all) => {
                let numbers = all.communities().iter().map(|one| StandardCommunity(one.value()));
                parts.attributes.communities = numbers.collect();
            }
            PathAttributeValue::LargeCommunities(all) => {
                let numbers = all
                    .communities()
                    .iter()
                    .map(|one| LargeCommunity([one.global_admin(), one.local_data1(), one.local_data2()]));
                parts.attributes.large_communities = numbers.collect();
            }
            PathAttributeValue::MpReach(MpReach::Ipv4Unicast { next_hop, next_hop_local, nlri }) => {
                parts.reach = Some((hop(*next_hop, *next_hop_local), nlri.iter().map(v4).collect()));
            }
            PathAttributeValue::MpReach(MpReach::Ipv6Unicast { next_hop_global, next_hop_local, nlri }) => {
                let next_hop = hop((*next_hop_global).into(), *next_hop_local);
                parts.reach = Some((next_hop, nlri.iter().map(v6).collect()));
            }
            PathAttributeValue::MpUnreach(MpUnreach::Ipv4Unicast { nlri }) => {
                parts.unreach = nlri.iter().map(v4).collect();
            }
            PathAttributeValue::MpUnreach(MpUnreach::Ipv6Unicast { nlri }) => {
                parts.unreach = nlri.iter().map(v6).collect();
            }
            _ => {}
        }
    }
}
