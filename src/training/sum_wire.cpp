#include "sum_wire.hpp"

#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"

namespace sluice {

void SumWire::expect(std::size_t leaf, std::int64_t elements) {
  if (rounds()) errors_[leaf].resize(slots_ * static_cast<std::size_t>(elements));
}

void SumWire::clear() {
  plain_.clear();
  rounded_.clear();
}

void SumWire::append(const float* values, std::int64_t n, const Place& place) {
  const auto count = static_cast<std::size_t>(n);
  if (!rounds()) {
    plain_.insert(plain_.end(), values, values + n);
    return;
  }
  const auto elements = static_cast<std::size_t>(place.elements);
  float* const error = errors_.at(place.leaf).data() + place.slot * elements + place.offset;
  const std::size_t before = rounded_.size();
  rounded_.resize(before + count);
  std::uint16_t* const out = rounded_.data() + before;
  // error := values + error, which is rounded; then less what was sent.
  kernels::add_scaled(error, values, 1.0F, count);
  kernels::to_bfloat16(out, error, count);
  plain_.resize(count);
  kernels::from_bfloat16(plain_.data(), out, count);
  kernels::add_scaled(error, plain_.data(), -1.0F, count);
}

std::span<const std::byte> SumWire::bytes() const {
  return rounds() ? std::as_bytes(std::span(rounded_)) : std::as_bytes(std::span(plain_));
}

std::span<std::byte> SumWire::room(std::span<float> to) {
  if (!rounds()) return std::as_writable_bytes(to);
  // It only grows: numbers that are made are written once for nothing.
  if (arriving_.size() < to.size()) arriving_.resize(to.size());
  return std::as_writable_bytes(std::span(arriving_).first(to.size()));
}

void SumWire::arrived(std::span<float> to) const {
  if (rounds()) kernels::from_bfloat16(to.data(), arriving_.data(), to.size());
}

}  // namespace sluice
