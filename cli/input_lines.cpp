#include "input_lines.hpp"

#include <fmt/format.h>

#include "output.hpp"

namespace sluice::cli {
namespace {

constexpr long most_told = 20;

}  // namespace

void FaultyLines::tell(const std::string& fault) {
  if (++count_ <= most_told) cli::tell(fmt::format("sluice {}: {}\n", command_, fault));
}

void FaultyLines::finish() const {
  if (count_ <= most_told) return;
  cli::tell(fmt::format("sluice {}: {} more lines are no good\n", command_, count_ - most_told));
}

std::string with_escapes(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] != '\\' || (next != 'n' && next != 't' && next != '\\')) {
      out += text[i];
      continue;
    }
    out += next == 'n' ? '\n' : next == 't' ? '\t' : '\\';
    ++i;
  }
  return out;
}

}  // namespace sluice::cli
