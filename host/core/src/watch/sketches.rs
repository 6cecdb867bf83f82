//! How score and features were distributed when: mergeable sketches by hour and day, so that a recent stretch of time can
//! be held against an earlier one, without any baseline. Kept only where a detector's window is a length of time. The
//! sketches themselves are in `trimtab-stats`; windows of so many predictions are in `window`.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use trimtab_stats::{
    EmptyBins, Kll, SketchTimeline, StatsError,
    dependence::LagOne,
    ks::ks_p_value_effective,
    psi::psi_p_value,
    sketch::{sketch_ks, sketch_psi},
};
use trimtab_types::{Prediction, Timestamp};

use super::{difference::Gap, ks, look::Look, psi};
use crate::{
    config::{Detectors, Duration, SketchSettings},
    detector::DetectorKind,
};

const HOUR: i64 = 3_600_000;
/// Bins that the earlier stretch is cut into for PSI.
const BINS: u32 = 10;
/// Fewest values on either side for PSI, as for a window of predictions.
const ENOUGH_FOR_PSI: u64 = 50;
/// Size of the sketch that a stretch is merged into, for the moment of the test: large, so that merging adds no error.
const MERGED: u16 = 4_096;
/// A quantity is sketched while there is so much of the budget for each.
const LEAST_BYTES: usize = 4_096;

/// By quantity; the score under the empty name, which no feature has.
pub(crate) type Timelines = BTreeMap<String, SketchTimeline>;

/// A quantity in the hour that it is in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Open {
    name: String,
    hour: i64,
    sketch: Kll,
    dependence: LagOne,
}

/// Takes the score and the features of a prediction. Returns whether something older than their hour changed.
pub(super) fn take(
    (open_hours, timelines): (&mut Vec<Open>, &mut Arc<Timelines>),
    settings: &Detectors,
    prediction: &Prediction,
    now: Timestamp,
) -> bool {
    if settings.longest_span().is_none() {
        let held = !open_hours.is_empty() || !timelines.is_empty();
        *open_hours = Vec::new();
        *timelines = Arc::default();
        return held;
    }
    let settings = &settings.sketches;
    let hour = hour_of(prediction.time);
    let mut is_older_changed = false;
    for (name, value) in prediction.quantities() {
        let name = name.unwrap_or_default();
        let place = match open_hours.binary_search_by(|open| open.name.as_str().cmp(name)) {
            Ok(place) => place,
            Err(place) => {
                if (open_hours.len() + 1) * LEAST_BYTES > settings.budget as usize {
                    continue;
                }
                let Some(sketch) = empty(settings, hour) else { continue };
                let dependence = LagOne::default();
                open_hours.insert(place, Open { name: name.to_owned(), hour, sketch, dependence });
                place
            }
        };
        let open = &mut open_hours[place];
        open.dependence.add(value);
        if hour == open.hour {
            // What a sketch cannot take, such as 1e200, is left out.
            open.sketch.add(value).ok();
            continue;
        }
        let Some(mut other) = empty(settings, hour) else { continue };
        other.add(value).ok();
        // The newest hour is open; what comes late belongs to an older one.
        let (older, sketch) = if hour > open.hour {
            (std::mem::replace(&mut open.hour, hour), std::mem::replace(&mut open.sketch, other))
        } else {
            (hour, other)
        };
        is_older_changed = true;
        let budget = settings.budget as usize / open_hours.len();
        let timelines = Arc::make_mut(timelines);
        if !timelines.contains_key(name) {
            let Ok(empty) = SketchTimeline::new(settings.size) else { continue };
            timelines.insert(name.to_owned(), empty);
        }
        if let Some(timeline) = timelines.get_mut(name) {
            timeline.add_sketch(older, sketch);
            timeline.roll_up(hour_of(now), i64::from(settings.hours.0 / 3_600));
            timeline.forget_before(hour_of(now) - i64::from(settings.from.0 / 3_600) - 24);
            timeline.enforce(budget);
        }
    }
    is_older_changed
}

/// Holds the recent stretch of each quantity against the earlier one.
pub(super) fn look(
    open_hours: &[Open],
    timelines: &Timelines,
    settings: &Detectors,
    now: Timestamp,
) -> Vec<Look> {
    let Detectors { psi: by_psi, ks: by_ks, sketches, .. } = settings;
    let quantities = open_hours.len();
    let psi_span = by_psi.window.time().filter(|_| by_psi.enabled);
    let ks_span = by_ks.window.time().filter(|_| by_ks.enabled);
    let mut looks = Vec::new();
    for open in open_hours {
        let stretch = |from: Duration, until: Duration| stretch_of(open, timelines, now, (from, until));
        let Ok(earlier) = stretch(sketches.from, sketches.until) else { continue };
        let words = |span: Duration, now: &Kll| {
            let ago = |time: Duration| trimtab_types::format_duration(u64::from(time.0));
            format!(
                "last {} ({} values) against {} to {} ago ({})",
                ago(span),
                now.count(),
                ago(sketches.until),
                ago(sketches.from),
                earlier.count()
            )
        };
        let worth = open.dependence.worth();
        if let Some(span) = psi_span
            && let Ok(recent) = stretch(span, Duration(0))
            && recent.count().min(earlier.count()) >= ENOUGH_FOR_PSI
            && let Ok(found) = psi_of(&earlier, &recent, worth)
        {
            let limits = psi::limits(by_psi, quantities);
            looks.push(limits.look(DetectorKind::Psi, open.quantity(), found, words(span, &recent)));
        }
        if let Some(span) = ks_span
            && let Ok(recent) = stretch(span, Duration(0))
            && recent.count().min(earlier.count()) >= u64::from(by_ks.minimum)
            && let Ok(found) = ks_of(&earlier, &recent, worth)
        {
            let limits = ks::limits(by_ks, quantities);
            looks.push(limits.look(DetectorKind::Ks, open.quantity(), found, words(span, &recent)));
        }
    }
    looks
}

/// What a quantity was between two points before now, in whole hours, and days where hours are no longer kept.
fn stretch_of(
    open: &Open,
    timelines: &Timelines,
    now: Timestamp,
    (from, until): (Duration, Duration),
) -> Result<Kll, StatsError> {
    let ago = |time: Duration| hour_of(now) - i64::from(time.0 / 3_600);
    let hours = ago(from)..ago(until) + i64::from(until.0 == 0);
    let mut all = match timelines.get(&open.name) {
        Some(timeline) => timeline.merged_at(hours.clone(), MERGED)?,
        None => Kll::new(MERGED, 0)?,
    };
    if hours.contains(&open.hour) {
        all.merge(&open.sketch);
    }
    Ok(all)
}

impl Open {
    /// What findings call it.
    fn quantity(&self) -> String {
        if self.name.is_empty() { "score".to_owned() } else { format!("feature/{}", self.name) }
    }
}

/// A sketch for an hour, whose coin flips start with it.
fn empty(settings: &SketchSettings, hour: i64) -> Option<Kll> {
    Kll::new(settings.size, hour.cast_unsigned()).ok()
}

/// The index as estimated; how probable the least is that the sketches' errors allow. Values are worth so much each.
fn psi_of(earlier: &Kll, recent: &Kll, worth: f64) -> Result<Gap, StatsError> {
    let found = sketch_psi(earlier, recent, BINS, EmptyBins::HalfCount)?;
    let bins = earlier.view().bins(BINS)?.len();
    let p_value = psi_p_value(found.low, bins, worth * earlier.count() as f64, worth * recent.count() as f64);
    Ok(Gap { statistic: found.value, p_value })
}

fn ks_of(earlier: &Kll, recent: &Kll, worth: f64) -> Result<Gap, StatsError> {
    let found = sketch_ks(earlier, recent)?;
    let p_value =
        ks_p_value_effective(found.low, worth * earlier.count() as f64, worth * recent.count() as f64);
    Ok(Gap { statistic: found.value, p_value })
}

fn hour_of(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(HOUR)
}
