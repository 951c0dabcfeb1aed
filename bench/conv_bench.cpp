// Times one gated convolution layer, forward and backward, by direct products and by Toom-Cook with
// each tile: the measurements behind fastest_tile() (src/tensor/fast_conv.cpp). The variants take
// turns; medians of the rounds.
//
//   conv_bench --threads 2 --widths 128,256,512 --kernels 3,4 --precision f32

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "sluice/autograd/arithmetic.hpp"
#include "sluice/autograd/convolution.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/random.hpp"
#include "sluice/kernels/detail/toom_cook.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/tensor/detail/fast_conv.hpp"
#include "sluice/tensor/prepared_conv.hpp"

namespace sluice {
namespace {

struct Options {
  std::vector<std::int64_t> widths{128, 256, 512};
  std::vector<std::int64_t> kernels{2, 3, 4, 5, 6, 7};
  std::vector<std::int64_t> contexts{128};
  std::int64_t batch = 16;
  int threads = 2;
  int rounds = 5;
  std::string precision = "f32";
  bool forward_only = false;
};

Variable random(Shape shape, std::uint32_t stream, bool gradient) {
  const Tensor x(shape);
  const RandomKey key{1, stream, 0};
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    x.data<float>()[i] = 0.1F * static_cast<float>(key.normal(static_cast<std::uint64_t>(i)));
  }
  return Variable(x, gradient);
}

// One layer of width `width`, whose variants are timed in turn.
class Layer {
 public:
  Layer(const Options& o, std::int64_t width, std::int64_t kernel, std::int64_t context)
      : o_(o),
        x_(random({o.batch, context, width}, 1, true)),
        w_(random({kernel, width, 2 * width}, 2, true)),
        bias_(random({2 * width}, 3, true)),
        direct_(w_.value(),
                {.precision = o.precision == "bf16" ? WeightPrecision::bf16 : WeightPrecision::f32,
                 .conv = ConvPath::direct}) {
    conv_.unit = parse_unit("glu");
    conv_.precision = o.precision == "bf16" ? Precision::bf16 : Precision::f32;
  }

  // Seconds of a call with this tile (0: direct).
  double time(int tile) {
    conv_.path = tile == 0 ? ConvPath::direct : ConvPath::fast;
    conv_.tile = tile;
    const Tensor filters = o_.forward_only ? prepared(tile) : Tensor();
    for (const Variable& leaf : {x_, w_, bias_}) leaf.zero_grad();
    const auto start = std::chrono::steady_clock::now();
    if (o_.forward_only) {
      forward(tile, filters);
    } else {
      Tape tape;
      tape.backward(sum(causal_conv_unit(x_, w_, bias_, {}, conv_)));
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  DType operand() const { return conv_.precision == Precision::bf16 ? DType::bf16 : DType::f32; }
  FastConv fast(int tile) const {
    const Shape& x = x_.shape();
    const Shape& w = w_.shape();
    return {ConvShape{x[0], x[1], x[2], w[2], w[0]}, tile, DType::f32, operand()};
  }
  // The filters of a tile as evaluation has them ready.
  Tensor prepared(int tile) {
    Tensor& filters = filters_[tile];
    if (tile > 0 && !filters.defined()) filters = fast(tile).transform(w_.value());
    return filters;
  }
  void forward(int tile, const Tensor& filters) const {
    if (tile > 0) {
      const std::int64_t m = w_.shape()[2], n = m / 2;
      const Tensor y(Shape{x_.shape()[0] * x_.shape()[1], n});
      fast(tile).forward({}, {x_.value(), {}}, filters, [&](const ConvRows& rows) {
        kernels::unit_forward(
            kernels::UnitForward<float>{
                y.data<float>() + rows.first * n, static_cast<const float*>(rows.data),
                static_cast<std::size_t>(m), bias_.value().data<float>(), nullptr, 1.0F,
                kernels::traffic_of(static_cast<double>(rows.rows * (m + n)) * sizeof(float))},
            static_cast<std::size_t>(rows.rows), static_cast<std::size_t>(n), conv_.unit);
      });
    } else {
      const Shape& x = x_.shape();
      const std::vector<std::int64_t> lengths(static_cast<std::size_t>(x[0]), x[1]);
      direct_.forward({x_.value(), {}}, PackedRows(lengths), {bias_.value(), conv_.unit, {}, 1});
    }
  }

  const Options& o_;
  Variable x_, w_, bias_;
  CausalConv conv_;
  PreparedConv direct_;
  std::map<int, Tensor> filters_;
};

void measure(const Options& o) {
  fmt::print("{} batch {} threads {} {}\n", o.precision, o.batch, o.threads,
             o.forward_only ? "forward" : "forward and backward");
  fmt::print("{:>6} {:>7} {:>8} {:>11}   speed of each tile against direct\n", "width", "kernel",
             "context", "direct, ms");
  for (const std::int64_t width : o.widths) {
    for (const std::int64_t kernel : o.kernels) {
      for (const std::int64_t context : o.contexts) {
        std::vector<int> tiles{0};
        for (int tile = 2; tile <= 6 && tile + kernel - 1 <= kernels::kMostPoints; ++tile) {
          tiles.push_back(tile);
        }
        Layer layer(o, width, kernel, context);
        std::vector<std::vector<double>> times(tiles.size());
        for (int round = -1; round < o.rounds; ++round) {
          for (std::size_t i = 0; i < tiles.size(); ++i) {
            const double seconds = layer.time(tiles[i]);
            if (round >= 0) times[i].push_back(seconds);
          }
        }
        const auto median = [&](std::size_t i) {
          std::ranges::sort(times[i]);
          return times[i][times[i].size() / 2];
        };
        const double direct = median(0);
        fmt::print("{:>6} {:>7} {:>8} {:>11.2f}  ", width, kernel, context, direct * 1e3);
        for (std::size_t i = 1; i < tiles.size(); ++i) {
          fmt::print(" {}: {:.2f}", tiles[i], direct / median(i));
        }
        fmt::print("\n");
        std::fflush(stdout);
      }
    }
  }
}

int run(int argc, char** argv) {
  Options o;
  CLI::App app("Times a convolution layer by every path");
  app.add_option("--widths", o.widths)->delimiter(',');
  app.add_option("--kernels", o.kernels)->delimiter(',');
  app.add_option("--contexts", o.contexts)->delimiter(',');
  app.add_option("--batch", o.batch);
  app.add_option("--threads", o.threads);
  app.add_option("--rounds", o.rounds)->check(CLI::PositiveNumber);
  app.add_option("--precision", o.precision)->check(CLI::IsMember({"f32", "bf16"}));
  app.add_flag("--forward", o.forward_only, "Forward only, as in evaluation");
  CLI11_PARSE(app, argc, argv);
  try {
    set_thread_count(o.threads);
    measure(o);
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "conv_bench: {}\n", error.what());
    return 1;
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::run(argc, argv); }
