//! A point in time as RFC 3339 text in UTC with milliseconds. Not a clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds from the Unix epoch to the first and the last instant that RFC 3339 can write
/// (its years have four digits).
const FIRST: i64 = -62_167_219_200_000;
const LAST: i64 = 253_402_300_799_999;

/// Milliseconds since the Unix epoch, rounded down and held within the years 0000 to 9999.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// assert_eq!(fnguard::report::time::unix_millis(UNIX_EPOCH + Duration::from_micros(1_999)), 1);
/// ```
pub fn unix_millis(time: SystemTime) -> i64 {
    let millis = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(LAST),
        Err(before) => {
            let before = before.duration();
            let millis = i64::try_from(before.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
            millis.saturating_neg()
        }
    };
    millis.clamp(FIRST, LAST)
}

/// `2026-11-23T09:08:00.455Z`. Lambda's log-level filter reads the level of a line only beside a
/// timestamp in this form. A time outside the years 0000 to 9999 is written as the nearest one
/// inside.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// let time = UNIX_EPOCH + Duration::from_millis(1_795_424_880_455);
/// assert_eq!(fnguard::report::time::rfc3339(time), "2026-11-23T09:08:00.455Z");
/// ```
pub fn rfc3339(time: SystemTime) -> String {
    const DAY: i64 = 86_400_000;
    let millis = unix_millis(time);
    let (year, month, day) = civil(millis.div_euclid(DAY));
    let of_day = millis.rem_euclid(DAY);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3_600_000,
        of_day / 60_000 % 60,
        of_day / 1000 % 60,
        of_day % 1000
    )
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar, carried back
/// before 1582 as ISO 8601 says. The method is Howard Hinnant's `civil_from_days`: the year begins
/// in March, so that the leap day is the last of its year, and 400 years are one period.
fn civil(days: i64) -> (i64, i64, i64) {
    let since_march_0000 = days + 719_468;
    let era = since_march_0000.div_euclid(146_097);
    let day_of_era = since_march_0000.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
