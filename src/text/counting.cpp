#include "counting.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>

#include "normalize.hpp"
#include "reading.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/text/detail/utf8.hpp"
#include "splitting.hpp"

namespace sluice {
namespace {

void add(Counts& counts, std::string_view unit, std::int64_t count = 1) {
  const auto found = counts.find(unit);
  if (found != counts.end()) {
    found->second += count;
  } else {
    counts.emplace(unit, count);
  }
}

/// How often each character below 128 was seen: most of most texts, and no search is needed.
using AsciiCounts = std::array<std::int64_t, 128>;

void count_line(std::string_view line, Unit unit, Counts& counts, AsciiCounts& ascii) {
  switch (unit) {
    case Unit::word:
      for_each_word(line, WhiteSpace::unicode, [&](std::string_view word) { add(counts, word); });
      break;
    case Unit::character:
      while (!line.empty()) {
        const auto byte = static_cast<unsigned char>(line.front());
        if (byte < ascii.size()) {
          ++ascii[byte];
          line.remove_prefix(1);
          continue;
        }
        const std::size_t length = sequence_length(line);
        add(counts, line.substr(0, length));
        line.remove_prefix(length);
      }
      break;
    case Unit::blank_word:
      for_each_segment(line, [&](std::string_view part) { add(counts, part); });
      break;
  }
}

/// Counts as bytes for another process, and what it adds them to.
std::string bytes_of_counts(const TextCounts& counts) {
  std::vector<std::string> parts{bytes_of_value(counts.lines)};
  for (const auto& [text, times] : counts.units) {
    parts.push_back(text);
    parts.push_back(bytes_of_value(times));
  }
  return pack(parts);
}

void add_bytes(TextCounts& total, std::string_view bytes) {
  const std::vector<std::string> parts = unpack(bytes);
  const auto number = [](const std::string& part) {
    return values_of_bytes<std::int64_t>(part).front();
  };
  total.lines += number(parts.front());
  for (std::size_t i = 1; i + 1 < parts.size(); i += 2) {
    add(total.units, parts[i], number(parts[i + 1]));
  }
}

}  // namespace

TextCounts count_units(const std::vector<TextSource>& sources, const Counting& counting,
                       const Progress& progress, PieceWork& work) {
  BlockReader reader(sources);
  const double kept_share = std::min(
      1.0, static_cast<double>(counting.sample_bytes) / static_cast<double>(reader.bytes()));
  // Keeps the blocks at which the running share passes a whole number: evenly spread.
  const auto kept = [kept_share](std::int64_t block) {
    const auto at = static_cast<double>(block);
    return block == 0 || std::floor((at + 1) * kept_share) > std::floor(at * kept_share);
  };
  TextCounts total;
  std::mutex mutex;
  const auto count_round = [&](const Round& round) {
    const auto blocks = static_cast<std::int64_t>(round.blocks.size());
    parallel_for(blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      TextCounts part;
      AsciiCounts ascii{};
      for (std::int64_t i = begin; i < end; ++i) {
        const Block& block = round.blocks[static_cast<std::size_t>(i)];
        require_text(block.text, block.source->title(), block.offset);
        if (!kept(round.first + i)) continue;
        for_each_line(block, [&](std::string_view line, bool ended) {
          for_each_normalized(without_return(line), counting.form, [&](std::string_view text) {
            count_line(text, counting.unit, part.units, ascii);
          });
          part.lines += ended ? 1 : 0;
        });
      }
      for (std::size_t byte = 0; byte < ascii.size(); ++byte) {
        const char character = static_cast<char>(byte);
        if (ascii[byte] > 0) add(part.units, {&character, 1}, ascii[byte]);
      }
      const std::lock_guard<std::mutex> guard(mutex);
      total.lines += part.lines;
      for (const auto& [text, times] : part.units) add(total.units, text, times);
    });
    return std::string();  // each process keeps its counts to the end
  };
  reader.for_each_round(work, progress, "counting", count_round, [](std::string_view) {});
  if (work.processes() == 1) return total;
  const std::vector<std::string> all = work.collect(work.leads() ? "" : bytes_of_counts(total));
  for (std::size_t process = 1; process < all.size(); ++process) add_bytes(total, all[process]);
  return total;
}

std::vector<std::pair<std::string, std::int64_t>> by_frequency(Counts counts) {
  std::vector<std::pair<std::string, std::int64_t>> sorted;
  sorted.reserve(counts.size());
  while (!counts.empty()) {
    auto node = counts.extract(counts.begin());
    sorted.emplace_back(std::move(node.key()), node.mapped());
  }
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return sorted;
}

std::size_t sequence_length(std::string_view text) {
  utf8proc_int32_t code_point = 0;
  const auto size = static_cast<utf8proc_ssize_t>(std::min<std::size_t>(text.size(), 4));
  const utf8proc_ssize_t length =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), size, &code_point);
  return length > 0 ? static_cast<std::size_t>(length) : 1;
}

void require_text(std::string_view text, const std::string& name, std::int64_t offset) {
  const std::size_t valid = valid_text_length(text);
  if (valid == text.size()) return;
  const std::int64_t at = offset + static_cast<std::int64_t>(valid);
  if (offset == 0 && valid == 0 && text.size() > 1 &&
      (text.substr(0, 2) == "\xFF\xFE" || text.substr(0, 2) == "\xFE\xFF")) {
    throw Error(
        fmt::format("cannot read '{}' as text: it is in UTF-16, by its byte-order mark; convert it "
                    "to UTF-8 (iconv "
                    "-f UTF-16 -t UTF-8)",
                    name));
  }
  if (text[valid] == '\0') {
    throw Error(fmt::format(
        "cannot read '{}' as text: byte {} is NUL, so it looks like a binary file; use text in "
        "UTF-8 or the byte tokenizer",
        name, at));
  }
  throw Error(fmt::format(
      "cannot read '{}' as text: byte {} (0x{:02x}) is not valid UTF-8; convert it to UTF-8 or use "
      "the byte tokenizer",
      name, at, static_cast<unsigned char>(text[valid])));
}

}  // namespace sluice
