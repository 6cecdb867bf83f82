//! Shards: which of the 64 logs a model belongs to, and places in them.

use serde::{Deserialize, Serialize};

use crate::{DigestBuilder, Invalid, ModelKey, Position};

/// One of the 64 logs. Positions, and the ids that are made of them, depend on it, so the number of logs never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Shard(u8);

impl Shard {
    /// How many there are.
    pub const COUNT: usize = 64;

    /// The shard of a model: the first six bits of SHA-256 over tenant and model, each preceded by its length in bytes as
    /// eight bytes, the lowest first.
    pub fn of(tenant: &str, model: &str) -> Self {
        let digest = DigestBuilder::default().part(tenant.as_bytes()).part(model.as_bytes()).finish();
        Self(digest.as_bytes()[0] >> 2)
    }

    /// From its number; `None` from 64 on.
    pub fn from_number(number: u8) -> Option<Self> {
        (usize::from(number) < Self::COUNT).then_some(Self(number))
    }

    /// Its number, 0 to 63.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Its number as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// All of them, in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + Clone {
        (0..64).map(Self)
    }
}

impl ModelKey {
    /// The shard whose log has this model's entries.
    pub fn shard(&self) -> Shard {
        Shard::of(&self.tenant, &self.model)
    }
}

impl TryFrom<u8> for Shard {
    type Error = Invalid;

    fn try_from(number: u8) -> Result<Self, Invalid> {
        Self::from_number(number)
            .ok_or_else(|| Invalid::new("shard", format!("is {number}; shards are numbered 0 to 63")))
    }
}

impl From<Shard> for u8 {
    fn from(shard: Shard) -> Self {
        shard.0
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A shard and a position in its log; people read `12:345`. There is no order between places of different shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Which log.
    pub shard: Shard,
    /// Where in it.
    pub position: Position,
}

impl Place {
    /// From its text.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let parts = text.split_once(':').and_then(|(shard, position)| {
            Some((Shard::from_number(shard.parse().ok()?)?, Position(position.parse().ok()?)))
        });
        match parts {
            Some((shard, position)) => Ok(Self { shard, position }),
            None => Err(Invalid::new(
                "place",
                "is not a shard (0 to 63) and a position in it; write it as 12:345",
            )),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.shard, self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python: `hashlib.sha256` over both texts, each after `len(text).to_bytes(8, "little")`, then
    /// `digest[0] >> 2`.
    #[test]
    fn the_shard_of_a_model_never_changes() {
        #[rustfmt::skip]
        let cases = [
            ("default", "btc-direction", 23),
            ("default", "", 23),
            ("ab", "c", 16),
            ("a", "bc", 38),
            ("acme", "BTC/USDT", 45),
            ("default", "zürich-höhe", 44),
            ("default", "model-0", 55),
            ("default", "model-1", 2),
            ("t", "m", 59),
        ];
        for (tenant, model, number) in cases {
            assert_eq!(Shard::of(tenant, model).number(), number, "{tenant}/{model}");
        }
    }

    #[test]
    fn models_spread_over_all_shards() {
        let mut seen = std::collections::BTreeSet::new();
        seen.extend((0..1_000).map(|n| Shard::of("default", &format!("model-{n}"))));
        assert_eq!(seen.len(), Shard::COUNT);
    }

    #[test]
    fn places_read_as_people_write_them() {
        let place = Place { shard: Shard(12), position: Position(345) };
        assert_eq!(place.to_string(), "12:345");
        assert_eq!(Place::parse("12:345"), Ok(place));
        for bad in ["64:1", "12", "12:", ":3", "12:-1", "a:1", "256:1"] {
            assert_eq!(Place::parse(bad).expect_err(bad).field, "place");
        }
        assert!(serde_json::from_str::<Shard>("64").is_err());
    }
}
