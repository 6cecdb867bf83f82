//! `trimtab config`: every key of the configuration with its value, and where the value comes from.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::de::{DeTable, DeValue};
use trimtab_core::Configuration;
use trimtab_server::{ExitCode, Failure};

use crate::{
    args::{ConfigArgs, ConfigCommand, ConfigShowArgs, Global},
    connect,
    output::{Output, Table, Tone, cell},
};

pub(crate) fn run(global: &Global, args: &ConfigArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let ConfigCommand::Show(args) = &args.command;
    show(global, args, output)
}

/// A key with its value.
struct Setting {
    key: String,
    value: Value,
    origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// This line of the file.
    Line(usize),
    /// This line of the general `[detectors]`.
    General(usize),
    Default,
}

fn show(global: &Global, args: &ConfigShowArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let path = args.config.clone().unwrap_or_else(|| global.data.join(connect::CONFIG));
    let configuration = connect::read_configuration(&path)?;
    let file = path.display().to_string();
    let settings = settings(&configuration, &connect::read_text(&path)?);
    let origin = |origin: Origin| match origin {
        Origin::Line(line) => format!("{file} line {line}"),
        Origin::General(line) => format!("{file} line {line}, [detectors]"),
        Origin::Default => "default".to_owned(),
    };
    if output.is_json() {
        let shown = settings.iter().map(|setting| {
            let mut shown = serde_json::json!({ "key": setting.key, "value": setting.value });
            if args.origin {
                shown["origin"] = origin(setting.origin).into();
            }
            shown
        });
        output.json(&serde_json::json!({ "settings": shown.collect::<Vec<_>>() }))?;
        return Ok(ExitCode::Ok);
    }
    let heading: &[&str] = if args.origin { &["key", "value", "from"] } else { &["key", "value"] };
    let mut table = Table::new(&heading.iter().map(|word| *word as &'static str).collect::<Vec<_>>());
    for setting in &settings {
        let value = if setting.value.is_null() { "-".to_owned() } else { setting.value.to_string() };
        let mut cells = vec![cell(&setting.key), cell(value)];
        if args.origin {
            let tone = if setting.origin == Origin::Default { Tone::Faint } else { Tone::Plain };
            cells.push((origin(setting.origin), tone));
        }
        table.row(cells);
    }
    output.table(&table)?;
    Ok(ExitCode::Ok)
}

fn settings(configuration: &Configuration, text: &str) -> Vec<Setting> {
    let written = written(text);
    let mut settings = Vec::new();
    let host = serde_json::json!({
        "policies": configuration.host.policies, "listen": configuration.host.listen,
        "artifacts": configuration.host.artifacts, "trainers": configuration.host.trainers,
    });
    flatten("host", &host, &mut |key, value| settings.push((key, value)));
    let http = serde_json::json!({ "hosts": configuration.http.hosts });
    flatten("http", &http, &mut |key, value| settings.push((key, value)));
    flatten("", &configuration.effective(), &mut |key, value| settings.push((key, value)));
    let with_origin = |(key, value): (String, Value)| {
        let own = || written.get(&key).copied().map(Origin::Line);
        // A model's detectors lie over the general ones.
        let general = || {
            let (rule, rest) = key.strip_prefix("models.")?.split_once('.')?;
            rule.parse::<usize>().ok()?;
            rest.starts_with("detectors.").then(|| written.get(rest).copied().map(Origin::General))?
        };
        let origin = own().or_else(general).unwrap_or(Origin::Default);
        Setting { key, value, origin }
    };
    settings.into_iter().map(with_origin).collect()
}

/// Every value that is no table, with the path to it; tables in a list by their place, from 1.
fn flatten(path: &str, value: &Value, take: &mut impl FnMut(String, Value)) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(table) => table.iter().for_each(|(key, value)| flatten(&below(key), value, take)),
        Value::Array(list) if list.iter().any(Value::is_object) => {
            list.iter()
                .zip(1_usize..)
                .for_each(|(value, place)| flatten(&below(&place.to_string()), value, take));
        }
        value => take(path.to_owned(), value.clone()),
    }
}

/// The line of every key that a file has.
fn written(text: &str) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    if let Ok(table) = DeTable::parse(text) {
        note("", table.get_ref(), text, &mut lines);
    }
    lines
}

fn note(path: &str, table: &DeTable<'_>, text: &str, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let name: &str = key.get_ref();
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match value.get_ref() {
            DeValue::Table(table) => note(&path, table, text, lines),
            DeValue::Array(list) if list.iter().any(|value| matches!(value.get_ref(), DeValue::Table(_))) => {
                for (value, place) in list.iter().zip(1_usize..) {
                    if let DeValue::Table(table) = value.get_ref() {
                        note(&format!("{path}.{place}"), table, text, lines);
                    }
                }
            }
            _ => {
                let before = text.get(..key.span().start).unwrap_or_default();
                lines.insert(path, before.matches('\n').count() + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> BTreeMap<String, (String, Origin)> {
        let configuration = Configuration::parse(text, "c.toml").expect("valid");
        let settings = settings(&configuration, text);
        settings.into_iter().map(|one| (one.key, (one.value.to_string(), one.origin))).collect()
    }

    #[test]
    fn every_value_has_its_origin() {
        let text = "[host]\nlisten = \"127.0.0.1:1\"\n[detectors.e-sr]\nrun-length = 5000\n\n[[models]]\nmodel = \"a\"\ndetectors.e-sr.block = 7\n[[models]]\nmodel = \"b\"\n";
        let shown = shown(text);
        #[rustfmt::skip]
        let cases = [
            ("host.listen",                     "\"127.0.0.1:1\"", Origin::Line(2)),
            ("host.policies",                   "null",            Origin::Default),
            ("detectors.e-sr.run-length",       "5000.0",          Origin::Line(4)),
            ("detectors.e-sr.enabled",          "true",            Origin::Default),
            ("metrics.window",                  "0",               Origin::Default),
            ("models.1.model",                  "\"a\"",           Origin::Line(7)),
            ("models.1.stage",                  "\"alert\"",       Origin::Default),
            ("models.1.detectors.e-sr.block",   "7",               Origin::Line(8)),
            ("models.1.detectors.e-sr.run-length", "5000.0",       Origin::General(4)),
            ("models.1.detectors.e-sr.enabled", "true",            Origin::Default),
            ("models.2.model",                  "\"b\"",           Origin::Line(10)),
            ("alerts.interval",                 "\"1d\"",          Origin::Default),
        ];
        for (key, value, origin) in cases {
            assert_eq!(shown.get(key), Some(&(value.to_owned(), origin)), "{key}");
        }
    }

    /// The file that `init` writes shows every key, with its default.
    #[test]
    fn what_init_documents_is_shown() {
        let shown = shown("");
        let (mut table, mut missing) = (String::new(), Vec::new());
        for line in include_str!("../trimtab.toml").lines() {
            let bare = line.trim_start_matches('#').trim();
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                table = name.0.to_owned();
            } else if line.starts_with("# [") || line.starts_with("# [[") {
                // Tables that stand in a list or are named by a policy have no defaults.
                table = String::new();
            } else if let Some((key, _)) = bare.split_once(" = ")
                && !key.contains([' ', '.', '"'])
                && !table.is_empty()
            {
                let key = format!("{table}.{key}");
                if !shown.contains_key(&key) && !missing.contains(&key) {
                    missing.push(key);
                }
            }
        }
        assert_eq!(missing, Vec::<String>::new());
    }
}
