//! Which plaintext belongs to which class of objects.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Class, DumpIndex, DumpPart, Head, SegmentBody};

/// The plaintext of one class of objects. It keeps an object from being read as another class than
/// its name says.
pub trait Body: Serialize + DeserializeOwned + sealed::Sealed {
    /// The only class that holds it.
    const CLASS: Class;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! bodies {
    ($($body:ident: $class:ident),*) => {
        $(
            impl sealed::Sealed for $body {}
            impl Body for $body {
                const CLASS: Class = Class::$class;
            }
        )*
    };
}

bodies!(Head: Head, SegmentBody: Segment, DumpPart: DumpPart, DumpIndex: DumpIndex);
