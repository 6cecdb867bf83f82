//! `trimtab policy new`: a project to begin with.

use std::path::Path;

use trimtab_author::{ScaffoldError, scaffold};
use trimtab_server::{ExitCode, Failure};

use crate::{args::PolicyNewArgs, output::Output};

pub(super) fn run(args: &PolicyNewArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let made = scaffold(&args.r#in, &args.name, args.lang, args.kind.name()).map_err(|error| {
        let message = error.to_string();
        match error {
            ScaffoldError::Name(_) | ScaffoldError::Kind(_) | ScaffoldError::Exists(_) => {
                Failure::invalid(message)
            }
            ScaffoldError::NoParent(_) => Failure::missing(message),
            ScaffoldError::Write { .. } => Failure::files(message),
        }
    })?;
    if output.is_json() {
        output.json(&serde_json::json!({ "folder": made.folder, "files": made.files }))?;
        return Ok(ExitCode::Ok);
    }
    let folder = made.folder.strip_prefix(Path::new(".")).unwrap_or(&made.folder).display();
    output.line(format!("made {folder}: {} files; next: trimtab policy build {folder}", made.files.len()))?;
    Ok(ExitCode::Ok)
}
