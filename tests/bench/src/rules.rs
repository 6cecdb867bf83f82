//! The ladder's rule in two languages of other rule engines, as their users would write it: what is decided about a finding
//! that opened, by its severity.

use std::error::Error;

use trimtab_types::Finding;

const REGO: &str = r#"
package ladder

default actions := ["monitor"]

below_chance if {
    input.quantity == "accuracy"
    input.current.interval.upper < 0.5
}

actions := ["kill-switch-on", "retrain-now", "alert"] if {
    input.phase == "opened"
    halts
}

actions := ["retrain-now", "scale-exposure", "alert"] if {
    input.phase == "opened"
    input.severity == "high"
    not halts
}

actions := ["schedule-retrain", "alert"] if {
    input.phase == "opened"
    input.severity == "medium"
    not halts
}

halts if input.severity == "critical"
halts if below_chance
"#;

const RHAI: &str = r#"
fn decide(finding) {
    if finding.phase != "opened" { return ["monitor"]; }
    let interval = finding.current.interval;
    let below = finding.quantity == "accuracy" && interval != () && interval.upper < 0.5;
    if below || finding.severity == "critical" { return ["kill-switch-on", "retrain-now", "alert"]; }
    switch finding.severity {
        "high" => ["retrain-now", "scale-exposure", "alert"],
        "medium" => ["schedule-retrain", "alert"],
        _ => ["monitor"],
    }
}
"#;

/// Rego, interpreted.
pub(crate) struct Rego {
    engine: regorus::Engine,
    input: regorus::Value,
}

impl Rego {
    pub(crate) fn new(finding: &Finding) -> Result<Self, Box<dyn Error>> {
        let mut engine = regorus::Engine::new();
        engine.add_policy("ladder.rego".into(), REGO.into())?;
        let input = regorus::Value::from_json_str(&serde_json::to_string(finding)?)?;
        Ok(Self { engine, input })
    }

    pub(crate) fn decide(&mut self) -> Result<Vec<String>, Box<dyn Error>> {
        self.engine.set_input(self.input.clone());
        let actions = self.engine.eval_rule("data.ladder.actions".into())?;
        let names = actions.as_array()?.iter().map(|name| name.as_string().map(|name| name.to_string()));
        Ok(names.collect::<Result<_, _>>()?)
    }
}

/// Rhai, interpreted.
pub(crate) struct Rhai {
    engine: rhai::Engine,
    script: rhai::AST,
    finding: rhai::Dynamic,
}

impl Rhai {
    pub(crate) fn new(finding: &Finding) -> Result<Self, Box<dyn Error>> {
        let engine = rhai::Engine::new();
        let script = engine.compile(RHAI)?;
        let finding = rhai::Dynamic::from_map(engine.parse_json(serde_json::to_string(finding)?, true)?);
        Ok(Self { engine, script, finding })
    }

    pub(crate) fn decide(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let mut scope = rhai::Scope::new();
        let answer: rhai::Array =
            self.engine.call_fn(&mut scope, &self.script, "decide", (self.finding.clone(),))?;
        Ok(answer.into_iter().map(|name| name.into_string()).collect::<Result<_, _>>()?)
    }
}
