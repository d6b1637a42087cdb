//! Attention in bfloat16 on a CPU that multiplies bfloat16 itself but has no AMX. libtorch's fused attention leaves its
//! products to MKL there, which has none for AMD's CPUs and converts to float32; its batched products are oneDNN's,
//! which has. Scores are rounded to bfloat16, as they are where attention is computed in steps; sums are float32.

use std::sync::OnceLock;

use tch::{Device, Kind, TchError, Tensor};

/// Scores of one block (2 MiB), which stay in a core's cache between the two products and the softmax.
const BLOCK_SCORES: i64 = 1 << 20;

/// Whether [`attend`] is to compute these. Fused attention, which keeps no scores for a gradient, serves training.
pub(super) fn suits(query: &Tensor) -> Result<bool, TchError> {
    let half = query.device() == Device::Cpu && query.f_kind()? == Kind::BFloat16;
    Ok(half && !query.requires_grad() && is_native())
}

/// Whether the CPU multiplies bfloat16 and has no AMX.
pub(super) fn is_native() -> bool {
    static NATIVE: OnceLock<bool> = OnceLock::new();
    *NATIVE.get_or_init(has_bfloat16_but_no_amx)
}

#[cfg(target_arch = "x86_64")]
fn has_bfloat16_but_no_amx() -> bool {
    // The macro knows AMX in unstable Rust only. Intel's manual, volume 2A, CPUID: leaf 7, EDX, bit 22 is AMX-BF16.
    let amx = std::arch::x86_64::__cpuid_count(7, 0).edx & 1 << 22 != 0;
    std::is_x86_feature_detected!("avx512bf16") && !amx
}

#[cfg(not(target_arch = "x86_64"))]
fn has_bfloat16_but_no_amx() -> bool {
    false
}

/// Attention of queries [batch, heads, rows, head length] over keys and values [batch, heads, length, head length],
/// with a bias [batch or 1, heads, rows, length] where there is one.
pub(super) fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor, TchError> {
    let (batch, heads, rows, head_length) = query.size4()?;
    let length = key.size4()?.2;
    let [query, key, value] = [query, key, value].map(Tensor::f_contiguous);
    let (query, key, value) = (query?, key?, value?);
    let result = query.f_empty_like()?;
    let (windows, some_heads, some_rows) = block(batch, heads, rows, length);
    let scale = (head_length as f64).sqrt().recip();
    let nothing = Tensor::f_zeros([1, 1, 1], (Kind::BFloat16, Device::Cpu))?;
    for (first, windows) in steps(batch, windows) {
        for (head, some_heads) in steps(heads, some_heads) {
            let part = |of: &Tensor| of.f_narrow(0, first, windows)?.f_narrow(1, head, some_heads);
            let together =
                |of: &Tensor, rows: i64, width: i64| of.f_reshape([windows * some_heads, rows, width]);
            let key = together(&part(&key)?, length, head_length)?.f_transpose(1, 2)?;
            let value = together(&part(&value)?, length, head_length)?;
            for (row, some_rows) in steps(rows, some_rows) {
                let query = part(&query)?.f_narrow(2, row, some_rows)?;
                let query = together(&query, some_rows, head_length)?;
                let scores = match bias {
                    None => nothing.f_baddbmm(&query, &key, 0.0, scale)?,
                    Some(bias) => {
                        let bias = bias.f_expand([batch, -1, -1, -1], false)?;
                        let bias = part(&bias)?.f_narrow(2, row, some_rows)?;
                        together(&bias, some_rows, length)?.f_baddbmm(&query, &key, 1.0, scale)?
                    }
                };
                let mixed = scores.f_softmax(-1, None)?.f_bmm(&value)?;
                let mixed = mixed.f_view([windows, some_heads, some_rows, head_length])?;
                part(&result)?.f_narrow(2, row, some_rows)?.f_copy_(&mixed)?;
            }
        }
    }
    Ok(result)
}

/// How many windows, heads and rows make a block: whole windows, else whole heads of one, else rows of one head.
fn block(batch: i64, heads: i64, rows: i64, length: i64) -> (i64, i64, i64) {
    let windows = (BLOCK_SCORES / (heads * rows * length)).clamp(1, batch);
    let heads = (BLOCK_SCORES / (rows * length)).clamp(1, heads);
    (windows, heads, (BLOCK_SCORES / length).clamp(1, rows))
}

/// `count` in steps of at most `most`: where each begins, and how long it is.
fn steps(count: i64, most: i64) -> impl Iterator<Item = (i64, i64)> {
    let starts = (0..count).step_by(crate::convert::from_dimension(most));
    starts.map(move |first| (first, most.min(count - first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_within_what_bfloat16_keeps_of_the_exact_result() {
        tch::manual_seed(5);
        // Several windows a block, several heads, rows of one head; chosen queries.
        for (batch, heads, rows, length) in
            [(5, 3, 40, 40), (9, 4, 300, 300), (2, 2, 1500, 1500), (3, 4, 2, 500)]
        {
            let noise = |rows| Tensor::randn([batch, heads, rows, 16], (Kind::BFloat16, Device::Cpu));
            let (query, key, value) = (noise(rows), noise(length), noise(length));
            let own = Tensor::randn([batch, heads, rows, length], (Kind::BFloat16, Device::Cpu));
            let shared = own.narrow(0, 0, 1);
            for bias in [None, Some(&own), Some(&shared)] {
                let [q, k, v] = [&query, &key, &value].map(|part| part.to_kind(Kind::Double));
                let mut scores = q.matmul(&k.transpose(-2, -1)) / 4.0;
                if let Some(bias) = bias {
                    scores += bias.to_kind(Kind::Double);
                }
                let exact = scores.softmax(-1, Kind::Double).matmul(&v);
                let found = attend(&query, &key, &value, bias).expect("attention").to_kind(Kind::Double);
                let error = ((found - &exact).norm() / exact.norm()).double_value(&[]);
                assert!(error < 0.01, "{batch} {heads} {rows} {length}: {error}");
            }
        }
    }

    #[test]
    fn a_block_never_holds_more_than_its_share() {
        for (batch, heads, rows, length) in [
            (15, 16, 101, 101),
            (1, 16, 1000, 1000),
            (1, 12, 20_000, 20_000),
            (40, 12, 1, 37),
            (1, 1, 4, 1 << 21),
        ] {
            let (windows, some_heads, some_rows) = block(batch, heads, rows, length);
            assert!(some_rows == 1 || windows * some_heads * some_rows * length <= BLOCK_SCORES);
            assert!(windows == 1 || (some_heads == heads && some_rows == rows));
            assert!(some_heads == 1 || some_rows == rows);
        }
    }
}
