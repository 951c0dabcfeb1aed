// Every activation at every float there is, on the best SIMD target: value and derivative within
// the bounds of unit_info(), NaN for NaN. Prints the greatest errors. Minutes per activation:
// `./dev test --slow`. SLUICE_EXHAUSTIVE_STRIDE=n takes every n-th float only, and
// kernels_slow --gtest_filter='*/selu' one activation.
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "activations_double.hpp"
#include "kernels/error_bounds.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/kernels/fused_units.hpp"

namespace sluice::kernels {
namespace {

constexpr std::uint64_t kFloats = std::uint64_t{1} << 32;
constexpr std::size_t kBlock = 4096;

std::uint64_t stride() {
  const char* const text = std::getenv("SLUICE_EXHAUSTIVE_STRIDE");
  return text == nullptr ? 1 : std::max(1ULL, std::strtoull(text, nullptr, 10));
}

// The greatest errors of value and derivative, and places where one was not NaN as x was.
struct Errors {
  Worst value, slope;
  std::uint64_t lost_nans = 0;
};

Errors errors_of_block(const UnitInfo& info, Activation f, std::uint64_t first,
                       std::uint64_t step) {
  std::vector<float> x;
  for (std::uint64_t bits = first; bits < kFloats && x.size() < kBlock; bits += step) {
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
  const std::vector<float> ones(x.size(), 1.0F);
  std::vector<float> y(x.size()), slope(x.size());
  activation_forward(y.data(), x.data(), x.size(), f);
  activation_backward(slope.data(), ones.data(), x.data(), x.size(), f);
  const ActivationParameters parameters = default_parameters(f);
  Errors errors;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i])) {
      const bool kept = std::isnan(y[i]) && (f == Activation::identity || std::isnan(slope[i]));
      errors.lost_nans += kept ? 0 : 1;
      continue;
    }
    // What the kernels for double give, value and derivative at once.
    const DualDouble want = derive_double(f, parameters, static_cast<double>(x[i]));
    errors.value.see(info.value_error, x[i], y[i], want.value);
    errors.slope.see(info.slope_error, x[i], slope[i], want.slope);
  }
  return errors;
}

class Exhaustive : public testing::TestWithParam<UnitInfo> {
 protected:
  static void SetUpTestSuite() {
    std::printf("%-15s %21s %21s   on %s, every %llu. float\n", "", "value", "derivative",
                simd_target().c_str(), static_cast<unsigned long long>(stride()));
    std::printf("%-15s %10s %10s %10s %10s\n", "", "ULP", "absolute", "ULP", "absolute");
  }
};

TEST_P(Exhaustive, EveryFloat) {
  const UnitInfo& info = GetParam();
  const std::uint64_t step = stride(), span = kBlock * step;
  const Activation f = parse_activation(info.name);
  Errors all;
  std::mutex mutex;
  parallel_for(static_cast<std::int64_t>((kFloats + span - 1) / span), 1,
               [&](std::int64_t begin, std::int64_t end) {
                 Errors mine;
                 for (std::int64_t block = begin; block < end; ++block) {
                   const Errors here =
                       errors_of_block(info, f, static_cast<std::uint64_t>(block) * span, step);
                   mine.value.see(here.value);
                   mine.slope.see(here.slope);
                   mine.lost_nans += here.lost_nans;
                 }
                 const std::lock_guard lock(mutex);
                 all.value.see(mine.value);
                 all.slope.see(mine.slope);
                 all.lost_nans += mine.lost_nans;
               });
  std::printf("%-15s %10.2f %10.2g %10.2f %10.2g\n", info.name.c_str(), all.value.ulp,
              all.value.absolute, all.slope.ulp, all.slope.absolute);
  std::fflush(stdout);
  EXPECT_LE(all.value.ulp, static_cast<double>(info.value_error.ulp))
      << "(" << all.value.at << ") is " << all.value.got << ", should be " << all.value.want;
  EXPECT_LE(all.slope.ulp, static_cast<double>(info.slope_error.ulp))
      << "'(" << all.slope.at << ") is " << all.slope.got << ", should be " << all.slope.want;
  EXPECT_EQ(all.lost_nans, 0U);
}

INSTANTIATE_TEST_SUITE_P(Activations, Exhaustive, testing::ValuesIn(activation_infos()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace sluice::kernels
