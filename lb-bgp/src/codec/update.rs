//! Decoding of a received UPDATE (RFC 4271, section 4.3) with the error handling of RFC 7606.

use std::cmp::Reverse;
use std::mem;

use ipnet::IpNet;

use super::attribute::code;
use super::context::Decoding;
use super::error::{MessageError, UpdateFault};
use super::prefix;
use super::reader::OctetReader;
use super::rfc7606::CheckedAttributes;
use crate::message::{ErrorHandling, Reach, Update};
use crate::value::{AddressFamily, RouteNextHop};

/// Decodes the message body.
pub(super) fn decode(mut body: OctetReader<'_>, context: &Decoding<'_>) -> Result<Update, MessageError> {
    let malformed = || MessageError::update(UpdateFault::MalformedAttributeList, &[]);
    let withdrawn = section(&mut body).ok_or_else(malformed)?;
    let attributes = section(&mut body).ok_or_else(malformed)?;
    let invalid = || MessageError::update(UpdateFault::InvalidNetwork, &[]);
    let parts = UpdateParts {
        withdrawn: prefix::read_all(withdrawn, AddressFamily::Ipv4).ok_or_else(invalid)?,
        has_attributes: !attributes.is_empty(),
        checked: CheckedAttributes::read(attributes, context)?,
        prefixes: prefix::read_all(body, AddressFamily::Ipv4).ok_or_else(invalid)?,
    };
    parts.into_update(context.internal)
}

fn section<'a>(body: &mut OctetReader<'a>) -> Option<OctetReader<'a>> {
    let length = body.u16()?;
    body.part(length.into())
}

/// The four parts of an UPDATE.
struct UpdateParts {
    withdrawn: Vec<IpNet>,
    has_attributes: bool,
    checked: CheckedAttributes,
    prefixes: Vec<IpNet>,
}

impl UpdateParts {
    fn into_update(mut self, internal: bool) -> Result<Update, MessageError> {
        self.note_missing(internal);
        let handling = self.checked.faults.iter().map(|fault| fault.flaw.handling).max();
        if handling > Some(ErrorHandling::AttributeDiscard)
            && self.lacks_prefixes()
            && let Some(error) = self.first_error(handling)
        {
            return Err(error);
        }
        let end_of_rib = self.end_of_rib();
        let has = |handling| self.checked.faults.iter().any(|fault| fault.flaw.handling == handling);
        let reaches = if has(ErrorHandling::TreatAsWithdraw) { Vec::new() } else { self.take_reaches() };
        let mut reaches = reaches.into_iter();
        let (reach, second_reach) = (reaches.next(), reaches.next().map(Box::new));
        let mut flaws: Vec<_> = self.checked.faults.iter().map(|fault| fault.flaw).collect();
        flaws.sort_by_key(|flaw| Reverse(flaw.handling));
        Ok(Update { withdrawn: self.into_withdrawn(), reach, second_reach, end_of_rib, flaws })
    }

    /// Records missing mandatory attributes (RFC 7606, section 3 (d)).
    fn note_missing(&mut self, internal: bool) {
        let has_reach = self.checked.has(code::MP_REACH_NLRI);
        if self.prefixes.is_empty() && !has_reach {
            return;
        }
        let mandatory = [
            (code::ORIGIN, true),
            (code::AS_PATH, true),
            // RFC 4760, section 3: MP_REACH_NLRI has its own next hop.
            (code::NEXT_HOP, !self.prefixes.is_empty()),
            // RFC 4271, section 5.1.5.
            (code::LOCAL_PREF, internal),
        ];
        for (code, is_mandatory) in mandatory {
            if is_mandatory && !self.checked.has(code) {
                self.checked.note(
                    code,
                    ErrorHandling::TreatAsWithdraw,
                    UpdateFault::MissingWellKnown,
                    &[code],
                );
            }
        }
    }

    /// Returns whether there are attributes but no routes they belong to, so that prefixes may have been lost
    /// (RFC 7606, section 5.2). An MP_UNREACH_NLRI alone is valid without other attributes.
    fn lacks_prefixes(&self) -> bool {
        let checked = &self.checked;
        let reaches = checked.reach.as_ref().is_some_and(|(_, prefixes)| !prefixes.is_empty());
        self.prefixes.is_empty()
            && !reaches
            && !checked.has_unread_reach
            && !checked.has_only(code::MP_UNREACH_NLRI)
    }

    fn first_error(&self, handling: Option<ErrorHandling>) -> Option<MessageError> {
        let mut faults = self.checked.faults.iter();
        faults.find(|fault| Some(fault.flaw.handling) == handling).map(|fault| fault.error.clone())
    }

    /// Returns the family of an End-of-RIB (RFC 4724, section 2): an empty UPDATE, or one with only an empty
    /// MP_UNREACH_NLRI.
    fn end_of_rib(&self) -> Option<AddressFamily> {
        if !self.withdrawn.is_empty() || !self.prefixes.is_empty() {
            return None;
        }
        match &self.checked.unreach {
            None if !self.has_attributes => Some(AddressFamily::Ipv4),
            Some((family, prefixes))
                if prefixes.is_empty() && self.checked.has_only(code::MP_UNREACH_NLRI) =>
            {
                Some(*family)
            }
            _ => None,
        }
    }

    /// Takes the advertised routes, each part with its own next hop.
    fn take_reaches(&mut self) -> Vec<Reach> {
        let plain =
            self.checked.next_hop.map(|next_hop| (RouteNextHop::V4(next_hop), mem::take(&mut self.prefixes)));
        let multiprotocol = self.checked.reach.take();
        let parts = plain.into_iter().chain(multiprotocol).filter(|(_, prefixes)| !prefixes.is_empty());
        let as_path = self.checked.as_path.asns();
        let attributes = &self.checked.attributes;
        let reach = |(next_hop, prefixes)| Reach {
            prefixes,
            next_hop,
            as_path: as_path.clone(),
            attributes: attributes.clone(),
        };
        parts.map(reach).collect()
    }

    /// Returns the withdrawn prefixes: all that [`take_reaches`](Self::take_reaches) has left.
    fn into_withdrawn(self) -> Vec<IpNet> {
        let unreach = self.checked.unreach.into_iter().flat_map(|(_, prefixes)| prefixes);
        let reach = self.checked.reach.into_iter().flat_map(|(_, prefixes)| prefixes);
        self.withdrawn.into_iter().chain(unreach).chain(self.prefixes).chain(reach).collect()
    }
}
