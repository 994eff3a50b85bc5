//! `with` of a call that has its own words: what stands at the call goes over what stands in `use.functions`.

use crate::decode::{At, Decoder, Object};

/// The arguments of a call, as written.
pub(super) struct With<'n> {
    /// At the call, then in the reusable function.
    parts: Vec<Object<'n>>,
    /// Where a missing argument is told.
    place: At<'n>,
}

impl<'n> With<'n> {
    /// Reads both; every key must be one of `keys`.
    pub fn decode(
        d: &mut Decoder<'_>,
        place: &At<'n>,
        own: Option<At<'n>>,
        base: Option<At<'n>>,
        keys: &[&str],
    ) -> Option<Self> {
        let place = own.clone().or_else(|| base.clone()).unwrap_or_else(|| place.clone());
        let parts: Vec<Option<Object<'n>>> =
            [own, base].into_iter().flatten().map(|at| d.object(at, keys)).collect();
        Some(With { parts: parts.into_iter().collect::<Option<_>>()?, place })
    }

    pub fn get(&self, key: &str) -> Option<At<'n>> {
        self.parts.iter().find_map(|part| part.get(key))
    }

    pub fn required(&self, d: &mut Decoder<'_>, key: &str) -> Option<At<'n>> {
        let found = self.get(key);
        if found.is_none() {
            d.error_hint(
                &self.place,
                format!("\"{key}\" is missing"),
                format!("write `with: {{ {key}: … }}`"),
            );
        }
        found
    }
}
