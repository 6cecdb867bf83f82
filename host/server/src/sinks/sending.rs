//! Sending what waits, sink by sink: each in a task of its own. What becomes of a try is on disk before the next is made.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, task::JoinHandle};
use trimtab_log::{Attempt, EffectState, Reader as _, StoredEffect, effect_of};
use trimtab_types::{Effect, Timestamp};

use super::{
    destination::{Destination, Sent},
    due::due,
};
use crate::{Failure, Service, clock};

/// Time between two looks at what waits.
const LOOK: Duration = Duration::from_millis(250);
/// Looks between two at what nobody sends: a minute.
const SELDOM: u32 = 240;
/// Why it expired.
const NOBODY: &str = "no sink of this name is configured";
/// Effects of a sink that are looked at at once.
const STEP: u32 = 200;
/// How long a sending that is under way may take once the host is asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Until when sinks asked to be left alone.
type Pauses = Arc<Mutex<BTreeMap<String, Timestamp>>>;

/// Sends until the host stops. What is under way then is given a moment; what was not recorded is sent again by the next host,
/// under the same key.
pub(crate) async fn send_all(service: Arc<Service>, mut stopped: watch::Receiver<bool>) {
    let pauses = Pauses::default();
    let mut rounds: BTreeMap<String, JoinHandle<()>> = BTreeMap::new();
    let mut looks: u32 = 0;
    loop {
        if looks.is_multiple_of(SELDOM)
            && let Err(error) = expire_of_nobody(&service).await
        {
            tracing::error!("cannot expire what nobody sends: {error}");
        }
        looks = looks.wrapping_add(1);
        rounds.retain(|_, round| !round.is_finished());
        for (name, destination) in service.destinations().iter() {
            if rounds.contains_key(name) {
                continue;
            }
            let (service, destination) = (Arc::clone(&service), Arc::clone(destination));
            let (sink, pauses) = (name.clone(), Arc::clone(&pauses));
            let round = async move {
                if let Err(error) = round(&service, &sink, &destination, &pauses).await {
                    tracing::error!(sink, "cannot deliver: {error}");
                }
            };
            rounds.insert(name.clone(), tokio::spawn(round));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
    }
    for (_, round) in rounds {
        tokio::time::timeout(GRACE, round).await.ok();
    }
}

/// What waits for sinks that are not configured any more is told to nobody, and is no news after a while.
async fn expire_of_nobody(service: &Arc<Service>) -> Result<(), Failure> {
    let (reading, now) = (Arc::clone(service), clock::now());
    let expired = blocking(move || {
        let known = reading.destinations();
        reading.read(|reader| {
            let counts = reader.waiting_count()?;
            let nobodys = counts.keys().filter(|sink| *sink != Effect::QUEUE && !known.contains_key(*sink));
            let mut expired = Vec::new();
            for sink in nobodys {
                let waiting = reader.waiting(sink, STEP)?;
                let due = due(&waiting, now);
                let one = |stored| attempt(stored, now, now, EffectState::Expired, "expired", NOBODY);
                expired.extend(due.expired.into_iter().map(one));
            }
            Ok(expired)
        })
    });
    let expired = expired.await?;
    if expired.is_empty() { Ok(()) } else { record(service, expired).await }
}

/// Sends what is due of one sink.
async fn round(
    service: &Arc<Service>,
    sink: &str,
    destination: &Destination,
    pauses: &Pauses,
) -> Result<(), Failure> {
    let now = clock::now();
    let paused = lock(pauses).get(sink).copied();
    if paused.is_some_and(|until| now < until) {
        return Ok(());
    }
    let (reading, name) = (Arc::clone(service), sink.to_owned());
    let waiting = blocking(move || reading.read(|reader| Ok(reader.waiting(&name, STEP)?))).await?;
    let due = due(&waiting, now);
    let expired =
        due.expired.iter().map(|stored| attempt(stored, now, now, EffectState::Expired, "expired", ""));
    let expired: Vec<Attempt> = expired.collect();
    if !expired.is_empty() {
        tracing::warn!(sink, count = expired.len(), "alerts are too old to be sent");
        record(service, expired).await?;
    }
    for stored in due.send {
        let started = clock::now();
        let sent = match effect_of(stored) {
            Ok(effect) => destination.send(&effect, started).await,
            Err(error) => Sent::Refused { result: "unreadable".to_owned(), detail: error.to_string() },
        };
        let (state, result, detail, after) = match &sent {
            Sent::Delivered(result) => (EffectState::Delivered, result, "", None),
            Sent::Retry { result, detail, after } => (EffectState::Waiting, result, detail.as_str(), *after),
            Sent::Refused { result, detail } => (EffectState::Refused, result, detail.as_str(), None),
        };
        if state != EffectState::Delivered {
            tracing::warn!(sink, key = stored.effect.key, result, detail, "an alert was not taken");
        }
        record(service, vec![attempt(stored, started, clock::now(), state, result, detail)]).await?;
        if let Some(seconds) = after {
            lock(pauses).insert(sink.to_owned(), clock::now().plus(seconds));
        }
        // Whoever cannot be reached for one is not asked for the others now.
        if state == EffectState::Waiting {
            break;
        }
    }
    Ok(())
}

fn attempt(
    stored: &StoredEffect,
    started: Timestamp,
    ended: Timestamp,
    state: EffectState,
    result: &str,
    detail: &str,
) -> Attempt {
    let (effect, result, detail) = (stored.effect.key.clone(), result.to_owned(), detail.to_owned());
    Attempt { effect, started, ended, result, detail, state }
}

async fn record(service: &Arc<Service>, attempts: Vec<Attempt>) -> Result<(), Failure> {
    let service = Arc::clone(service);
    blocking(move || Ok(service.host().attempted(attempts)?)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Failure::files(error.to_string())))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
