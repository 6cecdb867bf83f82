//! What can judge a prediction: which column of an outcome, and which labels. A map whose outcomes could never judge is
//! refused before a row is read.

use std::collections::BTreeMap;

use super::{
    map::{Map, OutcomeMap, PredictionMap},
    values::Numbers,
};

/// What a prediction of a map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Direction,
    Score,
    Class,
    Value,
}

impl PredictionMap {
    pub(super) fn task(&self) -> Task {
        if self.direction.is_some() {
            Task::Direction
        } else if self.score.is_some() {
            Task::Score
        } else if self.class.is_some() {
            Task::Class
        } else {
            Task::Value
        }
    }

    /// The columns of an outcome that can judge it, or say what it earned, as an error names them.
    fn judged_by(&self) -> &'static str {
        match self.task() {
            Task::Value => "`value`, or `pnl`",
            Task::Score | Task::Class => "`label`, or `pnl`",
            Task::Direction => "`label`, `exit-price` (with `entry-price` in the prediction), or `pnl`",
        }
    }

    fn can_be_judged(&self, outcome: &OutcomeMap) -> bool {
        let own = match self.task() {
            Task::Value => outcome.value.is_some(),
            _ => outcome.label.is_some(),
        };
        own || outcome.pnl.is_some() || self.trades(outcome)
    }

    /// Whether entry and exit price say what came of it.
    fn trades(&self, outcome: &OutcomeMap) -> bool {
        let sided = self.side.is_some() || self.task() == Task::Direction;
        sided && self.entry_price.is_some() && outcome.exit_price.is_some()
    }
}

impl Task {
    /// Whether a label is one of this task.
    pub(super) fn has(self, label: i64) -> bool {
        match self {
            Self::Direction => (-1..=1).contains(&label),
            Self::Score => (0..=1).contains(&label),
            Self::Class => u32::try_from(label).is_ok(),
            Self::Value => false,
        }
    }

    /// The labels that it has.
    pub(super) fn labels(self) -> &'static str {
        match self {
            Self::Direction => "labels of a direction are -1, 0 and 1",
            Self::Score => "labels of a score are 0 and 1",
            Self::Class => "labels of a class are its number, from 0 up",
            Self::Value => "a value has no labels",
        }
    }
}

/// What a map says wrongly about what judges its predictions.
pub(super) fn problem(map: &Map) -> Option<String> {
    let outcome = map.outcome.as_ref()?;
    if let Some(never) = map.predictions.iter().find(|prediction| !prediction.can_be_judged(outcome)) {
        return Some(format!(
            "[outcome] can never judge the predictions of version `{}`: for `{}` it needs {}",
            never.version,
            never.predicted_as(),
            never.judged_by()
        ));
    }
    let tasks = || map.predictions.iter().map(PredictionMap::task);
    let idle = match outcome {
        OutcomeMap { value: Some(_), .. } if !tasks().any(|task| task == Task::Value) => Some("value"),
        OutcomeMap { label: Some(_), .. } if tasks().all(|task| task == Task::Value) => Some("label"),
        _ => None,
    };
    if let Some(key) = idle {
        return Some(format!("`{key}` of [outcome] can judge none of the predictions; leave it out"));
    }
    let Some(labels) = &outcome.labels else { return None };
    if outcome.label.is_none() {
        return Some("[outcome.labels] needs `label` in [outcome]".to_owned());
    }
    let wrong = labels.iter().find_map(|(text, label)| {
        let task = tasks().find(|task| *task != Task::Value && !task.has(*label))?;
        Some(format!("[outcome.labels] \"{text}\" is {label}; {}", task.labels()))
    });
    wrong.or_else(|| {
        let mut numbers: Vec<f64> =
            labels.keys().filter_map(|text| map.numbers().number(text).ok()).collect();
        numbers.sort_by(f64::total_cmp);
        let twice = numbers.windows(2).find(|pair| pair[0] == pair[1])?;
        Some(format!("[outcome.labels] has {} twice", twice[0]))
    })
}

/// The label that a cell says; the error says what is wrong and what to do.
pub(super) fn label(
    cell: &str,
    task: Task,
    labels: Option<&BTreeMap<String, i64>>,
    numbers: &Numbers,
) -> Result<i64, String> {
    if let Some(labels) = labels {
        let same = |text: &&String| {
            let (one, other) = (numbers.number(text), numbers.number(cell));
            one.is_ok() && one == other
        };
        let key = labels.get_key_value(cell).map(|(key, _)| key).or_else(|| labels.keys().find(same));
        return key.and_then(|key| labels.get(key)).copied().ok_or_else(|| {
            let known: Vec<_> = labels.keys().map(|key| format!("`{key}`")).collect();
            format!("is not in [outcome.labels], which has {}", known.join(", "))
        });
    }
    let hint =
        "the map says what words and other numbers mean, such as [outcome.labels] \"1\" = 0, \"2\" = 1";
    let label = numbers.whole(cell).map_err(|problem| format!("{problem}; {}; {hint}", task.labels()))?;
    if task.has(label) { Ok(label) } else { Err(format!("is no label; {}; {hint}", task.labels())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(predictions: &[&str], outcome: &str) -> Result<Map, String> {
        let predictions: String = predictions
            .iter()
            .map(|keys| format!("[[predictions]]\nid = \"i\"\nmodel = \"m\"\nversion = \"v\"\n{keys}\n"))
            .collect();
        let text = format!("time = \"t\"\n{predictions}[outcome]\nafter = \"1h\"\n{outcome}\n");
        Map::parse(&text, "m.toml").map_err(|failure| failure.message)
    }

    #[test]
    fn a_map_whose_outcomes_can_never_judge_is_refused() {
        for (predictions, outcome) in [
            (&["score = \"a\""][..], "label = \"b\""),
            (&["value = \"a\""], "value = \"b\""),
            (&["class = \"a\""], "label = \"b\""),
            (&["direction = \"a\"\nentry-price = \"c\""], "exit-price = \"b\""),
            (&["score = \"a\"\nentry-price = \"c\"\nside = \"d\""], "exit-price = \"b\""),
            (&["value = \"a\""], "pnl = \"b\""),
            // Each takes what can judge it.
            (&["score = \"a\"", "value = \"a\""], "label = \"b\"\nvalue = \"c\""),
        ] {
            assert_eq!(map(predictions, outcome).map(|_| ()), Ok(()), "{predictions:?} {outcome}");
        }
        for (predictions, outcome, part) in [
            (&["value = \"a\""][..], "label = \"b\"", "for `value` it needs `value`, or `pnl`"),
            (&["score = \"a\""], "value = \"b\"", "for `score` it needs `label`, or `pnl`"),
            (&["class = \"a\""], "exit-price = \"b\"", "for `class` it needs `label`"),
            (&["direction = \"a\""], "exit-price = \"b\"", "`entry-price`"),
            (&["score = \"a\"", "value = \"a\""], "label = \"b\"", "for `value` it needs"),
            (&["value = \"a\""], "label = \"b\"\npnl = \"c\"", "`label` of [outcome] can judge none"),
            (&["score = \"a\""], "value = \"b\"\npnl = \"c\"", "`value` of [outcome] can judge none"),
            (
                &["score = \"a\""],
                "label = \"b\"\n[outcome.labels]\nyes = 2",
                "\"yes\" is 2; labels of a score are 0 and 1",
            ),
            (&["score = \"a\""], "label = \"b\"\n[outcome.labels]\n\"1\" = 0\n\"1.0\" = 1", "has 1 twice"),
            (&["score = \"a\""], "pnl = \"b\"\n[outcome.labels]\nyes = 1", "needs `label`"),
        ] {
            let said = map(predictions, outcome).expect_err(outcome);
            assert!(said.contains(part) && said.contains("m.toml"), "{said}");
        }
    }

    #[test]
    fn labels_are_those_of_the_task_or_of_the_map() {
        let numbers = Numbers { missing: Vec::new(), decimal: '.', thousands: None };
        let words = |pairs: &[(&str, i64)]| -> BTreeMap<String, i64> {
            pairs.iter().map(|(text, label)| ((*text).to_owned(), *label)).collect()
        };
        let (yes_no, one_two) = (words(&[("yes", 1), ("no", 0)]), words(&[("1", 0), ("2", 1)]));
        #[rustfmt::skip]
        let cases = [
            (Task::Score,     None,           "1",     Ok(1)),
            (Task::Score,     None,           "1.0",   Ok(1)),
            (Task::Score,     None,           "0",     Ok(0)),
            (Task::Score,     None,           "2",     Err("labels of a score are 0 and 1")),
            (Task::Score,     None,           "-1",    Err("labels of a score are 0 and 1")),
            (Task::Score,     None,           "yes",   Err("[outcome.labels]")),
            (Task::Score,     None,           "0.5",   Err("is not a whole number")),
            (Task::Score,     None,           "NA",    Err("missing = [\"NA\"]")),
            (Task::Direction, None,           "-1",    Ok(-1)),
            (Task::Direction, None,           "2",     Err("labels of a direction are -1, 0 and 1")),
            (Task::Class,     None,           "7.0",   Ok(7)),
            (Task::Class,     None,           "-1",    Err("from 0 up")),
            (Task::Score,     Some(&yes_no),  "yes",   Ok(1)),
            (Task::Score,     Some(&yes_no),  "Yes",   Err("is not in [outcome.labels], which has `no`, `yes`")),
            (Task::Score,     Some(&yes_no),  "1",     Err("is not in [outcome.labels]")),
            (Task::Score,     Some(&one_two), "1",     Ok(0)),
            (Task::Score,     Some(&one_two), "2.0",   Ok(1)),
            (Task::Score,     Some(&one_two), "3",     Err("is not in [outcome.labels]")),
        ];
        for (task, labels, cell, expected) in cases {
            match (label(cell, task, labels, &numbers), expected) {
                (Ok(got), Ok(label)) => assert_eq!(got, label, "{task:?} {cell}"),
                (Err(problem), Err(part)) => assert!(problem.contains(part), "{cell}: {problem}"),
                (got, _) => panic!("{task:?} {cell}: {got:?}"),
            }
        }
    }
}
