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
