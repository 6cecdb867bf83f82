//! Numbers as people read them. Zero has no sign, also where rounding made it zero.

/// With so many decimals.
pub fn decimals(number: f64, places: usize) -> String {
    let text = format!("{number:.places$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.chars().all(|character| matches!(character, '0' | '.')) => zero.to_owned(),
        _ => text,
    }
}

/// With all its decimals.
pub fn number(number: f64) -> String {
    // Adding zero takes the sign from a zero, and nothing from any other number (IEEE 754, section 6.3).
    (number + 0.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_has_no_sign() {
        for (value, places, text) in [
            (-0.0, 0, "0"),
            (-0.0, 3, "0.000"),
            (-0.0004, 3, "0.000"),
            (-0.0006, 3, "-0.001"),
            (-10.04, 1, "-10.0"),
            (0.5, 1, "0.5"),
            (f64::NEG_INFINITY, 1, "-inf"),
        ] {
            assert_eq!(decimals(value, places), text);
        }
        assert_eq!([-0.0, 0.0, -0.25, 1e-9].map(number), ["0", "0", "-0.25", "0.000000001"]);
    }
}
