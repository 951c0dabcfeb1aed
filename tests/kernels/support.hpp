#pragma once
// What the kernel tests share: every SIMD target in turn, errors in units in the last place, and
// reproducible samples.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "dispatch.hpp"
#include "sluice/base/random.hpp"
#include "sluice/kernels/units.hpp"

namespace sluice::kernels {

/// Runs `body` on every SIMD target this CPU supports.
template <class Body>
void on_every_target(const Body& body) {
  for (const auto& [target, name] : simd_targets()) {
    force_simd_target(target);
    SCOPED_TRACE("target " + name);
    body();
    if (::testing::Test::HasFatalFailure()) break;
  }
  force_simd_target(0);
}

/// |got - want| in units in the last place of a normal float of want's size.
inline double ulp_error(float got, double want) {
  const auto rounded = static_cast<float>(want);
  if (std::isnan(want)) return std::isnan(got) ? 0.0 : std::numeric_limits<double>::infinity();
  if (std::isinf(rounded) || std::isinf(got)) {
    return got == rounded ? 0.0 : std::numeric_limits<double>::infinity();
  }
  if (std::isnan(got)) return std::numeric_limits<double>::infinity();
  // By the bits of both exponents: this is called for every float there is.
  const auto exponent = std::max<std::int64_t>(
      static_cast<std::int64_t>((std::bit_cast<std::uint32_t>(rounded) >> 23) & 0xFF) - 127, -126);
  const double ulps_of_one =
      std::bit_cast<double>(static_cast<std::uint64_t>(1023 + 23 - exponent) << 52);
  return std::abs(static_cast<double>(got) - want) * ulps_of_one;
}

/// n values of a normal distribution.
template <class T>
std::vector<T> normal_values(std::size_t n, std::uint32_t stream, double sigma = 1.0) {
  const RandomKey key{7, stream, 0};
  std::vector<T> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<T>(sigma * key.normal(i));
  return values;
}

template <class T, class U>
std::vector<T> converted(const std::vector<U>& from) {
  return std::vector<T>(from.begin(), from.end());
}

/// Floats of both signs in every binade, denormals included, and densely where the functions bend.
inline std::vector<float> samples_of_every_binade() {
  const RandomKey key{11, 0, 0};
  std::vector<float> samples = {0.0F, -0.0F};
  std::uint64_t index = 0;
  for (std::uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (int i = 0; i < 64; ++i) {
      const std::uint32_t bits = key.bits(index++);
      samples.push_back(std::bit_cast<float>((bits & 0x807FFFFFU) | (exponent << 23)));
    }
  }
  for (int i = 0; i < 60000; ++i) {
    samples.push_back(200.0F * key.uniform(index++) - 100.0F);
    samples.push_back(20.0F * key.uniform(index++) - 10.0F);
  }
  return samples;
}

/// Every unit that has kernels, and every kind of parameter.
inline std::vector<Unit> all_units() {
  std::vector<Unit> units;
  for (const std::string& name : unit_names()) units.push_back(parse_unit(name));
  for (const std::string& name : unit_names()) {
    const Unit unit = parse_unit(name);
    if (unit.gated) continue;
    units.push_back({unit.f, Activation::identity, true});
    units.push_back({Activation::identity, unit.f, true});
  }
  for (const char* name :
       {"leaky_relu(0.2)", "elu(0.5)", "celu(2)", "softplus(2,10)", "silu(1.7)", "hardtanh(-2,0.5)",
        "softshrink(0.1)", "hardshrink(0)", "threshold(-0.5,2)", "penalized_tanh(0.1)",
        "leaky_relu(0.2)(a)*b", "a*silu(1.7)(b)"}) {
    units.push_back(parse_unit(name));
  }
  return units;
}

}  // namespace sluice::kernels
