//! Profile fields: what a person tells about themselves, each value checked.

use std::{fmt, str::FromStr};

/// A field of the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProfileField {
    /// Where mail goes.
    Email,
    /// Date of birth, `YYYY-MM-DD`.
    Birthday,
    /// Family name.
    FamilyName,
    /// Gender, in the person's own words.
    Gender,
    /// Given name.
    GivenName,
    /// Country or place.
    Location,
}

/// A value or a field name that does not fit. Correct it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadProfileValue {
    /// No such field.
    #[error("there is no such field; fields are: {}", names())]
    Field,
    /// Not a date.
    #[error("a birthday is a date that exists, written YYYY-MM-DD")]
    Birthday,
    /// Not an address.
    #[error("an email address is written NAME@HOST")]
    Email,
    /// Empty, too long, or with control characters.
    #[error("a value has 1 to 1000 characters and no control characters")]
    Text,
}

impl ProfileField {
    /// Every field, ascending by name.
    pub const ALL: [Self; 6] = [
        Self::Birthday,
        Self::Email,
        Self::FamilyName,
        Self::Gender,
        Self::GivenName,
        Self::Location,
    ];

    /// The name, in lower case with underscores.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Birthday => "birthday",
            Self::FamilyName => "family_name",
            Self::Gender => "gender",
            Self::GivenName => "given_name",
            Self::Location => "location",
        }
    }

    /// The value without surrounding white space, if it fits this field.
    pub fn check(self, value: &str) -> Result<&str, BadProfileValue> {
        let value = value.trim();
        let len = value.chars().count();
        if !(1..=1000).contains(&len) || value.chars().any(char::is_control) {
            return Err(BadProfileValue::Text);
        }
        match self {
            Self::Birthday if !is_date(value) => Err(BadProfileValue::Birthday),
            Self::Email if !is_email(value) => Err(BadProfileValue::Email),
            _ => Ok(value),
        }
    }
}

impl FromStr for ProfileField {
    type Err = BadProfileValue;

    fn from_str(name: &str) -> Result<Self, BadProfileValue> {
        let found = Self::ALL.into_iter().find(|field| field.name() == name.replace('-', "_"));
        found.ok_or(BadProfileValue::Field)
    }
}

impl fmt::Display for ProfileField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn names() -> String {
    ProfileField::ALL.map(ProfileField::name).join(", ")
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty()
            && !host.is_empty()
            && !host.contains('@')
            && !text.contains(char::is_whitespace)
    })
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let &[year, month, day] = parts.as_slice() else { return false };
    let digits = |part: &str, len| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
        return false;
    }
    let number = |part: &str| part.parse::<u32>().unwrap_or(0);
    let (year, month, day) = (number(year), number(month), number(day));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return false,
    };
    (1..=last).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        use ProfileField::*;
        assert_eq!(GivenName.check("  Ada "), Ok("Ada"));
        assert_eq!(GivenName.check(" "), Err(BadProfileValue::Text));
        assert_eq!(GivenName.check("a\nb"), Err(BadProfileValue::Text));
        assert_eq!(Birthday.check("2024-02-29"), Ok("2024-02-29"));
        for bad in ["2023-02-29", "2024-13-01", "24-01-01", "2024-01-00", "x"] {
            assert_eq!(Birthday.check(bad), Err(BadProfileValue::Birthday), "{bad}");
        }
        assert_eq!(Email.check("ada@example.org"), Ok("ada@example.org"));
        assert_eq!(Email.check("ada"), Err(BadProfileValue::Email));
        for field in ProfileField::ALL {
            assert_eq!(field.name().parse(), Ok(field));
        }
        assert_eq!("shoe_size".parse::<ProfileField>(), Err(BadProfileValue::Field));
    }
}
