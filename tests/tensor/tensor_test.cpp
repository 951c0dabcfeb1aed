#include "sluice/tensor/tensor.hpp"

#include <gtest/gtest.h>

#include <omp.h>

#include <cmath>
#include <functional>
#include <limits>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/random.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/operand.hpp"
#include "sluice/tensor/gemm.hpp"

namespace sluice {
namespace {

TEST(Tensor, SharesElementsOnCopyAndCopiesThemOnClone) {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  const Tensor a = Tensor::of<float>(Shape{2, 3}, values);
  const Tensor b = a, c = a.clone();
  a.data<float>()[0] = 9;
  EXPECT_EQ(b.data<float>()[0], 9);
  EXPECT_EQ(c.data<float>()[0], 1);
  EXPECT_EQ(a.rows(1, 2).data<float>()[0], 4);
  EXPECT_TRUE(a.reshape(Shape{3, 2}).shape() == (Shape{3, 2}));
}

TEST(Tensor, RowsOfRowsAreCountedFromTheFirst) {
  const Tensor a(Shape{6, 2});
  for (int i = 0; i < 12; ++i) a.data<float>()[i] = static_cast<float>(i);
  const Tensor part = a.rows(2, 5).rows(1, 3);
  EXPECT_EQ(part.shape(), (Shape{2, 2}));
  EXPECT_EQ(part.data<float>()[0], 6.0F);
  EXPECT_EQ(part.data<float>()[3], 9.0F);
}

TEST(Tensor, ErrorsNameBothShapes) {
  const Tensor a(Shape{2, 3});
  for (const auto& attempt :
       std::vector<std::function<void()>>{[&] {
                                            static_cast<void>(a.reshape(Shape{4, 2}));
                                          },
                                          [&] {
                                            a.copy_from(Tensor(Shape{4, 2}));
                                          },
                                          [&] {
                                            add_in_place(a, Tensor(Shape{4, 2}));
                                          }}) {
    try {
      attempt();
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      const std::string what = error.what();
      EXPECT_NE(what.find("[2, 3]"), std::string::npos) << what;
      EXPECT_NE(what.find("[4, 2]"), std::string::npos) << what;
    }
  }
  EXPECT_THROW(static_cast<void>(a.data<double>()), Error);
  EXPECT_THROW(static_cast<void>(a.rows(1, 3)), Error);
  EXPECT_THROW(Tensor(Shape{1 << 30, 1 << 30, 8}), Error);
}

template <class T>
constexpr bool holds = requires(std::span<const T> values) {
  Tensor::of<T>(Shape{}, values);
};
static_assert(holds<float> && holds<double> && holds<std::uint16_t> && holds<std::int32_t>);
static_assert(!holds<std::int64_t> && !holds<bool> && !holds<char> && !holds<std::uint32_t>,
              "a type that tensors do not hold must not compile");

TEST(Tensor, ClampKeepsNanAndTheSignsOfInfinities) {
  const double inf = std::numeric_limits<double>::infinity();
  for (const DType dtype : {DType::f32, DType::f64}) {
    const double values[] = {-inf, -2, -0.5, 0, 0.5, 2, inf, std::nan(""), 1};
    const double wanted[] = {-1, -1, -0.5, 0, 0.5, 1, 1, 0, 1};
    const Tensor x = Tensor::of<double>(Shape{9}, values).to(dtype);
    clamp_in_place(x, 1);
    for (int i = 0; i < 9; ++i) {
      const double got = x.to(DType::f64).data<double>()[i];
      EXPECT_TRUE(i == 7 ? std::isnan(got) : got == wanted[i]) << i;
    }
  }
}

TEST(Tensor, EmptyTensorsWork) {
  const Tensor a(Shape{0, 3});
  EXPECT_EQ(a.elements(), 0);
  EXPECT_EQ(a.clone().elements(), 0);
  a.fill_zero();
  EXPECT_EQ(a.rows(0, 0).elements(), 0);
}

#if !defined(__SANITIZE_ADDRESS__)
TEST(Allocator, HandsFreedBuffersOutAgain) {
  { const Tensor warm(Shape{1000, 1000}); }
  const AllocatorStats before = allocator_stats();
  for (int i = 0; i < 10; ++i) {
    const Tensor a(Shape{1000, 1000});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.raw()) % 64, 0U);
  }
  EXPECT_EQ(allocator_stats().system_allocations, before.system_allocations);
  EXPECT_EQ(allocator_stats().bytes_in_use, before.bytes_in_use);
  release_cached_memory();
  EXPECT_EQ(allocator_stats().bytes_cached, 0U);
}

TEST(Allocator, RemembersTheMostThatWasInUse) {
  const std::size_t before = allocator_stats().bytes_in_use;
  const std::size_t more = allocator_stats().peak_bytes_in_use - before + 4'000'000;
  { const Tensor large(Shape{static_cast<std::int64_t>(more / 4)}); }
  { const Tensor small(Shape{10}); }
  EXPECT_EQ(allocator_stats().bytes_in_use, before);
  EXPECT_GE(allocator_stats().peak_bytes_in_use, before + more / 4 * 4);
}

TEST(Allocator, LendsBuffersThatAreALittleTooLarge) {
  release_cached_memory();
  { const Tensor warm(Shape{3000, 100}); }
  const AllocatorStats before = allocator_stats();
  {
    const Tensor smaller(Shape{2400, 100});
    EXPECT_EQ(allocator_stats().system_allocations, before.system_allocations);
    EXPECT_EQ(allocator_stats().bytes_cached, 0U);
    // What is in use is what is held, not what was asked for.
    EXPECT_EQ(allocator_stats().bytes_in_use, before.bytes_in_use + before.bytes_cached);
  }
  EXPECT_EQ(allocator_stats().bytes_cached, before.bytes_cached);
  EXPECT_EQ(allocator_stats().bytes_in_use, before.bytes_in_use);
  const Tensor far_smaller(Shape{1500, 100});
  EXPECT_EQ(allocator_stats().system_allocations, before.system_allocations + 1);
}
#endif

// Random float32 and the same in float64.
struct Operand {
  Tensor f32, f64, bf16;
};

Operand operand(std::int64_t rows, std::int64_t columns, std::uint32_t stream) {
  Operand o{Tensor(Shape{rows, columns}), {}, {}};
  const RandomKey key{3, stream, 0};
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    o.f32.data<float>()[i] = static_cast<float>(key.normal(static_cast<std::uint64_t>(i)));
  }
  o.bf16 = o.f32.to(DType::bf16);
  o.f64 = o.f32.to(DType::f64);
  return o;
}

MatrixView view(const Tensor& x, bool transposed) {
  return transposed ? transpose(matrix(x)) : matrix(x);
}

TEST(MatrixView, RangesOfRowsAndColumns) {
  const Tensor x = Tensor::zeros(Shape{2, 3, 5});  // a matrix of 6 rows
  for (std::int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] = static_cast<float>(i);
  const auto first = [](const MatrixView& m) { return *static_cast<const float*>(m.data); };
  const MatrixView all = matrix(x);
  EXPECT_EQ(all.rows, 6);
  EXPECT_EQ(all.columns, 5);
  const MatrixView part = all.row_range(2, 3).column_range(1, 2);
  EXPECT_EQ(first(part), 11);
  EXPECT_EQ(part.rows, 3);
  EXPECT_EQ(part.columns, 2);
  EXPECT_EQ(part.ld, 5);
  const MatrixView turned = transpose(all).column_range(2, 3).row_range(1, 2);
  EXPECT_EQ(first(turned), 11);
  EXPECT_EQ(turned.rows, 2);
  EXPECT_EQ(turned.columns, 3);
  EXPECT_TRUE(turned.transposed);
  EXPECT_EQ(first(matrix(x, 7, 2, 3, 5)), 7);
  EXPECT_EQ(matrix(Tensor(Shape{4, 0})).rows, 4);
}

TEST(Operand, SpacedRowsHoldTheSameElements) {
  for (const std::int64_t columns : {5, 128, 256}) {
    const Operand o = operand(3, columns, 1);
    const Tensor y = spaced(o.f32);
    EXPECT_EQ(y.dim(1), columns % 128 == 0 ? columns + 16 : columns);
    for (std::int64_t r = 0; r < 3; ++r) {
      for (std::int64_t j = 0; j < columns; ++j) {
        ASSERT_EQ(y.data<float>()[r * y.dim(1) + j], o.f32.data<float>()[r * columns + j]);
      }
    }
    EXPECT_EQ(spaced_columns(columns, DType::bf16), columns);
    EXPECT_EQ(spaced(o.bf16).raw(), o.bf16.raw());
  }
}

// What a program that uses this library told OpenMP stays as it is, on every thread of it.
TEST(Gemm, LeavesTheHostsThreadSettingAlone) {
  const Operand a = operand(40, 30, 1), b = operand(30, 20, 2);
  const Tensor c(Shape{40, 20});
  const auto multiply = [&] { gemm(c.data<float>(), 20, view(a.f32, false), view(b.f32, false)); };
  const int before = omp_get_max_threads();
  for (const int of_host : {1, 3}) {
    omp_set_num_threads(of_host);
    for (const int own : {1, 2, 5}) {
      const ThreadCount count(own);
      EXPECT_EQ(omp_get_max_threads(), of_host);
      multiply();
      EXPECT_EQ(omp_get_max_threads(), of_host);
      parallel_for(4, 1, [&](std::int64_t, std::int64_t) {
        const int inside = omp_get_max_threads();
        gemm(std::vector<float>(800).data(), 20, view(a.f32, false), view(b.f32, false));
        EXPECT_EQ(omp_get_max_threads(), inside);
      });
    }
  }
  omp_set_num_threads(before);
}

// 46 by 100 by 63 in bfloat16 ended oneDNN 2.6.3 in an illegal instruction where there is AMX.
TEST(Gemm, EqualsFloat64OnEveryLayoutAndOddSizes) {
  for (const auto& [m, n, k] : std::vector<std::array<std::int64_t, 3>>{{1, 1, 1},
                                                                        {1, 17, 5},
                                                                        {3, 5, 7},
                                                                        {33, 1, 65},
                                                                        {64, 48, 32},
                                                                        {5, 7, 0},
                                                                        {0, 4, 3},
                                                                        {46, 100, 63}}) {
    for (int layout = 0; layout < 8; ++layout) {
      const bool ta = (layout & 1) != 0, tb = (layout & 2) != 0, accumulate = (layout & 4) != 0;
      const Operand a = ta ? operand(k, m, 1) : operand(m, k, 1);
      const Operand b = tb ? operand(n, k, 2) : operand(k, n, 2);
      const Operand c = operand(m, n, 3);
      const Tensor expected = c.f64.clone(), got = c.f32.clone(), rounded = c.f32.clone();
      gemm(expected.data<double>(), n, view(a.f64, ta), view(b.f64, tb), accumulate);
      gemm(got.data<float>(), n, view(a.f32, ta), view(b.f32, tb), accumulate);
      if (has_bfloat16_gemm()) {
        gemm(rounded.data<float>(), n, view(a.bf16, ta), view(b.bf16, tb), accumulate);
      }
      const double scale = std::sqrt(static_cast<double>(k + 1));
      for (std::int64_t i = 0; i < m * n; ++i) {
        EXPECT_NEAR(got.data<float>()[i], expected.data<double>()[i], 1e-5 * scale);
        if (has_bfloat16_gemm()) {
          EXPECT_NEAR(rounded.data<float>()[i], expected.data<double>()[i], 0.03 * scale);
        }
      }
    }
  }
}

TEST(Gemm, RefusesBfloat16WhereTheCpuHasNone) {
  if (has_bfloat16_gemm()) return;
  const Operand a = operand(4, 3, 1), b = operand(3, 2, 2);
  std::vector<float> c(8);
  EXPECT_THROW(gemm(c.data(), 2, view(a.bf16, false), view(b.bf16, false)), Error);
}

TEST(Gemm, WritesOnlyItsColumns) {
  const Operand a = operand(4, 3, 1), b = operand(3, 2, 2);
  const Tensor c = filled(Shape{4, 5}, DType::f32, 7.0);
  gemm(c.data<float>(), 5, view(a.f32, false), view(b.f32, false));
  for (int r = 0; r < 4; ++r) {
    for (int j = 2; j < 5; ++j) EXPECT_EQ(c.data<float>()[r * 5 + j], 7.0F);
  }
}

TEST(Gemm, ErrorsSayBothShapes) {
  const Operand a = operand(4, 3, 1), b = operand(5, 2, 2);
  std::vector<float> c(64);
  try {
    gemm(c.data(), 2, view(a.f32, false), view(b.f32, false));
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "gemm: inner dimensions differ, [4, 3] by [5, 2]");
  }
  EXPECT_THROW(gemm(c.data(), 2, view(a.f32, false), view(a.f64, true)), Error);
}

}  // namespace
}  // namespace sluice
