//! A policy's folder: its manifest and its component, as bytes. Reads policies directories and knows the one form in
//! which a package is kept elsewhere; compiling and checking the component is `policy`'s business.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use trimtab_types::{Digest, DigestBuilder, PolicyRef};

use crate::manifest::{Manifest, ManifestError};

/// The manifest's file name.
pub const MANIFEST: &str = "policy.toml";
const LONGEST_MANIFEST: u64 = 256 << 10;
const LONGEST_NAME: usize = 100;
/// Four lines, two of them comments of at most 1 and 8 KiB in minisign.
const LONGEST_SIGNATURE: u64 = 16 << 10;
/// The largest shipped runtime, Python's, is 18 MiB.
pub(crate) const LARGEST_COMPONENT: u64 = 64 << 20;
/// First bytes of a kept package, with the version of the form.
const MAGIC: &[u8; 16] = b"trimtab-policy\x00\x01";

/// A policy as it was read: nothing in it is trusted yet.
#[derive(Debug, Clone)]
pub struct Package {
    /// The folder's name.
    pub name: String,
    /// What its manifest says.
    pub manifest: Manifest,
    /// The manifest's text.
    pub manifest_text: String,
    /// The component.
    pub component: Vec<u8>,
    /// Of manifest and component: defaults are part of a decision.
    pub digest: Digest,
    /// The signature beside the component, if there is one; not part of the digest, which it names.
    pub minisig: Option<String>,
}

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The name cannot be a policy's.
    #[error(
        "`{name}` is no name for a policy; rename the folder: at most {LONGEST_NAME} lower-case letters, digits, dashes and underscores"
    )]
    Name {
        /// The folder's name.
        name: String,
    },
    /// The folder has no manifest.
    #[error("{folder} has no {MANIFEST}; write one, or move the folder elsewhere", folder = folder.display())]
    NoManifest {
        /// Which.
        folder: PathBuf,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read: {cause}; check that it is there and that the host may read it", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A file is larger than any policy needs.
    #[error("{path} is larger than {most} bytes, the most that is read", path = path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// How large it may be.
        most: u64,
    },
    /// A link leads out of the folder.
    #[error("{path} is a link that leads out of its folder; copy the file instead", path = path.display())]
    Outside {
        /// Which.
        path: PathBuf,
    },
    /// The folder does not have exactly one component, and the manifest does not choose.
    #[error("{folder} has {count} .wasm files; build the policy there, or write `component = \"FILE.wasm\"` in {MANIFEST}", folder = folder.display())]
    Component {
        /// Which.
        folder: PathBuf,
        /// How many there are.
        count: usize,
    },
    /// The manifest has a mistake.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Kept bytes are no package.
    #[error("the kept package of policy `{name}` is damaged; load the policy from its folder again")]
    Damaged {
        /// Which policy.
        name: String,
    },
}

impl Package {
    /// Reads a policy's folder.
    pub fn read(folder: &Path) -> Result<Self, PackageError> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        check_name(&name)?;
        let path = folder.join(MANIFEST);
        // `symlink_metadata`, so that a broken link is a link and not a missing file.
        if path.symlink_metadata().is_err() {
            return Err(PackageError::NoManifest { folder: folder.to_owned() });
        }
        let text = read_inside(folder, &path, LONGEST_MANIFEST)?;
        let text = String::from_utf8(text).map_err(|_| ManifestError {
            file: path.display().to_string(),
            line: 1,
            key: MANIFEST.to_owned(),
            problem: "is not UTF-8 text; save it as UTF-8".to_owned(),
        })?;
        let manifest = Manifest::parse(&text, &path.display().to_string())?;
        let component = match &manifest.component {
            Some(file) => folder.join(file),
            None => only_component(folder)?,
        };
        let minisig = signature_beside(folder, &component)?;
        let component = read_inside(folder, &component, LARGEST_COMPONENT)?;
        Ok(Self { minisig, ..Self::assemble(name, manifest, text, component) })
    }

    /// Reads a folder that has to lie in a policies directory itself, and not only a link to it.
    ///
    /// # Errors
    /// As [`Package::read`]; a link that leads out of the directory.
    pub fn read_in(directory: &Path, folder: &Path) -> Result<Self, PackageError> {
        inside(directory, folder).and_then(|_| Self::read(folder))
    }

    /// From what the folder would hold.
    pub fn from_parts(
        name: impl Into<String>,
        manifest_text: impl Into<String>,
        component: Vec<u8>,
    ) -> Result<Self, PackageError> {
        let (name, text) = (name.into(), manifest_text.into());
        check_name(&name)?;
        let manifest = Manifest::parse(&text, &format!("{name}/{MANIFEST}"))?;
        Ok(Self::assemble(name, manifest, text, component))
    }

    fn assemble(name: String, manifest: Manifest, manifest_text: String, component: Vec<u8>) -> Self {
        let digest = DigestBuilder::new("policy").part(manifest_text.as_bytes()).part(&component).finish();
        Self { name, manifest, manifest_text, component, digest, minisig: None }
    }

    /// How a package is kept by its digest: magic, length of the manifest, manifest, component. Its signature is kept
    /// with the set that it is in force in.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = self.manifest_text.as_bytes();
        let mut bytes = Vec::with_capacity(MAGIC.len() + 8 + text.len() + self.component.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(&self.component);
        bytes
    }

    /// The opposite of `to_bytes`; what was kept must still be what the reference names.
    pub fn from_bytes(reference: &PolicyRef, bytes: &[u8]) -> Result<Self, PackageError> {
        let name = &reference.name;
        let split = || {
            let (length, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
            let (text, component) =
                rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            Some((std::str::from_utf8(text).ok()?, component.to_vec()))
        };
        let damaged = || PackageError::Damaged { name: name.clone() };
        let (text, component) = split().ok_or_else(damaged)?;
        let package = Self::from_parts(name, text, component)?;
        if package.digest == reference.digest { Ok(package) } else { Err(damaged()) }
    }
}

/// A folder's name and what was read from it.
pub type Folder = (String, Result<Package, PackageError>);

/// Reads all policies of a directory, sorted by name. Hidden entries and plain files are no policies; a folder that
/// cannot be read as one is in the list with its error, so that it is reported and keeps nothing else from loading.
pub fn read_directory(directory: &Path) -> Result<Vec<Folder>, PackageError> {
    let error = |cause| PackageError::Read { path: directory.to_owned(), cause };
    let mut packages = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(error)? {
        let entry = entry.map_err(error)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if is_temporary(&name) || !(path.is_dir() || path.is_symlink()) {
            continue;
        }
        packages.push((name, Package::read_in(directory, &path)));
    }
    packages.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(packages)
}

/// Whether a file or folder of this name is what editors and copying programs leave for a moment, or hidden: nothing in a
/// policies directory that has such a name counts.
pub fn is_temporary(name: &str) -> bool {
    let ending = [".tmp", ".part", ".swp", ".swx", "~"].iter().any(|ending| name.ends_with(ending));
    name.starts_with('.') || name.starts_with('#') || ending
}

/// A name becomes part of paths, keys and metric labels.
fn check_name(name: &str) -> Result<(), PackageError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
        return Err(PackageError::Name { name: name.chars().take(LONGEST_NAME).collect() });
    }
    Ok(())
}

fn only_component(folder: &Path) -> Result<PathBuf, PackageError> {
    let error = |cause| PackageError::Read { path: folder.to_owned(), cause };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let passes = path.file_name().is_none_or(|name| is_temporary(&name.to_string_lossy()));
        if !passes && path.extension().is_some_and(|extension| extension == "wasm") {
            found.push(path);
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        several => Err(PackageError::Component { folder: folder.to_owned(), count: several.len() }),
    }
}

/// `COMPONENT.wasm.minisig`, as minisign names it. What is no text is no signature, and is called so when it is checked.
fn signature_beside(folder: &Path, component: &Path) -> Result<Option<String>, PackageError> {
    let mut path = component.as_os_str().to_owned();
    path.push(".minisig");
    let path = PathBuf::from(path);
    // A broken link is a signature that cannot be read, not one that is missing.
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let bytes = read_inside(folder, &path, LONGEST_SIGNATURE)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The real path of something that must lie inside a folder.
fn inside(folder: &Path, path: &Path) -> Result<PathBuf, PackageError> {
    let real = |path: &Path| {
        path.canonicalize().map_err(|cause| PackageError::Read { path: path.to_owned(), cause })
    };
    let (folder, found) = (real(folder)?, real(path)?);
    if found.starts_with(&folder) { Ok(found) } else { Err(PackageError::Outside { path: path.to_owned() }) }
}

/// Reads a file of the folder at once. What is compiled and digested later is this copy, whatever happens to the file.
#[expect(clippy::disallowed_methods, reason = "this module owns the policies directories")]
pub(crate) fn read_inside(folder: &Path, path: &Path, most: u64) -> Result<Vec<u8>, PackageError> {
    let error = |cause| PackageError::Read { path: path.to_owned(), cause };
    let real = inside(folder, path)?;
    // Before it is opened: opening a pipe waits for somebody to write.
    if !real.metadata().map_err(error)?.is_file() {
        return Err(error(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a plain file")));
    }
    let file = std::fs::File::open(real).map_err(error)?;
    bounded(file, most).map_err(error)?.ok_or_else(|| PackageError::TooLarge { path: path.to_owned(), most })
}

/// All that there is to read; nothing, where it is longer than that.
pub(crate) fn bounded(from: impl std::io::Read, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    // One byte more than allowed, so that a file that grows meanwhile is caught as well.
    from.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}
