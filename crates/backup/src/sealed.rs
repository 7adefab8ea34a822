//! A sealed object: the only thing that may go up into a cloud.

use std::fmt;

use bytes::Bytes;

use crate::ObjectName;

/// An encrypted, padded object under its final name. Only this crate can make one, so what a cloud
/// accepts through `put_backup` is sealed by construction.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    name: ObjectName,
    bytes: Bytes,
}

impl Sealed {
    pub(crate) fn new(name: ObjectName, bytes: Bytes) -> Self {
        Self { name, bytes }
    }

    /// An object with any bytes, for tests of what moves sealed objects about. Nothing is encrypted.
    #[cfg(feature = "testing")]
    pub fn for_tests(name: ObjectName, bytes: Bytes) -> Self {
        Self::new(name, bytes)
    }

    /// Where it goes.
    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    /// What goes up.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({}, {} bytes)", self.name, self.bytes.len())
    }
}
