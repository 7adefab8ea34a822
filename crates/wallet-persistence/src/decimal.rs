//! Exact integers of any size in JSON, as decimal strings: JSON numbers above 2^53 are not safe with
//! every reader. For `#[serde(with = "decimal")]`.

use std::fmt::Display;

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

pub(crate) fn serialize<S: Serializer>(value: &impl Display, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(value)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<U256, D::Error> {
    let text = String::deserialize(d)?;
    U256::from_str_radix(&text, 10).map_err(D::Error::custom)
}

/// The same where there may be none.
pub(crate) mod optional {
    use alloy_primitives::U256;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<U256>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => s.collect_str(value),
            None => s.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<U256>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|text| U256::from_str_radix(&text, 10).map_err(D::Error::custom)).transpose()
    }
}
