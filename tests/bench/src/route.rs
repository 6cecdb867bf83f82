//! Routing: what a call of the library takes, beside the hash alone.

use std::{hint::black_box, time::Instant};

use siphasher::sip::SipHasher24;
use trimtab_route::{Router, Share, Table};

use crate::report::Report;

const CALLS: u32 = 2_000_000;

/// Nanoseconds of one call, on average.
fn nanoseconds(mut call: impl FnMut(&str) -> u64) -> f64 {
    let keys: Vec<String> = (0..1_000).map(|n| format!("customer-{n:08}")).collect();
    let began = Instant::now();
    for n in 0..CALLS as usize {
        black_box(call(black_box(&keys[n % keys.len()])));
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

/// Measures.
pub(crate) fn measure(report: &mut Report) {
    let salt = *b"0123456789abcdef";
    let share = Share { version: "v2".into(), experiment: "e".into(), fraction: 0.1, salt };
    let router = Router::new(Table {
        revision: 1,
        champion: Some("v1".into()),
        challenger: Some(share),
        minimum_confidence: None,
        exposure: 1.0,
        reason: None,
    });
    let bare = nanoseconds(|key| SipHasher24::new_with_key(&salt).hash(key.as_bytes()));
    let ours = nanoseconds(|key| u64::from(router.route(key).is_challenger));
    report.time("route a key", ours, "ns", Some(bare), "at most 100 ns; the peer is SipHash-2-4 alone");
}
