//! Rounds a fitted model into its file; the form is described in [`crate::model`].

use super::fit::Fitted;
use super::second::Second;
use crate::model::{HEADS, INDEX_BITS, MAGIC, checksum, size};
use crate::signals::DENSE;

/// The bytes of the file.
#[must_use]
pub fn write(fitted: &Fitted, second: &Second) -> Vec<u8> {
    let columns = HEADS[3];
    let mut out = Vec::with_capacity(size(fitted.hashes.len()));
    out.extend_from_slice(MAGIC);
    for number in [fitted.hashes.len(), DENSE, columns, 0] {
        out.extend_from_slice(&(number as u32).to_le_bytes());
    }
    // One weight unit per head: the largest weight is 127 of them.
    let steps: Vec<f32> = HEADS
        .windows(2)
        .map(|head| {
            let largest = fitted
                .weights
                .iter()
                .flat_map(|row| &row[head[0]..head[1]])
                .fold(0.0_f64, |most, w| most.max(w.abs()));
            (largest.max(1e-9) / 127.0) as f32
        })
        .collect();
    for real in steps.iter().copied().chain([second.temperature]) {
        out.extend_from_slice(&real.to_le_bytes());
    }
    for real in fitted.biases.iter().chain(fitted.dense.iter().flatten()).chain(second.links.iter().flatten())
    {
        out.extend_from_slice(&round(*real).to_le_bytes());
    }
    for slot in 0..=(1_u64 << INDEX_BITS) {
        let first = fitted.hashes.partition_point(|hash| u64::from(*hash) < slot << (32 - INDEX_BITS));
        out.extend_from_slice(&(first as u32).to_le_bytes());
    }
    for hash in &fitted.hashes {
        out.extend_from_slice(&hash.to_le_bytes());
    }
    out.extend_from_slice(&fitted.values);
    for row in &fitted.weights {
        for (head, step) in HEADS.windows(2).zip(&steps) {
            out.extend(
                row[head[0]..head[1]]
                    .iter()
                    .map(|w| ((w / f64::from(*step)).round().clamp(-127.0, 127.0) as i8).cast_unsigned()),
            );
        }
    }
    out.resize(size(fitted.hashes.len()), 0);
    let sum = checksum(&out);
    out[20..24].copy_from_slice(&sum.to_le_bytes());
    out
}

/// Rounds to 1/4096: what lies below is noise, and must not change the bytes.
fn round(real: f64) -> f32 {
    ((real * 4096.0).round() / 4096.0) as f32
}
