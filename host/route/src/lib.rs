//! Which version of a model serves a unit: a user, an order, a bar. Small enough to be linked by whoever serves predictions:
//! one hash and one comparison, no allocation, no network. Where tables come from is the caller's: `GET /v1/routes` gives
//! them as JSON.
//!
//! `u` is SipHash-2-4 of the key's bytes under the experiment's salt; the upper 53 bits of it are the unit. The challenger
//! serves if the unit is below ⌊fraction · 2⁵³⌋. So a unit that the challenger serves at some share it serves at every
//! greater one, and pausing and resuming an experiment gives the same units back.
//!
//! Source of the hash: J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" (2012).

use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

/// Units lie in 0..2⁵³: every one of them is a number that a double holds exactly, so that other languages agree.
const UNITS: f64 = 9_007_199_254_740_992.0;

/// Who serves a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Of the registry that it was made from.
    pub revision: u64,
    /// The version that serves what nobody else does; `None`: nobody is to serve.
    pub champion: Option<Arc<str>>,
    /// The version that serves a share.
    #[serde(default)]
    pub challenger: Option<Share>,
    /// Predictions below this confidence are not to be served, by either.
    #[serde(default)]
    pub minimum_confidence: Option<f64>,
    /// Share of the usual exposure.
    pub exposure: f64,
    /// Why nobody is to serve, or why only the champion does.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The share of an experiment's challenger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The version.
    pub version: Arc<str>,
    /// The experiment.
    pub experiment: Arc<str>,
    /// 0..1.
    pub fraction: f64,
    /// Of the experiment: 16 bytes.
    pub salt: [u8; 16],
}

/// Where a unit goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The version; `None`: nobody is to serve it.
    pub version: Option<Arc<str>>,
    /// Whether that is the challenger.
    pub is_challenger: bool,
    /// The unit, if an experiment shares traffic out.
    pub unit: Option<u64>,
}

/// The unit of a key under a salt: 0..2⁵³.
pub fn unit(salt: &[u8; 16], key: &str) -> u64 {
    SipHasher24::new_with_key(salt).hash(key.as_bytes()) >> 11
}

impl Share {
    /// Whether the challenger serves a unit.
    pub fn serves(&self, unit: u64) -> bool {
        // Exact: both are integers that a double holds.
        (unit as f64) < (self.fraction.clamp(0.0, 1.0) * UNITS).floor()
    }
}

impl Table {
    /// Where a unit goes.
    pub fn route(&self, key: &str) -> Route {
        let Some(champion) = &self.champion else {
            return Route { version: None, is_challenger: false, unit: None };
        };
        let Some(share) = &self.challenger else {
            return Route { version: Some(Arc::clone(champion)), is_challenger: false, unit: None };
        };
        let unit = unit(&share.salt, key);
        let is_challenger = share.serves(unit);
        let version = if is_challenger { &share.version } else { champion };
        Route { version: Some(Arc::clone(version)), is_challenger, unit: Some(unit) }
    }
}

/// The newest table, for any number of threads.
#[derive(Debug)]
pub struct Router(RwLock<Arc<Table>>);

impl Router {
    /// Begins with a table.
    pub fn new(table: Table) -> Self {
        Self(RwLock::new(Arc::new(table)))
    }

    /// Where a unit goes.
    pub fn route(&self, key: &str) -> Route {
        self.0.read().unwrap_or_else(PoisonError::into_inner).route(key)
    }

    /// Routes by another table from here on; one that is older than what there is changes nothing.
    pub fn update(&self, table: Table) {
        let mut newest = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if table.revision >= newest.revision {
            *newest = Arc::new(table);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first of the reference implementation's vectors: key 00 to 0f, messages 00, 00 01, … (`vectors.h`).
    #[test]
    fn the_hash_is_that_of_the_paper() {
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let hash = |message: &[u8]| SipHasher24::new_with_key(&key).hash(message);
        // The paper's own example: 15 bytes, 00 to 0e.
        let message: Vec<u8> = (0..15).collect();
        assert_eq!(hash(&message), 0xa129_ca61_49be_45e5);
        assert_eq!(hash(&[]), 0x726f_db47_dd0e_0e31);
    }

    fn table(fraction: f64) -> Table {
        let share =
            Share { version: "v2".into(), experiment: "e1".into(), fraction, salt: *b"0123456789abcdef" };
        Table {
            revision: 1,
            champion: Some("v1".into()),
            challenger: Some(share),
            minimum_confidence: None,
            exposure: 1.0,
            reason: None,
        }
    }

    fn challengers(fraction: f64) -> Vec<bool> {
        let table = table(fraction);
        (0..20_000).map(|n| table.route(&format!("unit-{n}")).is_challenger).collect()
    }

    #[test]
    fn a_share_is_kept_and_nothing_leaves_when_it_grows() {
        assert!(challengers(0.0).iter().all(|it| !it));
        assert!(challengers(1.0).iter().all(|it| *it));
        let (tenth, third) = (challengers(0.1), challengers(0.3));
        let count = tenth.iter().filter(|it| **it).count();
        // Four standard deviations around 2,000 of 20,000.
        assert!((1_830..=2_170).contains(&count), "{count}");
        assert!(tenth.iter().zip(&third).all(|(small, great)| !small || *great));
    }

    proptest! {
        #[test]
        fn the_same_unit_goes_the_same_way(key in ".{0,64}", small in 0.0..1.0f64, more in 0.0..1.0f64) {
            let great = small + (1.0 - small) * more;
            let before = table(small).route(&key);
            prop_assert_eq!(&before, &table(small).route(&key));
            prop_assert!(!before.is_challenger || table(great).route(&key).is_challenger);
            prop_assert!(before.unit.is_some_and(|unit| unit < 1 << 53));
        }
    }

    #[test]
    fn without_an_experiment_the_champion_serves_and_without_a_champion_nobody() {
        let alone = Table { challenger: None, ..table(0.5) };
        assert_eq!(alone.route("a").version.as_deref(), Some("v1"));
        let nobody = Table { champion: None, ..table(0.5) };
        assert_eq!(nobody.route("a").version, None);
        let text = serde_json::to_string(&table(0.25)).expect("JSON");
        assert_eq!(serde_json::from_str::<Table>(&text).expect("read"), table(0.25));
    }

    #[test]
    fn an_older_table_changes_nothing() {
        let router = Router::new(Table { revision: 5, ..table(1.0) });
        router.update(Table { revision: 4, ..table(0.0) });
        assert!(router.route("a").is_challenger);
        router.update(Table { revision: 6, ..table(0.0) });
        assert!(!router.route("a").is_challenger);
    }
}
