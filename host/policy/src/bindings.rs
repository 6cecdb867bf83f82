//! The policy interface as Rust types, generated from `wit/policy.wit`. Nothing here is written by hand, and nothing
//! of it leaves this crate: see `convert` for the way from and to Trimtab's own vocabulary.

// One world with every import and every question. Its own struct is never used: a policy exports the questions that
// it answers, and each of them is looked up on its own.
wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package trimtab:host;
        world everything {
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
            export trimtab:policy/self-check@0.1.0;
        }
    ",
    // An error ends the call: this is how an undeclared settings key or a flood of calls is answered.
    imports: { default: trappable },
});
