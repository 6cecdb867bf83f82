//! Compiled policies: in memory while they are used, and on disk so that a restart compiles nothing. The only module
//! with unsafe code, and the only one that reads or writes the cache directory.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use trimtab_files::{Directory, FilesError};
use trimtab_types::{Digest, DigestBuilder};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::compile::{CompileError, Compiler, LARGEST_CODE};
use crate::sandbox::Permits;

/// Components that are compiled behind the scenes at the same time.
const AT_ONCE: u32 = 4;
/// Components that were compiled behind the scenes and are kept until somebody registers them.
const FRESH: usize = 16;
/// Components that cannot be compiled, which are remembered so that nobody waits for them again.
const MOST_FAILED: usize = 1_000;

/// Compiled components, by digest.
pub(crate) struct Cache {
    directory: Option<Directory>,
    compiler: Compiler,
    /// Of everything in the engine that compiled code depends on.
    compatibility: Digest,
    in_memory: Mutex<InMemory>,
    changed: Condvar,
    places: Permits,
    closing: AtomicBool,
}

#[derive(Default)]
struct InMemory {
    known: BTreeMap<Digest, Known>,
    fresh: VecDeque<Arc<Component>>,
    /// Compiled behind the scenes.
    finished: u64,
}

enum Known {
    /// Somebody compiles it.
    Compiling,
    /// Weak, so that what no policy uses any more is dropped.
    Compiled(Weak<Component>),
    /// Why it could not be compiled.
    Failed(CompileError),
}

/// That a component is being compiled. Whatever happens, nobody waits for it for ever.
struct Claim<'a> {
    cache: &'a Cache,
    digest: Digest,
    compiled: Result<Arc<Component>, CompileError>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut in_memory = self.cache.lock();
        in_memory.compiled(self.digest, &self.compiled);
        // Whoever compiled it: somebody may wait for it who saw it begun.
        in_memory.finished += 1;
        drop(in_memory);
        self.cache.changed.notify_all();
    }
}

impl InMemory {
    /// What there is to say about a component; `None`: it has to be compiled.
    fn about(&self, digest: &Digest) -> Option<Result<Option<Arc<Component>>, CompileError>> {
        match self.known.get(digest)? {
            Known::Compiling => Some(Ok(None)),
            Known::Compiled(weak) => weak.upgrade().map(|component| Ok(Some(component))),
            Known::Failed(error) => Some(Err(error.clone())),
        }
    }

    fn compiled(&mut self, digest: Digest, compiled: &Result<Arc<Component>, CompileError>) {
        self.known.retain(|_, known| !matches!(known, Known::Compiled(weak) if weak.strong_count() == 0));
        if self.known.len() > MOST_FAILED {
            self.known.retain(|_, known| !matches!(known, Known::Failed(_)));
        }
        match compiled {
            Ok(component) => self.known.insert(digest, Known::Compiled(Arc::downgrade(component))),
            Err(CompileError::Closing) => self.known.remove(&digest),
            Err(error) => self.known.insert(digest, Known::Failed(error.clone())),
        };
    }
}

impl Cache {
    pub(crate) fn open(
        engine: &Engine,
        directory: Option<&Path>,
        compiler: Compiler,
    ) -> Result<Self, FilesError> {
        let directory = directory.map(Directory::unspoilt).transpose()?;
        let mut hasher = DigestHasher::default();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            directory,
            compiler,
            compatibility: Digest::of(&hasher.0),
            in_memory: Mutex::default(),
            changed: Condvar::new(),
            places: Permits::new(AT_ONCE),
            closing: AtomicBool::new(false),
        })
    }

    /// From memory, from the directory, or compiled. Of several who want the same component one compiles it.
    pub(crate) fn compile(&self, engine: &Engine, component: &[u8]) -> Result<Arc<Component>, CompileError> {
        let digest = Digest::of(component);
        let mut in_memory = self.lock();
        loop {
            match in_memory.about(&digest) {
                Some(Ok(Some(component))) => return Ok(component),
                Some(Err(error)) => {
                    // What may be better next time is told once.
                    if !error.lasts() {
                        in_memory.known.remove(&digest);
                    }
                    return Err(error);
                }
                Some(Ok(None)) => {
                    in_memory = self.changed.wait(in_memory).unwrap_or_else(PoisonError::into_inner);
                }
                None => break,
            }
        }
        in_memory.known.insert(digest, Known::Compiling);
        drop(in_memory);
        self.compile_claimed(engine, digest, component)
    }

    /// For who has noted that it compiles this. Not under the lock: compiling takes seconds for some languages.
    fn compile_claimed(
        &self,
        engine: &Engine,
        digest: Digest,
        component: &[u8],
    ) -> Result<Arc<Component>, CompileError> {
        let mut claim = Claim { cache: self, digest, compiled: Err(CompileError::Closing) };
        claim.compiled = self.load_or_compile(engine, digest, component).map(Arc::new);
        claim.compiled.clone()
    }

    /// Whether `compile` would not wait for a compiler. If it would, one begins.
    pub(crate) fn is_ready(this: &Arc<Self>, engine: &Engine, component: &[u8]) -> bool {
        // Who closes waits for nobody.
        if matches!(this.compiler, Compiler::Here) || this.closing.load(Ordering::Acquire) {
            return true;
        }
        let digest = Digest::of(component);
        let entry = this.entry(digest).name();
        let kept = this.directory.as_ref().map(|directory| directory.look(&entry));
        let mut in_memory = this.lock();
        match in_memory.about(&digest) {
            Some(Ok(None)) => return false,
            Some(_) => return true,
            None if matches!(kept, Some(Ok(Some(_)))) => return true,
            None => {}
        }
        in_memory.known.insert(digest, Known::Compiling);
        drop(in_memory);
        let (cache, engine, component) = (Arc::clone(this), engine.clone(), component.to_vec());
        let compile = move || {
            let place = cache.places.take();
            let compiled = cache.compile_claimed(&engine, digest, &component);
            drop(place);
            let mut in_memory = cache.lock();
            in_memory.fresh.extend(compiled);
            let older = in_memory.fresh.len().saturating_sub(FRESH);
            in_memory.fresh.drain(..older);
        };
        let begun = std::thread::Builder::new().name("compile".to_owned()).spawn(compile);
        if begun.is_err() {
            // Without a thread it is compiled by whoever wants it.
            this.lock().known.remove(&digest);
            this.changed.notify_all();
        }
        begun.is_err()
    }

    pub(crate) fn finished(&self) -> u64 {
        self.lock().finished
    }

    pub(crate) fn wait_finished(&self, before: u64) {
        let waits = |in_memory: &mut InMemory| in_memory.finished == before;
        drop(self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner));
    }

    /// Whatever is being compiled ends.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, InMemory> {
        self.in_memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, component: Digest) -> Entry {
        Entry { component, engine: self.compatibility }
    }

    fn load_or_compile(
        &self,
        engine: &Engine,
        digest: Digest,
        component: &[u8],
    ) -> Result<Component, CompileError> {
        let entry = self.entry(digest);
        if let Some(component) = self.directory.as_ref().and_then(|kept| load(engine, kept, &entry)) {
            return Ok(component);
        }
        let code = self.compiler.compile(engine, component, &self.closing)?;
        if let Some(directory) = &self.directory {
            // The policy works without its file; only the next start takes longer.
            if let Err(error) = directory.replace(&entry.name(), &[&entry.head(&code), &code]) {
                tracing::warn!(%error, "a compiled policy could not be kept");
            }
        }
        loaded(engine, &code)
            .map_err(|error| CompileError::Child(format!("its code does not fit: {error:#}")))
    }
}

/// What an entry of the cache is for. Its file begins with that, and with a checksum over that and the code.
struct Entry {
    /// The component that was compiled.
    component: Digest,
    /// Everything in the engine that compiled code depends on.
    engine: Digest,
}

/// First bytes of an entry, with the version of the form.
const MAGIC: &[u8; 16] = b"trimtab-code\x00\x00\x00\x02";
/// Magic, and three digests.
const HEAD: usize = MAGIC.len() + 3 * 32;
const LARGEST_ENTRY: u64 = LARGEST_CODE + HEAD as u64;

impl Entry {
    fn name(&self) -> String {
        format!("{}-{}.cwasm", self.component, self.engine.short())
    }

    fn head(&self, code: &[u8]) -> Vec<u8> {
        let checksum = DigestBuilder::new("compiled-code")
            .part(self.component.as_bytes())
            .part(self.engine.as_bytes())
            .part(code)
            .finish();
        [&MAGIC[..], self.component.as_bytes(), self.engine.as_bytes(), checksum.as_bytes()].concat()
    }
}

/// `None`: not there, damaged, of something else, or from elsewhere; then it is made anew.
fn load(engine: &Engine, directory: &Directory, entry: &Entry) -> Option<Component> {
    let name = entry.name();
    let file = match directory.read_own(&name, LARGEST_ENTRY) {
        Ok(file) => file?,
        Err(error) => {
            tracing::warn!(%error, "a compiled policy is not taken; it is compiled again");
            return None;
        }
    };
    let whole = file.split_at_checked(HEAD).filter(|(head, code)| *head == entry.head(code));
    let Some((_, code)) = whole else {
        tracing::warn!(entry = name, "a compiled policy is damaged; it is compiled again");
        return None;
    };
    match loaded(engine, code) {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!(entry = name, %error, "a compiled policy does not fit; it is compiled again");
            None
        }
    }
}

/// Compiled code as a component. Only for what `load_or_compile` has from the compiler, and what `load` has checked.
fn loaded(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // Safety. `deserialize` runs whatever code it is given, so these bytes must be what the compiler made of a component:
    // - From the compiler: they were made in this process, or came through a pipe from a child that this process started,
    //   which is this very program and ended well. Nobody else has the pipe.
    // - From the directory: nobody but this user can have written them. Directory and file are this user's and no other can
    //   write to them, which was asked of the open descriptors that were read from. This user could as well replace the
    //   host. They are whole, and of this component and this engine: the head says so, under a checksum over all of it,
    //   which was taken on the very copy in memory that is loaded. A file that changes meanwhile does no harm, and one that
    //   was renamed is found out. `replace` renames finished files only, so a crash leaves no half of one.
    // - They fit: wasmtime compares its version and settings with those in the code once more.
    #[expect(unsafe_code, reason = "loads code that this host compiled; the argument is above")]
    unsafe {
        Component::deserialize(engine, code)
    }
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
