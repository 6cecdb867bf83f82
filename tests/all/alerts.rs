//! What people are told, what is held back and why, and how a person answers.

use serde_json::json;

use crate::support::{STORY, told};

#[test]
fn alerts_say_what_was_told_and_what_was_held_back_and_take_an_answer() {
    let scratch = told(STORY);
    let alerts = scratch.json(&["alerts", "--model", "m", "--limit", "100"]);
    let groups = alerts["groups"].as_array().expect("groups");
    assert_eq!(groups.len(), 1, "one model and one kind: {alerts}");
    assert_eq!((&groups[0]["kind"], &groups[0]["state"]), (&json!("performance"), &json!("firing")));
    let events = alerts["events"].as_array().expect("events");
    let of = |told: bool| events.iter().filter(move |event| event["told"] == told).collect::<Vec<_>>();
    let sent = scratch.serve().socket().get("/v1/effects").json();
    // The host's first tick may remind of what is open since the story's time, which is long ago.
    let is_of_the_story = |effect: &&serde_json::Value| effect["body"]["alert"]["occasion"] != "repeated";
    assert_eq!(
        of(true).len(),
        sent["effects"].as_array().expect("effects").iter().filter(is_of_the_story).count(),
        "what was told is what was sent: {events:#?}"
    );
    for event in of(false) {
        let what = event["what"].as_str().expect("a rule");
        assert!(what.contains("already") || what.contains("at most once"), "{what}");
    }
    assert!(!of(false).is_empty(), "the story drifts twice in a day");
    let shown = scratch.run(&["alerts"]).expect(0).stdout;
    assert!(shown.contains("held back") && shown.contains("firing"), "{shown}");

    let none = scratch.run(&["alerts", "ack", "n"]).expect(66);
    assert!(none.stderr.contains("no alert about `n` is firing"), "{}", none.stderr);
    let other = scratch.run(&["alerts", "ack", "m", "--kind", "feed"]).expect(66);
    assert!(other.stderr.contains("of kind `feed`"), "{}", other.stderr);
    scratch.run(&["alerts", "ack", "m", "--actor", "ada", "--reason", "on it"]).expect(0);
    let known = &scratch.json(&["alerts"])["groups"][0];
    assert_eq!((&known["state"], &known["note"]), (&json!("acknowledged"), &json!("known to ada: on it")));

    scratch.run(&["alerts", "silence", "m", "--for", "soon"]).expect(65);
    scratch.run(&["alerts", "silence", "m", "--for", "4h", "--actor", "ada", "--reason", "moving"]).expect(0);
    let quiet = &scratch.json(&["alerts"])["groups"][0]["note"];
    assert!(quiet.as_str().is_some_and(|note| note.contains("by ada: moving")), "{quiet}");
    scratch.run(&["alerts", "unsilence", "m"]).expect(0);
    assert_eq!(scratch.json(&["alerts"])["groups"][0]["note"], "known to ada: on it");
    scratch.verify();
}

/// What tightened has a command that undoes it, and the kill switch undoes nothing but itself.
#[test]
fn every_tightening_has_a_way_back() {
    let scratch = told(STORY);
    let shown = scratch.json(&["exposure", "show", "m"]);
    let causes = shown["causes"].as_object().expect("causes");
    // The ladder halves at each opening, of accuracy-z and of e-sr: two causes, however often they opened.
    assert_eq!(causes.len(), 2, "{shown}");
    assert_eq!(shown["exposure"], 0.25, "{shown}");
    scratch.run(&["kill", "off", "m"]).expect(0);
    assert_eq!(scratch.json(&["may-trade", "m"])["exposure"], 0.25, "the kill switch is another matter");
    let cause = causes.keys().next().expect("a cause").clone();
    scratch
        .run(&["exposure", "clear", "m", "--cause", "nobody"])
        .expect(66)
        .says(&["nobody", "exposure show"]);
    scratch.run(&["exposure", "clear", "m", "--cause", &cause, "--reason", "looked at"]).expect(0);
    assert_eq!(scratch.json(&["may-trade", "m"])["exposure"], 0.5);
    scratch.run(&["exposure", "set", "m", "0.8"]).expect(0);
    assert_eq!(scratch.json(&["exposure", "show", "m"])["exposure"], 0.4);
    scratch.run(&["weight", "clear", "m"]).expect(0);
    assert_eq!(scratch.json(&["may-serve", "m"])["exposure"], 1.0);
    scratch.run(&["exposure", "set", "m", "7"]).expect(65).says(&["exposure", "between 0 and 1"]);
    scratch.run(&["exposure", "set", "nosuch", "0.5"]).expect(66).says(&["nosuch"]);
    scratch.run(&["confidence", "set", "m", "0.7"]).expect(0);
    assert_eq!(scratch.json(&["may-trade", "m"])["minimum_confidence"], 0.7);
    scratch.run(&["confidence", "clear", "m"]).expect(0);
    assert_eq!(scratch.json(&["may-trade", "m"])["minimum_confidence"], serde_json::Value::Null);
    scratch.run(&["resume", "m"]).expect(0);
    scratch.verify();
}

/// Decisions of one policy, and the newest of them as a whole.
#[test]
fn decisions_are_found_by_their_policy() {
    let scratch = told(STORY);
    let by = |policy: &str| -> Vec<String> {
        let listed = scratch.json(&["decisions", "--policy", policy, "--limit", "3"]);
        let decisions = listed["decisions"].as_array().expect("a list").iter();
        decisions.map(|decision| decision["policy"]["name"].as_str().unwrap_or("host").to_owned()).collect()
    };
    assert_eq!(by("chat-alert"), ["chat-alert"; 2]);
    assert_eq!(by("drift-ladder"), ["drift-ladder"; 3]);
    assert_eq!(by("nobody"), Vec::<String>::new());
    let newest = scratch.run(&["decisions", "--policy", "chat-alert", "show", "--last"]).expect(0);
    newest.prints(&["decision   d-", "policy     chat-alert"]);
    scratch.run(&["decisions", "--policy", "nobody", "show", "--last"]).expect(66);
    scratch.run(&["decisions", "show"]).expect(64);
}
