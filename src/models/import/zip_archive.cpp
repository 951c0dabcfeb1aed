#include "zip_archive.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

constexpr std::uint64_t most_directory_bytes = std::uint64_t{256} << 20U;
constexpr std::uint32_t in_zip64_32 = 0xFFFFFFFFU;
constexpr std::uint16_t in_zip64_16 = 0xFFFFU;

[[noreturn]] void fail(const std::string& fault) {
  throw Error(fmt::format("its zip archive {}", fault));
}

/// A record of fixed size: little-endian numbers at places.
class Record {
 public:
  Record(const ReadableFile& file, std::uint64_t offset, std::size_t size) : bytes_(size, '\0') {
    if (offset > file.size() || size > file.size() - offset) fail("is cut short");
    file.read(offset, bytes_.data(), size);
  }
  explicit Record(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T at(std::size_t place) const {
    T value{};
    if (place > bytes_.size() || sizeof value > bytes_.size() - place) fail("is cut short");
    std::memcpy(&value, bytes_.data() + place, sizeof value);
    return value;
  }
  bool starts_with(std::string_view signature) const { return bytes_.starts_with(signature); }
  std::string_view text() const { return bytes_; }

 private:
  std::string bytes_;
};

struct Directory {
  std::uint64_t offset = 0, size = 0;
};

Directory find_directory(const ReadableFile& file) {
  constexpr std::size_t end_size = 22, locator_size = 20;
  constexpr std::uint64_t longest_comment = 0xFFFF;
  if (file.size() < end_size) fail("is cut short");
  const std::uint64_t searched = std::min(file.size(), end_size + longest_comment);
  const std::uint64_t start = file.size() - searched;
  const Record tail(file, start, searched);
  const std::size_t found = tail.text().rfind("PK\x05\x06");
  if (found == std::string_view::npos || searched - found < end_size) {
    fail("has no directory: it is cut short");
  }
  const std::uint64_t end = start + found;
  Directory directory{tail.at<std::uint32_t>(found + 16), tail.at<std::uint32_t>(found + 12)};
  const bool large = directory.offset == in_zip64_32 || directory.size == in_zip64_32 ||
                     tail.at<std::uint16_t>(found + 10) == in_zip64_16;
  if (large || (end >= locator_size &&
                Record(file, end - locator_size, locator_size).starts_with("PK\x06\x07"))) {
    if (end < locator_size) fail("is cut short");
    const Record locator(file, end - locator_size, locator_size);
    if (!locator.starts_with("PK\x06\x07")) fail("lacks the place of its directory");
    const Record end64(file, locator.at<std::uint64_t>(8), 56);
    if (!end64.starts_with("PK\x06\x06")) fail("has no directory where it says");
    directory = {end64.at<std::uint64_t>(48), end64.at<std::uint64_t>(40)};
  }
  if (directory.size > most_directory_bytes) fail("has a directory of more than 256 MiB");
  if (directory.offset > file.size() || directory.size > file.size() - directory.offset) {
    fail("has its directory outside the file");
  }
  return directory;
}

/// The numbers of an entry that stand in its zip64 field where they are too large.
struct Numbers {
  std::uint64_t size, packed, header;
};

void read_zip64(const Record& extra, Numbers& numbers) {
  std::size_t at = 0;
  while (at + 4 <= extra.text().size()) {
    const auto id = extra.at<std::uint16_t>(at);
    const auto length = extra.at<std::uint16_t>(at + 2);
    at += 4;
    if (id == 1) {
      std::size_t place = at;
      for (std::uint64_t* const number : {&numbers.size, &numbers.packed, &numbers.header}) {
        if (*number != in_zip64_32) continue;
        *number = extra.at<std::uint64_t>(place);
        place += sizeof *number;
      }
    }
    at += length;
  }
}

}  // namespace

std::map<std::string, ZipEntry> read_zip_directory(const ReadableFile& file) {
  constexpr std::size_t entry_size = 46, header_size = 30;
  const Directory place = find_directory(file);
  const Record directory(file, place.offset, place.size);
  std::map<std::string, ZipEntry> entries;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> taken;  // from its header to its end
  for (std::size_t at = 0; at + entry_size <= place.size;) {
    const Record entry(directory.text().substr(at, entry_size));
    if (!entry.starts_with("PK\x01\x02")) fail("has a damaged directory");
    const std::size_t name_size = entry.at<std::uint16_t>(28);
    const std::size_t extra_size = entry.at<std::uint16_t>(30);
    const std::size_t size = entry_size + name_size + extra_size + entry.at<std::uint16_t>(32);
    if (size > place.size - at) fail("is cut short");
    const std::string name(directory.text().substr(at + entry_size, name_size));
    Numbers numbers{entry.at<std::uint32_t>(24), entry.at<std::uint32_t>(20),
                    entry.at<std::uint32_t>(42)};
    read_zip64(Record(directory.text().substr(at + entry_size + name_size, extra_size)), numbers);
    const Record header(file, numbers.header, header_size);
    if (!header.starts_with("PK\x03\x04"))
      fail(fmt::format("has no entry '{}' where it says", name));
    const std::uint64_t begin =
        numbers.header + header_size + header.at<std::uint16_t>(26) + header.at<std::uint16_t>(28);
    if (begin > file.size() || numbers.packed > file.size() - begin) {
      fail(fmt::format("has entry '{}' outside the file", name));
    }
    const bool encrypted = (entry.at<std::uint16_t>(8) & 1U) != 0;
    const bool stored = entry.at<std::uint16_t>(10) == 0 && numbers.packed == numbers.size;
    if (!entries.emplace(name, ZipEntry{begin, numbers.packed, stored && !encrypted}).second) {
      fail(fmt::format("has entry '{}' twice", name));
    }
    taken.emplace_back(numbers.header, begin + numbers.packed);
    at += size;
  }
  std::sort(taken.begin(), taken.end());
  for (std::size_t i = 1; i < taken.size(); ++i) {
    if (taken[i].first < taken[i - 1].second) fail("has entries that lie over one another");
  }
  return entries;
}

}  // namespace sluice
