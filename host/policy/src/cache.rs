//! Compiled policies: in memory while they are used, and on disk so that a restart compiles nothing. The only module
//! with unsafe code, and the only one that reads or writes the cache directory.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use trimtab_types::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Why the cache directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be made or looked at.
    #[error("the cache directory {path} cannot be used: {cause}; check that it is writable and has room", path = path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Somebody else can write to it.
    #[error(
        "the cache directory {path} can be written by others, who could have the host run any code; run `chmod go-w {path}`",
        path = path.display()
    )]
    Writable {
        /// Which.
        path: PathBuf,
    },
}

/// Compiled components, by digest.
pub(crate) struct Cache {
    directory: Option<PathBuf>,
    /// Of everything in the engine that compiled code depends on.
    compatibility: Digest,
    /// Weak, so that what no policy uses any more is dropped.
    in_memory: Mutex<BTreeMap<Digest, Weak<Component>>>,
}

impl Cache {
    pub(crate) fn open(engine: &Engine, directory: Option<&Path>) -> Result<Self, CacheError> {
        if let Some(path) = directory {
            prepare(path)?;
        }
        let mut hasher = DigestHasher::default();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            directory: directory.map(Path::to_owned),
            compatibility: Digest::of(&hasher.0),
            in_memory: Mutex::default(),
        })
    }

    pub(crate) fn compile(&self, engine: &Engine, component: &[u8]) -> wasmtime::Result<Arc<Component>> {
        let digest = Digest::of(component);
        if let Some(known) = self.lock().get(&digest).and_then(Weak::upgrade) {
            return Ok(known);
        }
        // Not under the lock: compiling takes seconds for some languages, and twice the same is only wasted time.
        let compiled = Arc::new(self.load_or_compile(engine, digest, component)?);
        let mut in_memory = self.lock();
        in_memory.retain(|_, component| component.strong_count() > 0);
        in_memory.insert(digest, Arc::downgrade(&compiled));
        Ok(compiled)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Weak<Component>>> {
        self.in_memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load_or_compile(
        &self,
        engine: &Engine,
        digest: Digest,
        component: &[u8],
    ) -> wasmtime::Result<Component> {
        let Some(directory) = &self.directory else { return Component::from_binary(engine, component) };
        let path = directory.join(format!("{digest}-{}.cwasm", self.compatibility.short()));
        if let Some(component) = load(engine, &path) {
            return Ok(component);
        }
        let compiled = Component::from_binary(engine, component)?;
        // The policy works without its file; only the next start takes longer.
        if let Err(error) =
            compiled.serialize().map_err(std::io::Error::other).and_then(|code| store(&path, &code))
        {
            tracing::warn!(path = %path.display(), %error, "a compiled policy could not be kept");
        }
        Ok(compiled)
    }
}

/// Makes the directory, for this user only, and refuses one that others can write to.
fn prepare(path: &Path) -> Result<(), CacheError> {
    let directory = |cause| CacheError::Directory { path: path.to_owned(), cause };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(directory)?;
    #[cfg(unix)]
    {
        let permissions = std::fs::metadata(path).map_err(directory)?.permissions();
        if std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o022 != 0 {
            return Err(CacheError::Writable { path: path.to_owned() });
        }
    }
    Ok(())
}

const DIGEST: usize = 32;

/// A file is the SHA-256 of the code, and the code. `None`: not there, damaged, or from elsewhere; then it is made anew.
#[expect(clippy::disallowed_methods, reason = "this module owns the cache directory")]
fn load(engine: &Engine, path: &Path) -> Option<Component> {
    let file = std::fs::read(path).ok()?;
    let (stored, code) = file.split_at_checked(DIGEST)?;
    if Digest::from_bytes(stored) != Some(Digest::of(code)) {
        tracing::warn!(path = %path.display(), "a compiled policy is damaged; it is compiled again");
        return None;
    }
    // Safety. `deserialize` runs whatever code it is given, so these bytes must be what `serialize` gave to `store`:
    // - Nobody but this user can write to the directory (`prepare`), and this user could as well replace the host.
    // - The bytes are whole: their digest was checked above, on the very copy in memory that is loaded, so that a file
    //   that changes meanwhile does no harm. `store` renames finished files only, so a crash leaves no half of one.
    // - They fit: the name holds the digest of the component and of everything in the engine that code depends on, and
    //   wasmtime compares its version and settings with those in the file once more.
    #[expect(unsafe_code, reason = "loads code that this host compiled; the argument is above")]
    let component = unsafe { Component::deserialize(engine, code) };
    match component {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a compiled policy does not fit; it is compiled again");
            None
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this module owns the cache directory")]
fn store(path: &Path, code: &[u8]) -> std::io::Result<()> {
    // Hosts and threads may compile the same policy at once; each writes a file of its own, and the last rename stands.
    static FILES: AtomicU64 = AtomicU64::new(0);
    let unique = FILES.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{unique}.tmp", std::process::id()));
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(Digest::of(code).as_bytes())?;
        file.write_all(code)?;
        file.sync_all()
    });
    let stored = written.and_then(|()| std::fs::rename(&temporary, path));
    if stored.is_err() {
        drop(std::fs::remove_file(&temporary));
    }
    stored
}

/// Collects what is hashed, so that it can be digested in a way that does not depend on the process or Rust's version.
#[derive(Default)]
struct DigestHasher(Vec<u8>);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn finish(&self) -> u64 {
        Digest::of(&self.0).prefix()
    }
}
