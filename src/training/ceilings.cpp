#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "sluice/base/detail/shortest_time.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"
#include "sluice/tensor/gemm.hpp"
#include "sluice/training/profile_report.hpp"

namespace sluice {
namespace {

/// Seconds per measurement.
constexpr double budget = 0.3;

constexpr std::int64_t side = 1024;

template <class T>
double gemm_rate(const std::vector<T>& operand) {
  std::vector<float> product(operand.size());
  const MatrixView view = matrix(operand.data(), side, side);
  return 2.0 * side * side * side /
         shortest_time(budget, [&] { gemm(product.data(), side, view, view); });
}

double copy_rate() {
  constexpr std::size_t least = std::size_t{64} << 20U;
  constexpr std::size_t most = std::size_t{256} << 20U;
  const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
  const std::size_t size =
      std::clamp(2 * static_cast<std::size_t>(std::max(cache, 0L)), least, most);
  const std::vector<char> from(size, 1);
  std::vector<char> to(size);
  const double seconds = shortest_time(budget, [&] {
    constexpr std::int64_t page = 4096;
    parallel_for(static_cast<std::int64_t>(size), page, [&](std::int64_t begin, std::int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin, static_cast<std::size_t>(end - begin));
    });
  });
  return 2 * static_cast<double>(size) / seconds;
}

}  // namespace

Ceilings measure_ceilings(Precision precision) {
  std::vector<float> operand(side * side);
  for (std::size_t i = 0; i < operand.size(); ++i) {
    operand[i] = static_cast<float>(i % 17) / 16 - 0.5F;
  }
  Ceilings ceilings;
  ceilings.threads = thread_count();
  ceilings.gemm_f32 = gemm_rate(operand);
  if (precision == Precision::bf16 && has_bfloat16_gemm()) {
    std::vector<std::uint16_t> rounded(operand.size());
    kernels::to_bfloat16(rounded.data(), operand.data(), operand.size());
    ceilings.gemm_bf16 = gemm_rate(rounded);
  }
  ceilings.copy = copy_rate();
  return ceilings;
}

}  // namespace sluice
