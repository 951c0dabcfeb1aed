#include "sluice/kernels/detail/permute.hpp"

#include <algorithm>

namespace sluice::kernels {
namespace {

// In tiles, because both sides cannot be read in order.
constexpr std::size_t kTile = 32;

template <class T>
void swap(T* y, const T* x, const OuterSwap& shape) {
  const auto [a, b, c, begin, end] = shape;
  for (std::size_t jt = begin; jt < end; jt += kTile) {
    for (std::size_t it = 0; it < a; it += kTile) {
      for (std::size_t kt = 0; kt < c; kt += kTile) {
        for (std::size_t j = jt; j < std::min(jt + kTile, end); ++j) {
          for (std::size_t i = it; i < std::min(it + kTile, a); ++i) {
            for (std::size_t k = kt; k < std::min(kt + kTile, c); ++k) {
              y[(k * b + j) * a + i] = x[(i * b + j) * c + k];
            }
          }
        }
      }
    }
  }
}

}  // namespace

void swap_outer(float* y, const float* x, const OuterSwap& shape) { swap(y, x, shape); }
void swap_outer(double* y, const double* x, const OuterSwap& shape) { swap(y, x, shape); }

}  // namespace sluice::kernels
