//! UPDATE (RFC 4271 section 4.3), as it is received: RFC 7606 decides what a flaw in it costs.

use std::cmp::Reverse;
use std::mem;

use ipnet::IpNet;

use super::Decoding;
use super::attribute::code;
use super::error::{MessageError, UpdateFault};
use super::judgement::Findings;
use super::prefix;
use super::reader::Reader;
use crate::message::{Reach, Remedy, Update};
use crate::value::{Family, NextHop};

/// Reads what follows the header.
pub(super) fn decode(mut body: Reader<'_>, context: &Decoding<'_>) -> Result<Update, MessageError> {
    let malformed = || MessageError::update(UpdateFault::MalformedAttributeList, &[]);
    let withdrawn = section(&mut body).ok_or_else(malformed)?;
    let attributes = section(&mut body).ok_or_else(malformed)?;
    let invalid = || MessageError::update(UpdateFault::InvalidNetwork, &[]);
    let parts = Parts {
        withdrawn: prefix::read_all(withdrawn, Family::Ipv4).ok_or_else(invalid)?,
        has_attributes: !attributes.is_empty(),
        findings: Findings::read(attributes, context)?,
        prefixes: prefix::read_all(body, Family::Ipv4).ok_or_else(invalid)?,
    };
    parts.conclude(context.internal)
}

fn section<'a>(body: &mut Reader<'a>) -> Option<Reader<'a>> {
    let length = body.u16()?;
    body.part(length.into())
}

/// The four parts of an UPDATE.
struct Parts {
    withdrawn: Vec<IpNet>,
    has_attributes: bool,
    findings: Findings,
    prefixes: Vec<IpNet>,
}

impl Parts {
    fn conclude(mut self, internal: bool) -> Result<Update, MessageError> {
        self.note_missing(internal);
        let remedy = self.findings.faults.iter().map(|fault| fault.flaw.remedy).max();
        if remedy > Some(Remedy::Discard)
            && self.lacks_prefixes()
            && let Some(error) = self.first_error(remedy)
        {
            return Err(error);
        }
        let end_of_rib = self.end_of_rib();
        let has = |remedy| self.findings.faults.iter().any(|fault| fault.flaw.remedy == remedy);
        let reaches = if has(Remedy::Withdraw) { Vec::new() } else { self.take_reaches() };
        let mut reaches = reaches.into_iter();
        let (reach, second_reach) = (reaches.next(), reaches.next().map(Box::new));
        let mut flaws: Vec<_> = self.findings.faults.iter().map(|fault| fault.flaw).collect();
        flaws.sort_by_key(|flaw| Reverse(flaw.remedy));
        Ok(Update { withdrawn: self.gone(), reach, second_reach, end_of_rib, flaws })
    }

    /// RFC 7606 section 3 (d).
    fn note_missing(&mut self, internal: bool) {
        let has_reach = self.findings.has(code::MP_REACH_NLRI);
        if self.prefixes.is_empty() && !has_reach {
            return;
        }
        let mandatory = [
            (code::ORIGIN, true),
            (code::AS_PATH, true),
            // RFC 4760 section 3: routes of MP_REACH_NLRI have theirs in there.
            (code::NEXT_HOP, !self.prefixes.is_empty()),
            // RFC 4271 section 5.1.5.
            (code::LOCAL_PREF, internal),
        ];
        for (code, is_mandatory) in mandatory {
            if is_mandatory && !self.findings.has(code) {
                self.findings.note(code, Remedy::Withdraw, UpdateFault::MissingWellKnown, &[code]);
            }
        }
    }

    /// Whether there are attributes and nothing that they are of, so that prefixes may have been lost on the way
    /// (RFC 7606 section 5.2). What only withdraws in MP_UNREACH_NLRI is sound without any.
    fn lacks_prefixes(&self) -> bool {
        let findings = &self.findings;
        let reaches = findings.reach.as_ref().is_some_and(|(_, prefixes)| !prefixes.is_empty());
        self.prefixes.is_empty()
            && !reaches
            && !findings.has_unread_reach
            && !findings.has_only(code::MP_UNREACH_NLRI)
    }

    fn first_error(&self, remedy: Option<Remedy>) -> Option<MessageError> {
        let mut faults = self.findings.faults.iter();
        faults.find(|fault| Some(fault.flaw.remedy) == remedy).map(|fault| fault.error.clone())
    }

    /// RFC 4724 section 2: an UPDATE with nothing in it, or with nothing but a family.
    fn end_of_rib(&self) -> Option<Family> {
        if !self.withdrawn.is_empty() || !self.prefixes.is_empty() {
            return None;
        }
        match &self.findings.unreach {
            None if !self.has_attributes => Some(Family::Ipv4),
            Some((family, prefixes))
                if prefixes.is_empty() && self.findings.has_only(code::MP_UNREACH_NLRI) =>
            {
                Some(*family)
            }
            _ => None,
        }
    }

    /// What is there, each part with its own next hop.
    fn take_reaches(&mut self) -> Vec<Reach> {
        let plain =
            self.findings.next_hop.map(|next_hop| (NextHop::V4(next_hop), mem::take(&mut self.prefixes)));
        let multiprotocol = self.findings.reach.take();
        let parts = plain.into_iter().chain(multiprotocol).filter(|(_, prefixes)| !prefixes.is_empty());
        let as_path = self.findings.as_path.asns();
        let attributes = &self.findings.attributes;
        let reach = |(next_hop, prefixes)| Reach {
            prefixes,
            next_hop,
            as_path: as_path.clone(),
            attributes: attributes.clone(),
        };
        parts.map(reach).collect()
    }

    /// What is gone: all that is left once what is there has been taken.
    fn gone(self) -> Vec<IpNet> {
        let unreach = self.findings.unreach.into_iter().flat_map(|(_, prefixes)| prefixes);
        let reach = self.findings.reach.into_iter().flat_map(|(_, prefixes)| prefixes);
        self.withdrawn.into_iter().chain(unreach).chain(self.prefixes).chain(reach).collect()
    }
}
