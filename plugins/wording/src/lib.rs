//! How the shipped policies write numbers, counts and lengths of time. Pure.
//!
//! Rounding: halves away from zero, by integer arithmetic, so that every language writes the same.

#![warn(missing_docs)]

/// A fraction as people read it, to a tenth of a per cent: 0.613 is "61.3 %".
pub fn percent(fraction: f64) -> String {
    format!("{} %", decimal(fraction * 100.0, 1))
}

/// A difference of two fractions, without its sign: 0.07 is "7.0 points".
pub fn points(difference: f64) -> String {
    format!("{} points", decimal(difference.abs() * 100.0, 1))
}

/// Well-known metrics that are numbers of their own and not rates.
const NOT_RATES: [&str; 5] = ["sharpe", "sharpe-daily", "pnl", "mae", "rmse"];

/// Whether what goes by this name, a metric or what else a detector watches, is a fraction.
pub fn is_rate(name: &str) -> bool {
    !NOT_RATES.contains(&name) && !name.starts_with("feature/") && name != "score"
}

/// A metric's value, as fits its name: "61.0 %", "1.250".
pub fn quantity(name: &str, value: f64) -> String {
    if is_rate(name) { percent(value) } else { decimal(value, 3) }
}

/// A difference of two values of a metric, without its sign: "7.0 points", "0.250".
pub fn difference(name: &str, value: f64) -> String {
    if is_rate(name) { points(value) } else { decimal(value.abs(), 3) }
}

/// With so many decimals. Programming languages disagree on how to print 0.25 with one decimal; integers they agree on.
pub fn decimal(value: f64, places: u32) -> String {
    const MOST: f64 = 1e9;
    if value.abs() >= MOST {
        return if value > 0.0 { "over 1000000000".to_owned() } else { "under -1000000000".to_owned() };
    }
    let unit = 10_u64.pow(places);
    let rounded = (value.abs() * unit as f64 + 0.5).floor() as u64;
    let sign = if value < 0.0 && rounded > 0 { "-" } else { "" };
    let (whole, part) = (rounded / unit, rounded % unit);
    match places {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{part:0width$}", width = places as usize),
    }
}

/// A p-value: "p = 0.0123", or "p < 0.0001" where more digits would only pretend.
pub fn p_value(p: f64) -> String {
    if p < 0.0001 { "p < 0.0001".to_owned() } else { format!("p = {}", decimal(p, 4)) }
}

/// "1 finding", "2 findings".
pub fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// A length of time in its two largest units; what is shorter than those is left out: "2 d", "1 h 30 min".
pub fn duration(seconds: u32) -> String {
    const UNITS: [(u32, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let Some(largest) = UNITS.iter().position(|(unit, _)| seconds >= *unit) else { return "0 s".to_owned() };
    let (unit, name) = UNITS[largest];
    let rest = UNITS.get(largest + 1).map(|(smaller, name)| (seconds % unit / smaller, name));
    match rest {
        Some((n @ 1.., smaller)) => format!("{} {name} {n} {smaller}", seconds / unit),
        _ => format!("{} {name}", seconds / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_away_from_zero() {
        for (value, places, text) in [
            (61.25, 1, "61.3"),
            (0.25, 1, "0.3"),
            (-0.04, 1, "0.0"),
            (-1.06, 1, "-1.1"),
            (0.0123, 4, "0.0123"),
            (2.5, 0, "3"),
            (1e300, 1, "over 1000000000"),
            (-1e300, 1, "under -1000000000"),
        ] {
            assert_eq!(decimal(value, places), text);
        }
        assert_eq!(
            (quantity("f1", 0.5), quantity("feature/x", 0.5)),
            ("50.0 %".to_owned(), "0.500".to_owned())
        );
        assert_eq!(
            (difference("ece", -0.05), difference("sharpe", -0.25)),
            ("5.0 points".to_owned(), "0.250".to_owned())
        );
        assert_eq!((percent(0.613), points(-0.07)), ("61.3 %".to_owned(), "7.0 points".to_owned()));
        assert_eq!((p_value(0.0123), p_value(0.000_01)), ("p = 0.0123".to_owned(), "p < 0.0001".to_owned()));
        assert_eq!(
            (count(1, "finding"), count(0, "finding")),
            ("1 finding".to_owned(), "0 findings".to_owned())
        );
    }

    #[test]
    fn times_are_written_in_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (5_400, "1 h 30 min"),
            (86_400, "1 d"),
            (172_923, "2 d"),
            (129_600, "1 d 12 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
