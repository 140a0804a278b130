//! Keys and values as plain bytes, so that user space can give them to aya's maps.
#![allow(unsafe_code, reason = "the Pod trait is a promise about a type's memory")]

use aya::Pod;

use crate::layout::shared_types;

macro_rules! pod {
    ($($name:ty { $($field:ident),+ })+) => {$(
        // SAFETY: repr(C) over integers and arrays of them, for which any bit pattern is valid, and without
        // padding: both are checked by the trait `Shared`, which every type of this list has.
        unsafe impl Pod for $name {}
    )+};
}

shared_types!(pod);
