//! A policy's folder: its manifest and its component, as bytes. Reads policies directories and knows the one form in
//! which a package is kept elsewhere; compiling and checking the component is `policy`'s business.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use trimtab_files::{Directory, FilesError, Kind};
use trimtab_types::{Caps, Digest, DigestBuilder, ErrorKind, HasKind, PolicyRef};

use crate::manifest::{Manifest, ManifestError};

/// The manifest's file name.
pub const MANIFEST: &str = "policy.toml";
const LONGEST_MANIFEST: u64 = 256 << 10;
const LONGEST_NAME: usize = 100;
/// Files and folders of one directory, beyond which nobody keeps policies.
pub(crate) const MOST_ENTRIES: usize = 10_000;
/// Four lines, two of them comments of at most 1 and 8 KiB in minisign.
const LONGEST_SIGNATURE: u64 = 16 << 10;
/// The largest shipped runtime, Python's, is 18 MiB.
pub(crate) const LARGEST_COMPONENT: u64 = 64 << 20;
/// First bytes of a kept package, with the version of the form.
const MAGIC: &[u8; 16] = b"trimtab-policy\x00\x02";

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
    /// A file or folder cannot be read, or is not what it has to be.
    #[error(transparent)]
    Files(#[from] FilesError),
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

impl HasKind for PackageError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Files(error) => error.kind(),
            Self::Damaged { .. } => ErrorKind::Damaged,
            Self::Name { .. } | Self::NoManifest { .. } | Self::Component { .. } | Self::Manifest(_) => {
                ErrorKind::Invalid
            }
        }
    }
}

impl Package {
    /// Reads a policy's folder that a person named.
    pub fn read(folder: &Path) -> Result<Self, PackageError> {
        Self::read_from(&Directory::named(folder)?)
    }

    /// Reads a policy's folder that is open. Links in it are not followed.
    pub fn read_from(folder: &Directory) -> Result<Self, PackageError> {
        let name = folder.name();
        check_name(&name)?;
        if folder.look(MANIFEST)?.is_none() {
            return Err(PackageError::NoManifest { folder: folder.path().to_owned() });
        }
        let path = folder.path().join(MANIFEST);
        let text = folder.read(MANIFEST, LONGEST_MANIFEST)?;
        let text = String::from_utf8(text).map_err(|_| ManifestError {
            file: path.display().to_string(),
            line: 1,
            key: MANIFEST.to_owned(),
            problem: "is not UTF-8 text; save it as UTF-8".to_owned(),
        })?;
        let manifest = Manifest::parse(&text, &path.display().to_string())?;
        let component = match &manifest.component {
            Some(file) => file.into(),
            None => only_component(folder)?,
        };
        let minisig = signature_beside(folder, &component)?;
        let component = folder.read(&component, LARGEST_COMPONENT)?;
        Ok(Self { minisig, ..Self::assemble(name, manifest, text, component) })
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

    /// Grants no more of each limit than the operator lets policies have.
    pub fn cap(&mut self, caps: &Caps) {
        self.manifest.cap(caps);
    }

    /// What is kept of a package, by digest: the package itself, and its component, which packages with the same one share.
    /// Its signature is kept with the set that it is in force in.
    pub fn to_kept(&self) -> [(Digest, Vec<u8>); 2] {
        let component = Digest::of(&self.component);
        let head = [MAGIC, &component.as_bytes()[..], self.manifest_text.as_bytes()].concat();
        [(self.digest, head), (component, self.component.clone())]
    }
}

/// A package as it is kept by its digest: magic, digest of the component, manifest. The component is kept by its own.
#[derive(Debug)]
pub struct KeptPackage {
    reference: PolicyRef,
    manifest_text: String,
    /// Which component it wants.
    pub component: Digest,
}

impl KeptPackage {
    /// Reads what is kept by the digest of a package.
    pub fn read(reference: &PolicyRef, bytes: &[u8]) -> Result<Self, PackageError> {
        let split = || {
            let (component, text) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
            Some((Digest::from_bytes(component)?, String::from_utf8(text.to_vec()).ok()?))
        };
        match split() {
            Some((component, manifest_text)) => {
                Ok(Self { reference: reference.clone(), manifest_text, component })
            }
            None => Err(PackageError::Damaged { name: reference.name.clone() }),
        }
    }

    /// The package, with its component; what was kept must still be what the reference names.
    pub fn with(self, component: Vec<u8>) -> Result<Package, PackageError> {
        let PolicyRef { name, digest } = self.reference;
        let package = Package::from_parts(name, self.manifest_text, component)?;
        if package.digest == digest { Ok(package) } else { Err(PackageError::Damaged { name: package.name }) }
    }
}

/// A folder by its name, open, or why it cannot be.
pub(crate) type Folder = (String, Result<Directory, FilesError>);

/// The folders of a policies directory, open, sorted by name; one that cannot be opened is there with its error. Hidden
/// entries and plain files are no policies. Each is opened in the directory that was opened once, and none by a link.
pub fn folders(directory: &Directory) -> Result<Vec<Folder>, FilesError> {
    let names = directory.names(MOST_ENTRIES)?.into_iter().filter_map(|name| name.into_string().ok());
    let mut folders = Vec::new();
    for name in names.filter(|name| !is_temporary(name)) {
        match directory.look(&name)?.map(|look| look.kind) {
            Some(Kind::Folder | Kind::Link) => {}
            _ => continue,
        }
        match directory.folder(&name) {
            Err(error) if error.is_missing() => {}
            folder => folders.push((name, folder)),
        }
    }
    Ok(folders)
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

fn only_component(folder: &Directory) -> Result<OsString, PackageError> {
    let mut found = folder.names(MOST_ENTRIES)?;
    found.retain(|name| {
        let name = name.to_string_lossy();
        name.ends_with(".wasm") && !is_temporary(&name)
    });
    match found.as_slice() {
        [one] => Ok(one.clone()),
        several => Err(PackageError::Component { folder: folder.path().to_owned(), count: several.len() }),
    }
}

/// `COMPONENT.wasm.minisig`, as minisign names it. What is no text is no signature, and is called so when it is checked.
fn signature_beside(folder: &Directory, component: &OsString) -> Result<Option<String>, PackageError> {
    let mut name = component.clone();
    name.push(".minisig");
    // What is there and cannot be read is not missing.
    if folder.look(&name)?.is_none() {
        return Ok(None);
    }
    let bytes = folder.read(&name, LONGEST_SIGNATURE)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// All that there is to read; nothing, where it is longer than that.
pub(crate) fn bounded(from: impl std::io::Read, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    // One byte more than allowed, so that what grows meanwhile is caught as well.
    from.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}
