//! Holds a component against the policy interface: what it imports and exports, which version, with which types, and
//! what it was granted. It reports everything that is wrong at once; wasmtime would stop at the first and calls a
//! missing function a wrong type.

use std::collections::BTreeSet;

use trimtab_types::{PolicyKind, Seconds};
use wasmtime::Engine;
use wasmtime::component::types::{Component, ComponentFunc, ComponentInstance, ComponentItem};

use crate::bindings::exports::trimtab::policy::{
    alert_format, canary_promotion, cleanup, drift_action, retrain_schedule,
};
use crate::bindings::trimtab::policy::types::{Estimate, Finding, ModelVersion, Severity};
use crate::manifest::Grants;

/// The version track that this host serves: 0.1.x, of which each is compatible with all later ones.
pub(crate) const TRACK: &str = "0.1";
const PACKAGE: &str = "trimtab:policy/";
const WASI: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// What a component was found to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kinds: Vec<PolicyKind>,
    /// Interfaces of the policy package that it imports, without version.
    pub(crate) imports: Vec<String>,
    pub(crate) self_check: bool,
    /// Versions of the policy package that it was built against; mostly one.
    pub(crate) versions: BTreeSet<String>,
}

type Check = fn(&ComponentFunc, &Component) -> wasmtime::Result<()>;

/// A function of the interface, with its type as Rust has it.
struct Function {
    name: &'static str,
    check: Check,
}

macro_rules! function {
    ($name:literal, ($($parameter:ty),*) -> $result:ty) => {
        Function {
            name: $name,
            check: |function, component| {
                function.typecheck::<($($parameter,)*), ($result,)>(&component.instance_type())
            },
        }
    };
    ($name:literal, ($($parameter:ty),*)) => {
        Function {
            name: $name,
            check: |function, component| function.typecheck::<($($parameter,)*), ()>(&component.instance_type()),
        }
    };
}

const IMPORTS: [(&str, &[Function]); 5] = [
    (
        "settings",
        &[
            function!("text", (String) -> String),
            function!("texts", (String) -> Vec<String>),
            function!("number", (String) -> f64),
            function!("count", (String) -> u32),
            function!("duration", (String) -> Seconds),
            function!("flag", (String) -> bool),
        ],
    ),
    ("clock", &[function!("now", () -> u64), function!("format", (u64) -> String)]),
    (
        "log",
        &[
            function!("debug", (String)),
            function!("info", (String)),
            function!("warn", (String)),
            function!("error", (String)),
        ],
    ),
    (
        "history",
        &[
            function!("recent", (String, u32) -> Option<Estimate>),
            function!("between", (String, Seconds, Seconds) -> Option<Estimate>),
            function!("baseline", (String) -> Option<Estimate>),
            function!("findings", (Seconds, Severity, u32) -> Vec<Finding>),
            function!("drift-count", (String) -> u32),
            function!("versions", () -> Vec<ModelVersion>),
            function!("since-activation", () -> Option<Seconds>),
            function!("since-retrain", () -> Option<Seconds>),
        ],
    ),
    (
        "state",
        &[
            function!("get", (String) -> Option<String>),
            function!("set", (String, String)),
            function!("remove", (String)),
        ],
    ),
];

const SELF_CHECK: &str = "self-check";
const CHECK_SETTINGS: Function = function!("check-settings", () -> Vec<String>);

fn question(kind: PolicyKind) -> Function {
    match kind {
        PolicyKind::DriftAction => {
            function!("decide", (Vec<Finding>) -> Result<drift_action::Decision, String>)
        }
        PolicyKind::AlertFormat => {
            function!("render", (alert_format::Alert, String) -> Result<alert_format::Message, String>)
        }
        PolicyKind::CanaryPromotion => {
            function!("judge", (canary_promotion::Experiment) -> Result<canary_promotion::Judgement, String>)
        }
        PolicyKind::Cleanup => {
            function!("review", (cleanup::Inventory) -> Result<Vec<cleanup::Recommendation>, String>)
        }
        PolicyKind::RetrainSchedule => {
            function!("plan", (retrain_schedule::Conditions) -> Result<retrain_schedule::Schedule, String>)
        }
    }
}

/// Checks all imports and exports; every problem is one sentence.
pub(crate) fn check(engine: &Engine, component: &Component, grants: Grants) -> Result<Found, Vec<String>> {
    let mut found = Found::default();
    let mut problems = Vec::new();
    for (name, import) in component.imports(engine) {
        check_import(engine, component, name, &import.ty, grants, &mut found, &mut problems);
    }
    for (name, export) in component.exports(engine) {
        check_export(engine, component, name, &export.ty, &mut found, &mut problems);
    }
    let names = component
        .imports(engine)
        .map(|(name, _)| name)
        .chain(component.exports(engine).map(|(name, _)| name));
    found.versions = names.filter_map(version_of).map(str::to_owned).collect();
    found.kinds.sort_unstable();
    found.imports.sort_unstable();
    if found.kinds.is_empty() && problems.is_empty() {
        let kinds = PolicyKind::ALL.map(PolicyKind::name).join(", ");
        problems.push(format!("it answers no question; export one of {kinds} of trimtab:policy@{TRACK}.0"));
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

fn check_import(
    engine: &Engine,
    component: &Component,
    name: &str,
    item: &ComponentItem,
    grants: Grants,
    found: &mut Found,
    problems: &mut Vec<String>,
) {
    if WASI.iter().any(|prefix| name.starts_with(prefix)) {
        // Served by the empty world; what it does not have is found when the component is linked.
        return;
    }
    let interface = match interface_of(name) {
        Ok(Some(interface)) => interface,
        Ok(None) => {
            problems.push(format!(
                "it imports `{name}`, which this host does not have; a policy can import settings, clock, log, history and state of trimtab:policy@{TRACK}.0, and WASI 0.2"
            ));
            return;
        }
        Err(problem) => return problems.push(problem),
    };
    if interface == "types" {
        return;
    }
    let Some((known, functions)) = IMPORTS.iter().find(|(known, _)| *known == interface) else {
        problems.push(format!("it imports `{name}`, which trimtab:policy@{TRACK} does not have"));
        return;
    };
    let granted = match *known {
        "history" => grants.history,
        "state" => grants.state,
        _ => true,
    };
    if !granted {
        problems.push(format!("it imports {known}, which is not granted; write `{known} = true` under [grants] in policy.toml if it may have it"));
    }
    found.imports.push(interface.to_owned());
    if let ComponentItem::ComponentInstance(instance) = item {
        for (function_name, function) in instance.exports(engine) {
            let ComponentItem::ComponentFunc(function) = &function.ty else { continue };
            match functions.iter().find(|known| known.name == function_name) {
                None => problems.push(format!(
                    "it imports {interface}.{function_name}, which this host does not have; a newer host may"
                )),
                Some(known) => {
                    if let Err(error) = (known.check)(function, component) {
                        problems.push(format!(
                            "it imports {interface}.{function_name} with a type that differs: {error:#}"
                        ));
                    }
                }
            }
        }
    }
}

fn check_export(
    engine: &Engine,
    component: &Component,
    name: &str,
    item: &ComponentItem,
    found: &mut Found,
    problems: &mut Vec<String>,
) {
    let interface = match interface_of(name) {
        Ok(Some(interface)) => interface,
        // Language runtimes export things of their own; nobody calls them.
        Ok(None) => return,
        Err(problem) => return problems.push(problem),
    };
    let kind = PolicyKind::ALL.into_iter().find(|kind| kind.name() == interface);
    let expected = match (kind, interface) {
        (Some(kind), _) => question(kind),
        (None, SELF_CHECK) => CHECK_SETTINGS,
        (None, "types") => return,
        (None, _) => {
            problems.push(format!("it exports `{name}`, which trimtab:policy@{TRACK} does not have"));
            return;
        }
    };
    let ComponentItem::ComponentInstance(instance) = item else {
        problems.push(format!("it exports `{name}`, but not as an interface"));
        return;
    };
    match function_of(engine, instance, expected.name) {
        None => problems.push(format!("it exports {interface} without its function {}", expected.name)),
        Some(function) => match (expected.check)(&function, component) {
            Ok(()) => match kind {
                Some(kind) => found.kinds.push(kind),
                None => found.self_check = true,
            },
            Err(error) => problems.push(format!(
                "it exports {interface}.{} with a type that differs: {error:#}",
                expected.name
            )),
        },
    }
}

fn function_of(engine: &Engine, instance: &ComponentInstance, name: &str) -> Option<ComponentFunc> {
    match instance.get_export(engine, name)?.ty {
        ComponentItem::ComponentFunc(function) => Some(function),
        _ => None,
    }
}

/// The version of the policy package in a name of it.
fn version_of(name: &str) -> Option<&str> {
    Some(name.strip_prefix(PACKAGE)?.split_once('@')?.1)
}

/// The interface of the policy package that a name stands for; `None`: of another package.
fn interface_of(name: &str) -> Result<Option<&str>, String> {
    let Some(rest) = name.strip_prefix(PACKAGE) else { return Ok(None) };
    let Some((interface, version)) = rest.split_once('@') else {
        return Err(format!("`{name}` has no version; build the policy against trimtab:policy@{TRACK}.0"));
    };
    let same_track = version.strip_prefix(TRACK).is_some_and(|rest| rest.starts_with('.'));
    if !same_track {
        return Err(format!(
            "it was built for version {version} of the policy interface (`{name}`); this host serves {TRACK}: use a build for that, or a host for {version}"
        ));
    }
    Ok(Some(interface))
}
