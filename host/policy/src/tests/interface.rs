//! The interface and its versions. `wit/policy.wit` may only add to what is frozen in `wit/frozen/`, and a policy that
//! was built against the frozen text is accepted and answers every question.

use std::collections::BTreeMap;
use std::sync::Arc;

use trimtab_types::{Action, Arm, Budget, Conditions, Design, Experiment, Inventory, Read, Ruling, Severity};
use wit_parser::{
    Function, FunctionKind, InterfaceId, Resolve, Stability, Type, TypeDefKind, TypeId, TypeOwner, WorldItem,
};

use super::core::{WIT, component_on};
use super::{alert, estimate, finding, noon, register};
use crate::{NoHistory, Package, PolicyKind};

const FROZEN: &str = include_str!("../../../../wit/frozen/policy-0.1.0.wit");

// ---- the check

/// What policies call, or find the words for calls in: these interfaces may grow. Those that policies export may not,
/// because a policy that is there already does not export what is new.
const GROWING: [&str; 6] = ["types", "settings", "clock", "log", "history", "state"];

/// Every difference between a frozen text and a newer one that a policy built against the frozen one could notice.
fn breaks(frozen: &str, current: &str) -> Vec<String> {
    let (frozen, current) = (Interface::read(frozen), Interface::read(current));
    let from = &frozen.version;
    let mut breaks = Vec::new();
    for (name, item) in &frozen.items {
        match current.items.get(name) {
            None => breaks.push(format!("{name} is gone; it was `{}`", item.text)),
            Some(now) if now.text != item.text => {
                breaks.push(format!("{name} was `{}` and is `{}`", item.text, now.text));
            }
            Some(_) => {}
        }
    }
    for (name, item) in current.items.iter().filter(|(name, _)| !frozen.items.contains_key(*name)) {
        let (owner, _) = name.split_once('.').unwrap_or((name, ""));
        let is_new = !frozen.items.contains_key(owner);
        if !is_new && !GROWING.contains(&owner) {
            breaks
                .push(format!("{name} is new, in an interface that policies export or a world that is out"));
        } else if item.since.as_ref().is_none_or(|since| since <= from) {
            breaks.push(format!("{name} is new and has no `@since` with a version after {}", shown(from)));
        }
    }
    let same_track = (current.version[0], current.version[1]) == (from[0], from[1]);
    if !same_track || current.version < *from {
        let (is, was) = (shown(&current.version), shown(from));
        breaks.push(format!("the package is {is}, which does not follow {was} on the same track"));
    }
    breaks
}

/// Everything in a text that has a name, by name and without comments: `history` an interface, `history.recent` a
/// function of it, `types.finding` a type of it, `world cleanup-policy` a world.
struct Interface {
    version: Version,
    items: BTreeMap<String, Item>,
}

struct Item {
    text: String,
    since: Option<Version>,
}

type Version = [u64; 3];

fn shown([major, minor, patch]: &Version) -> String {
    format!("{major}.{minor}.{patch}")
}

impl Interface {
    fn read(wit: &str) -> Self {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("policy.wit", wit).expect("the interface parses");
        let package = &resolve.packages[package];
        let version = package.name.version.as_ref().expect("the package has a version");
        let mut items = BTreeMap::new();
        let mut add = |name: String, text: String, stability: &Stability| {
            let since = match stability {
                Stability::Stable { since, .. } => Some([since.major, since.minor, since.patch]),
                Stability::Unknown | Stability::Unstable { .. } => None,
            };
            assert!(items.insert(name, Item { text, since }).is_none(), "names are unique");
        };
        for (name, id) in &package.interfaces {
            let interface = &resolve.interfaces[*id];
            add(name.clone(), "interface".to_owned(), &interface.stability);
            for (function_name, function) in &interface.functions {
                let text = function_text(&resolve, function);
                add(format!("{name}.{function_name}"), text, &function.stability);
            }
            for (type_name, id) in &interface.types {
                let stability = &resolve.types[*id].stability;
                add(format!("{name}.{type_name}"), definition(&resolve, *id), stability);
            }
        }
        for (name, id) in &package.worlds {
            let world = &resolve.worlds[*id];
            let names = |items: Vec<&WorldItem>| -> Vec<String> {
                let mut names: Vec<_> = items.into_iter().map(|item| world_item(&resolve, item)).collect();
                names.sort();
                names
            };
            let (imports, exports) =
                (names(world.imports.values().collect()), names(world.exports.values().collect()));
            let text = format!("imports {}; exports {}", imports.join(", "), exports.join(", "));
            add(format!("world {name}"), text, &world.stability);
        }
        Self { version: [version.major, version.minor, version.patch], items }
    }
}

fn world_item(resolve: &Resolve, item: &WorldItem) -> String {
    match item {
        WorldItem::Interface { id, .. } => interface_name(resolve, *id),
        WorldItem::Function(function) => format!("{}: {}", function.name, function_text(resolve, function)),
        WorldItem::Type { id, .. } => definition(resolve, *id),
    }
}

fn interface_name(resolve: &Resolve, id: InterfaceId) -> String {
    resolve.interfaces[id].name.clone().expect("interfaces of a package have names")
}

fn function_text(resolve: &Resolve, function: &Function) -> String {
    let parameter = |(name, ty): (&String, &Type)| format!("{name}: {}", type_text(resolve, ty));
    let parameters: Vec<_> =
        function.params.iter().map(|param| parameter((&param.name, &param.ty))).collect();
    let result =
        function.result.as_ref().map_or(String::new(), |ty| format!(" -> {}", type_text(resolve, ty)));
    let kind = match function.kind {
        FunctionKind::Freestanding => "func",
        ref other => panic!("teach this check about {other:?}"),
    };
    format!("{kind}({}){result}", parameters.join(", "))
}

/// What a type is, once: others call it by its name.
fn definition(resolve: &Resolve, id: TypeId) -> String {
    let of = |ty: &Type| type_text(resolve, ty);
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            let fields: Vec<_> =
                record.fields.iter().map(|field| format!("{}: {}", field.name, of(&field.ty))).collect();
            format!("record {{ {} }}", fields.join(", "))
        }
        TypeDefKind::Variant(variant) => {
            let case = |case: &wit_parser::Case| match &case.ty {
                Some(ty) => format!("{}({})", case.name, of(ty)),
                None => case.name.clone(),
            };
            format!("variant {{ {} }}", variant.cases.iter().map(case).collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Enum(cases) => {
            let names: Vec<_> = cases.cases.iter().map(|case| case.name.as_str()).collect();
            format!("enum {{ {} }}", names.join(", "))
        }
        TypeDefKind::Option(ty) => format!("option<{}>", of(ty)),
        TypeDefKind::List(ty) => format!("list<{}>", of(ty)),
        TypeDefKind::Result(result) => {
            let side = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), of);
            format!("result<{}, {}>", side(&result.ok), side(&result.err))
        }
        TypeDefKind::Type(ty) => of(ty),
        other => panic!("teach this check about a {}", other.as_str()),
    }
}

fn type_text(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else { return format!("{ty:?}").to_lowercase() };
    let definition_of = &resolve.types[*id];
    match (&definition_of.name, definition_of.owner) {
        (Some(name), TypeOwner::Interface(interface)) => {
            format!("{}.{name}", interface_name(resolve, interface))
        }
        (Some(name), _) => name.clone(),
        (None, _) => definition(resolve, *id),
    }
}

// ---- the text

#[test]
fn the_interface_only_adds_to_what_is_frozen() {
    let breaks = breaks(FROZEN, WIT);
    assert!(
        breaks.is_empty(),
        "wit/policy.wit breaks policies that were built against 0.1.0:\n  {}\nAn addition is a function of an imported interface, or a new interface, with `@since`; everything else is a new version of the package",
        breaks.join("\n  ")
    );
}

/// The boundary of the check: with this in place of that, the interface breaks just so.
#[track_caller]
fn check_breaks(changes: &[(&str, &str)], expected: &[&str]) {
    let mut wit = FROZEN.to_owned();
    for (from, to) in changes {
        assert_eq!(wit.matches(from).count(), 1, "`{from}` is there once");
        wit = wit.replace(from, to);
    }
    assert_eq!(breaks(FROZEN, &wit), expected);
}

const NEXT: (&str, &str) = ("package trimtab:policy@0.1.0;", "package trimtab:policy@0.1.1;");

#[test]
fn words_and_order_of_functions_do_not_count() {
    check_breaks(&[("/// Seconds since 1970-01-01T00:00:00Z.", "/// Time as Unix has it.")], &[]);
    check_breaks(&[("        /// Empty: all segments together.\n", "")], &[]);
    let (get, set) =
        ("    get: func(key: string) -> option<string>;\n", "    set: func(key: string, value: string);\n");
    check_breaks(&[(&format!("{get}{set}"), &format!("{set}{get}"))], &[]);
    check_breaks(&[NEXT], &[]);
}

#[test]
fn what_a_policy_could_notice_is_named() {
    // A field that goes, comes, changes its type or its place.
    let estimate = "types.estimate was `record { value: f64, samples: u32, interval: option<types.interval>, from-outcomes: bool }`";
    let check_estimate = |from: &str, to: &str, is: &str| {
        check_breaks(&[(from, to)], &[&format!("{estimate} and is `record {{ {is} }}`")]);
    };
    check_estimate(
        "        from-outcomes: bool,\n",
        "",
        "value: f64, samples: u32, interval: option<types.interval>",
    );
    check_estimate(
        "        from-outcomes: bool,\n",
        "        from-outcomes: bool,\n        at: unix-time,\n",
        "value: f64, samples: u32, interval: option<types.interval>, from-outcomes: bool, at: types.unix-time",
    );
    check_estimate(
        "        samples: u32,\n        interval",
        "        samples: u64,\n        interval",
        "value: f64, samples: u64, interval: option<types.interval>, from-outcomes: bool",
    );
    check_estimate(
        "        interval: option<interval>,\n",
        "        interval: interval,\n",
        "value: f64, samples: u32, interval: types.interval, from-outcomes: bool",
    );
    // A case more, or in another order; what a name stands for.
    check_breaks(
        &[("enum severity { info, low,", "enum severity { none, info, low,")],
        &[
            "types.severity was `enum { info, low, medium, high, critical }` and is `enum { none, info, low, medium, high, critical }`",
        ],
    );
    check_breaks(
        &[("enum fate { keep, delete }", "enum fate { delete, keep }")],
        &["cleanup.fate was `enum { keep, delete }` and is `enum { delete, keep }`"],
    );
    check_breaks(
        &[("type seconds = u32;", "type seconds = u64;")],
        &["types.seconds was `u32` and is `u64`"],
    );
    // A function that goes, asks for more, or answers otherwise.
    check_breaks(
        &[("    flag: func(key: string) -> bool;\n", "")],
        &["settings.flag is gone; it was `func(key: string) -> bool`"],
    );
    check_breaks(
        &[("baseline: func(metric: string)", "baseline: func(metric: string, last: u32)")],
        &[
            "history.baseline was `func(metric: string) -> option<history.estimate>` and is `func(metric: string, last: u32) -> option<history.estimate>`",
        ],
    );
    check_breaks(
        &[("-> result<schedule, string>", "-> schedule")],
        &[
            "retrain-schedule.plan was `func(conditions: retrain-schedule.conditions) -> result<retrain-schedule.schedule, string>` and is `func(conditions: retrain-schedule.conditions) -> retrain-schedule.schedule`",
        ],
    );
    // A world that wants more.
    check_breaks(
        &[("world cleanup-policy {", "world cleanup-policy {\n    import state;")],
        &[
            "world cleanup-policy was `imports clock, log, settings, types; exports cleanup` and is `imports clock, log, settings, state, types; exports cleanup`",
        ],
    );
    // Another track.
    for version in ["0.2.0", "1.0.0", "0.0.9"] {
        check_breaks(
            &[(NEXT.0, &format!("package trimtab:policy@{version};"))],
            &[&format!("the package is {version}, which does not follow 0.1.0 on the same track")],
        );
    }
}

#[test]
fn additions_say_since_when() {
    let last = "    since-retrain: func() -> option<seconds>;\n";
    let function = "    drawdown: func() -> option<estimate>;\n";
    let since = |version: &str, what: &str| format!("    @since(version = {version})\n{what}");
    let after = |what: &str| format!("{last}{what}");
    let missing = "history.drawdown is new and has no `@since` with a version after 0.1.0";
    check_breaks(&[(last, &after(function))], &[missing]);
    check_breaks(&[NEXT, (last, &after(function))], &[missing]);
    check_breaks(&[(last, &after(&since("0.1.0", function)))], &[missing]);
    check_breaks(&[NEXT, (last, &after(&since("0.1.1", function)))], &[]);

    let interface = "interface prices {\n    last: func() -> f64;\n}\n";
    let world = "/// What is always granted.\n";
    check_breaks(
        &[NEXT, (world, &format!("{interface}{world}"))],
        &[
            "prices is new and has no `@since` with a version after 0.1.0",
            "prices.last is new and has no `@since` with a version after 0.1.0",
        ],
    );
    let interface = interface.replace("    last", &since("0.1.1", "    last"));
    check_breaks(&[NEXT, (world, &format!("{}{world}", since("0.1.1", &interface)))], &[]);

    // What policies export cannot grow, whatever is said: those that are there do not export it.
    let plan = "    plan: func(";
    check_breaks(
        &[NEXT, (plan, &format!("{}{plan}", since("0.1.1", "    cancel: func() -> bool;\n")))],
        &["retrain-schedule.cancel is new, in an interface that policies export or a world that is out"],
    );
}

// ---- a policy that was built against it

/// Every import of 0.1.0 and every question, as a compiler of that time would have called them. Nothing in here follows
/// `wit/policy.wit`.
const WORLD: &str = "
    import trimtab:policy/settings@0.1.0;
    import trimtab:policy/clock@0.1.0;
    import trimtab:policy/log@0.1.0;
    import trimtab:policy/history@0.1.0;
    import trimtab:policy/state@0.1.0;
    export trimtab:policy/drift-action@0.1.0;
    export trimtab:policy/alert-format@0.1.0;
    export trimtab:policy/canary-promotion@0.1.0;
    export trimtab:policy/cleanup@0.1.0;
    export trimtab:policy/retrain-schedule@0.1.0;
    export trimtab:policy/self-check@0.1.0;";

const MODULE: &str = r#"(module
    (import "trimtab:policy/settings@0.1.0" "text" (func $text (param i32 i32 i32)))
    (import "trimtab:policy/settings@0.1.0" "texts" (func $texts (param i32 i32 i32)))
    (import "trimtab:policy/settings@0.1.0" "number" (func $number (param i32 i32) (result f64)))
    (import "trimtab:policy/settings@0.1.0" "count" (func $count (param i32 i32) (result i32)))
    (import "trimtab:policy/settings@0.1.0" "duration" (func $duration (param i32 i32) (result i32)))
    (import "trimtab:policy/settings@0.1.0" "flag" (func $flag (param i32 i32) (result i32)))
    (import "trimtab:policy/clock@0.1.0" "now" (func $now (result i64)))
    (import "trimtab:policy/clock@0.1.0" "format" (func $format (param i64 i32)))
    (import "trimtab:policy/log@0.1.0" "debug" (func $debug (param i32 i32)))
    (import "trimtab:policy/log@0.1.0" "info" (func $info (param i32 i32)))
    (import "trimtab:policy/log@0.1.0" "warn" (func $warn (param i32 i32)))
    (import "trimtab:policy/log@0.1.0" "error" (func $error (param i32 i32)))
    (import "trimtab:policy/history@0.1.0" "recent" (func $recent (param i32 i32 i32 i32)))
    (import "trimtab:policy/history@0.1.0" "between" (func $between (param i32 i32 i32 i32 i32)))
    (import "trimtab:policy/history@0.1.0" "baseline" (func $baseline (param i32 i32 i32)))
    (import "trimtab:policy/history@0.1.0" "findings" (func $findings (param i32 i32 i32 i32)))
    (import "trimtab:policy/history@0.1.0" "drift-count" (func $drift-count (param i32 i32) (result i32)))
    (import "trimtab:policy/history@0.1.0" "versions" (func $versions (param i32)))
    (import "trimtab:policy/history@0.1.0" "since-activation" (func $since-activation (param i32)))
    (import "trimtab:policy/history@0.1.0" "since-retrain" (func $since-retrain (param i32)))
    (import "trimtab:policy/state@0.1.0" "get" (func $get (param i32 i32 i32)))
    (import "trimtab:policy/state@0.1.0" "set" (func $set (param i32 i32 i32 i32)))
    (import "trimtab:policy/state@0.1.0" "remove" (func $remove (param i32 i32)))
    (memory (export "memory") 1)
    (global $heap (mut i32) (i32.const 8192))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local i32)
        (local.set 4 (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
        (global.set $heap (i32.add (local.get 4) (local.get 3)))
        (local.get 4))
    (data (i32.const 64) "old")
    (data (i32.const 72) "accuracy")

    ;; ok(decision): one action at 256, rollback-to("old"), and the reason "old".
    (data (i32.const 128) "\00\00\00\00\00\01\00\00\01\00\00\00\40\00\00\00\03\00\00\00")
    (data (i32.const 256) "\07\00\00\00\00\00\00\00\40\00\00\00\03\00\00\00")
    (func (export "trimtab:policy/drift-action@0.1.0#decide") (param i32 i32) (result i32)
        ;; Every import once; what it is told is looked at where it is a number.
        (call $text (i32.const 64) (i32.const 3) (i32.const 4096))
        (if (f64.ne (call $number (i32.const 72) (i32.const 8)) (f64.const 0.5)) (then unreachable))
        (if (i64.ne (call $now) (i64.const 1795176000)) (then unreachable))
        (call $format (call $now) (i32.const 4096))
        (call $debug (i32.const 64) (i32.const 3))
        (call $info (i32.const 64) (i32.const 3))
        (call $warn (i32.const 64) (i32.const 3))
        (call $error (i32.const 64) (i32.const 3))
        (call $recent (i32.const 72) (i32.const 8) (i32.const 7) (i32.const 4096))
        (call $between (i32.const 72) (i32.const 8) (i32.const 9) (i32.const 8) (i32.const 4096))
        (call $baseline (i32.const 72) (i32.const 8) (i32.const 4096))
        (call $findings (i32.const 60) (i32.const 3) (i32.const 5) (i32.const 4096))
        (drop (call $drift-count (i32.const 64) (i32.const 3)))
        (call $versions (i32.const 4096))
        (call $since-activation (i32.const 4096))
        (call $since-retrain (i32.const 4096))
        (call $get (i32.const 64) (i32.const 3) (i32.const 4096))
        (call $set (i32.const 64) (i32.const 3) (i32.const 72) (i32.const 8))
        (call $remove (i32.const 64) (i32.const 3))
        (i32.const 128))

    ;; ok(message): title, body, nothing rich.
    (data (i32.const 320) "\00\00\00\00\40\00\00\00\03\00\00\00\48\00\00\00\08\00\00\00\00")
    (func (export "trimtab:policy/alert-format@0.1.0#render") (param i32) (result i32) (i32.const 320))

    ;; ok(judgement): extend-by(3600).
    (data (i32.const 384) "\00\00\00\00\00\00\00\00\02\00\00\00\00\00\00\00\10\0e\00\00\00\00\00\00\40\00\00\00\03\00\00\00")
    (func (export "trimtab:policy/canary-promotion@0.1.0#judge") (param i32) (result i32) (i32.const 384))

    ;; ok of no recommendation at all.
    (data (i32.const 448) "\00\00\00\00\00\00\00\00\00\00\00\00")
    (func (export "trimtab:policy/cleanup@0.1.0#review")
        (param i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i64) (result i32) (i32.const 448))

    ;; ok(schedule): every 3600 seconds, and once at once.
    (data (i32.const 512) "\00\00\00\00\10\0e\00\00\01\00\00\00\40\00\00\00\03\00\00\00")
    (func (export "trimtab:policy/retrain-schedule@0.1.0#plan")
        (param i32 i32 i32 i32 i32 f64 i32 i32 i32) (result i32) (i32.const 512))

    ;; No rule is broken.
    (func (export "trimtab:policy/self-check@0.1.0#check-settings") (result i32) (i32.const 576)))"#;

const MANIFEST: &str = r#"
summary = "built against 0.1.0"
channels = ["chat"]
[grants]
history = true
state = true
[limits]
time = "60s"
[settings]
old = { type = "text", default = "", summary = "" }
accuracy = { type = "number", default = 0.5, summary = "" }
"#;

#[test]
fn a_policy_built_against_0_1_0_answers_every_question() {
    let component = component_on(FROZEN, WORLD, MODULE);
    let policy = register(&Package::from_parts("old", MANIFEST, component).expect("a package"));
    assert_eq!(policy.kinds(), PolicyKind::ALL);
    assert_eq!(policy.imports(), ["clock", "history", "log", "settings", "state"]);

    let call = policy.decide(noon(), &[finding(Severity::High)], Arc::new(NoHistory), &BTreeMap::new());
    let decision = call.answer.expect("a decision");
    assert_eq!((&*decision.actions, &*decision.reason), (&[Action::RollbackTo("old".into())][..], "old"));
    assert_eq!(call.reads.len(), 9, "{:?}", call.reads);
    assert_eq!(call.reads[0], Read::Recent { metric: "accuracy".into(), last: 7, answer: None });
    let findings = Read::Findings { within: 60, at_least: Severity::High, limit: 5, answer: Vec::new() };
    assert_eq!(call.reads[3], findings);
    assert_eq!(call.log.len(), 4);

    let alert = alert();
    let message = policy.render(noon(), &alert, "chat").answer.expect("a message");
    assert_eq!((&*message.title, &*message.body, message.rich), ("old", "accuracy", None));

    let arm = |version: &str| Arm {
        version: version.into(),
        samples: 10,
        metrics: vec![trimtab_types::Metric { name: "accuracy".into(), estimate: estimate(0.6, 10) }],
        critical_findings: 0,
    };
    let experiment = Experiment {
        id: "x-1".into(),
        tenant: "acme".into(),
        model: "btc".into(),
        design: Design::Canary,
        fraction: 0.1,
        running: 3600,
        concerns: Vec::new(),
        champion: arm("v7"),
        challenger: arm("v8"),
        differences: Vec::new(),
    };
    let judgement =
        policy.judge(noon(), &experiment, Arc::new(NoHistory), &BTreeMap::new()).answer.expect("a judgement");
    assert_eq!(judgement.verdict, Ruling::ExtendBy(3600));

    let inventory = Inventory {
        tenant: "acme".into(),
        model: "btc".into(),
        versions: Vec::new(),
        budget: Budget::default(),
    };
    assert_eq!(
        policy.review(noon(), &inventory, Arc::new(NoHistory), &BTreeMap::new()).answer.expect("a review"),
        []
    );

    let conditions = Conditions {
        tenant: "acme".into(),
        model: "btc".into(),
        daily_volatility: Some(0.03),
        since_retrain: None,
        drifts_last_week: 1,
    };
    let schedule =
        policy.plan(noon(), &conditions, Arc::new(NoHistory), &BTreeMap::new()).answer.expect("a schedule");
    assert_eq!((schedule.every, schedule.immediately), (3600, true));
}
