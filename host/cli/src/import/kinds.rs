//! Whether a feature is a number or a category: said by the map, or read from the first rows of the file. A column that is
//! both is refused, so that a feature is never watched as something else than it is.

use std::collections::BTreeMap;

use trimtab_api::rows::FeatureValue;

use super::{
    map::Map,
    values::{Numbers, means_missing},
};

/// What a feature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    /// By the map.
    Category,
    /// By what stood in the first rows.
    Text,
}

/// What the features of a file are, by column.
#[derive(Debug, Clone)]
pub(super) struct Kinds {
    numbers: Numbers,
    kinds: BTreeMap<String, Kind>,
}

/// What a cell of a column without a kind is.
enum Looks {
    Number,
    Text,
    /// A gap, or a number that is written otherwise: nobody can know but the one who writes the map.
    Unclear(String),
}

impl Kinds {
    /// As the map has them.
    pub(super) fn new(map: &Map) -> Self {
        let mut kinds = BTreeMap::new();
        for prediction in &map.predictions {
            kinds.extend(prediction.numbers.iter().map(|column| (column.clone(), Kind::Number)));
            kinds.extend(prediction.categories.iter().map(|column| (column.clone(), Kind::Category)));
        }
        Self { numbers: map.numbers(), kinds }
    }

    /// Whether the map or earlier rows say what a column is.
    pub(super) fn knows(&self, column: &str) -> bool {
        self.kinds.contains_key(column)
    }

    /// Learns what a column is from its cells, each with its line; the error is a line and what is wrong in it.
    pub(super) fn learn<'a>(
        &mut self,
        column: &str,
        cells: impl Iterator<Item = (u64, &'a str)>,
    ) -> Result<(), (u64, String)> {
        let (mut number, mut text): (Option<u64>, Option<(u64, &str)>) = (None, None);
        for (line, cell) in cells.filter_map(|(line, cell)| Some((line, self.numbers.known(cell)?))) {
            match self.looks(cell) {
                Looks::Number => number = number.or(Some(line)),
                Looks::Text => text = text.or(Some((line, cell))),
                Looks::Unclear(problem) => {
                    return Err((line, format!("`{}` {problem}{}", short(cell), or_category(column))));
                }
            }
        }
        match (number, text) {
            (Some(number), Some((line, cell))) => Err((
                line,
                format!(
                    "`{}` is not a number, and line {number} holds one{}{}",
                    short(cell),
                    or_missing(cell),
                    or_category(column)
                ),
            )),
            (Some(_), None) => {
                self.kinds.insert(column.to_owned(), Kind::Number);
                Ok(())
            }
            (None, Some(_)) => {
                self.kinds.insert(column.to_owned(), Kind::Text);
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    /// The value of a cell; a remark where it changes what the column seemed to be.
    pub(super) fn value(
        &mut self,
        column: &str,
        cell: &str,
    ) -> Result<Option<(FeatureValue, Option<&'static str>)>, String> {
        let Some(cell) = self.numbers.known(cell) else { return Ok(None) };
        let category = |remark| Ok(Some((FeatureValue::Category(cell.to_owned()), remark)));
        match self.kinds.get(column).copied() {
            Some(Kind::Number) => match self.numbers.number(cell) {
                Ok(number) => Ok(Some((FeatureValue::Number(number), None))),
                Err(problem) => {
                    let missing = if self.looks_like_text(cell) { or_missing(cell) } else { String::new() };
                    Err(format!("`{}` {problem}{missing}{}", short(cell), or_category(column)))
                }
            },
            Some(Kind::Category) => category(None),
            Some(Kind::Text) => match self.looks(cell) {
                Looks::Text => category(None),
                Looks::Number => category(Some("a number among texts, taken as a category")),
                Looks::Unclear(problem) => Err(format!("`{}` {problem}{}", short(cell), or_category(column))),
            },
            None => {
                // Nothing stood here in the first rows: now it shows.
                self.learn(column, std::iter::once((0, cell))).map_err(|(_, problem)| problem)?;
                let value = self.value(column, cell)?;
                Ok(value
                    .map(|(value, _)| (value, Some("empty in the first rows; from here on it has values"))))
            }
        }
    }

    fn looks_like_text(&self, cell: &str) -> bool {
        matches!(self.looks(cell), Looks::Text)
    }

    fn looks(&self, cell: &str) -> Looks {
        match self.numbers.number(cell) {
            Ok(_) if is_code(cell) => Looks::Unclear(
                "has zeros in front, as codes have: if it is a number, say so in `numbers` of the map"
                    .to_owned(),
            ),
            Ok(_) => Looks::Number,
            Err(problem) if means_missing(cell) || self.numbers.otherwise(cell) || is_infinite(cell) => {
                Looks::Unclear(problem)
            }
            Err(_) => Looks::Text,
        }
    }
}

/// Whether digits may be a code, such as `00501`, in which the zeros count.
fn is_code(cell: &str) -> bool {
    cell.len() > 1 && cell.starts_with('0') && cell.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_infinite(cell: &str) -> bool {
    let bare = cell.trim_start_matches(['+', '-']).to_lowercase();
    bare == "inf" || bare == "infinity"
}

fn or_missing(cell: &str) -> String {
    let missing = toml::Value::String(short(cell));
    format!("; if it means that nothing is known, say in the map: missing = [{missing}]")
}

fn or_category(column: &str) -> String {
    format!(
        "; if `{column}` holds categories, say so: categories = [{}]",
        toml::Value::String(column.to_owned())
    )
}

fn short(cell: &str) -> String {
    cell.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(declared: &str) -> Kinds {
        let map = format!(
            "time = \"t\"\nmissing = [\"gap\"]\n[[predictions]]\nid = \"{{t}}\"\nmodel = \"m\"\nversion = \"v\"\nscore = \"s\"\n{declared}\n"
        );
        Kinds::new(&Map::parse(&map, "m.toml").expect("valid"))
    }

    /// What a column becomes whose first rows are these, as the values of the cells behind them.
    fn after(declared: &str, first: &[&str], then: &str) -> String {
        let mut kinds = kinds(declared);
        if !kinds.knows("x")
            && let Err((line, problem)) = kinds.learn("x", (2..).zip(first.iter().copied()))
        {
            return format!("line {line}: {problem}");
        }
        match kinds.value("x", then) {
            Ok(None) => "missing".to_owned(),
            Ok(Some((value, remark))) => {
                format!("{value:?} {}", remark.unwrap_or_default()).trim().to_owned()
            }
            Err(problem) => problem,
        }
    }

    #[test]
    fn the_first_rows_or_the_map_say_what_a_column_is() {
        let undeclared = "features = [\"x\"]";
        #[rustfmt::skip]
        let cases: &[(&str, &[&str], &str, &str)] = &[
            (undeclared,            &["1", "gap", "2.5", ""],  "3",       "Number(3.0)"),
            (undeclared,            &["1"],                    "gap",     "missing"),
            (undeclared,            &["1"],                    "",        "missing"),
            (undeclared,            &["1"],                    "red",     "`red` is not a number; if it means that nothing is known, say in the map: missing = [\"red\"]; if `x` holds categories"),
            (undeclared,            &["1"],                    "NA",      "missing = [\"NA\"]"),
            (undeclared,            &["1"],                    "1,5",     "decimal = \",\""),
            (undeclared,            &["red", "green"],         "blue",    "Category(\"blue\")"),
            (undeclared,            &["red"],                  "7",       "Category(\"7\") a number among texts"),
            (undeclared,            &["red"],                  "None",    "missing = [\"None\"]"),
            (undeclared,            &["red", "7"],             "",        "line 2: `red` is not a number, and line 3 holds one"),
            (undeclared,            &["7", "8", "n.a."],       "",        "line 4: `n.a.` is not a number, and line 2 holds one; if it means that nothing is known, say in the map: missing = [\"n.a.\"]"),
            (undeclared,            &["NA"],                   "",        "line 2: `NA` is not a number"),
            (undeclared,            &["inf"],                  "",        "line 2: `inf` is not a number"),
            (undeclared,            &["1.100,50"],             "",        "line 2: `1.100,50` is not a number as the map has them"),
            (undeclared,            &["00501"],                "",        "line 2: `00501` has zeros in front"),
            (undeclared,            &["0", "0.5"],             "0",       "Number(0.0)"),
            ("numbers = [\"x\"]",    &[],                       "007",     "Number(7.0)"),
            (undeclared,            &["", "gap"],              "5",       "Number(5.0) empty in the first rows"),
            (undeclared,            &[],                       "red",     "Category(\"red\") empty in the first rows"),
            ("numbers = [\"x\"]",    &["red"],                  "red",     "`red` is not a number"),
            ("categories = [\"x\"]", &["1"],                    "7",       "Category(\"7\")"),
            ("categories = [\"x\"]", &["1"],                    "NA",      "Category(\"NA\")"),
            ("categories = [\"x\"]", &["1"],                    "gap",     "missing"),
        ];
        for (declared, first, then, expected) in cases {
            let got = after(declared, first, then);
            let holds = if expected.starts_with(['N', 'C', 'm']) && !expected.contains('=') {
                got.starts_with(expected)
            } else {
                got.contains(expected)
            };
            assert!(holds, "{declared} {first:?} {then}: gave {got}, expected {expected}");
        }
    }
}
