//! Cells that hold numbers: one rule for scores, labels, prices and features. What is not a number is refused with the fix;
//! only what the map calls missing is missing.

/// How a file writes numbers, and that there is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numbers {
    /// Cells that say that nothing is known, besides empty ones.
    pub(super) missing: Vec<String>,
    /// Between the whole part and the fraction.
    pub(super) decimal: char,
    /// Between groups of three digits, if they are grouped.
    pub(super) thousands: Option<char>,
}

/// How systems write that something is not there. None of them is taken so by itself: in another column `NA` is a country.
const SPELLINGS: [&str; 18] = [
    "na",
    "n/a",
    "#n/a",
    "#na",
    "nan",
    "-nan",
    "null",
    "nil",
    "none",
    "missing",
    "unknown",
    "undefined",
    "-",
    "--",
    "?",
    ".",
    "1.#ind",
    "1.#qnan",
];

/// Whether a cell looks as if it meant that there is nothing.
pub(super) fn means_missing(cell: &str) -> bool {
    let cell = cell.to_lowercase();
    SPELLINGS.contains(&cell.as_str()) || cell.strip_prefix("\\").is_some_and(|rest| rest == "n")
}

impl Numbers {
    /// What a map says wrongly about numbers.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let separator =
            |c: char| matches!(c, '.' | ',' | '\'' | '\u{2019}' | '_' | ' ' | '\u{a0}' | '\u{202f}');
        if !matches!(self.decimal, '.' | ',') {
            Some("`decimal` must be \".\" or \",\"")
        } else if self.thousands.is_some_and(|thousands| !separator(thousands)) {
            Some("`thousands` must be \".\", \",\", \"'\", \"_\" or a blank")
        } else if self.thousands == Some(self.decimal) {
            Some("`thousands` and `decimal` must not be the same")
        } else {
            None
        }
    }

    /// A cell without blanks around it, unless it is empty or says that nothing is known.
    pub(super) fn known<'a>(&self, cell: &'a str) -> Option<&'a str> {
        let cell = cell.trim();
        let missing = cell.is_empty() || self.missing.iter().any(|spelling| spelling.trim() == cell);
        (!missing).then_some(cell)
    }

    /// A number; the error says what the cell is instead, and the fix.
    pub(super) fn number(&self, cell: &str) -> Result<f64, String> {
        match self.parse(cell) {
            Some(number) if number.is_finite() => Ok(number),
            Some(_) => Err("is too large for a number".to_owned()),
            None => Err(self.instead(cell)),
        }
    }

    /// A whole number, which may be written as `1.0`.
    pub(super) fn whole(&self, cell: &str) -> Result<i64, String> {
        let number = self.number(cell)?;
        // Above 2^53 not every whole number is an `f64`.
        let whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
        if whole { Ok(number as i64) } else { Err("is not a whole number".to_owned()) }
    }

    /// Whether a cell is a number in another way of writing them, such as `1.100,50` or `75 %`.
    pub(super) fn otherwise(&self, cell: &str) -> bool {
        let bare: String = cell
            .trim_start_matches(['$', '€', '£', '¥', '(', ' '])
            .trim_end_matches(['%', '$', '€', '£', '¥', ')', ' ', '\u{a0}', '\u{202f}'])
            .replace('\u{2212}', "-");
        let grouped = |decimal, thousands| Self { missing: Vec::new(), decimal, thousands };
        [
            grouped('.', None),
            grouped(',', None),
            grouped('.', Some(',')),
            grouped(',', Some('.')),
            grouped('.', Some('\'')),
            grouped('.', Some('\u{2019}')),
            grouped('.', Some(' ')),
            grouped(',', Some(' ')),
            grouped(',', Some('\u{a0}')),
            grouped(',', Some('\u{202f}')),
        ]
        .iter()
        .any(|numbers| numbers.parse(&bare).is_some())
    }

    fn parse(&self, cell: &str) -> Option<f64> {
        let (mantissa, exponent) = match cell.find(['e', 'E']) {
            Some(place) => (&cell[..place], &cell[place + 1..]),
            None => (cell, ""),
        };
        let (whole, fraction) = mantissa.split_once(self.decimal).unwrap_or((mantissa, ""));
        let (sign, whole) = match whole.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", whole.strip_prefix('+').unwrap_or(whole)),
        };
        let whole = match self.thousands {
            Some(thousands) => ungrouped(whole, thousands)?,
            None => whole.to_owned(),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let bare_exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let sound = digits(&whole)
            && digits(fraction)
            && !(whole.is_empty() && fraction.is_empty())
            && digits(bare_exponent)
            && (bare_exponent.is_empty() == (mantissa.len() == cell.len()));
        let exponent = if exponent.is_empty() { "0" } else { exponent };
        if sound { format!("{sign}{whole}.{fraction}e{exponent}").parse().ok() } else { None }
    }

    fn instead(&self, cell: &str) -> String {
        if means_missing(cell) {
            return format!(
                "is not a number; if it means that nothing is known, say in the map: missing = [{}]",
                toml::Value::String(cell.to_owned())
            );
        }
        if self.otherwise(cell) {
            let now = match self.thousands {
                Some(thousands) => format!("decimal = \"{}\" and thousands = \"{thousands}\"", self.decimal),
                None => format!("decimal = \"{}\" and no thousands", self.decimal),
            };
            return format!(
                "is not a number as the map has them ({now}); numbers are written without units and signs of currencies, and the map says how, such as decimal = \",\" and thousands = \".\""
            );
        }
        "is not a number".to_owned()
    }
}

/// Digits without the marks between groups of three; none where the groups are not of three.
fn ungrouped(whole: &str, thousands: char) -> Option<String> {
    let mut groups = whole.split(thousands);
    let first = groups.next().unwrap_or_default();
    let rest: Vec<&str> = groups.collect();
    let sound =
        rest.is_empty() || ((1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3));
    sound.then(|| std::iter::once(first).chain(rest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(decimal: char, thousands: Option<char>) -> Numbers {
        Numbers { missing: vec!["NA".into(), "?".into()], decimal, thousands }
    }

    #[test]
    fn numbers_are_read_as_the_map_has_them() {
        #[rustfmt::skip]
        let cases = [
            // written,       decimal, thousands,  read
            ("1.5",           '.',     None,       Some(1.5)),
            ("-0.25",         '.',     None,       Some(-0.25)),
            ("+3",            '.',     None,       Some(3.0)),
            (".5",            '.',     None,       Some(0.5)),
            ("5.",            '.',     None,       Some(5.0)),
            ("9e-1",          '.',     None,       Some(0.9)),
            ("1.5E+3",        '.',     None,       Some(1_500.0)),
            ("1,5",           ',',     None,       Some(1.5)),
            ("1.100,50",      ',',     Some('.'),  Some(1_100.5)),
            ("12.345.678",    ',',     Some('.'),  Some(12_345_678.0)),
            ("1'000.5",       '.',     Some('\''), Some(1_000.5)),
            ("1 000,5",       ',',     Some(' '),  Some(1_000.5)),
            ("1,5",           '.',     None,       None),
            ("1.5",           ',',     None,       None),
            // Groups of other than three digits are none: 0.60 is no 60.
            ("0.60",          ',',     Some('.'),  None),
            ("1.1000,5",      ',',     Some('.'),  None),
            (".100",          ',',     Some('.'),  None),
            ("",              '.',     None,       None),
            (".",             '.',     None,       None),
            ("e5",            '.',     None,       None),
            ("1e",            '.',     None,       None),
            ("1e+",           '.',     None,       None),
            ("NaN",           '.',     None,       None),
            ("inf",           '.',     None,       None),
            ("-Infinity",     '.',     None,       None),
            ("1e999",         '.',     None,       None),
            ("0x10",          '.',     None,       None),
            ("1_000",         '.',     None,       None),
            ("12abc",         '.',     None,       None),
            ("--5",           '.',     None,       None),
            ("75%",           '.',     None,       None),
            ("\u{663}",       '.',     None,       None),
        ];
        for (cell, decimal, thousands, expected) in cases {
            assert_eq!(
                numbers(decimal, thousands).number(cell).ok(),
                expected,
                "{cell} {decimal} {thousands:?}"
            );
        }
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_point() {
        for (cell, expected) in [
            ("1", Some(1)),
            ("1.0", Some(1)),
            ("-1.00", Some(-1)),
            ("1e0", Some(1)),
            ("0.5", None),
            ("1e300", None),
        ] {
            assert_eq!(numbers('.', None).whole(cell).ok(), expected, "{cell}");
        }
    }

    #[test]
    fn only_what_the_map_names_is_missing() {
        for (cell, known) in [
            (" ", None),
            ("NA", None),
            (" ? ", None),
            ("na", Some("na")),
            ("-", Some("-")),
            (" 5 ", Some("5")),
        ] {
            assert_eq!(numbers('.', None).known(cell), known, "{cell}");
        }
    }

    #[test]
    fn what_is_no_number_is_told_with_the_fix() {
        for (cell, part) in [
            ("NaN", "missing = [\"NaN\"]"),
            ("#N/A", "missing = [\"#N/A\"]"),
            ("\\N", "missing = ['\\N']"),
            ("1.#IND", "missing"),
            ("0,7", "decimal"),
            ("1.100,50", "thousands"),
            ("75 %", "without units"),
            ("€ 5", "without units"),
            ("(5.00)", "without units"),
            ("\u{2212}5", "without units"),
            ("much", "is not a number"),
            ("inf", "is not a number"),
            ("1e999", "too large"),
        ] {
            let said = numbers('.', None).number(cell).expect_err(cell);
            assert!(said.contains(part), "{cell}: {said}");
        }
    }

    #[test]
    fn texts_with_digits_are_no_numbers_written_otherwise() {
        for cell in ["2025-01-01", "10.0.0.1", "1.2.3", "v1", "BTC/USDT", "12:30", "A4", "N", "", "%", "()"] {
            assert!(!numbers('.', None).otherwise(cell), "{cell}");
        }
    }
}
