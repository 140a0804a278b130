//! Where our verdict on a damaged UPDATE must be that of others, and where we know better.
//!
//! The fuzzer reads this file, too.

use lb_bgp::codec::{self, Decoding, MessageError, UpdateFault, attribute_code as code};
use lb_bgp::message::{ErrorHandling, Message, Update};

use crate::oracles::{netgauze, rustbgpd};

/// Compares what we make of an UPDATE with what others do.
pub(crate) fn check(frame: &[u8], decoding: &Decoding<'_>) {
    let (internal, four_octet_asn) = (decoding.internal, decoding.four_octet_asn);
    let Some(message) = codec::decode(frame, decoding).map(update).transpose() else { return };
    let theirs = rustbgpd::update(frame, internal, four_octet_asn);
    match (&message, &theirs) {
        (Err(error), Some((_, grave))) => {
            // RFC 7606 section 5.2 needs to know what all attributes say together, and theirs judges one by one.
            let is_known = !grave.is_empty() || is_ours_alone(error);
            assert!(is_known, "we refuse ({error:?}) and they take {frame:x?}");
        }
        (Ok(ours), None) => {
            // RFC 4760 section 7 lets us go on without the family, and what is foreign is not read at all.
            let codes = [code::MP_REACH_NLRI, code::MP_UNREACH_NLRI];
            let is_known = ours.flaws.iter().any(|flaw| codes.contains(&flaw.attribute)) || is_partial(frame);
            assert!(is_known, "we take ({ours:?}) and they refuse {frame:x?}");
        }
        (Ok(ours), Some((theirs, grave))) => {
            let graver = ours.flaws.iter().filter(|flaw| flaw.handling > ErrorHandling::AttributeDiscard);
            let graver: Vec<u8> = graver.map(|flaw| flaw.attribute).collect();
            let is_laxer = graver.iter().all(|&code| is_laxer(code, internal));
            // What is there twice is discarded the second time, unread (RFC 7606 section 3 (g)); theirs reads it.
            let discarded = |code| ours.flaws.iter().any(|flaw| flaw.attribute == code);
            let is_stricter = grave.iter().all(|&code| is_stricter(code, internal) || discarded(code));
            let agree = (is_laxer || !grave.is_empty()) && (is_stricter || !graver.is_empty());
            assert!(agree, "ours {graver:?}, theirs {grave:?} of {frame:x?}");
            if ours.flaws.is_empty() {
                assert_eq!(&routes(ours), &routes(theirs), "{frame:x?}");
            }
        }
        (Err(_), None) => {}
    }
    // netgauze takes much that RFC 7606 calls malformed; of what is sound it must read the same.
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

/// Whether there may be a multiprotocol attribute with the partial bit, which theirs minds and RFC 7606 section 3 (c)
/// does not.
fn is_partial(frame: &[u8]) -> bool {
    let codes = [code::MP_REACH_NLRI, code::MP_UNREACH_NLRI];
    frame.windows(2).any(|pair| matches!(pair, [flags, code] if flags & 0xe0 == 0xa0 && codes.contains(code)))
}

/// Refusals that others have no word for: theirs takes an unknown attribute for a reason to withdraw, not to end the
/// session (RFC 4271 section 6.3).
fn is_ours_alone(error: &MessageError) -> bool {
    let MessageError::Update { fault, .. } = error else { return true };
    !matches!(fault, UpdateFault::MalformedAttributeList | UpdateFault::InvalidNetwork)
}

/// Attributes that theirs takes although there is something wrong: LOCAL_PREF and NEXT_HOP may be missing from an
/// internal neighbour (RFC 4271 section 5.1), NEXT_HOP may be of class E or of network 0, and what is in two of the
/// others is not looked at.
fn is_laxer(code: u8, internal: bool) -> bool {
    match code {
        code::LOCAL_PREF => internal,
        code::NEXT_HOP | code::TRAFFIC_ENGINEERING | code::ATTR_SET | code::AS4_AGGREGATOR => true,
        _ => false,
    }
}

/// Attributes that theirs withdraws routes for although RFC 7606 does not: it discards three of an external
/// neighbour only if their flags are right (sections 7.5, 7.9, 7.10), minds the partial bit (section 3 (c)), judges
/// IPv6 next hops, knows more attributes, and takes no segments of a confederation, which an internal neighbour may
/// send (RFC 5065 section 5).
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
