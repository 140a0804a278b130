//! The announcer thread: answers by the program are its other half.

mod view;

pub use view::{AddressView, Layer2View, RankView, StrangerView};
