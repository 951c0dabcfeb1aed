#pragma once
// Messages of Protocol Buffers, written: https://protobuf.dev/programming-guides/encoding
//
// By hand, since Debian's libprotobuf cannot be in one process with its libsentencepiece, which
// brings Protocol Buffers of another version under the same names.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/file.hpp"

namespace sluice {

/// A message being made. What large() is given must live until it is written.
class ProtobufMessage {
 public:
  void integer(int field, std::int64_t value) {
    tag(field, 0);
    varint(static_cast<std::uint64_t>(value));
  }
  void number(int field, float value) {
    tag(field, 5);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) byte(bits >> shift);
  }
  void text(int field, std::string_view value) {
    tag(field, 2);
    varint(value.size());
    end_ += value;
    size_ += value.size();
  }
  /// Bytes that are not copied.
  void large(int field, std::string_view value) {
    tag(field, 2);
    varint(value.size());
    parts_.push_back({std::exchange(end_, {}), value});
    size_ += value.size();
  }
  void message(int field, ProtobufMessage value) {
    tag(field, 2);
    varint(value.size_);
    size_ += value.size_;
    for (Part& part : value.parts_) {
      parts_.push_back({std::exchange(end_, {}) + part.own, part.large});
    }
    end_ += value.end_;
  }

  std::size_t size() const { return size_; }
  void write(OutputFile& file) const {
    for (const Part& part : parts_) {
      file.write(part.own);
      file.write(part.large);
    }
    file.write(end_);
  }

 private:
  struct Part {
    std::string own;
    std::string_view large;
  };

  void tag(int field, std::uint64_t type) { varint(static_cast<std::uint64_t>(field) << 3 | type); }
  void varint(std::uint64_t value) {
    for (; value > 127; value >>= 7) byte(value | 128);
    byte(value);
  }
  void byte(std::uint64_t value) {
    end_ += static_cast<char>(value & 255);
    ++size_;
  }

  std::vector<Part> parts_;
  std::string end_;
  std::size_t size_ = 0;
};

}  // namespace sluice
