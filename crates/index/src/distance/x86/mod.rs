//! AVX2 with FMA and F16C, and AVX-512 with and without VNNI.

mod avx2;
mod avx512;
mod avx512_codes;

use super::Kernels;

/// Adds the tables this processor supports, fastest first. The safe entry points of a table are
/// reachable only through it, which is what makes their calls of `target_feature` code sound.
pub(super) fn push_available(tables: &mut Vec<&'static Kernels>) {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl");
    if avx512 && is_x86_feature_detected!("avx512vnni") {
        tables.push(&avx512::AVX512_VNNI);
    }
    if avx512 {
        tables.push(&avx512::AVX512);
    }
    if avx2 {
        tables.push(&avx2::AVX2);
    }
}
