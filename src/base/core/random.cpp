#include "sluice/base/random.hpp"

#include <cmath>
#include <numbers>

namespace sluice {

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  // Multipliers and Weyl increments of Salmon et al. 2011, section 3.3.
  constexpr std::uint64_t multiplier0 = 0xD2511F53;
  constexpr std::uint64_t multiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t weyl0 = 0x9E3779B9;
  constexpr std::uint32_t weyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = multiplier0 * counter[0];
    const std::uint64_t product1 = multiplier1 * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += weyl0;
    key[1] += weyl1;
  }
  return counter;
}

std::uint32_t RandomKey::bits(std::uint64_t index) const {
  const std::uint64_t block = index / 4;
  return philox4x32(
      {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), stream, step},
      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)})[index % 4];
}

float RandomKey::uniform(std::uint64_t index) const {
  return static_cast<float>(bits(index) >> 8) * 0x1p-24F;
}

namespace {

// 53 bits of two words, in (0, 1): 0 would be infinite under the logarithm of `normal`.
double open_unit(std::uint64_t high, std::uint64_t low) {
  const std::uint64_t fraction = (high << 21) | (low >> 11);
  return fraction == 0 ? 0x1p-54 : static_cast<double>(fraction) * 0x1p-53;
}

}  // namespace

double RandomKey::uniform_double(std::uint64_t index) const {
  return open_unit(bits(2 * index), bits(2 * index + 1));
}

double RandomKey::normal(std::uint64_t index) const {
  // The four words of both uniforms are those of one block.
  const auto words = philox4x32(
      {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), stream, step},
      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  const double radius = std::sqrt(-2.0 * std::log(open_unit(words[0], words[1])));
  return radius * std::cos(2.0 * std::numbers::pi * open_unit(words[2], words[3]));
}

}  // namespace sluice
