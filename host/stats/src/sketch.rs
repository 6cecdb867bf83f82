//! KLL: a small, mergeable summary of many numbers from which ranks and quantiles are read with a known error.
//! Not for extremes beyond the error, except that the least and greatest value are exact.
//!
//! Source: Z. Karnin, K. Lang, E. Liberty, "Optimal Quantile Approximation in Streams" (2016). The error constants
//! are those that the Apache DataSketches project measured for this layout (levels shrink by 2/3 down to 8 items).
//! Its published Rust crate is not used because it draws its coin flips from the operating system's randomness, so
//! two replays would differ; here they come from a seed that is part of the state.

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::error::{finite, require};
use crate::psi::Bins;
use crate::windowed::at_least;

mod distance;

pub use distance::{Bounded, sketch_ks, sketch_psi};

/// Fewest items that a level may hold before it is compacted.
const LEAST_CAPACITY: f64 = 8.0;
/// Each level holds this share of the one above it.
const SHRINK: f64 = 2.0 / 3.0;

/// The sketch. Up to `k` values it is exact; beyond that it holds about 3·k numbers, however many were added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kll {
    k: u16,
    /// Smallest `k` of any sketch that was merged in: it governs the error.
    error_k: u16,
    count: u64,
    range: Option<(f64, f64)>,
    /// Each item of level `h` stands for 2^h values. Level 0 is in order of arrival, the others ascend.
    levels: Vec<Vec<f64>>,
    coin: u64,
}

impl Kll {
    /// The usual size: 1.3 % error of a rank.
    pub const DEFAULT_K: u16 = 200;

    /// An empty sketch. `seed` starts its coin flips; give different sketches different seeds.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] unless `k` is 8 to 32768.
    pub fn new(k: u16, seed: u64) -> Result<Self, StatsError> {
        require((8..=32_768).contains(&k), "k", k.into(), "8 to 32768")?;
        Ok(Self { k, error_k: k, count: 0, range: None, levels: vec![Vec::new()], coin: seed })
    }

    /// Adds one value.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for NaN, infinities and numbers beyond 1e100.
    pub fn add(&mut self, x: f64) -> Result<(), StatsError> {
        let x = finite(x)? + 0.0;
        self.count += 1;
        self.widen((x, x));
        self.levels[0].push(x);
        // The usual case is decided without adding up: whatever is too much came through a level 0 that was full.
        if self.levels[0].len() > LEAST_CAPACITY as usize {
            self.compress();
        }
        Ok(())
    }

    /// Adds everything that another sketch has seen. The error becomes that of the coarser of the two.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        if let Some(range) = other.range {
            self.widen(range);
        }
        if other.levels.len() > 1 {
            self.error_k = self.error_k.min(other.error_k);
        }
        while self.levels.len() < other.levels.len() {
            self.levels.push(Vec::new());
        }
        for (height, items) in other.levels.iter().enumerate() {
            if height == 0 {
                self.levels[0].extend_from_slice(items);
            } else {
                merge_into(&mut self.levels[height], items);
            }
        }
        // Any level may have become too full, whatever the lowest holds.
        self.compress();
    }

    /// Values seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Least and greatest value seen, exactly.
    pub fn range(&self) -> Option<(f64, f64)> {
        self.range
    }

    /// All values in order of arrival, as long as none had to be thrown away.
    pub fn exact(&self) -> Option<&[f64]> {
        (self.levels.len() == 1).then(|| self.levels[0].as_slice())
    }

    /// How far an estimated rank may be off, as a share of all values, with 99 % confidence; 0 while exact.
    pub fn rank_error(&self) -> f64 {
        if self.exact().is_some() { 0.0 } else { 2.296 / libm::pow(f64::from(self.error_k), 0.9723) }
    }

    /// How far the estimated share between two values may be off, and likewise the rank at the worst of all
    /// values, with 99 % confidence; 0 while exact.
    pub fn share_error(&self) -> f64 {
        if self.exact().is_some() { 0.0 } else { 2.446 / libm::pow(f64::from(self.error_k), 0.9433) }
    }

    /// Gives back what buffers have to spare: for a sketch that will hardly see another value. While it grows it keeps them,
    /// about 3·k numbers for each doubling beyond k, and allocates hardly anything.
    pub fn trim(&mut self) {
        self.levels.iter_mut().for_each(Vec::shrink_to_fit);
    }

    /// Bytes that the items take, in memory or stored.
    pub fn bytes(&self) -> usize {
        let items: usize = self.levels.iter().map(Vec::len).sum();
        8 * items + 2 * self.levels.len() + 40
    }

    /// A sorted view, for any number of queries.
    pub fn view(&self) -> SketchView {
        let mut items: Vec<(f64, u64)> = Vec::new();
        for (height, level) in self.levels.iter().enumerate() {
            items.extend(level.iter().map(|&x| (x, 1u64 << height)));
        }
        items.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut values, mut cumulative, mut sum) = (Vec::new(), Vec::new(), 0);
        for (x, weight) in items {
            sum += weight;
            values.push(x);
            cumulative.push(sum);
        }
        SketchView { values, cumulative, range: self.range }
    }

    fn widen(&mut self, (low, high): (f64, f64)) {
        let range = self.range.get_or_insert((low, high));
        *range = (range.0.min(low), range.1.max(high));
    }

    fn capacity(&self, height: usize) -> usize {
        let depth = self.levels.len() - 1 - height;
        let scaled = (0..depth).fold(f64::from(self.k), |capacity, _| capacity * SHRINK);
        libm::ceil(scaled).max(LEAST_CAPACITY) as usize
    }

    /// Halves the lowest full level until everything fits.
    fn compress(&mut self) {
        loop {
            let held: usize = self.levels.iter().map(Vec::len).sum();
            let room: usize = (0..self.levels.len()).map(|height| self.capacity(height)).sum();
            if held <= room {
                return;
            }
            let full = (0..self.levels.len()).find(|&h| self.levels[h].len() > self.capacity(h));
            match full {
                Some(height) => self.halve(height),
                None => return,
            }
        }
    }

    /// Every second item of a level goes up, for two; which ones a coin decides. An odd one stays behind. Buffers are
    /// kept, so that a sketch that has reached its size allocates no more.
    fn halve(&mut self, height: usize) {
        let mut items = core::mem::take(&mut self.levels[height]);
        if height == 0 {
            items.sort_unstable_by(f64::total_cmp);
        }
        let odd = (items.len() % 2 == 1)
            .then(|| if self.flip() { items.remove(0) } else { items.pop().unwrap_or_default() });
        let mut promoted = self.flip();
        items.retain(|_| {
            promoted = !promoted;
            promoted
        });
        if height + 1 == self.levels.len() {
            self.levels.push(Vec::new());
        }
        merge_into(&mut self.levels[height + 1], &items);
        items.clear();
        items.extend(odd);
        self.levels[height] = items;
    }

    /// SplitMix64's top bit.
    fn flip(&mut self) -> bool {
        self.coin = self.coin.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.coin;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) >> 63 == 1
    }
}

/// Makes one ascending sequence of two, from the back, within the first one's buffer.
fn merge_into(all: &mut Vec<f64>, more: &[f64]) {
    let (mut left, mut right) = (all.len(), more.len());
    all.resize(left + right, 0.0);
    while right > 0 {
        let from_left = left > 0 && all[left - 1] > more[right - 1];
        all[left + right - 1] = if from_left { all[left - 1] } else { more[right - 1] };
        if from_left { left -= 1 } else { right -= 1 }
    }
}

/// What a sketch says, sorted.
#[derive(Debug, Clone, PartialEq)]
pub struct SketchView {
    values: Vec<f64>,
    cumulative: Vec<u64>,
    range: Option<(f64, f64)>,
}

impl SketchView {
    /// Values seen.
    pub fn count(&self) -> u64 {
        self.cumulative.last().copied().unwrap_or(0)
    }

    /// Estimated number of values up to and including `x`.
    pub fn count_up_to(&self, x: f64) -> u64 {
        self.before(self.values.partition_point(|&value| value <= x))
    }

    /// Estimated number of values below `x`.
    pub fn count_below(&self, x: f64) -> u64 {
        self.before(self.values.partition_point(|&value| value < x))
    }

    fn before(&self, items: usize) -> u64 {
        items.checked_sub(1).map_or(0, |last| self.cumulative[last])
    }

    /// Estimated value that a share `q` of all does not exceed; the exact extremes at 0 and 1. `None` for an empty
    /// sketch or `q` outside [0, 1].
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let (low, high) = self.range?;
        if !(0.0..=1.0).contains(&q) {
            return None;
        }
        if q == 0.0 || q == 1.0 {
            return Some(if q == 0.0 { low } else { high });
        }
        let rank = libm::ceil(q * self.count() as f64) as u64;
        let item = self.cumulative.partition_point(|&sum| sum < rank);
        self.values.get(item).copied()
    }

    /// Bins of about equal mass, cut as [`Bins::quantiles`] cuts a sample.
    ///
    /// # Errors
    /// [`StatsError`] for an empty sketch or `count` outside 2 to 1000.
    pub fn bins(&self, count: u32) -> Result<Bins, StatsError> {
        at_least("baseline", self.values.len(), 1)?;
        require((2..=1000).contains(&count), "bins", count.into(), "2 to 1000")?;
        let (low, high) = self.range.unwrap_or((0.0, 0.0));
        if low == high {
            return Bins::between(vec![low, low.next_up()]);
        }
        let quantiles = (1..count).filter_map(|i| self.quantile(f64::from(i) / f64::from(count)));
        let mut edges: Vec<f64> = quantiles.filter(|&edge| low < edge && edge < high).collect();
        edges.dedup();
        Bins::between(edges)
    }

    /// Estimated number of values in each bin.
    pub fn counts(&self, bins: &Bins) -> Vec<u64> {
        let mut below = 0;
        let mut counts: Vec<u64> = bins
            .edges()
            .iter()
            .map(|&edge| {
                let upto = self.count_below(edge);
                upto - core::mem::replace(&mut below, upto)
            })
            .collect();
        counts.push(self.count() - below);
        counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Rng, round_trip};

    fn sketch_of(values: &[f64], seed: u64) -> Kll {
        let mut sketch = Kll::new(Kll::DEFAULT_K, seed).expect("valid");
        values.iter().for_each(|&x| sketch.add(x).expect("usable"));
        sketch
    }

    /// The greatest error over all ranks of a sorted sample, as a share.
    fn worst_rank_error(sorted: &[f64], view: &SketchView) -> f64 {
        let n = sorted.len() as f64;
        let errors =
            sorted.iter().enumerate().map(|(i, &x)| ((i + 1) as f64 - view.count_up_to(x) as f64).abs() / n);
        errors.fold(0.0, f64::max)
    }

    #[test]
    fn small_samples_are_kept_exactly() {
        let values: Vec<f64> = (0..200).map(|i| f64::from(i * 37 % 101)).collect();
        let sketch = sketch_of(&values, 1);
        assert_eq!(sketch.exact(), Some(values.as_slice()));
        assert_eq!((sketch.rank_error(), sketch.share_error()), (0.0, 0.0));
        assert_eq!(sketch.range(), Some((0.0, 100.0)));
    }

    /// The stated errors hold in 99 of 100 sketches: of one rank, and uniformly over all ranks.
    #[test]
    fn errors_are_as_stated() {
        let n = 30_000;
        let (mut median_off, mut worst_off, mut largest) = (0, 0, 0);
        let runs = 200;
        for seed in 0..runs {
            let mut rng = Rng::new(seed);
            let mut values: Vec<f64> = (0..n).map(|_| rng.uniform()).collect();
            let sketch = sketch_of(&values, seed);
            values.sort_by(f64::total_cmp);
            let view = sketch.view();
            assert_eq!(view.count(), n);
            let rank = view.count_up_to(values[n as usize / 2 - 1]) as f64 / n as f64;
            median_off += i32::from((rank - 0.5).abs() > sketch.rank_error());
            worst_off += i32::from(worst_rank_error(&values, &view) > sketch.share_error());
            largest = largest.max(sketch.bytes());
        }
        assert!(median_off <= 4, "{median_off} of {runs}");
        assert!(worst_off <= 4, "{worst_off} of {runs}");
        assert!(largest < 6_000, "{largest} bytes");
    }

    /// Merging hours loses nothing against one long sketch.
    #[test]
    fn merged_sketches_are_as_good_as_one() {
        let mut worst_off = 0;
        for seed in 0..100 {
            let mut rng = Rng::new(1_000 + seed);
            let mut values: Vec<f64> = (0..24 * 700).map(|_| rng.uniform() * rng.uniform()).collect();
            let mut day = Kll::new(Kll::DEFAULT_K, seed).expect("valid");
            for (hour, part) in values.chunks(700).enumerate() {
                day.merge(&sketch_of(part, seed * 24 + hour as u64));
            }
            assert_eq!(day.count(), values.len() as u64);
            values.sort_by(f64::total_cmp);
            worst_off += i32::from(worst_rank_error(&values, &day.view()) > day.share_error());
        }
        assert!(worst_off <= 3, "{worst_off} of 100");
    }

    /// Items that one sketch of `n` values has room for: a level is opened only when the one below holds more than `k`
    /// items, each of which stands for 2^height values.
    fn most_items(k: u16, n: u64) -> usize {
        let opened = (1..64).take_while(|height| f64::from(k) * libm::exp2(f64::from(height - 1)) < n as f64);
        let room =
            |depth: i32| libm::ceil(f64::from(k) * libm::pow(SHRINK, depth.into())).max(LEAST_CAPACITY);
        (0..=opened.count() as i32).map(|depth| room(depth) as usize).sum()
    }

    fn items(sketch: &Kll) -> usize {
        sketch.levels.iter().map(Vec::len).sum()
    }

    /// Merges sketches two by two, in an order that is drawn, until one is left.
    fn merged_in_any_order(mut parts: Vec<Kll>, rng: &mut Rng, mut look: impl FnMut(&Kll)) -> Kll {
        while parts.len() > 1 {
            let other = parts.swap_remove(rng.next() as usize % parts.len());
            let place = rng.next() as usize % parts.len();
            parts[place].merge(&other);
            look(&parts[place]);
        }
        parts.pop().expect("one is left")
    }

    /// Level 0 of a part may be empty or nearly so (480 values leave 0 to 8 there); the other levels count all the same.
    #[test]
    fn a_day_of_small_hours_takes_no_more_room_than_one_sketch() {
        for hourly in [1, 9, 201, 480, 481, 512, 700, 5_000] {
            let mut rng = Rng::new(hourly);
            let mut day = Kll::new(Kll::DEFAULT_K, 0).expect("valid");
            for hour in 0..24 {
                let values: Vec<f64> = (0..hourly).map(|_| rng.uniform()).collect();
                day.merge(&sketch_of(&values, hour));
                let most = most_items(Kll::DEFAULT_K, day.count());
                assert!(items(&day) <= most, "{hourly} an hour: {} of {most} items", items(&day));
            }
            assert_eq!(day.view().count(), 24 * hourly);
        }
    }

    /// Any tree of merges states the rank error of one sketch, and keeps it in 99 of 100 cases.
    #[test]
    fn any_tree_of_merges_is_as_good_as_one_sketch() {
        let (mut median_off, mut worst_off) = (0, 0);
        let runs = 200;
        for seed in 0..runs {
            let mut rng = Rng::new(9_000 + seed);
            let (mut all, mut parts) = (Vec::new(), Vec::new());
            for part in 0..2 + rng.next() % 60 {
                let values: Vec<f64> = (0..rng.next() % 900).map(|_| rng.uniform() + rng.uniform()).collect();
                parts.push(sketch_of(&values, seed * 100 + part));
                all.extend(values);
            }
            let tree = merged_in_any_order(parts, &mut rng, |_| {});
            let one = sketch_of(&all, seed);
            assert_eq!(tree.rank_error(), one.rank_error());
            all.sort_by(f64::total_cmp);
            let view = tree.view();
            let rank = view.count_up_to(all[all.len() / 2]) as f64 / all.len() as f64;
            let want = (all.len() / 2 + 1) as f64 / all.len() as f64;
            median_off += i32::from((rank - want).abs() > tree.rank_error());
            worst_off += i32::from(worst_rank_error(&all, &view) > tree.share_error());
        }
        assert!(median_off <= 4 && worst_off <= 4, "{median_off} and {worst_off} of {runs}");
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(Kll::new(7, 0).is_err());
        let mut sketch = sketch_of(&[1.0, 2.0], 0);
        let before = sketch.clone();
        assert!(sketch.add(f64::NAN).is_err());
        assert_eq!(sketch, before);
        let view = sketch.view();
        assert_eq!((view.quantile(-0.1), view.quantile(f64::NAN)), (None, None));
        assert_eq!(Kll::new(200, 0).expect("valid").view().quantile(0.5), None);
        assert!(view.bins(1).is_err());
    }

    proptest! {
        /// The size bound of one sketch holds after every merge, whatever was merged with what.
        #[test]
        fn no_tree_of_merges_outgrows_one_sketch(
            sizes in prop::collection::vec(0u32..2_000, 1..24), k in 8u16..220, seed in any::<u64>(),
        ) {
            let mut rng = Rng::new(seed);
            let parts = sizes.iter().enumerate().map(|(part, &size)| {
                let mut sketch = Kll::new(k, part as u64).expect("valid");
                (0..size).for_each(|_| sketch.add(rng.uniform()).expect("usable"));
                sketch
            });
            let parts: Vec<Kll> = parts.collect();
            let mut largest: Vec<(usize, u64)> = Vec::new();
            let all = merged_in_any_order(parts, &mut rng, |sketch| largest.push((items(sketch), sketch.count())));
            for (held, n) in largest {
                prop_assert!(held <= most_items(k, n), "{} items of {} values", held, n);
            }
            prop_assert_eq!(all.view().count(), sizes.iter().map(|&size| u64::from(size)).sum::<u64>());
        }

        /// Every value counts once, whatever was compacted, and the same values give the same sketch.
        #[test]
        fn weights_add_up(
            values in prop::collection::vec(-1e6..1e6f64, 1..3000), k in 8u16..60, split in 0usize..3000,
        ) {
            let build = || {
                let (head, tail) = values.split_at(split.min(values.len()));
                let [mut first, mut second] = [Kll::new(k, 1).expect("valid"), Kll::new(k + 3, 2).expect("valid")];
                head.iter().for_each(|&x| first.add(x).expect("usable"));
                tail.iter().for_each(|&x| second.add(x).expect("usable"));
                first.merge(&second);
                first
            };
            let sketch = build();
            let view = sketch.view();
            prop_assert_eq!(view.count(), values.len() as u64);
            prop_assert_eq!(sketch.count(), values.len() as u64);
            prop_assert_eq!(&build(), &sketch);
            prop_assert_eq!(&round_trip(&sketch), &sketch);
            let (low, high) = sketch.range().expect("not empty");
            prop_assert_eq!((view.quantile(0.0), view.quantile(1.0)), (Some(low), Some(high)));
            let bins = view.bins(7).expect("valid");
            prop_assert_eq!(view.counts(&bins).iter().sum::<u64>(), values.len() as u64);
        }
    }
}
