//! Times for people: ISO 8601 in UTC, and ages.

use wallet_persistence::{Clock, SystemClock};

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    SystemClock.now().0
}

/// A moment, in seconds since the Unix epoch, as `2022-09-20T09:31:23Z`.
pub(crate) fn iso(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads `2022-09-20T09:31:23Z`, `2022-09-20T09:31Z` or `2022-09-20` (its beginning), all in UTC:
/// milliseconds since the Unix epoch.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let number = |digits: &str, len: usize| {
        let all_digits = digits.len() == len && digits.bytes().all(|b| b.is_ascii_digit());
        all_digits.then(|| digits.parse::<u64>().ok())?
    };
    let mut parts = date.split('-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let mut clock = time.split(':');
    let (hour, minute) = (number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    let second = clock.next().map_or(Some(0), |second| number(second, 2))?;
    if parts.next().is_some() || clock.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, month, day)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// The number of days from 1970-01-01 to a date that exists: `days_from_civil`, the inverse of [`civil`].
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let shifted_year = year - u64::from((1..=2).contains(&month) && year > 0);
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    // What does not come out as it went in is no date.
    (civil(days) == (year, month, day)).then_some(days)
}

/// A moment, in milliseconds since the Unix epoch, with its age.
pub(crate) fn with_age(ms: u64) -> String {
    age_at(ms, now())
}

/// Clocks may differ by so much without a word, in milliseconds.
const TOLERANCE: u64 = 3_600_000;

fn age_at(ms: u64, now: u64) -> String {
    match ms.saturating_sub(now) {
        ..TOLERANCE => format!("{} ({})", iso(ms / 1000), ago(now.saturating_sub(ms))),
        ahead => format!(
            "{} (in the future by {}: the clock of this device, or of that which wrote it, is wrong)",
            iso(ms / 1000),
            span(ahead)
        ),
    }
}

/// An age in milliseconds.
pub(crate) fn ago(ms: u64) -> String {
    format!("{} ago", span(ms))
}

/// A length of time in milliseconds, in its largest unit.
pub(crate) fn span(ms: u64) -> String {
    match ms / 1000 {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s @ 3600..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

/// Year, month and day of a number of days since 1970-01-01: Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>), for days that are not negative.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years begin in March, so that the leap day is the last one.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_iso_8601() {
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(iso(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(iso(1_663_666_283), "2022-09-20T09:31:23Z");
        assert_eq!(iso(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn a_moment_in_the_future_has_no_age() {
        let minute = 60_000;
        assert_eq!(age_at(1000, 1000 + minute), "1970-01-01T00:00:01Z (1 min ago)");
        assert_eq!(age_at(minute, 0), "1970-01-01T00:01:00Z (0 s ago)", "clocks differ a little");
        let future = age_at(4_107_542_400_000, 0);
        assert!(
            future.starts_with("2100-03-01T00:00:00Z (in the future by 47541 days"),
            "{future}"
        );
        assert!(age_at(u64::MAX, 0).contains("in the future"));
    }

    #[test]
    fn moments_are_read_back() {
        for seconds in [0, 951_782_399, 951_782_400, 1_663_666_283, 4_107_542_400] {
            assert_eq!(parse(&iso(seconds)), Some(seconds * 1000));
        }
        assert_eq!(parse("2022-09-20"), parse("2022-09-20T00:00:00Z"));
        assert_eq!(parse("2022-09-20T09:31Z"), parse("2022-09-20T09:31:00Z"));
        for bad in [
            "",
            "2022",
            "2022-9-20",
            "2022-02-30",
            "2022-13-01",
            "2022-00-10",
            "2022-01-00",
            "2022-09-20T09:31:23",
            "2022-09-20T24:00Z",
            "2022-09-20T09Z",
            "1969-12-31",
            "x",
            "2022-09-20-01",
            "2022-09-20T09:60Z",
            "2022-09-20T+9:31Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ages_have_one_unit() {
        let ages = [(999, "0 s"), (59_999, "59 s"), (180_000, "3 min"), (7_200_000, "2 h")];
        for (ms, text) in ages {
            assert_eq!(span(ms), text);
        }
        assert_eq!(ago(3 * 86_400_000), "3 days ago");
    }
}
