//! Values of rows as JSON writes them: it has one kind of number, so that a class may come as `1.0`, and says `null` where
//! there is no feature. What would be lost, a feature that is there twice, is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    marker::PhantomData,
};

use serde::{
    Deserialize,
    de::{Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::rows::FeatureValue;

/// What is written as an object. The derived form takes an array as well, by the order of its fields.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// The same for a field.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Fields<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object, as {\"…\": …}")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(Fields(PhantomData))
}

/// A whole number, written as `1` or `1.0`, or none.
pub(crate) fn whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(Whole(PhantomData))
}

struct Whole<T>(PhantomData<T>);

impl<T: TryFrom<i64>> Whole<T> {
    fn fit<E: Error>(number: i64) -> Result<Option<T>, E> {
        let out_of_range = |_| E::custom(format!("{number} is no number of this field"));
        T::try_from(number).map(Some).map_err(out_of_range)
    }
}

impl<T: TryFrom<i64>> Visitor<'_> for Whole<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<T>, E> {
        Self::fit(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<T>, E> {
        i64::try_from(number).map_err(|_| E::custom(format!("{number} is too large"))).and_then(Self::fit)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<T>, E> {
        // Above 2^53 not every whole number is an `f64`.
        if number.fract() != 0.0 || number.abs() > 9_007_199_254_740_992.0 {
            return Err(E::custom(format!("{number} is not a whole number")));
        }
        Self::fit(number as i64)
    }
}

/// Features by name; those that are `null` are not there.
pub(crate) fn features<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, FeatureValue>, D::Error> {
    deserializer.deserialize_map(Features)
}

struct Features;

impl<'de> Visitor<'de> for Features {
    type Value = BTreeMap<String, FeatureValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("features by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut features = BTreeMap::new();
        let mut missing = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let twice = features.contains_key(&name) || missing.contains(&name);
            if twice {
                return Err(A::Error::custom(format!("feature `{name}` is there twice")));
            }
            match map.next_value::<Option<FeatureValue>>()? {
                Some(value) => {
                    features.insert(name, value);
                }
                None => {
                    missing.insert(name);
                }
            }
        }
        Ok(features)
    }
}
