#include "sluice/base/numbers.hpp"

#include <charconv>
#include <cmath>
#include <system_error>

namespace sluice {
namespace {

/// The whole of `text` as T, a plus sign in front of it allowed.
template <class T>
std::optional<T> parsed(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace

std::string grouped(std::int64_t number) {
  const std::string plain = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const bool boundary = i > 0 && plain[i - 1] != '-' && (plain.size() - i) % 3 == 0;
    if (boundary) text += ',';
    text += plain[i];
  }
  return text;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  if (const auto whole = parsed<std::int64_t>(text)) return whole;
  constexpr double most_exact = 9007199254740992.0;  // 2^53
  const auto real = real_number(text);
  if (!real || *real != std::floor(*real) || std::abs(*real) > most_exact) return std::nullopt;
  return static_cast<std::int64_t>(*real);
}

std::optional<double> real_number(std::string_view text) {
  const auto value = parsed<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

}  // namespace sluice
