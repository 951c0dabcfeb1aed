#pragma once
// Bytes of a text one after another, from whatever holds it.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "decoder.hpp"

namespace sluice {

/// A file, pipe or standard input ("-"), unpacked when it is compressed, without a byte-order mark
/// at its start.
class TextReader {
 public:
  /// Throws Error when it cannot be opened, is a directory, or a device like /dev/zero. Waits for
  /// its first bytes, no more of them than tell what it is.
  explicit TextReader(const std::filesystem::path& path);
  ~TextReader();
  TextReader(const TextReader&) = delete;
  TextReader& operator=(const TextReader&) = delete;

  /// Copies at most `room` > 0 bytes to `out`, as many as are at hand, waiting for the first. 0:
  /// the end. Throws Error for a compressed stream that is damaged or cut short.
  std::size_t read(char* out, std::size_t room);

  /// Whether read() would not wait.
  bool ready() const;
  /// Whether the bytes of the file itself are the text (but for a byte-order mark).
  bool plain_file() const { return regular_ && !decoder_; }
  /// Whether it is a file, which nobody has to write to go on.
  bool regular() const { return regular_; }
  /// What messages call it: its path, or "standard input".
  const std::string& title() const { return title_; }
  /// The share of a regular file that was read; 0 for what has no size.
  double fraction() const;

 private:
  bool fill();
  std::size_t next(char* out, std::size_t room);

  std::string title_;
  int descriptor_ = -1;
  bool regular_ = false;
  std::uint64_t size_ = 0;
  std::uint64_t taken_ = 0;
  std::string buffer_;
  std::string_view raw_;  // of buffer_: not yet used
  bool ended_ = false;
  std::unique_ptr<Decoder> decoder_;
  std::string start_;  // of the text: to be given out before the rest
};

/// The name that stands for standard input.
inline constexpr const char* standard_input = "-";

}  // namespace sluice
