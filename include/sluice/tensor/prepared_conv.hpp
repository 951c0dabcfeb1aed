#pragma once
// A causal convolution over time whose filters do not change.

#include <cstdint>
#include <functional>
#include <memory>

#include "sluice/base/api.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/tensor/conv.hpp"
#include "sluice/tensor/packed_rows.hpp"
#include "sluice/tensor/prepared_weight.hpp"

SLUICE_API_BEGIN
namespace sluice {

class FastConv;
struct ConvRows;

/// What follows a convolution, fused with it: y = (unit(z + bias) + residual) · scale.
struct ConvEnd {
  Tensor bias;  ///< [M]
  Unit unit;
  Tensor residual;  ///< [ΣT, N], or undefined
  double scale = 1;
};

/// Filters w [K, C, M] made ready for any number of streams at their own lengths. How a call
/// computes is chosen by its shape as conv_tile() says: one product of rows by the filters, each
/// row a position's K inputs one after another, or Toom-Cook, whose transformed filters are made
/// when they are first needed and kept. Constant to its users: any number of threads may call it at
/// once.
class PreparedConv {
 public:
  /// `w` float32. Throws UsageError when options.conv is `fast` and K is not served. Filters of
  /// int8, and those of options.parts, are multiplied by rows, however many.
  PreparedConv(const Tensor& w, const FreezeOptions& options);

  const ConvWidths& widths() const { return widths_; }

  /// z[t] = Σ_k input[t - (K-1) + k] · w[k] of each stream, then `end`: x [ΣT, C], context [B, K-1,
  /// C] or undefined for zeros, to y float32 [ΣT, N], M = end.unit.inputs(N).
  Tensor forward(const ConvInput& input, const PackedRows& rows, const ConvEnd& end) const;

  /// Memory of the filters in all forms that are kept now.
  std::size_t bytes() const;

 private:
  using Ready = std::function<void(const ConvRows&)>;
  struct Transformed;

  Tensor transformed(const FastConv& conv, int tile) const;
  /// Calls ready(rows) for all rows of z, as FastConv does.
  void fast(const ConvInput& input, const PackedRows& rows, int tile, const Ready& ready) const;
  void direct(const ConvInput& input, const PackedRows& rows, const Ready& ready) const;

  ConvWidths widths_;
  ConvPath path_;
  PreparedWeight weight_;                     // [K·C, M]
  std::shared_ptr<Transformed> transformed_;  // copies share what is made
};

/// What a causal convolution carries on: the last K-1 rows of every stream of `input`: [B, K-1, C].
Tensor trailing_rows(const ConvInput& input, const PackedRows& rows, std::int64_t kernel);

}  // namespace sluice
SLUICE_API_END
