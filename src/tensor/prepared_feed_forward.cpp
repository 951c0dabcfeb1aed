#include "sluice/tensor/prepared_feed_forward.hpp"

#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/operand.hpp"

namespace sluice {
namespace {

/// unit(z + bias) of `rows` rows of z, to rows of h, rounded where the next product wants it.
void activate(const Tensor& h, const Tensor& z, const Tensor& bias, const Unit& unit,
              std::int64_t width) {
  const ProfileScope profile("unit", 0, static_cast<double>(z.bytes() + h.bytes()));
  const float* const added = bias.defined() ? bias.data<float>() : nullptr;
  const auto n = static_cast<std::size_t>(width);
  parallel_for(z.dim(0), row_grain(z.dim(1)), [&](std::int64_t begin, std::int64_t end) {
    const bool rounded = h.dtype() == DType::bf16;
    const Tensor kept = rounded ? Tensor(Shape{width}) : Tensor();
    for (std::int64_t r = begin; r < end; ++r) {
      float* const out = rounded ? kept.data<float>() : h.data<float>() + r * h.dim(1);
      kernels::unit_forward(kernels::UnitForward<float>{out, z.data<float>() + r * z.dim(1),
                                                        static_cast<std::size_t>(z.dim(1)), added},
                            1, n, unit);
      if (rounded) kernels::to_bfloat16(h.data<std::uint16_t>() + r * h.dim(1), out, n);
    }
  });
}

}  // namespace

std::int64_t feed_forward_pitch(std::int64_t columns) {
  return spaced_columns((columns + 15) / 16 * 16);
}

Tensor PreparedFeedForward::forward(const Tensor& x, const Unit& unit) const {
  const Tensor z(Shape{x.dim(0), feed_forward_pitch(in.outputs())});
  in.product(z.data<float>(), z.dim(1), matrix(x));
  const Tensor h(Shape{x.dim(0), feed_forward_pitch(out.inputs())}, out.operand());
  activate(h, z, in_bias, unit, out.inputs());
  Tensor y(Shape{x.dim(0), out.outputs()});
  out.product(y.data<float>(), out.outputs(), matrix(h).column_range(0, out.inputs()));
  add_bias(y, out_bias);
  return y;
}

}  // namespace sluice
