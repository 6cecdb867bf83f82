//! Detectors and tests beside their peers from Python: the same seeded input, by turns, the best round of each. A row
//! says whether both sides found the same.

use std::{error::Error, path::Path, time::Instant};

use serde_json::{Value, json};
use trimtab_stats::{
    Adwin, AdwinConfig, AdwinVariant, Betting, Comparison, Ddm, DdmConfig, EDetector, EDetectorConfig, Eddm,
    EddmConfig, HddmA, HddmAConfig, HddmW, HddmWConfig, Kll, Ks, KsMethod, Kswin, KswinConfig,
    OnlineDetector, OwnPast, OwnPastConfig, PageHinkley, PageHinkleyConfig, Psi, StatsError, WindowedTest,
};

use crate::{
    peers::{Answer, Peers},
    report::Report,
    rows::Random,
};

const ROUNDS: usize = 5;
const UPDATES: usize = 1_000_000;
/// KSWIN of the peer takes about a millisecond each.
const KSWIN_UPDATES: usize = 3_000;
const FEATURES: usize = 20;
const REPORT_ROWS: usize = 100_000;
/// Statistics that differ by no more than this share are the same.
const SAME: f64 = 1e-9;

pub(crate) fn measure(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let mut peers = Peers::start();
    drift_report(report, &mut peers, directory.path())?;
    online(report, &mut peers, directory.path())?;
    windowed(report, &mut peers, directory.path())?;
    sketch(report)
}

/// What both sides took and found.
struct Pair {
    seconds: f64,
    found: Vec<f64>,
    peer: Result<Answer, String>,
}

impl Pair {
    /// Both sides by turns, so that a noisy machine disturbs both alike; the best round of each.
    fn measure(
        rounds: usize,
        peers: &mut Peers,
        question: &Value,
        mut ours: impl FnMut() -> Result<Vec<f64>, StatsError>,
    ) -> Result<Self, StatsError> {
        let mut round = || {
            let started = Instant::now();
            let found = ours()?;
            let seconds = started.elapsed().as_secs_f64();
            Ok::<_, StatsError>(Self { seconds, found, peer: peers.ask(question) })
        };
        let mut best = round()?;
        for _ in 1..rounds {
            let again = round()?;
            best.seconds = best.seconds.min(again.seconds);
            best.peer = match (best.peer, again.peer) {
                (Ok(best), Ok(again)) if best.seconds < again.seconds => Ok(best),
                (_, again) => again,
            };
        }
        Ok(best)
    }

    /// Whether the peer found the same, in words.
    fn verdict(&self, what: &str) -> String {
        let alike = |theirs: &[f64]| {
            theirs.len() == self.found.len()
                && theirs.iter().zip(&self.found).all(|(b, a)| (a - b).abs() <= SAME * b.abs())
        };
        match &self.peer {
            Ok(answer) if alike(&answer.found) => format!("same {what}"),
            Ok(_) => format!("OTHER {what}"),
            Err(why) => format!("no peer: {why}"),
        }
    }

    fn peer_seconds(&self) -> Option<f64> {
        self.peer.as_ref().ok().map(|answer| answer.seconds)
    }
}

/// Numbers as a file for the peer.
fn write(directory: &Path, name: &str, numbers: &[f64]) -> Result<String, Box<dyn Error>> {
    let path = directory.join(name);
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(&path, bytes)?;
    Ok(path.to_string_lossy().into_owned())
}

fn uniform(seed: u64, count: usize) -> Vec<f64> {
    let mut random = Random(seed);
    (0..count).map(|_| random.unit()).collect()
}

/// Indices of the drifts, from the start.
fn drifts(detector: &mut dyn OnlineDetector, values: &[f64]) -> Result<Vec<f64>, StatsError> {
    detector.reset();
    let mut drifts = Vec::new();
    for (index, &x) in values.iter().enumerate() {
        if detector.update(x)?.drift().is_some() {
            drifts.push(index as f64);
        }
    }
    Ok(drifts)
}

/// A detector, its input, the question for the peer and the target.
type OnlineRow<'a> = (&'a str, Box<dyn OnlineDetector>, &'a [f64], Value, &'a str);

fn online(report: &mut Report, peers: &mut Peers, directory: &Path) -> Result<(), Box<dyn Error>> {
    // Errors and scores whose distribution changes again and again.
    let changed = |index: usize, stretch: usize| (index / stretch) % 2 == 1;
    let mut random = Random(11);
    let errors: Vec<f64> = (0..UPDATES)
        .map(|i| f64::from(u8::from(random.unit() < if changed(i, 20_000) { 0.4 } else { 0.2 })))
        .collect();
    let scores: Vec<f64> = (0..KSWIN_UPDATES)
        .map(|i| if changed(i, 500) { random.unit().powi(2) } else { random.unit() })
        .collect();
    let errors_file = write(directory, "errors", &errors)?;
    let scores_file = write(directory, "scores", &scores)?;

    let adwin = |variant| Adwin::new(AdwinConfig { variant, ..AdwinConfig::default() });
    let river = |detector: &str, arguments: Value| json!({"peer": "river", "detector": detector, "input": errors_file, "count": UPDATES, "arguments": arguments});
    let core = json!({"peer": "adwin_core", "input": errors_file, "count": UPDATES});
    // With two halves river draws nothing at random, so that both compute the same.
    let halves = KswinConfig { window_size: 60, stat_size: 30, ..KswinConfig::default() };
    let kswin = json!({"peer": "river", "detector": "KSWIN", "input": scores_file, "count": KSWIN_UPDATES,
        "arguments": {"window_size": 60, "stat_size": 30}});
    let ten = ">= 10 x";
    let rows: [OnlineRow; 8] = [
        (
            "ADWIN, clock 32, river's",
            Box::new(adwin(AdwinVariant::ResetOnDrift)?),
            &errors,
            river("ADWIN", json!({"clock": 32})),
            ">= 19,000,000",
        ),
        (
            "ADWIN, clock 32, river's compiled core",
            Box::new(adwin(AdwinVariant::KeepWindow)?),
            &errors,
            core,
            ">= 19,000,000",
        ),
        (
            "Page-Hinkley",
            Box::new(PageHinkley::new(PageHinkleyConfig::default())?),
            &errors,
            river("PageHinkley", json!({})),
            ten,
        ),
        ("DDM", Box::new(Ddm::new(DdmConfig::default())?), &errors, river("DDM", json!({})), ten),
        ("EDDM", Box::new(Eddm::new(EddmConfig::default())?), &errors, river("EDDM", json!({})), ten),
        ("HDDM-A", Box::new(HddmA::new(HddmAConfig::default())?), &errors, river("HDDMA", json!({})), ten),
        ("HDDM-W", Box::new(HddmW::new(HddmWConfig::default())?), &errors, river("HDDMW", json!({})), ten),
        ("KSWIN, 30 against 30", Box::new(Kswin::new(halves)?), &scores, kswin, ten),
    ];
    for (name, mut detector, values, question, target) in rows {
        let pair = Pair::measure(ROUNDS, peers, &question, || drifts(detector.as_mut(), values))?;
        let rate = |seconds: f64| values.len() as f64 / seconds;
        let verdict = pair.verdict(&format!("{} drifts", pair.found.len()));
        let peer = pair.peer_seconds().map(rate);
        report.rate(&format!("{name}, updates ({verdict})"), rate(pair.seconds), "1/s", peer, target);
    }

    let e_sr =
        |block| EDetector::new(EDetectorConfig { null_mean: 0.3, block, ..EDetectorConfig::default() });
    let inflated = EDetector::with_betting(
        EDetectorConfig { null_mean: 0.3, block: 5, ..EDetectorConfig::default() },
        Betting { inflation: 1.5, ..Betting::default() },
    )?;
    let alone: [(&str, Box<dyn OnlineDetector>); 5] = [
        ("e-SR, blocks of 20", Box::new(e_sr(20)?)),
        ("e-SR, blocks of 5, inflated", Box::new(inflated)),
        ("e-SR, without blocks", Box::new(e_sr(1)?)),
        ("e-SR against own past", Box::new(OwnPast::new(OwnPastConfig::default())?)),
        ("KSWIN, 30 against 70", Box::new(Kswin::new(KswinConfig::default())?)),
    ];
    for (name, mut detector) in alone {
        let seconds = best(|| drifts(detector.as_mut(), &errors))?;
        report.rate(&format!("{name}, updates"), UPDATES as f64 / seconds, "1/s", None, "none");
    }
    Ok(())
}

fn windowed(report: &mut Report, peers: &mut Peers, directory: &Path) -> Result<(), Box<dyn Error>> {
    let ks = Ks { method: KsMethod::Asymptotic, ..Ks::default() };
    for (size, name, target) in
        [(1_000_000, "10^6 against 10^6", "<= 60 ms, <= 0.1 x"), (100_000, "100 k against 100 k", "none")]
    {
        // A difference that is just about significant.
        let (a, mut b) = (uniform(1, size), uniform(2, size));
        b.iter_mut().for_each(|x| *x *= 1.0 - 1.0 / (size as f64).sqrt());
        let file = |name: &str, numbers| write(directory, &format!("{name}-{size}"), numbers);
        let files = [file("baseline", &a)?, file("current", &b)?];
        let question = |peer: &str| json!({"peer": peer, "baseline": files[0], "current": files[1]});
        let found = |comparison: Comparison| [Some(comparison.statistic), comparison.p_value];
        let pair = Pair::measure(ROUNDS, peers, &question("ks"), || {
            Ok(found(ks.compare(&a, &b)?).into_iter().flatten().collect())
        })?;
        let verdict = pair.verdict("distance and p-value");
        let peer = pair.peer_seconds().map(|seconds| seconds * 1e3);
        report.time(&format!("KS, {name}, scipy ({verdict})"), pair.seconds * 1e3, "ms", peer, target);
        let pair = Pair::measure(ROUNDS, peers, &question("psi"), || {
            Ok(vec![Psi::default().compare(&a, &b)?.statistic])
        })?;
        let verdict = pair.verdict("index");
        let peer = pair.peer_seconds().map(|seconds| seconds * 1e3);
        report.time(&format!("PSI, {name}, numpy ({verdict})"), pair.seconds * 1e3, "ms", peer, "none");
    }
    Ok(())
}

/// KS and PSI of every feature.
fn compare_features(
    baseline: &[f64],
    current: &[f64],
    rows: usize,
) -> Result<Vec<(Comparison, Comparison)>, StatsError> {
    let columns = baseline.chunks(rows).zip(current.chunks(rows));
    columns.map(|(a, b)| Ok((Ks::default().compare(a, b)?, Psi::default().compare(a, b)?))).collect()
}

/// A report on twenty features: ours has KS and PSI of each. Evidently's default is a Wasserstein distance, so that it is
/// asked for KS too.
fn drift_report(report: &mut Report, peers: &mut Peers, directory: &Path) -> Result<(), Box<dyn Error>> {
    let baseline = uniform(3, FEATURES * REPORT_ROWS);
    let mut current = uniform(4, FEATURES * REPORT_ROWS);
    // Every fourth feature drifts.
    for column in current.chunks_mut(REPORT_ROWS).step_by(4) {
        column.iter_mut().for_each(|x| *x = x.powf(1.02));
    }
    let files =
        [write(directory, "report-baseline", &baseline)?, write(directory, "report-current", &current)?];
    let question = |arguments: Value| {
        json!({"peer": "drift_report", "baseline": files[0], "current": files[1], "columns": FEATURES,
            "arguments": arguments})
    };
    let p_values = || {
        let found = compare_features(&baseline, &current, REPORT_ROWS)?;
        Ok(found.iter().filter_map(|(ks, _)| ks.p_value).collect())
    };
    forget_peak();
    p_values()?;
    let ours = peak();
    let pair = Pair::measure(2, peers, &question(json!({"num_method": "ks"})), p_values)?;
    let verdict = pair.verdict("p-values");
    report.time(
        &format!("drift report, 20 features, 100 k rows a side, Evidently by KS ({verdict})"),
        pair.seconds,
        "s",
        pair.peer_seconds(),
        "<= 0.3 s, <= 0.1 x",
    );
    let theirs = pair.peer.ok().and_then(|answer| answer.peak);
    if let Some(ours) = ours {
        report.time("drift report, most memory of the process", ours, "MB", theirs, "<= 100 MB");
    }
    let pair = Pair::measure(2, peers, &question(json!({})), p_values)?;
    let verdict = match &pair.peer {
        Ok(_) => "OTHER statistic, Wasserstein".to_owned(),
        Err(why) => format!("no peer: {why}"),
    };
    report.time(
        &format!("drift report, Evidently's default ({verdict})"),
        pair.seconds,
        "s",
        pair.peer_seconds(),
        "<= 0.3 s, <= 0.1 x",
    );
    Ok(())
}

fn sketch(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let values = uniform(5, UPDATES);
    let mut bytes = 0;
    let seconds = best(|| {
        let mut sketch = Kll::new(Kll::DEFAULT_K, 1)?;
        values.iter().try_for_each(|&x| sketch.add(x))?;
        bytes = sketch.bytes();
        Ok(())
    })?;
    report.rate(
        &format!("KLL sketch, k = 200, updates ({bytes} bytes)"),
        values.len() as f64 / seconds,
        "1/s",
        None,
        "none",
    );
    Ok(())
}

/// The best of some rounds, in seconds.
fn best<T>(mut run: impl FnMut() -> Result<T, StatsError>) -> Result<f64, StatsError> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        run()?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Lets the kernel count the process's peak from now on.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").ok();
}

/// Megabytes that this process held at most, where the kernel tells.
fn peak() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kilobytes| kilobytes / 1024.0)
}
