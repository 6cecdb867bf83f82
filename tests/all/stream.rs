//! Rows without end: `POST /v1/stream`, over a connection that stays open. What is answered is on disk, in the order in which
//! it was sent, and nothing after the first refused chunk is.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Http, Scratch, Serving, lines, outcome, prediction};

/// A stream that is open.
struct Open {
    to: UnixStream,
    from: BufReader<UnixStream>,
}

impl Open {
    fn begin(serving: &Serving, query: &str) -> Self {
        let Http::Socket(path) = serving.socket() else { panic!("a socket") };
        let mut to = UnixStream::connect::<PathBuf>(path).expect("connects");
        to.set_read_timeout(Some(Duration::from_secs(30))).expect("sets");
        let head = format!(
            "POST /v1/stream{query} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        to.write_all(head.as_bytes()).expect("writes");
        let from = BufReader::new(to.try_clone().expect("clones"));
        Self { to, from }
    }

    fn send(&mut self, text: &str) -> &mut Self {
        let frame = format!("{:x}\r\n{text}\r\n", text.len());
        self.to.write_all(frame.as_bytes()).expect("writes");
        self
    }

    fn end(&mut self) -> &mut Self {
        self.to.write_all(b"0\r\n\r\n").expect("writes");
        self
    }

    /// The next line of the answer. Between them are heads, and lengths of pieces, and none of these is an object.
    #[track_caller]
    fn hears(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.from.read_line(&mut line).expect("reads"), 0, "the answer has ended");
            if line.starts_with('{') {
                return serde_json::from_str(&line).expect("JSON");
            }
        }
    }

    /// Nothing more is answered.
    #[track_caller]
    fn is_over(&mut self) {
        let mut line = String::new();
        while self.from.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            assert!(!line.starts_with('{'), "{line}");
            if line == "0\r\n" {
                return;
            }
            line.clear();
        }
    }
}

fn predictions(ids: std::ops::Range<u32>) -> String {
    let row = |n: u32| json!({ "prediction": prediction(&format!("p{n}"), n, 0.9) });
    lines(&ids.map(row).collect::<Vec<_>>())
}

fn judged(id: u32, label: i64) -> String {
    lines(&[json!({ "outcome": outcome(&format!("p{id}"), 10_000, label) })])
}

fn stored(first: u64, last: u64, new: u64) -> Value {
    json!({ "stored": { "first": first, "last": last, "new": new, "unchanged": last + 1 - first - new } })
}

fn count(scratch: &Scratch) -> (u64, u64) {
    scratch.rows()
}

#[test]
fn rows_that_come_are_stored_and_answered_while_the_stream_goes_on() {
    let scratch = Scratch::with_config("");
    let serving = scratch.serve();
    let mut open = Open::begin(&serving, "");
    open.send(&predictions(0..2));
    assert_eq!(open.hears(), stored(1, 2, 2), "a pause ends a chunk");
    assert_eq!(count(&scratch).0, 2, "what was answered is there");
    let row = predictions(2..3);
    let (head, tail) = row.split_at(20);
    open.send(head);
    std::thread::sleep(Duration::from_millis(100));
    open.send(tail);
    assert_eq!(open.hears(), stored(3, 3, 1), "and no pause ends a line");
    // Many at once are cut into chunks, in their order; the same again changes nothing.
    open.send(&predictions(1..2_502)).end();
    assert_eq!(open.hears(), stored(4, 1_003, 998));
    assert_eq!(open.hears(), stored(1_004, 2_003, 1_000));
    assert_eq!(open.hears(), stored(2_004, 2_504, 501));
    assert_eq!(open.hears(), json!({ "done": { "rows": 2_504, "new": 2_502 } }));
    open.is_over();
    assert_eq!(count(&scratch).0, 2_502);
    assert_eq!(serving.stop(), Some(0));
    scratch.verify();
}

#[test]
fn nothing_after_the_first_refused_chunk_is_kept() {
    let scratch = Scratch::with_config("");
    let serving = scratch.serve();
    let check = |rows: &str, expected: &[Value], words: &[&str], resume: u64, line: u64| {
        let mut open = Open::begin(&serving, "?chunk=2");
        open.send(rows).end();
        for stored in expected {
            assert_eq!(open.hears(), *stored);
        }
        let refused = open.hears()["refused"].clone();
        let message = refused["error"]["message"].as_str().expect("a text");
        for word in words {
            assert!(message.contains(word), "{message}");
        }
        assert_eq!(
            (&refused["resume"], &refused["error"]["row"]),
            (&json!(resume), &json!(line)),
            "{message}"
        );
        open.is_over();
    };
    // By the log: the second chunk contradicts the first, and two more are under way.
    let conflict =
        [predictions(0..1), judged(0, 1), predictions(1..2), judged(0, 0), predictions(2..5)].concat();
    let words =
        ["line 4: outcome `p0` of model `m` exists with other content", "Nothing from line 3 on was kept"];
    check(&conflict, &[stored(1, 2, 2)], &words, 3, 4);
    assert_eq!(count(&scratch), (1, 1));
    // By what it says; blank lines count as lines.
    let bad = format!("{}\n\n{}", predictions(0..1), "{\"prediction\":{\"model\":\"m\"}}\n");
    check(
        &bad,
        &[stored(1, 2, 0)].map(|_| json!({ "stored": { "first": 1, "last": 2, "new": 0, "unchanged": 1 } })),
        &["line 4: ", "Nothing from line 3 on was kept"],
        3,
        4,
    );
    let binary = format!("{}{}", predictions(0..1), "x".repeat((1 << 20) + 1));
    check(&binary, &[stored(1, 1, 0)], &["line 2: is longer than 1048576 bytes"], 2, 2);
    assert_eq!(count(&scratch), (1, 1));
    // From there on it goes again.
    let mut open = Open::begin(&serving, "?chunk=2");
    open.send(&[predictions(1..2), judged(0, 1), predictions(2..5)].concat()).end();
    assert_eq!(open.hears(), stored(1, 2, 1));
    assert_eq!(open.hears(), stored(3, 4, 2));
    assert_eq!(open.hears(), stored(5, 5, 1));
    assert_eq!(count(&scratch), (5, 1));
    assert_eq!(serving.stop(), Some(0));
}

#[test]
fn what_is_asked_wrongly_is_refused_before_a_row_is_read() {
    let scratch = Scratch::with_config("");
    let serving = scratch.serve();
    let http = serving.socket();
    for (query, words) in [
        ("?chunk=0", "1 to 1000"),
        ("?chunk=1001", "1 to 1000"),
        ("?chunks=1", "chunks"),
        ("?chunk=x", "chunk"),
    ] {
        let refused = http.post_lines(&format!("/v1/stream{query}"), predictions(0..1)).expect(400);
        assert!(refused.body.contains(words), "{}", refused.body);
    }
    http.post("/v1/stream", b"").expect(200);
    // More streams than a host has are told to come back, and what is there goes on.
    let mut open: Vec<Open> = (0..256).map(|_| Open::begin(&serving, "")).collect();
    for (n, stream) in (0..).zip(&mut open) {
        stream.send(&predictions(n..n + 1));
        assert_eq!(stream.hears(), stored(1, 1, 1));
    }
    let refused = http.post_lines("/v1/stream", predictions(0..1)).expect(429);
    assert!(refused.head.contains("retry-after"), "{}", refused.head);
    // A plain request has a place of its own.
    http.post_lines("/v1/rows", predictions(40..41)).expect(200);
    drop(open);
    assert_eq!(serving.stop(), Some(0));
}

/// A sender that is gone has stored what it was answered, and no half line; a host that stops ends the streams that are open.
#[test]
fn either_side_may_go() {
    let scratch = Scratch::with_config("");
    let serving = scratch.serve();
    let mut open = Open::begin(&serving, "");
    open.send(&predictions(0..3));
    assert_eq!(open.hears(), stored(1, 3, 3));
    let half = predictions(3..4);
    open.send(&half[..half.len() - 1]);
    // It says no more, and listens still: what did not come whole is no end.
    open.to.shutdown(std::net::Shutdown::Write).expect("shuts");
    let refused = open.hears()["refused"].clone();
    assert_eq!(refused["resume"], 4, "{refused}");
    assert!(
        refused["error"]["message"].as_str().is_some_and(|text| text.contains("did not arrive whole")),
        "{refused}"
    );
    open.is_over();
    drop(open);
    let mut open = Open::begin(&serving, "");
    open.send(&predictions(10..11));
    assert_eq!(open.hears(), stored(1, 1, 1));
    assert_eq!(count(&scratch).0, 4, "a line without its end is none, where the sender is gone");
    let asked = Instant::now();
    serving.signal("TERM");
    let refused = open.hears()["refused"].clone();
    assert_eq!(refused["resume"], 2, "{refused}");
    open.is_over();
    drop(open);
    assert_eq!(serving.wait(), Some(0));
    // Nobody waits for a sender that says nothing: that would take the ten seconds that requests under way have.
    assert!(asked.elapsed() < Duration::from_secs(9), "{:?}", asked.elapsed());
    assert_eq!(count(&scratch).0, 4);
}

/// An import into a host that runs is a stream. A mistake is told by the line of the file, and what is kept is a whole number
/// of batches.
#[test]
fn an_import_is_a_stream() {
    let scratch = Scratch::with_config("");
    let serving = scratch.serve();
    let file = scratch.file("rows.ndjson", predictions(0..2_500));
    let imported = scratch.json(&["import", &file]);
    assert_eq!((&imported["new"], &imported["unchanged"]), (&json!(2_500), &json!(0)));
    let mixed = [predictions(2_400..2_700), judged(0, 1), judged(0, 0), predictions(2_700..2_900)].concat();
    let file = scratch.file("mixed.ndjson", mixed);
    let words = [
        "mixed.ndjson line 302: outcome `p0` of model `m` exists with other content",
        "300 rows before it are kept; mend the file and import it again",
    ];
    scratch.run(&["import", &file, "--batch", "100"]).expect(65).says(&words);
    assert_eq!(count(&scratch), (2_700, 0));
    assert_eq!(serving.stop(), Some(0));
    // And without a host.
    scratch.run(&["import", &file, "--batch", "100"]).expect(65).says(&words);
    assert_eq!(count(&scratch), (2_700, 0));
}
