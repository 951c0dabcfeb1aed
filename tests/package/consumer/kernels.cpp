// The kernels of an installed Sluice by themselves.

#include <array>
#include <cmath>
#include <cstdio>

#include "sluice/kernels/fused_units.hpp"
#include "sluice/kernels/units.hpp"

int main() {
  const std::array<float, 3> x{-1, 0, 2};
  std::array<float, 3> y{};
  sluice::kernels::activation_forward(y.data(), x.data(), x.size(),
                                      sluice::parse_activation("silu"));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float expected = x[i] / (1 + std::exp(-x[i]));
    if (std::abs(y[i] - expected) > 1e-6F) return 1;
  }
  std::puts("kernels alone");
  return 0;
}
