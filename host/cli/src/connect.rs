//! How a command reaches the data: through the host that runs, or by opening the directory itself.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use trimtab_core::{Configuration, config::HostSettings};
use trimtab_policy::{ChildCompiler, Compiler, Sandbox, SandboxOptions};
use trimtab_runtime::{Host, HostError, HostOptions, Start, Supervisors};
use trimtab_server::{ExitCode, Failure, Service, client::Client};

use crate::args::Global;

/// The configuration's file in a data directory.
pub(crate) const CONFIG: &str = "trimtab.toml";

/// This program, as it says in what it records.
pub(crate) const BUILD: &str = env!("CARGO_PKG_VERSION");

/// How often a locked directory is tried again, and after which pause.
const PATIENCE: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Reaches the host of the data directory.
pub(crate) async fn connect(global: &Global) -> Result<Client, Failure> {
    if let Some(client) = Client::running(&global.data).await {
        return Ok(client);
    }
    // Another command may have the directory for a moment, or a host may be about to listen.
    for _ in 0..PATIENCE {
        let data = global.data.clone();
        match blocking(move || open(&data)).await {
            Ok(service) => return Ok(Client::local(service)),
            Err(failure) if failure.exit_code == ExitCode::Locked as u8 => {
                tokio::time::sleep(PAUSE).await;
                if let Some(client) = Client::running(&global.data).await {
                    return Ok(client);
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    let data = global.data.clone();
    Ok(Client::local(blocking(move || open(&data)).await?))
}

/// Opens the data directory in this process, and waits until everything is folded and in force.
pub(crate) fn open(data: &Path) -> Result<Arc<Service>, Failure> {
    let (options, configuration) = options(data)?;
    let host = Host::open(options).map_err(|error| not_opened(data, error))?;
    service(data, host, &configuration)
}

/// Opens it for a host that serves: what is folded and in force comes behind, with what is returned.
pub(crate) fn begin(data: &Path) -> Result<(Arc<Service>, Start), Failure> {
    let (options, configuration) = options(data)?;
    let (host, start) = Host::begin(options).map_err(|error| not_opened(data, error))?;
    Ok((service(data, host, &configuration)?, start))
}

/// Why a host cannot be opened; where the configuration is to blame, that is named.
pub(crate) fn not_opened(data: &Path, error: HostError) -> Failure {
    match error {
        HostError::PolicySettings { .. } => in_file(&data.join(CONFIG), error.into()),
        _ => error.into(),
    }
}

fn options(data: &Path) -> Result<(HostOptions, Configuration), Failure> {
    let config = data.join(CONFIG);
    if !config.exists() {
        return Err(trimtab_log::LogError::Missing(data.into()).into());
    }
    let configuration = read_configuration(&config)?;
    let policies = policies_directory(data, &configuration);
    let sandbox = sandbox(Some(data.join("cache")), &configuration.host)?;
    let options = HostOptions {
        directory: data.to_owned(),
        artifacts: data.join(configuration.host.artifacts.as_deref().unwrap_or("artifacts")),
        policies,
        configuration: configuration.clone(),
        sandbox,
        build: BUILD.to_owned(),
        started: trimtab_server::clock::change("start", ""),
    };
    Ok((options, configuration))
}

fn service(data: &Path, host: Host, configuration: &Configuration) -> Result<Arc<Service>, Failure> {
    let most = usize::try_from(configuration.host.trainers).unwrap_or(usize::MAX);
    let supervisors = Supervisors { program: program()?, most };
    let config = data.join(CONFIG);
    let path = config.clone();
    let service = Service::new(host, move || read_configuration(&config));
    let service = service.training_with(supervisors).sending_as(configuration);
    Ok(Arc::new(service.map_err(|failure| in_file(&path, failure))?))
}

/// A failure that a configuration's file is to blame for.
pub(crate) fn in_file(config: &Path, failure: Failure) -> Failure {
    Failure { message: format!("{}: {}", config.display(), failure.message), ..failure }
}

/// The policies directory that a configuration names.
pub(crate) fn policies_directory(data: &Path, configuration: &Configuration) -> PathBuf {
    data.join(configuration.host.policies.as_deref().unwrap_or("policies"))
}

/// A sandbox, with its cache of compiled policies; this program itself, as a child process, is what compiles them.
pub(crate) fn sandbox(cache: Option<PathBuf>, host: &HostSettings) -> Result<Arc<Sandbox>, Failure> {
    let compiler = Compiler::Child(ChildCompiler {
        program: program()?,
        time: host.compile_time.0,
        memory: host.compile_memory.0,
    });
    Ok(Sandbox::new(&SandboxOptions { cache, compiler, ..SandboxOptions::default() })?)
}

/// The same for commands of authors, which need no data directory: what they compile is kept in the user's own cache.
pub(crate) fn authors_sandbox(host: &HostSettings) -> Result<Arc<Sandbox>, Failure> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    let Some(caches) = caches else { return sandbox(None, host) };
    // Without a cache it only takes longer.
    sandbox(Some(caches.join("trimtab")), host).or_else(|_| sandbox(None, host))
}

/// The file that this process was started from, also where another has taken its name meanwhile.
fn program() -> Result<PathBuf, Failure> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe().map_err(|error| Failure::files(format!("cannot find this program: {error}")))
}

/// Reads a configuration file.
pub(crate) fn read_configuration(path: &Path) -> Result<Configuration, Failure> {
    let text = read_text(path)?;
    Configuration::parse(&text, &path.display().to_string()).map_err(|error| HostError::Config(error).into())
}

/// Opens a file that is read bit by bit, or only so far.
#[expect(clippy::disallowed_methods, reason = "the one place where the command line opens files")]
pub(crate) fn open_file(path: &Path) -> Result<std::fs::File, Failure> {
    std::fs::File::open(path)
        .map_err(|error| Failure::files(format!("cannot read `{}`: {error}", path.display())))
}

/// Reads a file as it is.
#[expect(clippy::disallowed_methods, reason = "see `read_text`")]
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::files(format!("cannot read `{}`: {error}", path.display())))
}

/// Reads a text file.
#[expect(clippy::disallowed_methods, reason = "the one place where the command line reads small files")]
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::files(format!("cannot read `{}`: {error}", path.display())))
}

/// Runs what waits for disk or fold away from the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Failure::files(error.to_string())))
}
