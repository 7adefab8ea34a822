//! Profile fields: what a person tells about themselves, each value checked.

use std::{fmt, str::FromStr};

use kv_core::Timestamp;

use crate::{Result, Session, date};

/// A field of the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProfileField {
    /// Age in years. Unless it is set it follows from the birthday.
    Age,
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
    /// Not an age.
    #[error("an age is a number of years from 0 to 150")]
    Age,
    /// A date that is yet to come.
    #[error("a birthday lies in the past")]
    Future,
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
    pub const ALL: [Self; 7] = [
        Self::Age,
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
            Self::Age => "age",
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
            Self::Age if !is_age(value) => Err(BadProfileValue::Age),
            Self::Birthday if date::parse(value).is_none() => Err(BadProfileValue::Birthday),
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

/// One spelling for each: no sign, no leading zero.
fn is_age(text: &str) -> bool {
    text.parse::<u8>().is_ok_and(|age| age <= 150 && age.to_string() == text)
}

impl Session {
    /// Sets a profile field. Resolves when it is durable.
    pub async fn set_profile(&self, field: ProfileField, value: &str) -> Result<()> {
        let value = self.checked_profile(field, value)?;
        Ok(self.tower()?.fields.set(field.name(), value)?.await?)
    }

    /// The value without surrounding white space, if it fits this field today.
    pub fn checked_profile<'a>(&self, field: ProfileField, value: &'a str) -> Result<&'a str> {
        let value = field.check(value)?;
        let Timestamp(now) = self.tower()?.clock.now();
        // Somewhere it is tomorrow already.
        let tomorrow = date::of(now.saturating_add(DAY));
        let is_date = field == ProfileField::Birthday;
        if is_date && date::parse(value).is_some_and(|date| date > tomorrow) {
            return Err(BadProfileValue::Future.into());
        }
        Ok(value)
    }

    /// The value of a profile field. An age that is not set is that of who was born on the birthday,
    /// today (in UTC).
    pub fn profile(&self, field: ProfileField) -> Result<Option<String>> {
        let stored = self.tower()?.fields.get(field.name())?;
        if field == ProfileField::Age && stored.is_none() {
            return Ok(self.derived_age()?.map(|age| age.to_string()));
        }
        Ok(stored)
    }

    /// Forgets a profile field. Resolves when that is durable.
    pub async fn clear_profile(&self, field: ProfileField) -> Result<()> {
        Ok(self.tower()?.fields.clear(field.name())?.await?)
    }

    fn derived_age(&self) -> Result<Option<u32>> {
        let tower = self.tower()?;
        let birthday: Option<String> = tower.fields.get(ProfileField::Birthday.name())?;
        let Timestamp(now) = tower.clock.now();
        Ok(birthday.and_then(|text| date::years(date::parse(&text)?, date::of(now))))
    }
}

/// In milliseconds.
const DAY: u64 = 86_400_000;

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
        for (age, good) in
            [("0", true), ("150", true), ("151", false), ("-1", false), ("07", false)]
        {
            assert_eq!(Age.check(age).is_ok(), good, "{age}");
        }
        assert_eq!(Email.check("ada@example.org"), Ok("ada@example.org"));
        assert_eq!(Email.check("ada"), Err(BadProfileValue::Email));
        for field in ProfileField::ALL {
            assert_eq!(field.name().parse(), Ok(field));
        }
        assert_eq!("shoe_size".parse::<ProfileField>(), Err(BadProfileValue::Field));
    }
}
