#include "sluice/tensor/detail/rotary_table.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <mutex>

namespace sluice {

template <class T>
RotaryTable<T> make_rotary_table(std::int64_t pairs, std::int64_t first, std::int64_t count) {
  RotaryTable<T> table{pairs, count, {}, {}};
  table.cosine.resize(static_cast<std::size_t>(pairs * count));
  table.sine.resize(table.cosine.size());
  for (std::int64_t i = 0; i < pairs; ++i) {
    const double frequency =
        std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(pairs));
    for (std::int64_t p = 0; p < count; ++p) {
      const double angle = static_cast<double>(first + p) * frequency;
      const auto at = static_cast<std::size_t>(p * pairs + i);
      table.cosine[at] = static_cast<T>(std::cos(angle));
      table.sine[at] = static_cast<T>(std::sin(angle));
    }
  }
  return table;
}

template <class T>
std::shared_ptr<const RotaryTable<T>> rotary_table(std::int64_t pairs, std::int64_t count) {
  static std::mutex mutex;
  static std::map<std::int64_t, std::shared_ptr<const RotaryTable<T>>> tables;
  const std::lock_guard lock(mutex);
  std::shared_ptr<const RotaryTable<T>>& table = tables[pairs];
  if (!table || table->positions < count) {
    const auto length =
        std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 64)));
    table = std::make_shared<const RotaryTable<T>>(
        make_rotary_table<T>(pairs, 0, static_cast<std::int64_t>(length)));
  }
  return table;
}

template RotaryTable<float> make_rotary_table(std::int64_t, std::int64_t, std::int64_t);
template RotaryTable<double> make_rotary_table(std::int64_t, std::int64_t, std::int64_t);
template std::shared_ptr<const RotaryTable<float>> rotary_table(std::int64_t, std::int64_t);
template std::shared_ptr<const RotaryTable<double>> rotary_table(std::int64_t, std::int64_t);

}  // namespace sluice
