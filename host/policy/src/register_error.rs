//! Why a policy is not accepted, in words that name it, the cause and the fix.

use trimtab_types::Failure;

use crate::compile::CompileError;
use crate::package::{LARGEST_COMPONENT, Package};

/// Why a policy was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// It is a core module.
    #[error(
        "policy `{policy}`: this is a core WebAssembly module, not a component; build it for wasm32-wasip2, or make it a component with `wasm-tools component new`"
    )]
    CoreModule {
        /// Which policy.
        policy: String,
    },
    /// It is not WebAssembly.
    #[error("policy `{policy}`: this is not a WebAssembly component; build the policy for wasm32-wasip2")]
    NotWebAssembly {
        /// Which policy.
        policy: String,
    },
    /// It is larger than any policy needs.
    #[error("policy `{policy}`: the component has {bytes} bytes; at most {LARGEST_COMPONENT} are allowed")]
    TooLarge {
        /// Which policy.
        policy: String,
        /// How large it is.
        bytes: usize,
    },
    /// It does not validate or compile.
    #[error(
        "policy `{policy}`: the component is damaged or uses what this host does not have: {cause}; build it again"
    )]
    Invalid {
        /// Which policy.
        policy: String,
        /// In wasmtime's words.
        cause: String,
    },
    /// It cannot be compiled.
    #[error("policy `{policy}`: {cause}")]
    Compile {
        /// Which policy.
        policy: String,
        /// Why not.
        cause: CompileError,
    },
    /// It does not fit the policy interface or its grants.
    #[error("policy `{policy}`: {}", problems.join("\n  "))]
    Interface {
        /// Which policy.
        policy: String,
        /// All that is wrong.
        problems: Vec<String>,
    },
    /// Its settings are not those that the manifest declares.
    #[error("policy `{policy}`: {}", problems.join("\n  "))]
    Settings {
        /// Which policy.
        policy: String,
        /// All that is wrong.
        problems: Vec<String>,
    },
    /// It could not be instantiated, or its own check of the settings failed.
    #[error("policy `{policy}` fails as soon as it is loaded: {failure}")]
    Trial {
        /// Which policy.
        policy: String,
        /// What happened.
        failure: Failure,
    },
    /// Its own check refuses its settings.
    #[error("policy `{policy}` refuses its settings: {}", broken.join("\n  "))]
    SelfCheck {
        /// Which policy.
        policy: String,
        /// The rules that are broken, in the policy's words.
        broken: Vec<String>,
    },
}

/// Tells components from modules by their first eight bytes; wasmtime's own message would not say what to do.
pub(crate) fn check_header(package: &Package) -> Result<(), RegisterError> {
    let policy = || package.name.clone();
    let bytes = package.component.len();
    if bytes as u64 > LARGEST_COMPONENT {
        return Err(RegisterError::TooLarge { policy: policy(), bytes });
    }
    match package.component.get(..8) {
        // Magic, version, layer.
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Err(RegisterError::CoreModule { policy: policy() }),
        _ => Err(RegisterError::NotWebAssembly { policy: policy() }),
    }
}
