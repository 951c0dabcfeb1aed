#include "input_lines.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <system_error>

#include "output.hpp"
#include "ranks.hpp"
#include "sluice/base/error.hpp"
#include "sluice/text/inputs.hpp"

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

void require_readable(const std::string& path) {
  if (path == "-" || ::access(path.c_str(), R_OK) == 0) return;
  throw Error(fmt::format("cannot read '{}': {}", path, std::generic_category().message(errno)));
}

std::unique_ptr<std::istream> leading_text(const std::string& path) {
  if (!speaks()) return std::make_unique<std::istringstream>();
  return open_text(path);
}

std::string with_escapes(const std::string& flag, const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char next = ++i < text.size() ? text[i] : ' ';
    if (next != 'n' && next != 't' && next != '\\') {
      throw UsageError(fmt::format(
          R"({}: expected \n, \t or \\ where there is a backslash, got '{}')", flag, text));
    }
    out += next == 'n' ? '\n' : next == 't' ? '\t' : '\\';
  }
  return out;
}

}  // namespace sluice::cli
