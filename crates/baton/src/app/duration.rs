//! Durations on the command line.

use std::time::Duration;

/// Reads a duration such as `30s`, `1.5m`, `2h` or `250ms`; a bare number is in
/// seconds.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(baton::app::duration("250ms"), Ok(Duration::from_millis(250)));
/// assert_eq!(baton::app::duration("90"), Ok(Duration::from_secs(90)));
/// assert!(baton::app::duration("soon").is_err());
/// ```
///
/// # Errors
/// Text that is no duration, is zero, or is longer than a year.
pub fn duration(text: &str) -> Result<Duration, String> {
    const LONGEST_S: f64 = 365.0 * 86_400.0;
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => {
            return Err(format!(
                "`{text}` is no duration: write 30s, 5m, 2h or 250ms"
            ));
        }
    };
    match number.parse::<f64>().map(|number| number * scale) {
        Ok(seconds) if seconds > 0.0 && seconds <= LONGEST_S => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(format!(
            "`{text}` is no duration above zero: write 30s, 5m, 2h or 250ms"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;
    use std::time::Duration;

    #[test]
    fn units() {
        let check = |text, ms| assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        check("30s", 30_000);
        check("1.5m", 90_000);
        check("2h", 7_200_000);
        check(" 7 ", 7_000);
        for text in [
            "", "s", "0", "-1s", "1y", "1.2.3", "1e999", "nan", "9999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
