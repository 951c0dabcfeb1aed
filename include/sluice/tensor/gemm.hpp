#pragma once
// Matrix multiplication through oneDNN, with primitives cached by shape.

#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/tensor/matrix_view.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// c = a · b, or c += a · b when `accumulate`; c is a.rows × b.columns with leading dimension ldc.
/// float32 × float32 → float32 and bfloat16 × bfloat16 → float32 (float32 accumulation) go to
/// oneDNN, double to a plain blocked loop. Throws Error saying both shapes when the inner
/// dimensions or the types differ. Empty operands are allowed (k = 0 gives c = 0). For a single row
/// of a, any ldc serves; one above b.columns has b read in place, not copied first, which is
/// faster. Any number of threads may multiply at once; OpenMP's settings are the host's afterwards.
void gemm(float* c, std::int64_t ldc, const MatrixView& a, const MatrixView& b,
          bool accumulate = false);
void gemm(double* c, std::int64_t ldc, const MatrixView& a, const MatrixView& b,
          bool accumulate = false);

/// Whether bfloat16 products work on this CPU: oneDNN has them from AVX-512 on (fast with AVX-512
/// BF16, fastest with AMX). Without, gemm throws Error for bfloat16 operands.
bool has_bfloat16_gemm();

}  // namespace sluice
SLUICE_API_END
