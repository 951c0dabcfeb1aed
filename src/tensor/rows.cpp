#include "sluice/tensor/detail/rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/cross_entropy.hpp"
#include "sluice/kernels/softmax.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {

Tensor pick_rows(const Tensor& x, std::span<const std::int32_t> index, const char* what) {
  const std::int64_t rows = x.dim(0), columns = x.dim(1);
  for (const std::int32_t i : index) {
    if (i < 0 || i >= rows) {
      throw Error(fmt::format("{}: index {} is outside a table of {} rows", what, i, rows));
    }
  }
  const auto n = static_cast<std::int64_t>(index.size());
  Tensor out(Shape{n, columns}, x.dtype());
  const ProfileScope profile("embedding", 0, 2.0 * static_cast<double>(out.bytes()));
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_for(n, row_grain(columns), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        std::copy_n(x.data<T>() + index[static_cast<std::size_t>(i)] * columns, columns,
                    out.data<T>() + i * columns);
      }
    });
  });
  return out;
}

void place_rows(const Tensor& y, const Tensor& rows, std::span<const std::int32_t> index) {
  const std::int64_t columns = y.dim(1);
  dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (std::size_t i = 0; i < index.size(); ++i) {
      std::copy_n(rows.data<T>() + static_cast<std::int64_t>(i) * columns, columns,
                  y.data<T>() + index[i] * columns);
    }
  });
}

void log_softmax_rows(const Tensor& x) {
  const std::int64_t n = x.dim(1);
  const ProfileScope profile("softmax", 0, 2 * static_cast<double>(x.bytes()));
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_for(x.dim(0), row_grain(n), [&](std::int64_t begin, std::int64_t end) {
      T* const rows = x.data<T>() + begin * n;
      kernels::softmax_forward(rows, rows,
                               {static_cast<std::size_t>(end - begin), static_cast<std::size_t>(n),
                                kernels::SoftmaxKind::log_softmax});
    });
  });
}

void log_softmax_bands(const Tensor& y, const Tensor& head, std::span<const std::int64_t> ends) {
  const std::int64_t n = y.dim(1), in_head = head.dim(1);
  const auto bands = static_cast<std::int64_t>(ends.size());
  const ProfileScope profile("softmax", 0, 2 * static_cast<double>(y.bytes()));
  const auto end_of = [&](std::int64_t band) { return ends[static_cast<std::size_t>(band)]; };
  const auto normalise = [](float* x, std::int64_t count) {
    kernels::softmax_forward(
        x, x, {1, static_cast<std::size_t>(count), kernels::SoftmaxKind::log_softmax});
  };
  // Band by band, so that threads share those of a single row, too.
  parallel_for(y.dim(0) * bands, row_grain(n / bands), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t r = i / bands, band = i % bands;
      if (band == 0) {
        normalise(head.data<float>() + r * in_head, in_head);
      } else {
        normalise(y.data<float>() + r * n + end_of(band - 1), end_of(band) - end_of(band - 1));
      }
    }
  });
  parallel_for(y.dim(0), row_grain(n), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      float* const row = y.data<float>() + r * n;
      const float* const chosen = head.data<float>() + r * in_head;
      std::copy_n(chosen, end_of(0), row);
      for (std::int64_t band = 1; band < bands; ++band) {
        float* const tail = row + end_of(band - 1);
        kernels::add_constant(tail, tail, chosen[end_of(0) + band - 1],
                              static_cast<std::size_t>(end_of(band) - end_of(band - 1)));
      }
    }
  });
}

Tensor stacked_parts(std::span<const Tensor> tensors, std::int64_t first, std::int64_t count) {
  if (std::none_of(tensors.begin(), tensors.end(),
                   [](const Tensor& tensor) { return tensor.defined(); })) {
    return {};
  }
  Tensor out(Shape{static_cast<std::int64_t>(tensors.size()), count});
  float* to = out.data<float>();
  for (const Tensor& tensor : tensors) {
    if (tensor.defined()) {
      std::copy_n(tensor.data<float>() + first, count, to);
    } else {
      std::fill_n(to, count, 0.0F);
    }
    to += count;
  }
  return out;
}

void spread_parts(std::span<const Tensor> tensors, std::int64_t first, const Tensor& rows) {
  if (tensors.empty()) return;
  const std::int64_t count = rows.elements() / static_cast<std::int64_t>(tensors.size());
  const float* from = rows.data<float>();
  for (const Tensor& tensor : tensors) {
    std::copy_n(from, count, tensor.data<float>() + first);
    from += count;
  }
}

void add_softmax_nll(std::span<double> nll, const Tensor& h, const PreparedWeight& weight,
                     const Tensor& bias, std::span<const std::int32_t> targets,
                     std::span<const std::int32_t> row_index) {
  const std::int64_t n = weight.outputs();
  for (const std::int32_t target : targets) {
    if (target < 0 || target >= n) {
      throw Error(fmt::format("softmax: target {} is outside a vocabulary of {}", target, n));
    }
  }
  // Logits of few enough rows at a time to bound memory.
  constexpr std::int64_t elements = std::int64_t{1} << 24;
  const auto rows = static_cast<std::int64_t>(targets.size());
  const std::int64_t step =
      std::min(std::max<std::int64_t>(elements / std::max<std::int64_t>(n, 1), 64), rows);
  const Tensor logits(Shape{step, n});
  std::vector<float> losses(targets.size());
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    const std::int64_t count = std::min(step, rows - begin);
    weight.product(logits.data<float>(), n,
                   matrix(h.data<float>() + begin * h.dim(1), count, h.dim(1)));
    const ProfileScope profile("softmax", 0, static_cast<double>(logits.rows(0, count).bytes()));
    parallel_for(count, row_grain(n), [&](std::int64_t first, std::int64_t last) {
      kernels::softmax_cross_entropy(
          kernels::CrossEntropyRows<float>{
              losses.data() + begin + first, logits.data<float>() + first * n,
              bias.defined() ? bias.data<float>() : nullptr, targets.data() + begin + first, 0.0F},
          static_cast<std::size_t>(last - first), static_cast<std::size_t>(n));
    });
  }
  for (std::size_t r = 0; r < losses.size(); ++r) {
    nll[row_index.empty() ? r : static_cast<std::size_t>(row_index[r])] +=
        static_cast<double>(losses[r]);
  }
}

}  // namespace sluice
