//! Files of versions follow the registry: what is deleted is put aside, what is restored comes back, and what was deleted longer
//! ago than the grace goes for good. It looks at what is there and at what should be, so that it can end at any point and go
//! on the next time. What is deleted is decided by a person, and nothing here decides it.

use std::collections::BTreeSet;

use trimtab_core::lifecycle::Version;
use trimtab_files::{Directory, FilesError, Orphaned};
use trimtab_types::{
    Artifact, DigestBuilder, Entry, ErrorKind, HasKind as _, ModelKey, Refusal, Stage, Timestamp, VersionAct,
    VersionChange,
};

use crate::{Host, HostError, progress::lock};

/// Something that could not be done about the files of a version.
#[derive(Debug)]
pub struct Untidy {
    /// Of which model.
    pub model: ModelKey,
    /// Which version.
    pub version: String,
    /// Why not.
    pub problem: FilesError,
}

impl Host {
    /// Size and digest of what is at a path beneath the root of artifacts.
    pub fn measure(&self, path: &str) -> Result<Artifact, FilesError> {
        Directory::named(&self.artifacts)?.measure(path)
    }

    /// Whether the files of a version are what they were when it was registered; it must not serve otherwise.
    pub fn verify_artifact(&self, version: &str, registered: &Artifact) -> Result<(), Refusal> {
        let refusal = |kind: ErrorKind, problem: String| Refusal { kind: kind.name().to_owned(), problem };
        match self.measure(&registered.path) {
            Ok(found) if found == *registered => Ok(()),
            Ok(found) => Err(refusal(
                ErrorKind::ArtifactChanged,
                format!(
                    "the files of `{version}` are not those that were registered: {} bytes with digest {}, and there were {} with {}; register them as another version",
                    found.size_bytes,
                    found.digest.short(),
                    registered.size_bytes,
                    registered.digest.short()
                ),
            )),
            Err(error) if error.is_missing() => Err(refusal(
                ErrorKind::ArtifactMissing,
                format!("the files of `{version}` are not there: {error}"),
            )),
            Err(error) => Err(refusal(error.kind(), error.to_string())),
        }
    }

    /// What lies in the root of artifacts beside these paths. What was put aside is not looked at.
    pub fn orphans(&self, owned: &BTreeSet<String>) -> Result<Vec<Orphaned>, FilesError> {
        let root = match Directory::named(&self.artifacts) {
            Ok(root) => root,
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        root.beside(owned)
    }

    /// Has the files of all versions follow the registry as it is known now. Returns what could not be done; it is tried again
    /// the next time.
    pub fn tidy(&self) -> Result<Vec<Untidy>, HostError> {
        // Nobody restores a version between what is looked at here and what is done.
        let _held = lock(&self.versions);
        self.settle()?;
        let snapshot = self.snapshot();
        let grace = u64::from(snapshot.standing().configuration.cleanup.grace.0);
        let registries = || {
            let all = snapshot.states().map(|state| state.registries.iter().map(move |known| (state, known)));
            all.flatten().map(|(state, (model, registry))| (state.clock(model), model, registry))
        };
        let root = Directory::named(&self.artifacts).ok();
        let aside = root.as_ref().and_then(|root| root.aside().ok()).unwrap_or_default();
        // What a version that stays uses is not touched, whoever else used it.
        let kept: BTreeSet<&str> = registries()
            .flat_map(|(.., registry)| registry.versions.values())
            .filter(|known| known.stage != Stage::Deleted)
            .filter_map(path)
            .collect();
        let (mut untidy, mut purged) = (Vec::new(), Vec::new());
        for (now, model, registry) in registries() {
            for (version, known) in registry.versions.iter().filter(|(_, known)| !known.purged) {
                let name = aside_as(model, version);
                let mut note =
                    |problem| untidy.push(Untidy { model: model.clone(), version: version.clone(), problem });
                match (known.deleted, path(known), &root) {
                    (None, Some(path), Some(root)) if aside.contains(&name) => {
                        root.bring_back(path, &name).unwrap_or_else(&mut note);
                    }
                    (None, ..) => {}
                    (Some((since, _)), path, root) => {
                        // Only what was registered goes: other files that lie there by now are somebody else's.
                        let is_registered = |root: &Directory, path: &str| {
                            let found = root.measure(path).ok();
                            found.as_ref() == known.registration.artifact.as_ref()
                        };
                        if let (Some(root), Some(path)) = (root, path.filter(|path| !kept.contains(path)))
                            && !aside.contains(&name)
                            && is_registered(root, path)
                            && let Err(problem) = root.set_aside(path, &name)
                        {
                            note(problem);
                            continue;
                        }
                        if now.since(since) < grace {
                            continue;
                        }
                        match root.as_ref().map_or(Ok(0), |root| root.purge(&name)) {
                            Ok(freed_bytes) => purged.push(gone(model, version, freed_bytes, now)),
                            Err(problem) => note(problem),
                        }
                    }
                }
            }
        }
        if !purged.is_empty() {
            self.append_and_wait(purged)?;
        }
        Ok(untidy)
    }
}

fn path(known: &Version) -> Option<&str> {
    known.registration.artifact.as_ref().map(|artifact| artifact.path.as_str())
}

/// Under which name the files of a version are put aside.
fn aside_as(model: &ModelKey, version: &str) -> String {
    DigestBuilder::new("aside")
        .part(model.tenant.as_bytes())
        .part(model.model.as_bytes())
        .part(version.as_bytes())
        .id('t')
}

fn gone(model: &ModelKey, version: &str, freed_bytes: u64, at: Timestamp) -> Entry {
    Entry::VersionChange(VersionChange {
        model: model.clone(),
        version: version.to_owned(),
        act: VersionAct::Purged { freed_bytes },
        seen: None,
        actor: "host".to_owned(),
        at,
        reason: "the grace is over".to_owned(),
    })
}
