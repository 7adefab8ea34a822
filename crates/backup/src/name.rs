//! Names of objects in a cloud.

use std::{fmt, sync::Arc};

/// The longest object name, in bytes.
pub const MAX_OBJECT_NAME_LEN: usize = 512;

/// The name of an object in a cloud: parts of `a-z 0-9 . _ -`, joined by `/`; no part is empty or
/// begins with a dot, so a name is also a safe relative path on every file system.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(Arc<str>);

/// A name breaks the rules of [`ObjectName`]; it does not come from Strongroom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an object")]
pub struct BadObjectName;

impl ObjectName {
    /// Checks the rules and makes a name.
    pub fn new(name: &str) -> Result<Self, BadObjectName> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let good =
            |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed);
        if name.len() <= MAX_OBJECT_NAME_LEN && name.split('/').all(good) {
            Ok(Self(name.into()))
        } else {
            Err(BadObjectName)
        }
    }

    /// For names made of parts that are allowed by construction.
    pub(crate) fn trusted(name: &str) -> Self {
        debug_assert!(Self::new(name).is_ok(), "{name}");
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name lies below `prefix`, taken as whole parts: `a/b` lies below `a`, `ab` does not.
    pub fn is_below(&self, prefix: &ObjectName) -> bool {
        self.0.strip_prefix(&*prefix.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_paths() {
        for good in ["a", "sr1/x-y_z.0/h", "a/b"] {
            assert!(ObjectName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", ".x", "A", "a b", "a\\b", "é"] {
            assert!(ObjectName::new(bad).is_err(), "{bad}");
        }
        assert!(ObjectName::new(&"a".repeat(513)).is_err());
        let name = |s| ObjectName::new(s).unwrap();
        assert!(name("a/b").is_below(&name("a")));
        assert!(!name("ab").is_below(&name("a")));
        assert!(!name("a").is_below(&name("a")));
    }
}
