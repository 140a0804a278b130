//! The precedence of conflicting objects of one kind.

/// The relation of an object to its last-known-good version. An object that is new or changed takes nothing
/// from an unchanged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precedence {
    /// It equals its last-known-good version, or is invalid, so that this version stays.
    Unchanged,
    /// It differs from its last-known-good version.
    Changed,
    /// It has no last-known-good version.
    New,
}

impl Precedence {
    /// Compares an object's value `before` and `now`.
    pub(super) fn of<T: PartialEq>(before: Option<T>, now: Option<T>) -> Self {
        match before {
            None => Self::New,
            before if now.is_none() || before == now => Self::Unchanged,
            Some(_) => Self::Changed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Precedence;

    #[test]
    fn existing_values_come_first() {
        let of = [(Some(1), Some(1)), (Some(1), Some(2)), (None, Some(1)), (Some(1), None), (None, None)]
            .map(|(before, now)| Precedence::of(before, now));
        assert_eq!(
            of,
            [
                Precedence::Unchanged,
                Precedence::Changed,
                Precedence::New,
                Precedence::Unchanged,
                Precedence::New
            ]
        );
        assert!(Precedence::Unchanged < Precedence::Changed && Precedence::Changed < Precedence::New);
    }
}
