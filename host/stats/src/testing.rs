//! Helpers of the tests: a seeded generator and a round trip through the storage format. Not a statistics tool.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// SplitMix64: tiny, seeded, good enough for simulations.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// 1 with probability `p`, else 0.
    pub(crate) fn bernoulli(&mut self, p: f64) -> f64 {
        f64::from(u8::from(self.uniform() < p))
    }
}

/// Errors in runs: each repeats its predecessor with probability `stay`, which is their correlation at lag one.
pub(crate) struct Runs {
    pub(crate) rng: Rng,
    last: f64,
    stay: f64,
}

impl Runs {
    pub(crate) fn new(seed: u64, stay: f64, rate: f64) -> Self {
        let mut rng = Rng::new(seed);
        let last = rng.bernoulli(rate);
        Self { rng, last, stay }
    }

    pub(crate) fn next(&mut self, rate: f64) -> f64 {
        if self.rng.uniform() >= self.stay {
            self.last = self.rng.bernoulli(rate);
        }
        self.last
    }

    pub(crate) fn take(&mut self, count: usize, rate: f64) -> Vec<f64> {
        (0..count).map(|_| self.next(rate)).collect()
    }
}

/// The κ of [`Runs`] in blocks: the variance of a long mean is (1 + φ)/(1 − φ) times that of independent errors, that of a
/// block of b is 1 + 2·Σ (1 − j/b)·φʲ times; κ is their ratio.
pub(crate) fn inflation_of_runs(stay: f64, block: u32) -> f64 {
    let b = f64::from(block);
    let lag = |j: u32| 2.0 * (1.0 - f64::from(j) / b) * libm::pow(stay, j.into());
    (1.0 + stay) / (1.0 - stay) / (1.0 + (1..block).map(lag).sum::<f64>())
}

/// The value as it comes back from the storage format.
pub(crate) fn round_trip<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let bytes = postcard::to_allocvec(value).expect("state serialises");
    postcard::from_bytes(&bytes).expect("state deserialises")
}
