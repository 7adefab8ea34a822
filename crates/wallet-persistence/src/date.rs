//! Dates: which exist, which one it is, and how many years lie between two.

/// Year, month and day.
pub(crate) type Date = (u32, u32, u32);

/// Reads `YYYY-MM-DD`, if there is such a day.
pub(crate) fn parse(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.split('-').collect();
    let &[year, month, day] = parts.as_slice() else { return None };
    let number = |part: &str, len| {
        let digits = part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<u32>().ok())?
    };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    (1..=last).contains(&day).then_some((year, month, day))
}

/// The date in UTC of a moment in milliseconds since the Unix epoch: Howard Hinnant's
/// `civil_from_days` (<https://howardhinnant.github.io/date_algorithms.html>).
pub(crate) fn of(ms: u64) -> Date {
    // Years begin in March, so that the leap day is the last one.
    let days = ms / 86_400_000 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (u32::try_from(year).unwrap_or(u32::MAX), month as u32, day as u32)
}

/// Whole years from `birth` to `now`; `None` if that lies before it. Who was born on 29 February is
/// a year older on 1 March where there is no such day.
pub(crate) fn years(birth: Date, now: Date) -> Option<u32> {
    if now < birth {
        return None;
    }
    let before_birthday = (now.1, now.2) < (birth.1, birth.2);
    Some(now.0 - birth.0 - u32::from(before_birthday))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_grows_on_the_birthday() {
        let born = (2000, 2, 29);
        for (now, age) in [
            ((2000, 2, 28), None),
            ((2000, 2, 29), Some(0)),
            ((2001, 2, 28), Some(0)),
            ((2001, 3, 1), Some(1)),
            ((2004, 2, 29), Some(4)),
            ((2026, 1, 1), Some(25)),
            ((2026, 12, 31), Some(26)),
        ] {
            assert_eq!(years(born, now), age, "{now:?}");
        }
    }

    #[test]
    fn moments_have_dates() {
        assert_eq!(of(0), (1970, 1, 1));
        assert_eq!(of(951_782_399_999), (2000, 2, 28));
        assert_eq!(of(951_782_400_000), (2000, 2, 29));
        assert_eq!(of(4_107_542_400_000), (2100, 3, 1));
    }
}
