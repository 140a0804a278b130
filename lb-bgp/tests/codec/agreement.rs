//! Agreement with other codecs on damaged UPDATEs, and the known differences.
//!
//! Shared with the fuzz targets.

use lb_bgp::codec::{self, Decoding, MessageError, UpdateFault, attribute_code as code};
use lb_bgp::message::{ErrorHandling, Message, Update};

use crate::oracles::{netgauze, rustbgpd};

/// Compares our decoding of an UPDATE with that of other codecs.
pub(crate) fn check(frame: &[u8], decoding: &Decoding<'_>) {
    let (internal, four_octet_asn) = (decoding.internal, decoding.four_octet_asn);
    let Some(message) = codec::decode(frame, decoding).map(update).transpose() else { return };
    let theirs = rustbgpd::update(frame, internal, four_octet_asn);
    match (&message, &theirs) {
        (Err(error), Some((_, their_severe))) => {
            // RFC 7606, section 5.2, depends on all attributes together; rustbgpd checks each on its own.
            let is_known = !their_severe.is_empty() || is_ours_alone(error);
            assert!(is_known, "only we reject ({error:?}) {frame:x?}");
        }
        (Ok(ours), None) => {
            // RFC 4760, section 7, permits to continue without the family; other families are not parsed.
            let codes = [code::MP_REACH_NLRI, code::MP_UNREACH_NLRI];
            let is_known = ours.flaws.iter().any(|flaw| codes.contains(&flaw.attribute)) || is_partial(frame);
            assert!(is_known, "only they reject {frame:x?}, decoded as {ours:?}");
        }
        (Ok(ours), Some((theirs, their_severe))) => {
            let our_severe = ours.flaws.iter().filter(|flaw| flaw.handling > ErrorHandling::AttributeDiscard);
            let our_severe: Vec<u8> = our_severe.map(|flaw| flaw.attribute).collect();
            let is_laxer = our_severe.iter().all(|&code| is_laxer(code, internal));
            // A repeated attribute is discarded unread (RFC 7606, section 3 (g)); rustbgpd parses it.
            let discarded = |code| ours.flaws.iter().any(|flaw| flaw.attribute == code);
            let is_stricter = their_severe.iter().all(|&code| is_stricter(code, internal) || discarded(code));
            let agree = (is_laxer || !their_severe.is_empty()) && (is_stricter || !our_severe.is_empty());
            assert!(agree, "ours {our_severe:?}, theirs {their_severe:?} of {frame:x?}");
            if ours.flaws.is_empty() {
                assert_eq!(&routes(ours), &routes(theirs), "{frame:x?}");
            }
        }
        (Err(_), None) => {}
    }
    // netgauze accepts much that RFC 7606 calls malformed; on valid messages it must agree.
    if let Ok(ours) = &message
        && ours.flaws.is_empty()
        && four_octet_asn
        && let Some(theirs) = netgauze::update(frame, internal, four_octet_asn)
    {
        assert_eq!(&routes(ours), &routes(&theirs), "{frame:x?}");
    }
}

fn update(message: Message) -> Option<Update> {
    match message {
        Message::Update(update) => Some(update),
        _ => None,
    }
}

/// Returns whether there may be a multiprotocol attribute with the partial bit, which rustbgpd rejects and
/// RFC 7606, section 3 (c), does not.
fn is_partial(frame: &[u8]) -> bool {
    let codes = [code::MP_REACH_NLRI, code::MP_UNREACH_NLRI];
    frame.windows(2).any(|pair| matches!(pair, [flags, code] if flags & 0xe0 == 0xa0 && codes.contains(code)))
}

/// Errors that only we raise: rustbgpd handles an unknown well-known attribute as treat-as-withdraw, not as a
/// session reset (RFC 4271, section 6.3).
fn is_ours_alone(error: &MessageError) -> bool {
    let MessageError::Update { fault, .. } = error else { return true };
    !matches!(fault, UpdateFault::MalformedAttributeList | UpdateFault::InvalidNetwork)
}

/// Attributes where rustbgpd is laxer: it accepts internal UPDATEs without LOCAL_PREF and NEXT_HOP (RFC 4271,
/// section 5.1), a NEXT_HOP of class E or network 0, and does not parse two others.
fn is_laxer(code: u8, internal: bool) -> bool {
    match code {
        code::LOCAL_PREF => internal,
        code::NEXT_HOP | code::TRAFFIC_ENGINEERING | code::ATTR_SET | code::AS4_AGGREGATOR => true,
        _ => false,
    }
}

/// Attributes where rustbgpd is stricter than RFC 7606: it discards three attributes of external peers only
/// if their flags are valid (sections 7.5, 7.9, 7.10), rejects the partial bit (section 3 (c)), validates
/// IPv6 next hops, supports more attributes, and rejects confederation segments, which an internal peer may
/// send (RFC 5065, section 5).
fn is_stricter(code: u8, internal: bool) -> bool {
    match code {
        code::LOCAL_PREF => !internal,
        code::AS_PATH => internal,
        code::ORIGINATOR_ID | code::CLUSTER_LIST | code::MULTI_EXIT_DISC => true,
        code::MP_REACH_NLRI | code::MP_UNREACH_NLRI | code::TRAFFIC_ENGINEERING => true,
        code::AS4_PATH | code::AS4_AGGREGATOR => true,
        code => !(code::ORIGIN..=code::LARGE_COMMUNITY).contains(&code) || (19..=31).contains(&code),
    }
}

fn routes(update: &Update) -> Update {
    Update { end_of_rib: None, flaws: Vec::new(), ..update.clone() }
}
