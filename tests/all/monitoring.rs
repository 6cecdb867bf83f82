//! What monitoring systems make of a host: the shipped rules pass their own tests, and every query of rules and dashboard has
//! a result in a real Prometheus that scrapes a real host.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    languages::say,
    policies::{MANIFEST, put, trapping},
    support::{Http, STORY, Scratch, lines, repository, stage, story},
    swap::eventually,
};

fn shipped(name: &str) -> PathBuf {
    repository().join("contrib/monitoring").join(name)
}

/// Whether this machine has Prometheus' programs.
fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        say(&format!("skipped: there is no `{program}` on this machine; install prometheus"));
    }
    found
}

#[test]
fn the_shipped_rules_pass_their_own_tests() {
    if !is_there("promtool") {
        return;
    }
    for args in [["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]] {
        let run = Command::new("promtool").args(args).current_dir(shipped("")).output().expect("runs");
        assert!(run.status.success(), "{args:?}: {}", String::from_utf8_lossy(&run.stdout));
    }
}

/// A Prometheus that scrapes one host. It dies with this value.
struct Prometheus {
    child: Child,
    http: Http,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Prometheus {
    fn start(scratch: &Scratch, host: &Http) -> Self {
        let Http::Port(target) = host else { panic!("it scrapes a port") };
        let rules = shipped("rules.yml");
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [\"{}\"]\nscrape_configs:\n- job_name: trimtab\n  static_configs: [{{ targets: [\"{target}\"] }}]\n",
            rules.display()
        );
        let config = scratch.file("prometheus.yml", config);
        // A port that is free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a port");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={config}"))
            .arg(format!("--storage.tsdb.path={}", scratch.path("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        Self { child, http: Http::Port(address) }
    }

    /// What a query gives now; `None`: it does not answer yet.
    fn query(&self, expression: &str) -> Option<Vec<Value>> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let head = format!(
            "GET /api/v1/query?query={encoded} HTTP/1.0\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        );
        let reply = self.http.exchange(&head, b"").ok().filter(|reply| reply.status == 200)?;
        reply.json()["data"]["result"].as_array().cloned()
    }
}

/// Queries of the rules, without the bounds that make them alerts: `a > 5` has a result where `a` has one.
fn queries() -> BTreeSet<String> {
    let read = |name: &str| std::fs::read_to_string(shipped(name)).expect("reads");
    let rules = read("rules.yml");
    let rules = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let unbounded = |text: &str| {
        let end = [" > ", " == "].iter().filter_map(|bound| text.rfind(bound)).min().unwrap_or(text.len());
        text[..end].to_owned()
    };
    let dashboard: Value = serde_json::from_str(&read("grafana.json")).expect("is JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("targets").clone());
    let shown = targets.map(|target| {
        target["expr"].as_str().expect("a query").replace("$tenant", ".*").replace("$model", ".*")
    });
    // What is absent has no result where it is there.
    rules.filter(|rule| !rule.starts_with("absent(")).map(unbounded).chain(shown).collect()
}

#[test]
fn every_query_of_rules_and_dashboard_has_a_result() {
    if !is_there("prometheus") {
        return;
    }
    let scratch = stage("");
    let policies = scratch.own_policies();
    put(&policies, "trapping", MANIFEST.as_bytes(), &trapping());
    put(&policies, "empty", MANIFEST.as_bytes(), b"");
    let rules = "[decisions]\npolicies = \"all\"\n[breaker]\nfailures = 1\npause = \"30d\"\nlongest = \"30d\"\n[metrics]\nwindow = 200\n";
    scratch.configure(&policies, &format!("{STORY}{rules}"));
    let host = scratch.serve();
    let prometheus = Prometheus::start(&scratch, &host.port());
    let told = lines(&story(7));
    host.socket().post_lines("/v1/rows", told).expect(200);
    host.socket().get("/v1/findings?settled=true").expect(200);
    let queries = queries();
    assert!(queries.len() > 20, "{queries:?}");
    for query in &queries {
        // A rate takes two scrapes.
        let found = eventually(|| prometheus.query(query).filter(|found| !found.is_empty()));
        let labels = found[0]["metric"].as_object().expect("labels");
        assert!(!labels.contains_key("exported_tenant"), "{query}: {found:?}");
    }
    // The rules that have something to say say it.
    let firing = |name: &str| {
        let query = format!("ALERTS{{alertname=\"{name}\"}}");
        eventually(|| prometheus.query(&query).filter(|found| !found.is_empty()))
    };
    assert_eq!(firing("TrimtabCriticalDrift")[0]["metric"]["model"], "m");
    assert_eq!(firing("TrimtabPolicyRefused")[0]["metric"]["policy"], "empty");
    assert_eq!(firing("TrimtabPolicyLeftAlone")[0]["metric"]["policy"], "trapping");
    assert_eq!(host.stop(), Some(0));
}
