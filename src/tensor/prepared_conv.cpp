#include "sluice/tensor/prepared_conv.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/fast_conv.hpp"

namespace sluice {
namespace {

/// Rows whose products and what follows them are worked on together: enough for fast products, few
/// enough that they are still in a cache when they are needed again.
constexpr std::int64_t kBlockRows = 512;

/// The input of stream `b` at time t >= -(K-1); null for zeros.
const float* input_row(const ConvInput& input, const PackedRows& rows, std::size_t b,
                       std::int64_t t, std::int64_t lead) {
  const std::int64_t channels = input.x.dim(-1);
  if (t >= 0) return input.x.data<float>() + (rows.first(b) + t) * channels;
  if (!input.context.defined()) return nullptr;
  return input.context.data<float>() + (static_cast<std::int64_t>(b) * lead + t + lead) * channels;
}

/// Copies n values, rounded where `to` is bfloat16; zeros for null.
void put(float* to, const float* from, std::int64_t n) {
  if (from == nullptr) {
    std::fill_n(to, n, 0.0F);
  } else {
    std::copy_n(from, n, to);
  }
}
void put(std::uint16_t* to, const float* from, std::int64_t n) {
  if (from == nullptr) {
    std::fill_n(to, n, std::uint16_t{0});
  } else {
    kernels::to_bfloat16(to, from, static_cast<std::size_t>(n));
  }
}

/// Each of the rows [begin, end) with the K-1 before it, as one row of K·C.
template <class T>
void gather(const Tensor& to, const ConvInput& input, const PackedRows& rows, std::int64_t kernel,
            std::int64_t begin, std::int64_t end) {
  const std::int64_t channels = input.x.dim(-1), lead = kernel - 1;
  parallel_for(end - begin, row_grain(kernel * channels),
               [&](std::int64_t first, std::int64_t last) {
                 std::size_t b = rows.text_of(begin + first);
                 for (std::int64_t r = begin + first; r < begin + last; ++r) {
                   while (r >= rows.first(b) + rows.length(b)) ++b;
                   const std::int64_t t = r - rows.first(b);
                   T* out = to.data<T>() + (r - begin) * kernel * channels;
                   const std::int64_t before = std::clamp<std::int64_t>(lead - t, 0, lead);
                   // Rows of one tensor stand one after another.
                   if (before > 0) {
                     put(out, input_row(input, rows, b, t - lead, lead), before * channels);
                   }
                   put(out + before * channels, input_row(input, rows, b, t - lead + before, lead),
                       (kernel - before) * channels);
                 }
               });
}

}  // namespace

/// Filters of Toom-Cook, by tile.
struct PreparedConv::Transformed {
  std::mutex mutex;
  Tensor w;
  std::map<int, Tensor> filters;
};

PreparedConv::PreparedConv(const Tensor& w, const FreezeOptions& options)
    : widths_{w.dim(1), w.dim(2), w.dim(0)},
      path_(options.conv),
      transformed_(std::make_shared<Transformed>()) {
  const Tensor rows = w.reshape(Shape{widths_.kernel * widths_.channels, widths_.outputs});
  weight_ = {rows, WeightLayout::inputs_by_outputs, options};
  if (options.parts != nullptr || options.precision == WeightPrecision::int8) {
    path_ = ConvPath::direct;
    return;
  }
  const ConvShape large{1, std::int64_t{1} << 20, widths_.channels, widths_.outputs,
                        widths_.kernel};
  if (conv_tile(large, path_, weight_.operand()) == 0) return;
  const Tensor values = weight_.values();
  transformed_->w = values.defined() ? values.reshape(w.shape()) : frozen_tensor(w, options);
}

Tensor PreparedConv::transformed(const FastConv& conv, int tile) const {
  const std::lock_guard lock(transformed_->mutex);
  Tensor& filters = transformed_->filters[tile];
  if (!filters.defined()) filters = conv.transform(transformed_->w);
  return filters;
}

Tensor PreparedConv::forward(const ConvInput& input, const PackedRows& rows,
                             const ConvEnd& end) const {
  const std::int64_t m = widths_.outputs, n = end.unit.gated ? m / 2 : m;
  Tensor y(Shape{rows.rows(), n});
  const Ready ready = [&](const ConvRows& part) {
    const double bytes = static_cast<double>(part.rows * (m + n)) * sizeof(float);
    const ProfileScope profile("unit", 0, bytes);
    const std::int64_t at = part.first * n;
    kernels::unit_forward(
        kernels::UnitForward<float>{
            y.data<float>() + at, static_cast<const float*>(part.data), static_cast<std::size_t>(m),
            end.bias.data<float>(),
            end.residual.defined() ? end.residual.data<float>() + at : nullptr,
            static_cast<float>(end.scale), kernels::traffic_of(bytes)},
        static_cast<std::size_t>(part.rows), static_cast<std::size_t>(n), end.unit);
  };
  if (const int tile = conv_tile(rows, widths_, path_, weight_.operand())) {
    fast(input, rows, tile, ready);
  } else {
    direct(input, rows, ready);
  }
  return y;
}

void PreparedConv::fast(const ConvInput& input, const PackedRows& rows, int tile,
                        const Ready& ready) const {
  const FastConv conv(rows, widths_, tile, DType::f32, weight_.operand());
  conv.forward({}, input, transformed(conv, tile), ready);
}

void PreparedConv::direct(const ConvInput& input, const PackedRows& rows,
                          const Ready& ready) const {
  const std::int64_t m = widths_.outputs, k = widths_.kernel, inner = k * widths_.channels;
  const std::int64_t step = std::min(kBlockRows, rows.rows());
  const bool as_it_is = k == 1 && weight_.operand() == DType::f32;
  const Tensor operand = as_it_is ? Tensor() : Tensor(Shape{step, inner}, weight_.operand());
  const Tensor z(Shape{step, m});
  for (std::int64_t begin = 0; begin < rows.rows(); begin += step) {
    const std::int64_t end = std::min(begin + step, rows.rows());
    MatrixView x = matrix(input.x.data<float>() + begin * inner, end - begin, inner);
    if (!as_it_is) {
      const ProfileScope profile("gather rows", 0,
                                 static_cast<double>((end - begin) * inner) *
                                     static_cast<double>(4 + dtype_size(operand.dtype())));
      if (operand.dtype() == DType::bf16) {
        gather<std::uint16_t>(operand, input, rows, k, begin, end);
      } else {
        gather<float>(operand, input, rows, k, begin, end);
      }
      x.data = operand.raw();
      x.dtype = operand.dtype();
    }
    weight_.product(z.data<float>(), m, x);
    parallel_for(end - begin, row_grain(m), [&](std::int64_t first, std::int64_t last) {
      ready({z.data<float>() + first * m, 0, begin + first, last - first});
    });
  }
}

std::size_t PreparedConv::bytes() const {
  const std::lock_guard lock(transformed_->mutex);
  std::size_t sum = weight_.bytes();
  if (weight_.operand() != DType::f32 && transformed_->w.defined()) sum += transformed_->w.bytes();
  for (const auto& [tile, filters] : transformed_->filters) {
    if (filters.defined()) sum += filters.bytes();
  }
  return sum;
}

Tensor trailing_rows(const ConvInput& input, const PackedRows& rows, std::int64_t kernel) {
  const std::int64_t lead = kernel - 1, channels = input.x.dim(-1);
  Tensor out(Shape{static_cast<std::int64_t>(rows.texts()), lead, channels});
  for (std::size_t b = 0; b < rows.texts(); ++b) {
    for (std::int64_t j = 0; j < lead; ++j) {
      put(out.data<float>() + (static_cast<std::int64_t>(b) * lead + j) * channels,
          input_row(input, rows, b, rows.length(b) - lead + j, lead), channels);
    }
  }
  return out;
}

}  // namespace sluice
