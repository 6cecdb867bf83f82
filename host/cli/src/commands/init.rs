//! `trimtab init`: a data directory with a documented configuration.

use std::{fs, io::Write, path::Path};

use trimtab_server::{ExitCode, Failure};

use crate::{
    args::{Global, InitArgs},
    connect::{self, CONFIG},
    output::Output,
};

/// The configuration that a new directory gets. What is commented out is the default.
const TEMPLATE: &str = include_str!("../trimtab.toml");

pub(crate) fn run(global: &Global, args: &InitArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let data = &global.data;
    let path = data.join(CONFIG);
    if path.exists() {
        return Err(Failure::invalid(format!(
            "`{}` is there already; nothing was changed. Edit it, or name another directory with --data",
            path.display()
        )));
    }
    fs::create_dir_all(data).map_err(|error| failed("create", data, &error))?;
    let text = match &args.policies {
        None => TEMPLATE.to_owned(),
        Some(directory) => {
            let directory = fs::canonicalize(directory).map_err(|error| failed("find", directory, &error))?;
            let named = format!("policies = {}", toml::Value::String(directory.display().to_string()));
            TEMPLATE.replacen("# policies = \"policies\"", &named, 1)
        }
    };
    // Not over a file that somebody else makes at the same time.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(|error| failed("write", &path, &error))?;
    file.write_all(text.as_bytes()).map_err(|error| failed("write", &path, &error))?;
    if args.policies.is_none() {
        let policies = data.join("policies");
        fs::create_dir_all(&policies).map_err(|error| failed("create", &policies, &error))?;
    }
    drop(connect::open(data)?);
    if output.is_json() {
        output.json(&serde_json::json!({ "directory": data, "configuration": path }))?;
    } else {
        output.line(format!("made `{}`", data.display()))?;
        output.line(format!("configuration: {}", path.display()))?;
        output.line(format!(
            "next: trimtab --data {0} import FILE, or trimtab --data {0} serve",
            data.display()
        ))?;
    }
    Ok(ExitCode::Ok)
}

fn failed(action: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::files(format!("cannot {action} `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use trimtab_core::{Configuration, config::MetricSettings};

    use super::*;

    #[test]
    fn the_template_says_the_defaults_and_keeps_metrics() {
        let parse = |text: &str| Configuration::parse(text, "template").expect("parses");
        // A new directory keeps metrics. A configuration that does not say so is an older one, which must go on as before.
        let metrics = MetricSettings { window: 200, ..MetricSettings::default() };
        let expected = Configuration { metrics, ..Configuration::default() };
        assert_eq!(parse(TEMPLATE), expected, "as it is");
        // With every commented key in force, up to the examples, which come after an empty comment.
        let (mut table, mut example) = ("", false);
        let mut text = String::new();
        for line in TEMPLATE.lines() {
            if line.starts_with('[') {
                (table, example) = (line, false);
            }
            example |= line == "#";
            let key = line.strip_prefix("# ").filter(|key| key.split(' ').nth(1) == Some("="));
            text.push_str(key.filter(|_| !example && table != "[host]").unwrap_or(line));
            text.push('\n');
        }
        assert!(text.contains("\nrun-length = 10000") && text.contains("\ninterval = \"24h\""), "{text}");
        assert_eq!(parse(&text), expected, "{text}");
    }
}
