//! Long lists come as pages: the worst first, with totals of all, and a place to go on from.

use serde_json::{Value, json};

use crate::support::{STORY, Scratch, lines, prediction, told};

/// A model of which something critical is open, and four that nobody has a baseline of, in another tenant and with segments.
fn several() -> Scratch {
    let scratch = told(STORY);
    let row = |model: &str, segment: &str| {
        let mut row = prediction(&format!("{model}{segment}"), 1, 0.9);
        (row["model"], row["segment"], row["tenant"]) = (json!(model), json!(segment), json!("acme"));
        json!({ "prediction": row })
    };
    let rows = [row("a", ""), row("a", "BTC/USDT"), row("b", "x\"y"), row("zeta", "")];
    let file = scratch.file("more.ndjson", lines(&rows));
    scratch.run(&["import", &file]).expect(0);
    scratch
}

fn subjects(page: &Value) -> Vec<Value> {
    page["subjects"].as_array().expect("a list").iter().map(|one| one["subject"].clone()).collect()
}

#[test]
fn pages_of_subjects_are_the_whole_list_the_worst_first() {
    let scratch = several();
    let host = scratch.serve();
    let http = host.socket();
    for path in ["/v1/status", "/v1/check"] {
        let all = http.get(&format!("{path}?limit=10000&settled=true")).expect(200).json();
        let (expected, health) = (subjects(&all), &all["subjects"][0]["health"]);
        assert_eq!((expected.len(), health, &all["next"]), (5, &json!("critical"), &Value::Null), "{path}");
        assert_eq!(expected[0]["model"], "m");
        for limit in 1..=5 {
            let mut walked = Vec::new();
            let mut page = http.get(&format!("{path}?limit={limit}")).expect(200).json();
            loop {
                let here = subjects(&page);
                assert!(here.len() <= limit && !here.is_empty(), "{path} {limit}");
                walked.extend(here);
                let of = |word: &str| page["totals"][word].as_u64().or(page[word].as_u64());
                assert_eq!(
                    (of("critical"), of("unknown")),
                    (Some(1), Some(4)),
                    "totals are of all, on each page"
                );
                let Some(next) = page["next"].as_str() else { break };
                page = http.get(&format!("{path}?limit={limit}&after={next}")).expect(200).json();
            }
            assert_eq!(walked, expected, "{path} {limit}");
        }
        let of_tenant = http.get(&format!("{path}?tenant=acme&limit=3")).expect(200).json();
        assert_eq!(subjects(&of_tenant).len(), 3);
        for (query, words) in [
            ("after=rubbish", "after: is not what a page said is `next`"),
            ("after=bnVsbA", "after: is not what a page said is `next`"),
            ("limit=10001", "at most 10000"),
            ("page=2", "unknown field `page`"),
        ] {
            let refused = http.get(&format!("{path}?{query}")).expect(400);
            assert!(refused.body.contains(words), "{query}: {}", refused.body);
        }
    }
    // A model that is stopped is on the first page, however well its subjects are and however short the page is.
    let models = |page: &Value| -> Vec<Value> {
        page["models"].as_array().expect("a list").iter().map(|model| model["model"].clone()).collect()
    };
    assert_eq!(models(&http.get("/v1/status?limit=1").json()), ["m"]);
    scratch.run(&["kill", "on", "zeta", "--tenant", "acme", "--reason", "test"]).expect(0);
    assert_eq!(models(&http.get("/v1/status?limit=1").json()), ["zeta", "m"]);
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn what_the_command_leaves_out_it_says() {
    let scratch = several();
    let short = scratch.run(&["status", "--limit", "2"]).expect(0);
    short.prints(&["1 critical, 4 unknown", "and others, none of them worse", "--after "]);
    let place = short.stdout.split("--after ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let rest = scratch.run(&["status", "--after", place.expect("a place")]).expect(0);
    rest.prints(&["acme/zeta"]);
    assert!(!rest.stdout.contains("--after"), "it is the last page:\n{}", rest.stdout);
    assert!(!scratch.run(&["status"]).expect(0).stdout.contains("--after"));
}

/// However many are open, the gravest is among those that are shown.
#[test]
fn open_findings_begin_with_the_gravest() {
    let scratch = told(STORY);
    let open = |limit: &str| {
        let found = scratch.json(&["findings", "--open", "--limit", limit])["findings"].clone();
        let severity = |finding: &Value| finding["severity"].as_str().expect("a word").to_owned();
        found.as_array().expect("a list").iter().map(severity).collect::<Vec<_>>()
    };
    let all = open("50");
    assert!(all.len() > 1, "{all:?}");
    assert_eq!(all[0], "critical");
    assert_eq!(open("1"), ["critical"]);
    let rank =
        |severity: &String| ["critical", "high", "medium", "low", "info"].iter().position(|s| s == severity);
    assert!(all.is_sorted_by_key(rank), "{all:?}");
}
