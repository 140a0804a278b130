//! NOTIFICATION contents: code names, the shutdown communication, the hard reset.

use std::fmt;

use crate::message::Notification;

/// Error codes (RFC 4271, section 4.5; RFC 7313).
pub(crate) mod code {
    /// Message header error.
    pub(crate) const HEADER: u8 = 1;
    /// OPEN message error.
    pub(crate) const OPEN: u8 = 2;
    /// UPDATE message error.
    pub(crate) const UPDATE: u8 = 3;
    /// Hold timer expired.
    pub(crate) const HOLD_TIMER: u8 = 4;
    /// Finite state machine error (RFC 6608).
    pub(crate) const STATE_MACHINE: u8 = 5;
    /// Cease: the session closes for another reason.
    pub(crate) const CEASE: u8 = 6;
    /// ROUTE-REFRESH message error (RFC 7313).
    pub(crate) const ROUTE_REFRESH: u8 = 7;
    /// Send hold timer expired (RFC 9687).
    pub(crate) const SEND_HOLD_TIMER: u8 = 8;
}

/// Subcodes of Cease (RFC 4486, RFC 8538, RFC 9384): a session closes without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Cease {
    /// Maximum number of prefixes reached.
    MaximumPrefixes = 1,
    /// Administrative shutdown; may carry a text.
    AdministrativeShutdown = 2,
    /// Peer de-configured.
    Deconfigured = 3,
    /// Administrative reset; may carry a text.
    AdministrativeReset = 4,
    /// Connection rejected.
    ConnectionRejected = 5,
    /// Other configuration change.
    ConfigurationChange = 6,
    /// Connection collision resolution.
    ConnectionCollision = 7,
    /// Hard reset: no graceful restart.
    HardReset = 9,
    /// BFD down.
    BfdDown = 10,
}

/// Maximum length of a shutdown communication in octets (RFC 9003).
pub(crate) const MAX_SHUTDOWN_TEXT: usize = 255;

impl From<Cease> for Notification {
    fn from(cease: Cease) -> Self {
        Self { code: code::CEASE, subcode: cease as u8, data: Vec::new() }
    }
}

impl Notification {
    /// Returns one without data.
    pub const fn new(code: u8, subcode: u8) -> Self {
        Self { code, subcode, data: Vec::new() }
    }

    /// Returns an administrative shutdown or reset with a text for the peer's operator (RFC 9003), cut at
    /// [`MAX_SHUTDOWN_TEXT`]. Other subcodes carry no text.
    pub(crate) fn with_text(cease: Cease, text: &str) -> Self {
        let mut notification = Self::from(cease);
        let end = text.floor_char_boundary(MAX_SHUTDOWN_TEXT);
        let text = text.get(..end).unwrap_or_default();
        if notification.takes_text() && !text.is_empty() {
            notification.data.extend(u8::try_from(text.len()));
            notification.data.extend(text.as_bytes());
        }
        notification
    }

    /// Returns the text of a shutdown or reset, safe to display; `None` if absent or invalid.
    pub(crate) fn text(&self) -> Option<String> {
        let (&length, text) = self.data.split_first()?;
        let text = text.get(..length.into()).filter(|text| self.takes_text() && !text.is_empty())?;
        let text = std::str::from_utf8(text).ok()?;
        // RFC 9003, section 3: the text is untrusted and must not contain terminal control characters.
        Some(text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect())
    }

    fn takes_text(&self) -> bool {
        let texts = [Cease::AdministrativeShutdown as u8, Cease::AdministrativeReset as u8];
        self.code == code::CEASE && texts.contains(&self.subcode)
    }

    /// Wraps it into a hard reset (RFC 8538, section 3), which prevents a graceful restart.
    #[must_use]
    pub(crate) fn into_hard_reset(self) -> Self {
        let mut data = vec![self.code, self.subcode];
        data.extend(self.data);
        Self { code: code::CEASE, subcode: Cease::HardReset as u8, data }
    }

    /// Returns the NOTIFICATION inside a hard reset; `None` for all others, and for a hard reset without one.
    pub(crate) fn hard_reset(&self) -> Option<Self> {
        let is_hard_reset = self.code == code::CEASE && self.subcode == Cease::HardReset as u8;
        let [code, subcode, data @ ..] = self.data.as_slice() else { return None };
        is_hard_reset.then(|| Self { code: *code, subcode: *subcode, data: data.to_vec() })
    }
}

/// Name, numbers, and text if present.
impl fmt::Display for Notification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}/{})", name(self.code, self.subcode), self.code, self.subcode)?;
        if let Some(inner) = self.hard_reset() {
            let Self { code, subcode, .. } = inner;
            write!(formatter, ": {} ({code}/{subcode})", name(code, subcode))?;
            return inner.text().map_or(Ok(()), |text| write!(formatter, ": \"{text}\""));
        }
        self.text().map_or(Ok(()), |text| write!(formatter, ": \"{text}\""))
    }
}

/// Returns the name of a code and subcode; the code's own name for an unknown subcode.
pub(crate) const fn name(code: u8, subcode: u8) -> &'static str {
    match code {
        code::HEADER => header(subcode),
        code::OPEN => open(subcode),
        code::UPDATE => update(subcode),
        code::HOLD_TIMER => "hold timer expired",
        code::STATE_MACHINE => state_machine(subcode),
        code::CEASE => cease(subcode),
        code::ROUTE_REFRESH if subcode == 1 => "ROUTE-REFRESH of a wrong length",
        code::ROUTE_REFRESH => "error in ROUTE-REFRESH",
        code::SEND_HOLD_TIMER => "send hold timer expired",
        _ => "unknown error",
    }
}

const fn header(subcode: u8) -> &'static str {
    match subcode {
        1 => "connection not synchronized",
        2 => "bad message length",
        3 => "bad message type",
        _ => "error in a message header",
    }
}

const fn open(subcode: u8) -> &'static str {
    match subcode {
        1 => "unsupported version number",
        2 => "bad peer AS",
        3 => "bad BGP identifier",
        4 => "unsupported optional parameter",
        6 => "unacceptable hold time",
        7 => "unsupported capability",
        11 => "role mismatch",
        _ => "error in OPEN",
    }
}

const fn update(subcode: u8) -> &'static str {
    match subcode {
        1 => "malformed attribute list",
        2 => "unrecognized well-known attribute",
        3 => "missing well-known attribute",
        4 => "attribute flags error",
        5 => "attribute length error",
        6 => "invalid ORIGIN",
        7 => "AS routing loop",
        8 => "invalid NEXT_HOP",
        9 => "optional attribute error",
        10 => "invalid network field",
        11 => "malformed AS_PATH",
        _ => "error in UPDATE",
    }
}

const fn state_machine(subcode: u8) -> &'static str {
    match subcode {
        1 => "unexpected message in OpenSent",
        2 => "unexpected message in OpenConfirm",
        3 => "unexpected message in Established",
        _ => "state machine error",
    }
}

const fn cease(subcode: u8) -> &'static str {
    match subcode {
        1 => "maximum number of prefixes reached",
        2 => "administrative shutdown",
        3 => "peer deconfigured",
        4 => "administrative reset",
        5 => "connection rejected",
        6 => "other configuration change",
        7 => "connection collision resolved",
        8 => "out of resources",
        9 => "hard reset",
        10 => "BFD down",
        _ => "cease",
    }
}

#[cfg(test)]
mod tests {
    use super::{Cease, MAX_SHUTDOWN_TEXT, code, name};
    use crate::message::Notification;

    #[test]
    fn a_text_is_encoded_and_cut_at_a_character_boundary() {
        for cease in [Cease::AdministrativeShutdown, Cease::AdministrativeReset] {
            let notification = Notification::with_text(cease, "Wartung bis 5 Uhr – Größe");
            assert_eq!(notification.text().as_deref(), Some("Wartung bis 5 Uhr – Größe"));
        }
        let cut = Notification::with_text(Cease::AdministrativeShutdown, &"ü".repeat(200));
        assert_eq!(cut.text(), Some("ü".repeat(MAX_SHUTDOWN_TEXT / 2)));
        assert_eq!(Notification::with_text(Cease::BfdDown, "why").data, []);
        assert_eq!(Notification::with_text(Cease::AdministrativeShutdown, "").data, []);
    }

    #[test]
    fn an_invalid_text_is_not_displayed() {
        for (subcode, data) in
            [(2, vec![]), (2, vec![0]), (2, vec![5, b'x']), (2, vec![2, 0xff, 0xfe]), (6, vec![1, b'x'])]
        {
            assert_eq!(Notification { code: code::CEASE, subcode, data }.text(), None, "{subcode}");
        }
        let steering = Notification { code: code::CEASE, subcode: 2, data: b"\x03a\x1bb".to_vec() };
        assert_eq!(steering.text().as_deref(), Some("a b"));
    }

    #[test]
    fn a_hard_reset_contains_the_original_notification() {
        let inner = Notification::with_text(Cease::AdministrativeShutdown, "bye");
        let outer = inner.clone().into_hard_reset();
        assert_eq!((outer.code, outer.subcode, outer.hard_reset()), (6, 9, Some(inner.clone())));
        assert_eq!(inner.hard_reset(), None);
        assert_eq!(Notification::from(Cease::HardReset).hard_reset(), None);
        assert_eq!(outer.to_string(), "hard reset (6/9): administrative shutdown (6/2): \"bye\"");
    }

    #[test]
    fn display_gives_names_and_numbers() {
        let named = |code, subcode| Notification::new(code, subcode).to_string();
        assert_eq!(named(6, 10), "BFD down (6/10)");
        assert_eq!(named(6, 0), "cease (6/0)");
        assert_eq!(named(4, 0), "hold timer expired (4/0)");
        assert_eq!(named(8, 0), "send hold timer expired (8/0)");
        assert_eq!(named(3, 5), "attribute length error (3/5)");
        assert_eq!(named(99, 1), "unknown error (99/1)");
        let names = (0..=255).flat_map(|code| (0..=255).map(move |subcode| name(code, subcode)));
        assert!(names.into_iter().all(|name| !name.is_empty()));
    }
}
