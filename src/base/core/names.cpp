#include "sluice/base/names.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "sluice/base/error.hpp"
#include "visible.hpp"

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
std::string shown_byte(unsigned char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (c == '\n') return "\\n";
  if (c == '\t') return "\\t";
  if (c == '\r') return "\\r";
  return {'\\', 'x', digits[c >> 4], digits[c & 15]};
}

}  // namespace

std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80U) return 1;
  const std::size_t size = first >= 0xf0U ? 4 : first >= 0xe0U ? 3 : 2;
  if (first < 0xc2U || first > 0xf4U || size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return 0;
  }
  // Overlong ones, halves of surrogate pairs, and what is beyond Unicode.
  const unsigned char second = byte(1);
  if ((first == 0xe0U && second < 0xa0U) || (first == 0xedU && second >= 0xa0U) ||
      (first == 0xf0U && second < 0x90U) || (first == 0xf4U && second >= 0x90U)) {
    return 0;
  }
  return size;
}

std::size_t append_visible(std::string& out, std::string_view text, std::size_t at) {
  constexpr unsigned char del = 0x7f;
  const std::size_t size = character_bytes(text.substr(at));
  const auto byte = static_cast<unsigned char>(text[at]);
  // U+0080 to U+009F are control characters too: terminals obey them.
  const bool control =
      size == 2 && byte == 0xc2U && static_cast<unsigned char>(text[at + 1]) < 0xa0U;
  if (size == 0 || byte < ' ' || byte == del) {
    out += shown_byte(byte);
    return 1;
  }
  if (control) {
    out += shown_byte(static_cast<unsigned char>(text[at + 1]));
  } else {
    out += text.substr(at, size);
  }
  return size;
}

std::string visible(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) at += append_visible(out, text, at);
  return out;
}

std::string in_quotes(std::string_view text, char mark) {
  constexpr std::size_t most = 80;
  std::string out(1, mark);
  std::size_t characters = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (++characters > most) return out + "..." + mark;
    at += append_visible(out, text, at);
  }
  return out + mark;
}

std::string nearest_names(std::string_view name, const std::vector<std::string>& known,
                          std::size_t most) {
  // A third of the letters wrong is a typing error; more is another word. A name that begins like
  // the one asked for was perhaps cut short.
  const std::size_t near = std::max<std::size_t>(1, name.size() / 3);
  // No name is that long, and comparing takes time by both lengths.
  constexpr std::size_t longest = 200;
  if (name.size() > longest) return "";
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
  // A message that names dozens says too much to be read.
  constexpr std::size_t most = 300;
  std::string all = "known are ";
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (all.size() + known[i].size() > most) {
      return all + " and " + std::to_string(known.size() - i) + " more";
    }
    all += (i > 0 ? ", " : "") + known[i];
  }
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
