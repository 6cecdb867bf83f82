//! `trimtab policy check`: whether the host would put a policy in force, by the gates that the host itself has.

use std::path::{Path, PathBuf};

use trimtab_policy::{FIXTURES, Policy};
use trimtab_runtime::would_serve;
use trimtab_server::{ExitCode, Failure};

use super::{configuration, folders, policies_directory};
use crate::{
    args::Global,
    connect,
    output::{Output, Tone},
};

pub(super) fn check(global: &Global, named: &[PathBuf], output: &mut Output) -> Result<ExitCode, Failure> {
    let configuration = configuration(global)?;
    let directory = policies_directory(global);
    let sandbox = connect::authors_sandbox(&configuration.host)?;
    let mut answers = Vec::new();
    let mut exit = ExitCode::Ok;
    for folder in folders(global, named)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match would_serve(&sandbox, &configuration, &directory, &folder) {
            Ok(policy) => {
                let remarks = remarks(&policy, &folder);
                if !output.is_json() {
                    let kinds: Vec<_> = policy.kinds().iter().map(|kind| kind.name()).collect();
                    let fine = output.paint("ok", Tone::Good);
                    output.line(format!("{fine}      {name}: answers {}", kinds.join(", ")))?;
                    for remark in &remarks {
                        output.line(output.paint(&format!("remark  {name}: {remark}"), Tone::Warning))?;
                    }
                }
                answers.push(serde_json::json!({ "name": name, "ok": true, "remarks": remarks }));
            }
            Err(problem) => {
                exit = ExitCode::Data;
                if !output.is_json() {
                    output.line(output.paint(&format!("refused {problem}"), Tone::Bad))?;
                }
                answers.push(serde_json::json!({ "name": name, "ok": false, "problem": problem }));
            }
        }
    }
    if output.is_json() {
        output.json(&serde_json::json!({ "policies": answers }))?;
    }
    Ok(exit)
}

/// What the host would not refuse, and people might want to know.
fn remarks(policy: &Policy, folder: &Path) -> Vec<String> {
    let grants = policy.manifest().grants;
    let imports = |name| policy.imports().iter().any(|import| import == name);
    let mut remarks: Vec<_> = [("history", grants.history), ("state", grants.state)]
        .into_iter()
        .filter(|(name, granted)| *granted && !imports(*name))
        .map(|(name, _)| format!("{name} is granted and not imported; take it out of [grants]"))
        .collect();
    if !folder.join(FIXTURES).is_dir() {
        remarks.push(format!("it has no examples; put some into `{}`", folder.join(FIXTURES).display()));
    }
    remarks
}
