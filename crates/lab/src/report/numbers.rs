//! Numbers as people read them: three significant digits, in a unit that suits their size.

/// A number with three significant digits, without an exponent where that can be read.
pub(super) fn digits(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rounding may add a digit: 9.996 is 10.0.
    let text = format!("{value:.2e}");
    let exponent: i32 = text
        .split_once('e')
        .map_or(0, |(_, exponent)| exponent.parse().unwrap_or(0));
    if !(-4..9).contains(&exponent) {
        return text.replace('-', "−");
    }
    let decimals = usize::try_from(2 - exponent).unwrap_or(0);
    let rounded = match exponent {
        3.. => {
            let unit = 10f64.powi(exponent - 2);
            (value / unit).round() * unit
        }
        _ => value,
    };
    grouped(&format!("{rounded:.decimals$}"))
}

/// A whole number, in groups of three from five digits on.
pub(super) fn whole(value: u64) -> String {
    grouped(&value.to_string())
}

fn grouped(text: &str) -> String {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("−", rest),
        None => ("", text),
    };
    let (whole, decimals) = rest.split_once('.').map_or((rest, ""), |parts| parts);
    let mut out = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && whole.len() > 4 && (whole.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    if !decimals.is_empty() {
        out.push('.');
        out.push_str(decimals);
    }
    out
}

/// Fills numbers up with spaces as wide as digits, so that their points stand below each other in
/// a column that is aligned to the right.
pub(super) fn align(texts: &mut [&mut String]) {
    let places = |text: &str| {
        text.split_once('.')
            .map(|(_, decimals)| decimals.chars().count())
    };
    let most = texts.iter().filter_map(|text| places(text)).max();
    let Some(most) = most else { return };
    for text in texts
        .iter_mut()
        .filter(|text| !matches!(text.as_str(), "" | "–"))
    {
        let (point, decimals) = places(text).map_or((1, 0), |decimals| (0, decimals));
        text.extend(std::iter::repeat_n('\u{2008}', point));
        text.extend(std::iter::repeat_n('\u{2007}', most - decimals));
    }
}

/// A probability; small ones as a bound.
pub(super) fn probability(p: Option<f64>) -> String {
    match p {
        None => "–".to_owned(),
        Some(p) if p.is_nan() => "–".to_owned(),
        Some(p) if p < 0.0001 => "<0.0001".to_owned(),
        Some(p) if p >= 0.9995 => "1".to_owned(),
        Some(p) if p < 0.001 => format!("{p:.4}"),
        Some(p) => format!("{p:.3}"),
    }
}

/// A ratio, such as `0.437×`.
pub(super) fn times(ratio: f64) -> String {
    format!("{}×", digits(ratio))
}

/// A duration in words, such as `20 min`.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "an unknown time".to_owned();
    }
    match seconds {
        s if s < 1.0 => format!("{} ms", digits(s * 1e3)),
        s if s < 120.0 => format!("{} s", digits(s)),
        s if s < 2.0 * 3600.0 => format!("{:.0} min", s / 60.0),
        s => {
            let minutes = (s / 60.0).round() as u64;
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

/// How a metric's values are shown: multiplied by this, in this unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    /// The factor.
    pub(super) factor: f64,
    /// The unit's symbol; empty for plain numbers.
    pub(super) unit: String,
}

impl Scale {
    /// For values of about this size in this unit.
    pub(super) fn of(unit: &str, size: f64) -> Self {
        let size = size.abs();
        let in_seconds = match unit {
            "s" => Some(1.0),
            "ms" => Some(1e-3),
            "us" | "µs" => Some(1e-6),
            "ns" => Some(1e-9),
            _ => None,
        };
        if let Some(in_seconds) = in_seconds {
            let units = [("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)];
            let seconds = size * in_seconds;
            let fits = units.iter().find(|(_, least)| seconds >= *least * 0.9999);
            let same = units.iter().find(|(_, least)| *least == in_seconds);
            let chosen = if seconds > 0.0 {
                fits.or(units.last())
            } else {
                same
            };
            let (name, least) = chosen.copied().unwrap_or((unit, in_seconds));
            let factor = in_seconds / least;
            // A product of powers of ten is not always one: 1e-3 / 1e-6 is 1000.0000000000001.
            let factor = 10f64.powi(factor.log10().round() as i32);
            return Self {
                factor,
                unit: name.to_owned(),
            };
        }
        let plain = match unit {
            "1" => "",
            "1/s" => "per s",
            unit => unit,
        };
        let (factor, power) = match size {
            s if !s.is_finite() || s < 1e6 => (1.0, ""),
            s if s < 1e9 => (1e-6, "10⁶"),
            s if s < 1e12 => (1e-9, "10⁹"),
            _ => (1e-12, "10¹²"),
        };
        let unit = [power, plain].into_iter().filter(|part| !part.is_empty());
        Self {
            factor,
            unit: unit.collect::<Vec<_>>().join(" "),
        }
    }

    /// A value in this scale's unit, without it.
    pub(super) fn show(&self, value: f64) -> String {
        digits(value * self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let check = |value: f64, text: &str| assert_eq!(digits(value), text, "{value}");
        check(0.0, "0");
        check(0.437_21, "0.437");
        check(9.996, "10.0");
        check(99.95, "100");
        check(1.0, "1.00");
        check(1577.0, "1580");
        check(-12.34, "−12.3");
        check(177_644.0, "178\u{202f}000");
        check(0.000_431_2, "0.000431");
        check(0.000_000_431, "4.31e−7");
        check(4.2e12, "4.20e12");
        check(f64::NAN, "–");
        check(f64::INFINITY, "–");
    }

    #[test]
    fn scales_suit_the_size() {
        let check = |unit: &str, size: f64, value: f64, shown: &str| {
            let scale = Scale::of(unit, size);
            let text = format!("{} {}", scale.show(value), scale.unit);
            assert_eq!(text.trim_end(), shown, "{unit} {size}");
        };
        check("s", 0.0153, 0.0153, "15.3 ms");
        check("ms", 27.9, 27.9, "27.9 ms");
        check("us", 2167.0, 2167.0, "2.17 ms");
        check("s", 1.0, 0.25, "0.250 s");
        check("ns", 0.2, 0.2, "0.200 ns");
        check("ms", 0.0, 0.0, "0 ms");
        check("units/s", 40.38e6, 40.38e6, "40.4 10⁶ units/s");
        check("1", 0.917, 0.917, "0.917");
        check("frames", 59.0, 59.0, "59.0 frames");
        check("s", f64::NAN, 1.0, "1.00 s");
    }

    #[test]
    fn points_stand_below_each_other() {
        let (mut one, mut two, mut three) =
            ("216".to_owned(), "0.437".to_owned(), "1.0".to_owned());
        align(&mut [&mut one, &mut two, &mut three]);
        let widths = [
            one.chars().count(),
            two.chars().count(),
            three.chars().count(),
        ];
        // 216 and its point and three places; 0.437; 1.0 and two places.
        assert_eq!(widths, [7, 5, 5]);
    }

    #[test]
    fn probabilities_are_bounded_below() {
        assert_eq!(probability(Some(1e-9)), "<0.0001");
        assert_eq!(probability(Some(0.000_31)), "0.0003");
        assert_eq!(probability(Some(0.031_25)), "0.031");
        assert_eq!(probability(Some(1.0)), "1");
        assert_eq!(probability(None), "–");
        assert_eq!(probability(Some(f64::NAN)), "–");
    }
}
