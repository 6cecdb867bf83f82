//! Rolling accuracy with a z-test at every step, against the same rule computed with numpy and scipy.

use serde::Deserialize;

use super::{assert_close, records};
use crate::proportion::z_test;
use crate::{Alternative, Window};

#[derive(Deserialize)]
struct Record {
    id: String,
    window: usize,
    baseline: f64,
    correct: String,
    first_index: usize,
    z_every_25: Vec<(usize, f64, f64, f64)>,
    alarm_p_less_lt_05: Vec<usize>,
}

#[test]
fn rolling_accuracy_alarms_at_the_same_steps() {
    for r in records::<Record>("stats_rolling_ztest.jsonl") {
        // One ring of 200 answers all three window lengths.
        let mut ring = Window::new(Window::DEFAULT_CAPACITY).expect("valid");
        let mut alarms = Vec::new();
        for (i, byte) in r.correct.bytes().enumerate() {
            ring.push(i as u64, byte == b'1');
            if i < r.first_index {
                assert_eq!(ring.accuracy(r.window), None, "{} at {i}", r.id);
                continue;
            }
            let seen = ring.newest(r.window);
            let test = z_test(seen.successes, seen.n, r.baseline, Alternative::Less).expect("valid");
            if test.p_value < 0.05 {
                alarms.push(i);
            }
            if let Some(&(_, z, _, p_less)) = r.z_every_25.iter().find(|row| row.0 == i) {
                assert_close(test.statistic, z, 1e-9, 1e-12, &r.id);
                assert_close(test.p_value, p_less, 1e-9, 0.0, &r.id);
            }
        }
        assert_eq!(alarms, r.alarm_p_less_lt_05, "{}", r.id);
    }
}
