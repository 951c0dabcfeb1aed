// Fast convolution against the definition, and its error against the stated bound.
#include "sluice/tensor/detail/fast_conv.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/random.hpp"
#include "sluice/kernels/detail/toom_cook.hpp"
#include "sluice/tensor/gemm.hpp"

namespace sluice {
namespace {

Tensor random(Shape shape, std::uint32_t stream, double deviation = 1) {
  Tensor x(shape, DType::f64);
  const RandomKey key{99, stream, 0};
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    x.data<double>()[i] = deviation * key.normal(static_cast<std::uint64_t>(i));
  }
  return x;
}

// z, dx and dw of a convolution, by the definition in float64.
struct Reference {
  Tensor z, dx, dw;

  Reference(const ConvShape& s, const ConvInput& input, const Tensor& w, const Tensor& dz)
      : z(Tensor::zeros({s.batch, s.time, s.outputs}, DType::f64)),
        dx(Tensor::zeros({s.batch, s.time, s.channels}, DType::f64)),
        dw(Tensor::zeros({s.kernel, s.channels, s.outputs}, DType::f64)) {
    const std::int64_t lead = s.kernel - 1;
    for (std::int64_t b = 0; b < s.batch; ++b) {
      for (std::int64_t t = 0; t < s.time; ++t) {
        for (std::int64_t k = 0; k < s.kernel; ++k) {
          const std::int64_t from = t - lead + k;
          if (from < 0 && !input.context.defined()) continue;
          for (std::int64_t c = 0; c < s.channels; ++c) {
            const double x =
                from >= 0 ? input.x.data<double>()[(b * s.time + from) * s.channels + c]
                          : input.context.data<double>()[(b * lead + from + lead) * s.channels + c];
            const double* ws = w.data<double>() + (k * s.channels + c) * s.outputs;
            const double* g = dz.data<double>() + (b * s.time + t) * s.outputs;
            double* dws = dw.data<double>() + (k * s.channels + c) * s.outputs;
            double sum = 0;
            for (std::int64_t j = 0; j < s.outputs; ++j) {
              z.data<double>()[(b * s.time + t) * s.outputs + j] += x * ws[j];
              dws[j] += x * g[j];
              sum += ws[j] * g[j];
            }
            if (from >= 0) dx.data<double>()[(b * s.time + from) * s.channels + c] += sum;
          }
        }
      }
    }
  }
};

struct Results {
  Tensor z, dx, dw;
};

Results run(const ConvShape& s, int tile, const ConvInput& input, const Tensor& w, const Tensor& dz,
            DType operand) {
  const DType dtype = w.dtype();
  const FastConv conv(s, tile, dtype, operand);
  const Tensor filters = conv.transform(w);
  Results out{Tensor({s.batch, s.time, s.outputs}, dtype),
              Tensor({s.batch, s.time, s.channels}, dtype),
              Tensor({s.kernel, s.channels, s.outputs}, dtype)};
  const std::size_t row = static_cast<std::size_t>(s.outputs) * dtype_size(dtype);
  const auto place = [&](const Tensor& of, const ConvRows& rows) {
    return static_cast<std::byte*>(of.raw()) + static_cast<std::size_t>(rows.first) * row;
  };
  const Tensor seen({s.batch, s.time, s.outputs}, dtype);
  conv.forward({}, input, filters, [&](const ConvRows& rows) {
    std::memcpy(place(seen, rows), rows.data, static_cast<std::size_t>(rows.rows) * row);
  });
  conv.forward(out.z, input, filters, [&](const ConvRows& rows) {
    EXPECT_EQ(std::memcmp(place(seen, rows), rows.data, static_cast<std::size_t>(rows.rows) * row),
              0);
  });
  const auto fill = [&](const ConvRows& rows) {
    std::memcpy(rows.data, place(dz, rows), static_cast<std::size_t>(rows.rows) * row);
  };
  conv.backward({out.dx, out.dw}, input, filters, fill);
  // Asking for one gradient alone gives the same.
  const Tensor alone(out.dx.shape(), dtype);
  conv.backward({alone, {}}, input, filters, fill);
  EXPECT_EQ(std::memcmp(alone.raw(), out.dx.raw(), alone.bytes()), 0);
  return out;
}

double relative_error(const Tensor& got, const Tensor& want) {
  const Tensor wide = got.to(DType::f64);
  double error = 0, norm = 0;
  for (std::int64_t i = 0; i < want.elements(); ++i) {
    const double w = want.data<double>()[i], difference = wide.data<double>()[i] - w;
    error += difference * difference;
    norm += w * w;
  }
  return std::sqrt(error / norm);
}

// Kernel, time, batch: ragged ends, streams shorter than a tile or than the kernel, many blocks.
TEST(FastConv, EqualsTheDefinitionInFloat64) {
  const int before = thread_count();
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    for (std::int64_t kernel = 2; kernel <= 7; ++kernel) {
      for (int tile = 2; tile + kernel - 1 <= kernels::kMostPoints && tile <= 6; ++tile) {
        for (const std::int64_t time : {1, 2, 7, 12, 33}) {
          for (const bool carried : {false, true}) {
            const ConvShape s{3, time, 5, 6, kernel};
            SCOPED_TRACE(testing::Message() << "kernel " << kernel << ", tile " << tile << ", time "
                                            << time << ", threads " << threads);
            const ConvInput input{random({3, time, 5}, 1),
                                  carried ? random({3, kernel - 1, 5}, 2) : Tensor()};
            const Tensor w = random({kernel, 5, 6}, 3), dz = random({3, time, 6}, 4);
            const Reference want(s, input, w, dz);
            const Results got = run(s, tile, input, w, dz, DType::f64);
            ASSERT_LT(relative_error(got.z, want.z), 1e-12);
            ASSERT_LT(relative_error(got.dx, want.dx), 1e-12);
            ASSERT_LT(relative_error(got.dw, want.dw), 1e-12);
          }
        }
      }
    }
  }
  set_thread_count(before);
}

// 256 channels, normal inputs, as ToomCook's comment states it; more than one block of tiles.
TEST(FastConv, StaysWithinTheStatedErrorInFloat32) {
  for (const auto& [kernel, tile] : {std::pair<std::int64_t, int>{2, 2},
                                     {3, 2},
                                     {4, 2},
                                     {4, 3},
                                     {4, 4},
                                     {4, 5},
                                     {5, 4},
                                     {6, 4},
                                     {7, 4}}) {
    SCOPED_TRACE(testing::Message() << "F(" << tile << ", " << kernel << ")");
    const ConvShape s{4, 130, 256, 16, kernel};
    const ConvInput wide{random({4, 130, 256}, 1), random({4, kernel - 1, 256}, 2)};
    const Tensor w = random({kernel, 256, 16}, 3, 0.05), dz = random({4, 130, 16}, 4);
    const ConvInput input{wide.x.to(DType::f32), wide.context.to(DType::f32)};
    const Reference want(s, {input.x.to(DType::f64), input.context.to(DType::f64)},
                         w.to(DType::f32).to(DType::f64), dz.to(DType::f32).to(DType::f64));
    const Results got = run(s, tile, input, w.to(DType::f32), dz.to(DType::f32), DType::f32);
    const double bound = kernels::toom_cook_error(tile + static_cast<int>(kernel) - 1);
    for (const double error : {relative_error(got.z, want.z), relative_error(got.dx, want.dx),
                               relative_error(got.dw, want.dw)}) {
      EXPECT_LT(error, bound);
      EXPECT_GT(error, bound / 20);  // the bound says something
    }
  }
}

// bfloat16 rounds each side once, 2⁻⁹ relative; the transforms magnify that as they magnify
// float32's rounding.
TEST(FastConv, Bfloat16StaysWithinItsRounding) {
  if (!has_bfloat16_gemm()) {
    const Tensor x = random({1, 8, 4}, 1).to(DType::f32), w = random({3, 4, 4}, 2).to(DType::f32);
    EXPECT_THROW(run({1, 8, 4, 4, 3}, 2, {x, {}}, w, x, DType::bf16), Error);
    return;
  }
  for (const auto& [kernel, tile, bound] :
       {std::tuple<std::int64_t, int, double>{3, 2, 0.004}, {4, 2, 0.008}, {4, 4, 0.013}}) {
    const ConvShape s{2, 64, 256, 16, kernel};
    const ConvInput input{random({2, 64, 256}, 1), {}};
    const Tensor w = random({kernel, 256, 16}, 3, 0.05), dz = random({2, 64, 16}, 4);
    const Reference want(s, input, w, dz);
    const Results got = run(s, tile, {input.x.to(DType::f32), {}}, w.to(DType::f32),
                            dz.to(DType::f32), DType::bf16);
    for (const double error : {relative_error(got.z, want.z), relative_error(got.dx, want.dx),
                               relative_error(got.dw, want.dw)}) {
      EXPECT_LT(error, bound);
      EXPECT_GT(error, bound / 20);
    }
  }
}

TEST(FastConv, RefusesKernelsItHasNoMatricesFor) {
  EXPECT_THROW(FastConv({1, 8, 4, 4, 8}, 4, DType::f32, DType::f32), UsageError);
  EXPECT_THROW(FastConv({1, 8, 4, 4, 1}, 4, DType::f32, DType::f32), UsageError);
}

}  // namespace
}  // namespace sluice
