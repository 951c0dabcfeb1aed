#include "foreign_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"

namespace sluice {

std::size_t type_size(ForeignType type) {
  switch (type) {
    case ForeignType::f16:
    case ForeignType::bf16:
      return 2;
    case ForeignType::f32:
      return 4;
    case ForeignType::f64:
      return 8;
    case ForeignType::other:
      break;
  }
  return 1;
}

std::vector<std::int64_t> dense_strides(const std::vector<std::int64_t>& shape) {
  // Unsigned: of a tensor without elements they may be anything.
  std::vector<std::int64_t> strides(shape.size(), 1);
  std::uint64_t stride = 1;
  for (std::size_t i = shape.size(); i > 1; --i) {
    stride *= static_cast<std::uint64_t>(std::max<std::int64_t>(shape[i - 1], 1));
    strides[i - 2] = static_cast<std::int64_t>(stride);
  }
  return strides;
}

namespace {

float from_half(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U;
  const std::uint32_t exponent = (bits >> 10U) & 0x1FU;
  const std::uint32_t fraction = bits & 0x3FFU;
  if (exponent == 0) {
    const float value = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 0x1F ? 0xFFU : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23U | fraction << 13U);
}

float element(const char* from, ForeignType type) {
  const auto load = [from](auto value) {
    std::memcpy(&value, from, sizeof value);
    return value;
  };
  switch (type) {
    case ForeignType::f16:
      return from_half(load(std::uint16_t{}));
    case ForeignType::bf16:
      return std::bit_cast<float>(static_cast<std::uint32_t>(load(std::uint16_t{})) << 16U);
    case ForeignType::f64:
      return static_cast<float>(load(double{}));
    default:
      return load(float{});
  }
}

/// Whether the elements lie one after another.
bool dense(const ForeignTensor& tensor) {
  const std::vector<std::int64_t> strides = dense_strides(tensor.shape);
  for (std::size_t i = 0; i < strides.size(); ++i) {
    if (tensor.shape[i] > 1 && tensor.strides[i] != strides[i]) return false;
  }
  return true;
}

Shape shape_of(const std::vector<std::int64_t>& s) {
  switch (s.size()) {
    case 0:
      return Shape{1};
    case 1:
      return Shape{s[0]};
    case 2:
      return Shape{s[0], s[1]};
    case 3:
      return Shape{s[0], s[1], s[2]};
    default:
      return Shape{s[0], s[1], s[2], s[3]};
  }
}

}  // namespace

const ForeignTensor* ForeignFile::find(const std::string& name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? nullptr : &tensors_[found->second];
}

Tensor ForeignFile::read(const ForeignTensor& tensor) const {
  const auto refuse = [&](const std::string& why) {
    throw Error(fmt::format("cannot import '{}': tensor {} {}", path().string(),
                            in_quotes(tensor.name), why));
  };
  if (tensor.type == ForeignType::other) refuse("is not of a floating-point type");
  if (tensor.shape.size() > 4) refuse("has more than four dimensions");
  Tensor out(shape_of(tensor.shape));
  const auto count = static_cast<std::size_t>(out.elements());
  if (count == 0) return out;
  const std::size_t width = type_size(tensor.type);
  float* const to = out.data<float>();
  if (dense(tensor) && tensor.type == ForeignType::f32) {
    file_.read(tensor.offset, to, count * width);
    return out;
  }
  if (dense(tensor)) {
    constexpr std::size_t piece = std::size_t{1} << 18;
    std::string bytes(std::min(count, piece) * width, '\0');
    for (std::size_t at = 0; at < count; at += piece) {
      const std::size_t n = std::min(piece, count - at);
      file_.read(tensor.offset + at * width, bytes.data(), n * width);
      for (std::size_t i = 0; i < n; ++i)
        to[at + i] = element(bytes.data() + i * width, tensor.type);
    }
    return out;
  }
  std::uint64_t span = 1;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    span += static_cast<std::uint64_t>((tensor.shape[i] - 1) * tensor.strides[i]);
  }
  std::string bytes(span * width, '\0');
  file_.read(tensor.offset, bytes.data(), bytes.size());
  std::vector<std::int64_t> place(tensor.shape.size(), 0);
  for (std::size_t i = 0; i < count; ++i) {
    std::int64_t at = 0;
    for (std::size_t d = 0; d < place.size(); ++d) at += place[d] * tensor.strides[d];
    to[i] = element(bytes.data() + static_cast<std::size_t>(at) * width, tensor.type);
    for (std::size_t d = place.size(); d > 0 && ++place[d - 1] == tensor.shape[d - 1]; --d) {
      place[d - 1] = 0;
    }
  }
  return out;
}

}  // namespace sluice
