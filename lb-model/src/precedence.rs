//! In which order objects of one kind are judged, where only one of several can be right.

/// How an object stands to what was accepted of its name before. Whoever has something keeps it: an object that
/// is new, or has become another, takes nothing from one that is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precedence {
    /// It says what was accepted, or nothing that can be, so that what was accepted stays.
    Unchanged,
    /// It says something else.
    Changed,
    /// Nothing was accepted of its name.
    New,
}

impl Precedence {
    /// Of an object that says `now`, after one that said `before`.
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
    fn who_has_something_comes_first() {
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
