//! What watches every row must not allocate at every row: detectors and the rolling window not at all once they have
//! warmed up, and a sketch stays within its bound.

use allocation_counter::measure;
use trimtab_stats::{
    Adwin, AdwinConfig, AdwinVariant, Ddm, DdmConfig, EDetector, EDetectorConfig, EDetectorKind, Eddm,
    EddmConfig, HddmA, HddmAConfig, HddmW, HddmWConfig, Kll, Kswin, KswinConfig, OnlineDetector, OwnPast,
    OwnPastConfig, PageHinkley, PageHinkleyConfig, Window,
};

const WARM_UP: usize = 50_000;
const MEASURED: usize = 200_000;

/// Numbers in [0, 1) from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn error(&mut self) -> f64 {
        f64::from(u8::from(self.unit() < 0.3))
    }
}

fn detectors() -> Vec<(&'static str, Box<dyn OnlineDetector>)> {
    let adwin = |variant| Adwin::new(AdwinConfig { variant, ..AdwinConfig::default() }).expect("valid");
    let e_detector = |kind, block| {
        EDetector::new(EDetectorConfig { kind, block, null_mean: 0.32, ..EDetectorConfig::default() })
            .expect("valid")
    };
    vec![
        ("ADWIN", Box::new(adwin(AdwinVariant::KeepWindow))),
        ("ADWIN of river", Box::new(adwin(AdwinVariant::ResetOnDrift))),
        ("e-SR", Box::new(e_detector(EDetectorKind::ShiryaevRoberts, 20))),
        ("e-SR without blocks", Box::new(e_detector(EDetectorKind::ShiryaevRoberts, 1))),
        ("e-CUSUM", Box::new(e_detector(EDetectorKind::Cusum, 20))),
        ("own past", Box::new(OwnPast::new(OwnPastConfig::default()).expect("valid"))),
        ("Page-Hinkley", Box::new(PageHinkley::new(PageHinkleyConfig::default()).expect("valid"))),
        ("DDM", Box::new(Ddm::new(DdmConfig::default()).expect("valid"))),
        ("EDDM", Box::new(Eddm::new(EddmConfig::default()).expect("valid"))),
        ("HDDM-A", Box::new(HddmA::new(HddmAConfig::default()).expect("valid"))),
        ("HDDM-W", Box::new(HddmW::new(HddmWConfig::default()).expect("valid"))),
        ("KSWIN", Box::new(Kswin::new(KswinConfig::default()).expect("valid"))),
    ]
}

/// On errors that stay as they are. False alarms come all the same; telling one's p-value may allocate.
#[test]
fn a_warm_detector_allocates_nothing_between_alarms() {
    for (name, mut detector) in detectors() {
        let mut random = Random(1);
        for _ in 0..WARM_UP {
            detector.update(random.error()).expect("usable");
        }
        for row in 0..MEASURED {
            let error = random.error();
            let mut is_drift = false;
            let allocated = measure(|| is_drift = detector.update(error).expect("usable").drift().is_some());
            assert!(is_drift || allocated.count_total == 0, "{name}, row {row}: {allocated:?}");
        }
    }
}

#[test]
fn a_full_window_allocates_nothing() {
    for capacity in [1, Window::DEFAULT_CAPACITY, 5_000] {
        let mut random = Random(2);
        let mut window = Window::new(capacity).expect("valid");
        (0..capacity).for_each(|key| window.push(key.into(), random.error() == 0.0));
        let mut right = 0;
        let allocated = measure(|| {
            for key in 0..10_000 {
                window.push(key, random.error() == 0.0);
                window.amend(key / 2, true);
                right += window.newest(50).successes + window.losing_run() as u64;
            }
        });
        assert!(right > 0);
        assert_eq!(allocated.count_total, 0, "capacity {capacity}: {allocated:?}");
    }
}

/// "About 3·k numbers, however many were added": a tenth more at most. Buffers are kept while it grows, for each of the
/// levels (a million values are below 2¹³·k), and given back when it is at rest.
#[test]
fn a_sketch_stays_within_its_bound() {
    for k in [Kll::DEFAULT_K, 1_000] {
        let mut random = Random(3);
        let mut sketch = Kll::new(k, 7).expect("valid");
        let held = measure(|| {
            (0..1_000_000).for_each(|_| sketch.add(random.unit()).expect("usable"));
            sketch.trim();
        });
        let bound = 3 * 8 * u64::from(k) * 11 / 10;
        assert!(sketch.bytes() as u64 <= bound, "k {k}: {} bytes", sketch.bytes());
        assert!(held.bytes_max <= 14 * bound, "k {k}: {held:?}");
        assert!(held.bytes_current as u64 <= bound + 1_024, "k {k}: {held:?}");
    }
}

/// Buffers are kept: only a further level, at twice the values, allocates.
#[test]
fn a_sketch_that_has_reached_its_size_hardly_allocates() {
    let mut random = Random(4);
    let mut sketch = Kll::new(Kll::DEFAULT_K, 7).expect("valid");
    (0..WARM_UP).for_each(|_| sketch.add(random.unit()).expect("usable"));
    let allocated = measure(|| (0..MEASURED).for_each(|_| sketch.add(random.unit()).expect("usable")));
    // From 50,000 to 250,000 values there are three more levels; each grows a buffer a few times.
    assert!(allocated.count_total <= 60, "{allocated:?}");
}
