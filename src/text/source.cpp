#include "sluice/text/source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "sluice/base/detail/readable_file.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/text/detail/utf8.hpp"
#include "unpacking.hpp"

namespace sluice {

class TextFile::File : public ReadableFile {
 public:
  using ReadableFile::ReadableFile;
};

TextFile::TextFile(const TextSource& source)
    : file_(std::make_unique<const File>(source.path)),
      unpacking_(source.unpacking),
      title_(source.title()),
      begin_(source.begin) {
  if (unpacking_) return;  // whole, and unpacked without a byte-order mark
  const std::uint64_t all = file_->size();
  const std::uint64_t end = source.end == TextSource::end_of_file ? all : source.end;
  if (begin_ > end || end > all) {
    throw Error(fmt::format(
        "cannot read bytes {} to {} of '{}': the file has {} bytes; it was changed while in use",
        begin_, end, title_, all));
  }
  size_ = end - begin_;
  if (begin_ == 0 && read(0, byte_order_mark.size()) == byte_order_mark) {
    begin_ += byte_order_mark.size();
    size_ -= byte_order_mark.size();
  }
}

TextFile::~TextFile() = default;

std::uint64_t TextFile::available(std::uint64_t n) const {
  return unpacking_ ? unpacking_->wait_for(n) : size_;
}

std::uint64_t TextFile::size() const { return available(TextSource::end_of_file); }

bool TextFile::ends_at(std::uint64_t offset) const { return available(offset + 1) <= offset; }

std::string TextFile::read(std::uint64_t offset, std::uint64_t n) const {
  const std::uint64_t size = available(offset + std::min(n, TextSource::end_of_file - offset));
  std::string bytes(std::min(n, size - std::min(offset, size)), '\0');
  file_->read(begin_ + offset, bytes.data(), bytes.size());
  return bytes;
}

std::string TextFile::checksum() const {
  constexpr std::uint64_t piece = std::uint64_t{1} << 20;
  RunningChecksum sum;
  for (std::uint64_t at = 0; !ends_at(at); at += piece) {
    const std::string bytes = read(at, piece);
    sum.add(bytes.data(), bytes.size());
  }
  return sum.hex();
}

}  // namespace sluice
