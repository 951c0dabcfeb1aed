#pragma once
// Unpacking of compressed streams, piece by piece.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace sluice {

/// One compressed stream, or several one after another as gzip and its like write them. Memory is
/// bounded, whatever the stream says: a window beyond 256 MiB (zstd: 128 MiB) is refused.
class Decoder {
 public:
  virtual ~Decoder() = default;

  /// Writes at most `room` > 0 bytes to `out` and removes from `in` what was used; `last`: nothing
  /// follows `in`. 0: more input is needed. Throws Error, a cause without the file's name, for data
  /// that are damaged.
  virtual std::size_t decode(std::string_view& in, bool last, char* out, std::size_t room) = 0;
  /// Whether the stream may end here.
  virtual bool finished() const = 0;
};

/// Whether a text that begins with `start` may still turn out to be compressed when there is more.
bool may_be_compressed(std::string_view start);
/// A decoder for what begins with `start`: gzip, bzip2, xz or zstd; null for anything else.
std::unique_ptr<Decoder> decoder_for(std::string_view start);

}  // namespace sluice
