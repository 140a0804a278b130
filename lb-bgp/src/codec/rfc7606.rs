//! Validation of a received attribute list (RFC 7606).

use std::net::Ipv4Addr;

use ipnet::IpNet;

use super::as_path::{AsPath, AsPathOptions};
use super::attribute::{AcceptFrom, Attribute, AttributeRule, OPTIONAL, Overrun, code, rule};
use super::context::Decoding;
use super::error::{MessageError, UpdateFault};
use super::multiprotocol::{self, Multiprotocol};
use super::reader::OctetReader;
use crate::message::{ErrorHandling, UpdateFlaw};
use crate::value::{AddressFamily, Asn, Attributes, LargeCommunity, RouteNextHop, StandardCommunity};

/// A flaw, and the error to raise if only a session reset is left (RFC 7606, section 5.2).
#[derive(Debug)]
pub(super) struct AttributeFault {
    pub(super) flaw: UpdateFlaw,
    pub(super) error: MessageError,
}

/// The contents of an attribute list.
#[derive(Debug, Default)]
pub(super) struct CheckedAttributes {
    /// Type codes, in order of appearance.
    seen: Vec<u8>,
    pub(super) as_path: AsPath,
    pub(super) next_hop: Option<Ipv4Addr>,
    pub(super) attributes: Attributes,
    pub(super) reach: Option<(RouteNextHop, Vec<IpNet>)>,
    pub(super) unreach: Option<(AddressFamily, Vec<IpNet>)>,
    /// MP_REACH_NLRI was unreadable, so it is unknown whether it held prefixes.
    pub(super) has_unread_reach: bool,
    as4_path: Option<AsPath>,
    aggregator: Option<u32>,
    has_as4_aggregator: bool,
    pub(super) faults: Vec<AttributeFault>,
}

impl CheckedAttributes {
    /// Validates all attributes of a list. An error requires a session reset.
    pub(super) fn read(mut list: OctetReader<'_>, context: &Decoding<'_>) -> Result<Self, MessageError> {
        let mut checked = Self::default();
        while !list.is_empty() {
            match Attribute::read(&mut list) {
                Ok(attribute) => checked.take(&attribute, context)?,
                Err(Overrun { code }) => {
                    checked.end_early(code)?;
                    break;
                }
            }
        }
        if !context.four_octet_asn {
            checked.merge_as4_path();
        }
        Ok(checked)
    }

    /// Returns whether an attribute was present, valid or not.
    pub(super) fn has(&self, code: u8) -> bool {
        self.seen.contains(&code)
    }

    /// Returns whether this attribute was the only one.
    pub(super) fn has_only(&self, code: u8) -> bool {
        self.seen == [code]
    }

    /// Records a fault of an attribute, or of the list if `attribute` is zero.
    pub(super) fn note(&mut self, attribute: u8, handling: ErrorHandling, fault: UpdateFault, data: &[u8]) {
        let flaw = UpdateFlaw { attribute, family: None, handling };
        self.faults.push(AttributeFault { flaw, error: MessageError::update(fault, data) });
    }

    /// RFC 7606, section 4: the list's own length still holds, so the prefixes after it are readable.
    fn end_early(&mut self, code: Option<u8>) -> Result<(), MessageError> {
        // Section 3 (j): if prefixes cannot be located, they cannot be withdrawn.
        if matches!(code, Some(code::MP_REACH_NLRI | code::MP_UNREACH_NLRI)) {
            return Err(MessageError::update(UpdateFault::MalformedAttributeList, &[]));
        }
        self.seen.extend(code);
        self.note(
            code.unwrap_or(0),
            ErrorHandling::TreatAsWithdraw,
            UpdateFault::MalformedAttributeList,
            &[],
        );
        Ok(())
    }

    fn take(&mut self, attribute: &Attribute<'_>, context: &Decoding<'_>) -> Result<(), MessageError> {
        let code = attribute.code;
        let is_multiprotocol = matches!(code, code::MP_REACH_NLRI | code::MP_UNREACH_NLRI);
        if self.has(code) {
            // RFC 7606, section 3 (g).
            if is_multiprotocol {
                return Err(MessageError::update(UpdateFault::MalformedAttributeList, &[]));
            }
            self.note(code, ErrorHandling::AttributeDiscard, UpdateFault::MalformedAttributeList, &[]);
            return Ok(());
        }
        self.seen.push(code);
        match rule(code, context.four_octet_asn) {
            None if attribute.flags & OPTIONAL == 0 => {
                return Err(MessageError::update(UpdateFault::UnrecognizedWellKnown, attribute.whole));
            }
            None => {}
            Some(_) if is_multiprotocol => self.take_multiprotocol(attribute, context)?,
            Some(rule) => self.take_known(attribute, rule, context),
        }
        Ok(())
    }

    fn take_known(&mut self, attribute: &Attribute<'_>, rule: AttributeRule, context: &Decoding<'_>) {
        let code = attribute.code;
        let is_expected = match rule.source {
            AcceptFrom::Anyone => true,
            AcceptFrom::Internal => context.internal,
            AcceptFrom::TwoOctet => !context.four_octet_asn,
        };
        if !is_expected {
            self.note(code, ErrorHandling::AttributeDiscard, UpdateFault::OptionalAttribute, attribute.whole);
        } else if !attribute.has_flags(rule.flags) {
            // RFC 7606, section 3 (c): regardless of the attribute's own handling.
            self.note(code, ErrorHandling::TreatAsWithdraw, UpdateFault::AttributeFlags, attribute.whole);
        } else if !rule.length.fits(attribute.value.len()) {
            self.note(code, rule.handling, UpdateFault::AttributeLength, attribute.whole);
        } else if let Err(fault) = self.take_value(attribute, context) {
            let data = if fault == UpdateFault::MalformedAsPath { &[] } else { attribute.whole };
            self.note(code, rule.handling, fault, data);
        }
    }

    /// Parses the value of an attribute of valid length.
    fn take_value(&mut self, attribute: &Attribute<'_>, context: &Decoding<'_>) -> Result<(), UpdateFault> {
        let mut value = OctetReader::new(attribute.value);
        match attribute.code {
            code::ORIGIN if !matches!(attribute.value, [0..=2]) => return Err(UpdateFault::InvalidOrigin),
            code::AS_PATH => {
                let options = AsPathOptions {
                    four_octet_asn: context.four_octet_asn,
                    accepts_confederation: context.internal,
                };
                let path = AsPath::read(value, options).filter(|path| !path.has_set);
                self.as_path = path.ok_or(UpdateFault::MalformedAsPath)?;
            }
            code::NEXT_HOP => {
                let address = value.array().map(Ipv4Addr::from).filter(is_host);
                self.next_hop = Some(address.ok_or(UpdateFault::InvalidNextHop)?);
            }
            code::LOCAL_PREF => self.attributes.local_pref = value.u32(),
            code::AGGREGATOR => self.aggregator = Some(aggregator(value, context.four_octet_asn)?),
            code::AS4_AGGREGATOR => {
                aggregator(value, true)?;
                self.has_as4_aggregator = true;
            }
            code::AS4_PATH => {
                let options = AsPathOptions { four_octet_asn: true, accepts_confederation: true };
                let path = AsPath::read(value, options).ok_or(UpdateFault::OptionalAttribute)?;
                if path.has_set {
                    self.note(
                        code::AS4_PATH,
                        ErrorHandling::TreatAsWithdraw,
                        UpdateFault::OptionalAttribute,
                        attribute.whole,
                    );
                }
                self.as4_path = Some(path);
            }
            code::COMMUNITIES => {
                let all = std::iter::from_fn(|| value.u32().map(StandardCommunity));
                self.attributes.communities = all.collect();
            }
            code::LARGE_COMMUNITY => {
                let all =
                    std::iter::from_fn(|| Some(LargeCommunity([value.u32()?, value.u32()?, value.u32()?])));
                self.attributes.large_communities = all.collect();
            }
            code::ATTR_SET => attribute_set(value).ok_or(UpdateFault::OptionalAttribute)?,
            _ => {}
        }
        Ok(())
    }

    /// Parses an attribute with prefixes: an error disables its family, not the session.
    fn take_multiprotocol(
        &mut self,
        attribute: &Attribute<'_>,
        context: &Decoding<'_>,
    ) -> Result<(), MessageError> {
        let incorrect = || MessageError::update(UpdateFault::OptionalAttribute, attribute.whole);
        let is_reach = attribute.code == code::MP_REACH_NLRI;
        let mut value = OctetReader::new(attribute.value);
        let flaw = |family, handling| UpdateFlaw { attribute: attribute.code, family, handling };
        let family = match multiprotocol::family(&mut value, context.families) {
            Some(Multiprotocol::Negotiated(family, ())) => family,
            Some(Multiprotocol::Other) => {
                self.has_unread_reach |= is_reach;
                self.faults.push(AttributeFault {
                    flaw: flaw(None, ErrorHandling::AttributeDiscard),
                    error: incorrect(),
                });
                return Ok(());
            }
            None => return Err(incorrect()),
        };
        // RFC 7606, section 5.3: wrong flags make the attribute incorrect.
        let is_sound = attribute.has_flags(OPTIONAL)
            && if is_reach {
                self.reach = multiprotocol::reach(&mut value, family, context.extended_next_hop);
                self.reach.is_some()
            } else {
                self.unreach = super::prefix::read_all(value, family).map(|prefixes| (family, prefixes));
                self.unreach.is_some()
            };
        if !is_sound {
            self.has_unread_reach |= is_reach;
            self.faults.push(AttributeFault {
                flaw: flaw(Some(family), ErrorHandling::AfiSafiDisable),
                error: incorrect(),
            });
        }
        Ok(())
    }

    /// Merges AS4_PATH into AS_PATH (RFC 6793, section 4.2.3).
    fn merge_as4_path(&mut self) {
        // A speaker without AS4 support has aggregated since: the AS4 attributes are outdated.
        let is_outdated =
            self.has_as4_aggregator && self.aggregator.is_some_and(|asn| asn != Asn::TRANS.into());
        if let Some(as4_path) = self.as4_path.take()
            && !is_outdated
        {
            self.as_path = std::mem::take(&mut self.as_path).with_as4_path(&as4_path);
        }
    }
}

/// Returns whether a host can have the address (RFC 4271, section 6.3).
fn is_host(address: &Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first < 224 && !address.is_loopback()
}

/// Parses the AS number of AGGREGATOR or AS4_AGGREGATOR, which must not be zero (RFC 7607).
fn aggregator(mut value: OctetReader<'_>, four_octet_asn: bool) -> Result<u32, UpdateFault> {
    let asn = if four_octet_asn { value.u32() } else { value.u16().map(u32::from) };
    asn.filter(|&asn| asn != 0).ok_or(UpdateFault::OptionalAttribute)
}

/// Checks that ATTR_SET contains an attribute list (RFC 6368, section 5).
fn attribute_set(mut value: OctetReader<'_>) -> Option<()> {
    value.u32()?;
    while !value.is_empty() {
        Attribute::read(&mut value).ok()?;
    }
    Some(())
}
