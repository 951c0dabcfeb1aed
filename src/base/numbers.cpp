#include "sluice/base/numbers.hpp"

namespace sluice {

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

}  // namespace sluice
