#include "sluice/kernels/detail/permute.hpp"

#include "kernels/support.hpp"

namespace sluice::kernels {
namespace {

template <class T>
void check(std::size_t a, std::size_t b, std::size_t c) {
  auto x = normal_values<T>(a * b * c, 1);
  if (!x.empty()) x.back() = std::numeric_limits<T>::infinity();
  std::vector<T> y(x.size(), T(77));
  const std::size_t begin = b / 3, end = b - b / 5;
  swap_outer(y.data(), x.data(), {a, b, c, begin, end});
  for (std::size_t i = 0; i < a; ++i) {
    for (std::size_t j = 0; j < b; ++j) {
      for (std::size_t k = 0; k < c; ++k) {
        const bool inside = j >= begin && j < end;
        ASSERT_EQ(y[(k * b + j) * a + i], inside ? x[(i * b + j) * c + k] : T(77));
      }
    }
  }
}

TEST(Permute, SwapOuterMovesEveryElementOfItsRange) {
  for (const auto& [a, b, c] : {std::array<std::size_t, 3>{0, 3, 4},
                                {1, 1, 1},
                                {4, 7, 0},
                                {33, 5, 70},
                                {3, 65, 31},
                                {32, 32, 32}}) {
    check<float>(a, b, c);
    check<double>(a, b, c);
  }
}

}  // namespace
}  // namespace sluice::kernels
