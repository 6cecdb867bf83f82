//! Rows as a busy customer sends them: several subjects, twenty features, outcomes soon after.

use std::sync::Arc;

use trimtab_types::{
    Actual, Entry, Feature, Features, Outcome, Predicted, Prediction, Subject, Timestamp, Trade,
};

/// A seeded generator (SplitMix64): the same rows in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

pub(crate) fn subjects(count: usize) -> Vec<Arc<Subject>> {
    (0..count)
        .map(|n| {
            Arc::new(Subject {
                tenant: "default".into(),
                model: format!("model-{}", n / 4),
                version: "v1".into(),
                segment: format!("segment-{}", n % 4),
            })
        })
        .collect()
}

/// Predictions with outcomes ten rows later, about 80 % of them right.
pub(crate) fn entries(pairs: usize, subjects: &[Arc<Subject>], features: usize) -> Vec<Entry> {
    let mut random = Random(7);
    let names: Arc<[String]> = (0..features).map(|n| format!("feature-{n:02}")).collect();
    let mut entries = Vec::with_capacity(pairs * 2);
    let mut waiting = std::collections::VecDeque::new();
    for n in 0..pairs {
        let subject = &subjects[n % subjects.len()];
        let time = Timestamp::EPOCH.plus(1_700_000_000 + n as u64);
        let id = format!("p{n:010}");
        entries.push(Entry::Prediction(Prediction {
            id: id.clone(),
            subject: Arc::clone(subject),
            time,
            predicted: Predicted::Binary(0.9),
            confidence: Some(random.unit()),
            interval: None,
            features: Features {
                names: Arc::clone(&names),
                values: (0..features).map(|_| Feature::Number(random.unit())).collect(),
            },
            trade: Trade::default(),
            served: true,
            horizon: Some(60),
        }));
        waiting.push_back(Entry::Outcome(Outcome {
            tenant: subject.tenant.clone(),
            model: subject.model.clone(),
            id,
            time: time.plus(10),
            actual: Some(Actual::Label(i64::from(random.unit() < 0.8))),
            exit_price: None,
            pnl: None,
            correction: false,
        }));
        if waiting.len() > 10 {
            entries.extend(waiting.pop_front());
        }
    }
    entries.extend(waiting);
    entries
}
