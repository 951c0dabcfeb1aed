#include "sluice/base/names.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

// Optimal string alignment distance: Levenshtein, with a swap of neighbours as one edit, because
// swapped letters are the commonest typing error.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

/// The shortest text that shows a byte which is no printable character.
std::string visible(unsigned char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (c == '\n') return "\\n";
  if (c == '\t') return "\\t";
  if (c == '\r') return "\\r";
  return {'\\', 'x', digits[c >> 4], digits[c & 15]};
}

}  // namespace

std::string in_quotes(std::string_view text, char mark) {
  constexpr std::size_t most = 80;
  constexpr unsigned char del = 0x7f;
  std::string out(1, mark);
  std::size_t characters = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool continues = (byte & 0xc0U) == 0x80U;  // within a UTF-8 character
    if (!continues && ++characters > most) return out + "..." + mark;
    if (byte < ' ' || byte == del) {
      out += visible(byte);
    } else {
      out += c;
    }
  }
  return out + mark;
}

std::string nearest_names(std::string_view name, const std::vector<std::string>& known,
                          std::size_t most) {
  // A third of the letters wrong is a typing error; more is another word. A name that begins like
  // the one asked for was perhaps cut short.
  const std::size_t near = std::max<std::size_t>(1, name.size() / 3);
  std::vector<std::pair<std::size_t, std::size_t>> found;
  for (std::size_t i = 0; i < known.size(); ++i) {
    const std::size_t distance = edit_distance(name, known[i]);
    if (distance <= near) {
      found.emplace_back(distance, i);
    } else if (name.size() >= 2 && known[i].starts_with(name)) {
      found.emplace_back(near + 1, i);
    }
  }
  std::sort(found.begin(), found.end());
  found.resize(std::min(found.size(), most));
  std::string names;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i > 0) names += i + 1 == found.size() ? " or " : ", ";
    names += known[found[i].second];
  }
  return names;
}

std::string suggestion(std::string_view name, const std::vector<std::string>& known) {
  const std::string near = nearest_names(name, known);
  if (!near.empty()) return "did you mean " + near + "?";
  std::string all = "known are ";
  for (std::size_t i = 0; i < known.size(); ++i) all += (i > 0 ? ", " : "") + known[i];
  return all;
}

std::size_t parse_name(std::string_view what, std::string_view name,
                       const std::vector<std::string>& known) {
  const auto found = std::find(known.begin(), known.end(), name);
  if (found != known.end()) return static_cast<std::size_t>(found - known.begin());
  throw UsageError("unknown " + std::string(what) + " " + in_quotes(name) + "; " +
                   suggestion(name, known));
}

}  // namespace sluice
