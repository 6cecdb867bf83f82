//! `POST /v1/stream`: rows without end, one on each line. They are stored in chunks and in their order, several of them
//! under way at a time, and each chunk is answered with a line once it is on disk. A chunk is whole or nothing; at the first
//! that is refused nothing later is stored, and the answer says where to go on. Sending again is safe: the same row under
//! the same id changes nothing.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::timeout,
};
use trimtab_api::{
    Failure, Streamed,
    rows::{BadRow, Row},
};
use trimtab_log::{Appended, LogError, Series};
use trimtab_types::{Entry, ErrorKind};

use super::{
    error::Refusal,
    rows::read_rows,
    service::{Query, STREAMS, Service, Shared},
};
use crate::doors::NDJSON;

/// Lines of a chunk at most.
const CHUNK: u64 = 1_000;
/// Bytes of a chunk, more than which it takes no further line.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes of a line at most.
const LONGEST_LINE: usize = 1 << 20;
/// Chunks under way that no line has answered yet.
const UNDER_WAY: usize = 4;
/// What has come is stored after a pause of this length, though it is no whole chunk.
const PAUSE: Duration = Duration::from_millis(10);
/// How often a stream without rows looks whether the host stops.
const IDLE: Duration = Duration::from_millis(250);
/// For how long the rest of a stream that was refused is thrown away.
const LINGER: Duration = Duration::from_secs(2);
/// How often a queue that is full is looked at again.
const ROOM: Duration = Duration::from_millis(5);

/// A part of a stream that is stored as a whole.
#[derive(Debug, PartialEq)]
struct Chunk {
    /// Its first line in the stream, from 1.
    first: u64,
    /// Its last.
    last: u64,
    text: Vec<u8>,
}

/// What may be asked of a stream.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamQuery {
    /// Lines of a chunk, at most 1,000.
    chunk: Option<u64>,
}

/// Cuts what comes into chunks of whole lines.
#[derive(Debug)]
struct Chunks {
    /// Lines of a chunk.
    most: u64,
    /// What is in no chunk yet.
    bytes: Vec<u8>,
    /// Of these, how many were looked at for ends of lines; …
    seen: usize,
    /// … how many are whole lines, …
    whole: usize,
    /// … and how many lines these are.
    lines: u64,
    /// Lines that are in chunks.
    cut: u64,
}

impl Chunks {
    fn of(most: u64) -> Self {
        Self { most, bytes: Vec::new(), seen: 0, whole: 0, lines: 0, cut: 0 }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A chunk that is full.
    fn full(&mut self) -> Result<Option<Chunk>, BadRow> {
        while let Some(end) = self.bytes[self.seen..].iter().position(|byte| *byte == b'\n') {
            self.seen += end + 1;
            self.whole = self.seen;
            self.lines += 1;
            if self.lines == self.most || self.whole >= CHUNK_BYTES {
                return Ok(self.rest());
            }
        }
        self.seen = self.bytes.len();
        if self.bytes.len() - self.whole > LONGEST_LINE {
            let problem = format!("is longer than {LONGEST_LINE} bytes");
            return Err(BadRow { line: self.cut + self.lines + 1, problem });
        }
        Ok(None)
    }

    /// The whole lines that there are, if any.
    fn rest(&mut self) -> Option<Chunk> {
        if self.lines == 0 {
            return None;
        }
        let later = self.bytes.split_off(self.whole);
        let text = std::mem::replace(&mut self.bytes, later);
        let first = self.cut + 1;
        self.cut += std::mem::take(&mut self.lines);
        (self.seen, self.whole) = (self.seen - text.len(), 0);
        Some(Chunk { first, last: self.cut, text })
    }

    /// The last line may have no end.
    fn finish(&mut self) -> Option<Chunk> {
        if self.bytes.len() > self.whole {
            self.bytes.push(b'\n');
            (self.seen, self.whole) = (self.bytes.len(), self.bytes.len());
            self.lines += 1;
        }
        self.rest()
    }
}

/// A chunk that is on its way to the disk, or why it is not.
struct UnderWay {
    first: u64,
    last: u64,
    appended: oneshot::Receiver<Result<Vec<Appended>, Failure>>,
}

pub(super) async fn stream(State(service): Shared, Query(query): Query<StreamQuery>, body: Body) -> Response {
    let most = query.chunk.unwrap_or(CHUNK);
    if !(1..=CHUNK).contains(&most) {
        return Refusal(Failure::invalid(format!("chunk: is {most}; it is 1 to {CHUNK} lines")))
            .into_response();
    }
    let Ok(permit) = Arc::clone(&service.streams).try_acquire_owned() else {
        let message = format!(
            "{STREAMS} streams of rows are open, and no more are taken; try again when one has ended"
        );
        return Refusal(Failure::new(ErrorKind::Busy, message)).into_response();
    };
    let (chunks, under_way) = mpsc::channel(UNDER_WAY - 1);
    let (lines, answers) = mpsc::channel::<Bytes>(UNDER_WAY);
    tokio::spawn(store(service, body, Chunks::of(most), chunks, permit));
    tokio::spawn(answer(under_way, lines));
    let answers = stream::unfold(answers, |mut answers| async {
        answers.recv().await.map(|line| (Ok::<_, std::convert::Infallible>(line), answers))
    });
    ([(CONTENT_TYPE, NDJSON)], Body::from_stream(answers)).into_response()
}

/// Stores what comes, until the stream is over. Where its sender has more to say than is heard, the rest is thrown away for a
/// moment: who closes on what was sent and not read takes back the answer, too.
async fn store(
    service: Arc<Service>,
    mut body: Body,
    chunks: Chunks,
    to: mpsc::Sender<UnderWay>,
    permit: OwnedSemaphorePermit,
) {
    let left = store_chunks(&service, &mut body, chunks, to).await;
    drop(permit);
    if left == Left::More {
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        timeout(LINGER, rest).await.ok();
    }
}

/// What there is left of a stream.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// Its sender may have more to say.
    More,
    /// It is over, or its sender is gone.
    Nothing,
}

/// Stores chunk by chunk, until the stream ends, its client is gone, or nobody hears the answers any more.
async fn store_chunks(
    service: &Arc<Service>,
    body: &mut Body,
    mut chunks: Chunks,
    to: mpsc::Sender<UnderWay>,
) -> Left {
    let series = Series::default();
    loop {
        if service.host.is_closing() {
            refuse(chunks.cut + 1, LogError::Stopped.into(), &to).await;
            return Left::Nothing;
        }
        match chunks.full() {
            Ok(None) => {}
            Ok(Some(chunk)) => {
                if !put(service, chunk, &series, &to).await {
                    return Left::More;
                }
                continue;
            }
            Err(bad) => {
                // What came before it is stored first.
                if let Some(chunk) = chunks.rest()
                    && !put(service, chunk, &series, &to).await
                {
                    return Left::More;
                }
                let line = bad.line;
                refuse(line, in_stream(bad.into(), line, |row| row), &to).await;
                return Left::More;
            }
        }
        let pause = if chunks.lines > 0 { PAUSE } else { IDLE };
        let frame = tokio::select! {
            frame = timeout(pause, body.frame()) => frame,
            () = to.closed() => return Left::More,
        };
        match frame {
            Ok(Some(Ok(frame))) => {
                if let Some(bytes) = frame.data_ref() {
                    chunks.take(bytes);
                }
            }
            Ok(Some(Err(error))) => {
                // What came whole is stored; that it was not all, whoever still listens is told.
                if let Some(chunk) = chunks.rest()
                    && !put(service, chunk, &series, &to).await
                {
                    return Left::Nothing;
                }
                refuse(chunks.cut + 1, broken(&error, chunks.cut + 1), &to).await;
                return Left::Nothing;
            }
            Ok(None) => {
                if let Some(chunk) = chunks.finish() {
                    put(service, chunk, &series, &to).await;
                }
                return Left::Nothing;
            }
            Err(_pause) => {
                if let Some(chunk) = chunks.rest()
                    && !put(service, chunk, &series, &to).await
                {
                    return Left::More;
                }
            }
        }
    }
}

/// Sends a chunk on its way. Says whether the stream goes on.
async fn put(service: &Arc<Service>, chunk: Chunk, series: &Series, to: &mpsc::Sender<UnderWay>) -> bool {
    let Chunk { first, last, text } = chunk;
    let (entries, lines) = match service.parse(move || parse(first, &text)).await {
        Ok(parsed) => parsed,
        Err(failure) => {
            refuse(first, failure, to).await;
            return false;
        }
    };
    let (sender, appended) = oneshot::channel();
    let mut append = service.host.to_append(entries, series, move |result| {
        // The log counts the rows of a chunk.
        let line = |row: u64| row.checked_sub(1).and_then(|row| lines.get(row as usize)).copied();
        let result = result.map_err(|error| in_stream(error.into(), first, |row| line(row).unwrap_or(first)));
        sender.send(result).ok();
    });
    // Whoever sends without end waits where the queue is full; one of a plain request is told to come back.
    while let Err(waiting) = service.host.offer(append) {
        append = waiting;
        tokio::time::sleep(ROOM).await;
    }
    // A client that does not listen does not hold up a host that stops.
    loop {
        match timeout(IDLE, to.reserve()).await {
            Ok(Ok(room)) => {
                room.send(UnderWay { first, last, appended });
                return true;
            }
            Ok(Err(_nobody_listens)) => return false,
            Err(_full) if service.host.is_closing() => return false,
            Err(_full) => {}
        }
    }
}

async fn refuse(first: u64, failure: Failure, to: &mpsc::Sender<UnderWay>) {
    let (sender, appended) = oneshot::channel();
    sender.send(Err(failure)).ok();
    // Whoever does not listen is not waited for.
    timeout(LINGER, to.send(UnderWay { first, last: first, appended })).await.ok();
}

/// What is said of a stream whose bytes end in the middle, or are none of HTTP.
fn broken(error: &axum::Error, next: u64) -> Failure {
    Failure::invalid(format!(
        "the stream did not arrive whole ({error}); go on at line {next}. Nothing from there on was kept"
    ))
}

/// The entries of a chunk, and the line of each in the stream.
fn parse(first: u64, text: &[u8]) -> Result<(Vec<Entry>, Vec<u64>), Failure> {
    let refused = |bad: BadRow| in_stream(bad.into(), first, |row| first - 1 + row);
    let text = std::str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
        refused(BadRow { line, problem: "is not UTF-8".to_owned() })
    })?;
    let rows = read_rows(true, text, Row::entry).map_err(refused)?;
    let (lines, entries): (Vec<u64>, Vec<Entry>) = rows.into_iter().unzip();
    Ok((entries, lines.into_iter().map(|line| first - 1 + line).collect()))
}

/// A failure of a chunk in the words of whoever sends: by lines of the stream, and from where on nothing was kept.
fn in_stream(failure: Failure, first: u64, line: impl Fn(u64) -> u64) -> Failure {
    let Some(row) = failure.row else { return failure };
    let problem = failure.message.strip_prefix(&format!("row {row}: ")).unwrap_or(&failure.message);
    let problem = problem.strip_suffix(". Nothing of this request was kept").unwrap_or(problem);
    let line = line(row);
    let message = format!("line {line}: {problem}. Nothing from line {first} on was kept");
    Failure { message, row: Some(line), ..failure }
}

/// Answers each chunk with a line, in their order, and ends with the first that is refused.
async fn answer(mut under_way: mpsc::Receiver<UnderWay>, to: mpsc::Sender<Bytes>) {
    let mut done = Streamed::Done { rows: 0, new: 0 };
    while let Some(UnderWay { first, last, appended }) = under_way.recv().await {
        let stopped = || Err(Failure::from(LogError::Stopped));
        let line = match appended.await.unwrap_or_else(|_| stopped()) {
            Ok(appended) => {
                let is_new = |appended: &&Appended| matches!(appended, Appended::New(_));
                let new = appended.iter().filter(is_new).count() as u64;
                let rows = appended.len() as u64;
                if let Streamed::Done { rows: all, new: all_new } = &mut done {
                    (*all, *all_new) = (*all + rows, *all_new + new);
                }
                Streamed::Stored { first, last, new, unchanged: rows - new }
            }
            Err(error) => Streamed::Refused { error: Box::new(error), resume: first },
        };
        let ends = matches!(line, Streamed::Refused { .. });
        if !send(&line, &to).await || ends {
            return;
        }
    }
    send(&done, &to).await;
}

async fn send(line: &Streamed, to: &mpsc::Sender<Bytes>) -> bool {
    let Ok(mut text) = serde_json::to_vec(line) else { return false };
    text.push(b'\n');
    to.send(text.into()).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes pieces; the lines of each chunk that comes at once, of what a pause brings, and of the end.
    fn cut(pieces: &[&str]) -> Vec<(u64, u64, String)> {
        let mut chunks = Chunks::of(CHUNK);
        let mut cut = Vec::new();
        let of = |chunk: Chunk| (chunk.first, chunk.last, String::from_utf8(chunk.text).expect("text"));
        for piece in pieces {
            if piece.is_empty() {
                cut.extend(chunks.rest().map(of));
            }
            chunks.take(piece.as_bytes());
            while let Some(chunk) = chunks.full().expect("short lines") {
                cut.push(of(chunk));
            }
        }
        cut.extend(chunks.finish().map(of));
        cut
    }

    #[test]
    fn chunks_are_whole_lines() {
        let chunk = |first, last, text: &str| (first, last, text.to_owned());
        assert_eq!(cut(&[]), []);
        assert_eq!(cut(&["a\nb\nc"]), [chunk(1, 3, "a\nb\nc\n")]);
        assert_eq!(
            cut(&["a\nb", "", "c\n"]),
            [chunk(1, 1, "a\n"), chunk(2, 2, "bc\n")],
            "a pause cuts no line"
        );
        let many = "x\n".repeat(2_500);
        let (head, tail) = many.split_at(1_777);
        let lines: Vec<_> = cut(&[head, tail]).into_iter().map(|(first, last, _)| (first, last)).collect();
        assert_eq!(lines, [(1, 1_000), (1_001, 2_000), (2_001, 2_500)]);
        // What is long is cut by its bytes.
        let long = format!("{}\n", "y".repeat(CHUNK_BYTES - 1)).repeat(2);
        let lines: Vec<_> = cut(&[&long]).into_iter().map(|(first, last, _)| (first, last)).collect();
        assert_eq!(lines, [(1, 1), (2, 2)]);
    }

    #[test]
    fn a_line_without_end_is_refused_by_its_number() {
        let mut chunks = Chunks::of(CHUNK);
        chunks.take(b"a\nb\n");
        assert_eq!(chunks.full().expect("short"), None);
        chunks.take(&vec![b'z'; LONGEST_LINE + 1]);
        let bad = chunks.full().expect_err("too long");
        assert_eq!(bad.line, 3);
        assert_eq!(
            chunks.rest().map(|chunk| (chunk.first, chunk.last)),
            Some((1, 2)),
            "what came before counts"
        );
    }
}
