#pragma once
// Included before Highway everywhere in this room, so that all sources agree on the SIMD targets.

/// Vectors whose size the compiler does not know (SVE, RVV) cannot be members, as the kernels have
/// them; Arm processors use NEON. SSSE3 without SSE4 is on processors of 2006 alone, AVX3_DL has
/// AVX3's arithmetic and what the kernels have no use for, and each target is a fifth of the
/// kernels' build.
#define HWY_DISABLED_TARGETS \
  (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV | HWY_SSSE3 | HWY_AVX3_DL)
