#include "sluice/tensor/detail/fast_conv.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "planes.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/detail/toom_cook.hpp"
#include "sluice/tensor/detail/operand.hpp"
#include "sluice/tensor/gemm.hpp"

namespace sluice {
namespace {

/// Tiles per block: enough rows for fast products, few enough that a block's data stays in the
/// second-level cache or near it.
constexpr std::int64_t kBlockTiles = 256;

}  // namespace

/// What forward and backward share, for one element type.
template <class T>
struct FastConv::Work {
  const FastConv& conv;
  const kernels::ToomCook& algorithm;
  const ConvInput& input;
  ConvWidths s;
  std::int64_t m, n;
  std::vector<T> zeros;  // a row of the wider side
  std::vector<T> input_matrix;

  Work(const FastConv& of, const ConvInput& from)
      : conv(of),
        algorithm(kernels::toom_cook(of.tile_, static_cast<int>(of.widths_.kernel))),
        input(from),
        s(of.widths_),
        m(of.tile_),
        n(algorithm.points()),
        zeros(static_cast<std::size_t>(std::max(s.channels, s.outputs))),
        input_matrix(converted<T>(algorithm.input)) {}

  std::int64_t stream_of(std::int64_t tile) const {
    return conv.stream_of_tile_[static_cast<std::size_t>(tile)];
  }
  std::int64_t time_of(std::int64_t tile) const {
    return (tile - conv.first_tile_[static_cast<std::size_t>(stream_of(tile))]) * m;
  }
  /// Rows of stream b, and where in all rows its t-th is.
  std::int64_t length(std::int64_t b) const {
    return conv.rows_.length(static_cast<std::size_t>(b));
  }
  std::int64_t row_of(std::int64_t b, std::int64_t t) const {
    return conv.rows_.first(static_cast<std::size_t>(b)) + t;
  }

  Planes filters(const Tensor& data) const { return {data, s.channels, s.outputs}; }

  /// Bᵀ x of the tiles [first, last) into rows from `row`.
  void transform_input(const Planes& to, std::int64_t row, std::int64_t first,
                       std::int64_t last) const {
    const ProfileScope profile(
        "conv transforms", 0,
        static_cast<double>((last - first) * s.channels) *
            static_cast<double>(m * static_cast<std::int64_t>(sizeof(T)) + n * element_size(to)));
    const std::int64_t lead = s.kernel - 1;
    std::array<const T*, kMost> rows{};
    for (std::int64_t tile = first; tile < last; ++tile) {
      const std::int64_t b = stream_of(tile), start = time_of(tile), time = length(b);
      for (std::int64_t j = 0; j < n; ++j) {
        const std::int64_t t = start + j - lead;
        const T* from = zeros.data();
        if (t >= time) {
          // Behind the end of the stream.
        } else if (t >= 0) {
          from = input.x.data<T>() + row_of(b, t) * s.channels;
        } else if (input.context.defined()) {
          from = input.context.data<T>() + (b * lead + t + lead) * s.channels;
        }
        rows[static_cast<std::size_t>(j)] = from;
      }
      spread<T>(to, row + tile - first, rows, input_matrix, static_cast<std::size_t>(n));
    }
  }

  /// Calls f(stream, time, rows, tile) for each run of rows of one stream that the tiles
  /// [first, last) cover; `tile` is the run's first.
  template <class F>
  void for_runs(std::int64_t first, std::int64_t last, F&& f) const {
    while (first < last) {
      const std::int64_t b = stream_of(first);
      const std::int64_t end = std::min(last, conv.first_tile_[static_cast<std::size_t>(b) + 1]);
      const std::int64_t t = time_of(first);
      f(b, t, std::min(t + (end - first) * m, length(b)) - t, first);
      first = end;
    }
  }

  /// Calls f(block, first, last) for the blocks of a range.
  template <class F>
  void for_blocks(F&& f) const {
    parallel_for(conv.blocks_, 1, [&](std::int64_t begin, std::int64_t end) {
      f(begin, end, [&](std::int64_t block) {
        const std::int64_t first = block * conv.block_tiles_;
        return std::pair(first, std::min(first + conv.block_tiles_, conv.tiles_));
      });
    });
  }

  static std::int64_t element_size(const Planes& planes) {
    return static_cast<std::int64_t>(dtype_size(planes.data.dtype()));
  }

  void forward(const Tensor& z, const Tensor& transformed,
               const std::function<void(const ConvRows&)>& ready) const {
    const Planes w = filters(transformed);
    const std::vector<T> output_matrix = converted<T>(algorithm.output);
    for_blocks([&](std::int64_t begin, std::int64_t end, auto&& tiles_of) {
      const auto points = static_cast<int>(n);
      const Planes x = Planes::make(points, conv.block_tiles_, s.channels, conv.operand_);
      const Planes products = Planes::make(points, conv.block_tiles_, s.outputs, conv.dtype_);
      const Tensor scratch =
          z.defined() ? Tensor() : Tensor(Shape{conv.block_tiles_ * m, s.outputs}, conv.dtype_);
      for (std::int64_t block = begin; block < end; ++block) {
        const auto [first, last] = tiles_of(block);
        transform_input(x, 0, first, last);
        for (std::int64_t p = 0; p < n; ++p) {
          gemm(products.at<T>(p, 0), products.pitch(), x.view(p, 0, last - first),
               w.view(p, 0, s.channels));
        }
        // Aᵀ of each tile's products, then whatever comes next, while the rows are warm.
        for_runs(first, last,
                 [&, start = first](std::int64_t b, std::int64_t t, std::int64_t rows,
                                    std::int64_t tile) {
                   T* const to = z.defined() ? z.data<T>() + row_of(b, t) * s.outputs
                                             : scratch.data<T>() + (tile - start) * m * s.outputs;
                   transform_output(to, products, tile - start, rows, output_matrix);
                   ready({to, block, row_of(b, t), rows});
                 });
      }
    });
  }

  /// `rows` rows of `to` from the products of tiles from `row` on.
  void transform_output(T* to, const Planes& products, std::int64_t row, std::int64_t rows,
                        const std::vector<T>& matrix) const {
    const ProfileScope profile("conv transforms", 0,
                               static_cast<double>(rows * s.outputs) * sizeof(T) *
                                   (1 + static_cast<double>(n) / static_cast<double>(m)));
    std::array<const T*, kMost> in{};
    std::array<T*, kMost> out{};
    for (std::int64_t done = 0; done < rows; done += m, ++row) {
      for (std::int64_t p = 0; p < n; ++p) {
        in[static_cast<std::size_t>(p)] = products.at<T>(p, row);
      }
      for (std::int64_t i = 0; i < m; ++i) {
        out[static_cast<std::size_t>(i)] = done + i < rows ? to + (done + i) * s.outputs : nullptr;
      }
      kernels::combine_rows(out.data(), in.data(), small(matrix, m, n),
                            static_cast<std::size_t>(s.outputs));
    }
  }

  void backward(const ConvGradients& gradients, Tensor transformed,
                const std::function<void(const ConvRows&)>& fill) const {
    const Tensor &dx = gradients.dx, &dw = gradients.dw, &start = gradients.start;
    Planes w = dx.defined() ? filters(transformed) : Planes();
    const auto points = static_cast<int>(n);
    const std::vector<T> spread_matrix =
        transposed<T>(algorithm.output, static_cast<std::size_t>(m));  // A
    const std::vector<T> gather_matrix =
        transposed<T>(algorithm.input, static_cast<std::size_t>(n));  // B
    // All of both sides' transforms, for the weight's gradient; else only a block's at a time.
    const bool keep = dw.defined();
    Planes all_x, all_dz;
    if (keep) {
      all_x = Planes::make(points, conv.tiles_, s.channels, conv.operand_);
      all_dz = Planes::make(points, conv.tiles_, s.outputs, conv.operand_);
    }
    // Each block's share of the K-1 rows before its first, which are the block's before it.
    const std::int64_t lead = s.kernel - 1;
    const Tensor before(Shape{conv.blocks_, lead, s.channels}, conv.dtype_);
    for_blocks([&](std::int64_t begin, std::int64_t end, auto&& tiles_of) {
      const Tensor rows_of_dz(Shape{conv.block_tiles_ * m, s.outputs}, conv.dtype_);
      const Planes own_dz =
          keep ? Planes() : Planes::make(points, conv.block_tiles_, s.outputs, conv.operand_);
      const Planes dxs = dx.defined()
                             ? Planes::make(points, conv.block_tiles_, s.channels, conv.dtype_)
                             : Planes();
      for (std::int64_t block = begin; block < end; ++block) {
        const auto [first, last] = tiles_of(block);
        const Planes& dz = keep ? all_dz : own_dz;
        const std::int64_t row = keep ? first : 0;
        for_runs(first, last,
                 [&, begin_tile = first](std::int64_t b, std::int64_t t, std::int64_t rows,
                                         std::int64_t tile) {
                   T* const from = rows_of_dz.data<T>() + (tile - begin_tile) * m * s.outputs;
                   fill({from, block, row_of(b, t), rows});
                   transform_gradient(dz, row + tile - begin_tile, from, rows, spread_matrix);
                 });
        if (keep) transform_input(all_x, first, first, last);
        if (!dx.defined()) continue;
        for (std::int64_t p = 0; p < n; ++p) {
          gemm(dxs.at<T>(p, 0), dxs.pitch(), dz.view(p, row, last - first),
               transpose(w.view(p, 0, s.channels)));
        }
        for_runs(first, last, [&](std::int64_t b, std::int64_t t, std::int64_t rows, std::int64_t) {
          const std::int64_t at = row_of(b, t) * s.channels;
          if (start.defined()) {
            kernels::scale_into(dx.data<T>() + at, start.data<T>() + at,
                                static_cast<T>(gradients.start_scale),
                                static_cast<std::size_t>(rows * s.channels));
          } else {
            std::fill_n(dx.data<T>() + at, rows * s.channels, T{0});
          }
        });
        gather_input(dx, before.data<T>() + block * lead * s.channels, dxs, first, last,
                     gather_matrix);
      }
    });
    if (dx.defined()) add_rows_before(dx, before);
    w = Planes();
    transformed = Tensor();
    if (keep) weight_gradient(dw, all_x, all_dz);
  }

  /// A dz of the tiles whose outputs the `rows` rows are.
  void transform_gradient(const Planes& to, std::int64_t row, const T* dz, std::int64_t rows,
                          const std::vector<T>& matrix) const {
    const ProfileScope profile(
        "conv transforms", 0,
        static_cast<double>(rows * s.outputs) *
            (sizeof(T) + static_cast<double>(n * element_size(to)) / static_cast<double>(m)));
    std::array<const T*, kMost> in{};
    for (std::int64_t done = 0; done < rows; done += m, ++row) {
      for (std::int64_t i = 0; i < m; ++i) {
        in[static_cast<std::size_t>(i)] =
            done + i < rows ? dz + (done + i) * s.outputs : zeros.data();
      }
      spread<T>(to, row, in, matrix, static_cast<std::size_t>(m));
    }
  }

  /// Adds to the rows of dx that belong to the tiles [first, last), and gives the part of those
  /// before them that these tiles contribute.
  void gather_input(const Tensor& dx, T* before, const Planes& dxs, std::int64_t first,
                    std::int64_t last, const std::vector<T>& matrix) const {
    const ProfileScope profile("conv transforms", 0,
                               static_cast<double>((last - first) * s.channels) * sizeof(T) *
                                   static_cast<double>(2 * n + m));
    const std::int64_t lead = s.kernel - 1;
    std::fill_n(before, lead * s.channels, T{0});
    const std::int64_t stream = stream_of(first), start = time_of(first);
    std::array<const T*, kMost> in{};
    std::array<T*, kMost> out{};
    for (std::int64_t tile = first; tile < last; ++tile) {
      const std::int64_t b = stream_of(tile), begin = time_of(tile), time = length(b);
      for (std::int64_t j = 0; j < n; ++j) {
        const auto at = static_cast<std::size_t>(j);
        in[at] = dxs.at<T>(j, tile - first);
        const std::int64_t t = begin + j - lead;
        out[at] = nullptr;
        if (t < 0 || t >= time) continue;
        if (b == stream && t < start) {
          out[at] = before + (t - start + lead) * s.channels;
        } else {
          out[at] = dx.data<T>() + row_of(b, t) * s.channels;
        }
      }
      kernels::combine_rows_onto(out.data(), in.data(), small(matrix, n, n),
                                 static_cast<std::size_t>(s.channels));
    }
  }

  void add_rows_before(const Tensor& dx, const Tensor& before) const {
    const std::int64_t lead = s.kernel - 1;
    for (std::int64_t block = 1; block < conv.blocks_; ++block) {
      const std::int64_t first = block * conv.block_tiles_;
      const std::int64_t rows = std::min(lead, time_of(first));
      if (rows == 0) continue;
      kernels::add_scaled(
          dx.data<T>() + (row_of(stream_of(first), time_of(first)) - rows) * s.channels,
          before.data<T>() + ((block + 1) * lead - rows) * s.channels, T{1},
          static_cast<std::size_t>(rows * s.channels));
    }
  }

  /// dw = Gᵀ of the products of both sides' transforms.
  void weight_gradient(const Tensor& dw, const Planes& x, const Planes& dz) const {
    const Planes dws = Planes::make(static_cast<int>(n), s.channels, s.outputs, conv.dtype_);
    for (std::int64_t p = 0; p < n; ++p) {
      gemm(dws.at<T>(p, 0), dws.pitch(), transpose(x.view(p, 0, conv.tiles_)),
           dz.view(p, 0, conv.tiles_));
    }
    const std::vector<T> matrix =
        transposed<T>(algorithm.filter, static_cast<std::size_t>(n));  // Gᵀ
    const ProfileScope profile(
        "conv transforms", 0,
        static_cast<double>((n + s.kernel) * s.channels * s.outputs) * sizeof(T));
    parallel_for(s.channels, 8, [&](std::int64_t begin, std::int64_t end) {
      std::array<const T*, kMost> in{};
      std::array<T*, kMost> out{};
      for (std::int64_t c = begin; c < end; ++c) {
        for (std::int64_t p = 0; p < n; ++p) in[static_cast<std::size_t>(p)] = dws.at<T>(p, c);
        for (std::int64_t k = 0; k < s.kernel; ++k) {
          out[static_cast<std::size_t>(k)] = dw.data<T>() + (k * s.channels + c) * s.outputs;
        }
        kernels::combine_rows(out.data(), in.data(), small(matrix, s.kernel, n),
                              static_cast<std::size_t>(s.outputs));
      }
    });
  }
};

FastConv::FastConv(const ConvShape& shape, int tile, DType dtype, DType operand)
    : FastConv(
          PackedRows(std::vector<std::int64_t>(static_cast<std::size_t>(shape.batch), shape.time)),
          {shape.channels, shape.outputs, shape.kernel}, tile, dtype, operand) {}

FastConv::FastConv(PackedRows rows, const ConvWidths& widths, int tile, DType dtype, DType operand)
    : rows_(std::move(rows)), widths_(widths), tile_(tile), dtype_(dtype), operand_(operand) {
  kernels::toom_cook(tile, static_cast<int>(widths.kernel));
  first_tile_.push_back(0);
  for (std::size_t b = 0; b < rows_.texts(); ++b) {
    const std::int64_t tiles = (rows_.length(b) + tile - 1) / tile;
    first_tile_.push_back(first_tile_.back() + tiles);
    stream_of_tile_.insert(stream_of_tile_.end(), static_cast<std::size_t>(tiles),
                           static_cast<std::int32_t>(b));
  }
  tiles_ = first_tile_.back();
  // As many blocks for each thread, all alike; none so small that K-1 rows reach past it.
  const std::int64_t threads = thread_count();
  const std::int64_t wanted =
      ((tiles_ + kBlockTiles - 1) / kBlockTiles + threads - 1) / threads * threads;
  const std::int64_t least = (widths.kernel - 1 + tile - 1) / tile;
  block_tiles_ = std::max(
      {(tiles_ + std::max<std::int64_t>(wanted, 1) - 1) / std::max<std::int64_t>(wanted, 1), least,
       std::int64_t{1}});
  blocks_ = (tiles_ + block_tiles_ - 1) / block_tiles_;
}

Tensor FastConv::transform(const Tensor& w, const Tensor& scale) const {
  const kernels::ToomCook& algorithm = kernels::toom_cook(tile_, static_cast<int>(widths_.kernel));
  const Planes to = Planes::make(algorithm.points(), widths_.channels, widths_.outputs, operand_);
  const ProfileScope profile(
      "conv filter transforms", 0,
      static_cast<double>(w.elements()) * static_cast<double>(dtype_size(dtype_)) +
          static_cast<double>(to.data.elements()) * static_cast<double>(dtype_size(operand_)));
  dispatch_float(dtype_, [&](auto zero) {
    using T = decltype(zero);
    const std::vector<T> matrix = converted<T>(algorithm.filter);
    const T* const factors = scale.defined() ? scale.data<T>() : nullptr;
    parallel_for(widths_.channels, 8, [&](std::int64_t begin, std::int64_t end) {
      std::array<const T*, kMost> in{};
      for (std::int64_t c = begin; c < end; ++c) {
        for (std::int64_t k = 0; k < widths_.kernel; ++k) {
          in[static_cast<std::size_t>(k)] =
              w.data<T>() + (k * widths_.channels + c) * widths_.outputs;
        }
        spread<T>(to, c, in, matrix, static_cast<std::size_t>(widths_.kernel), factors);
      }
    });
  });
  return to.data;
}

void FastConv::forward(const Tensor& z, const ConvInput& input, const Tensor& filters,
                       const std::function<void(const ConvRows&)>& ready) const {
  dispatch_float(dtype_,
                 [&](auto zero) { Work<decltype(zero)>(*this, input).forward(z, filters, ready); });
}

void FastConv::backward(const ConvGradients& to, const ConvInput& input, Tensor filters,
                        const std::function<void(const ConvRows&)>& fill) const {
  dispatch_float(dtype_, [&](auto zero) {
    Work<decltype(zero)>(*this, input).backward(to, std::move(filters), fill);
  });
}

int fastest_tile(const ConvShape& shape, DType operand) {
  // Measured with bench/conv_bench (docs/results.md). Few rows are bound by reading the filters, of
  // which there are n for K; narrow layers by the transforms; bfloat16 products leave less to save.
  const auto kernel = static_cast<int>(shape.kernel);
  const std::int64_t rows = shape.batch * shape.time;
  const std::int64_t narrow = std::min(shape.channels, shape.outputs);
  if (operand == DType::bf16) {
    if (narrow < 256 || rows < 512 || kernel < 3) return 0;
    // More points save little more, and their rounding errors grow.
    return std::clamp(9 - kernel, 2, 4);
  }
  if (narrow < (kernel >= 4 ? 64 : 128) || rows < 64) return 0;
  // 8 points serve kernel widths up to 5 with an error of at most 2e-6; wider ones gain more by
  // more.
  const int points = rows < 128 ? 5 : rows < 512 ? 6 : std::max(8, kernel + 3);
  return points > kernel ? points + 1 - kernel : 0;
}

int conv_tile(const ConvShape& shape, ConvPath path, DType operand) {
  // The tile of `fast` where direct products would be faster.
  constexpr int smallest = 2;
  const bool served = shape.kernel <= FastConv::kMostKernel;
  if (path == ConvPath::direct || shape.kernel == 1 || shape.time == 1 || !served) return 0;
  if (path == ConvPath::automatic) {
    return operand == DType::f64 ? 0 : fastest_tile(shape, operand);
  }
  const int tile = fastest_tile(shape, operand);
  return tile > 0 ? tile : smallest;
}

int conv_tile(const PackedRows& rows, const ConvWidths& widths, ConvPath path, DType operand) {
  if (rows.longest() <= 1) return 0;
  // One stream of all rows stands for the amount of work.
  const ConvShape all{1, rows.rows(), widths.channels, widths.outputs, widths.kernel};
  const int tile = conv_tile(all, path, operand);
  if (tile == 0 || path == ConvPath::fast) return tile;
  std::int64_t tiles = 0;
  for (std::size_t b = 0; b < rows.texts(); ++b) tiles += (rows.length(b) + tile - 1) / tile;
  const std::int64_t points = tile + widths.kernel - 1;
  return tiles * points < rows.rows() * widths.kernel ? tile : 0;
}

}  // namespace sluice
