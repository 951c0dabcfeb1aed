#pragma once
// WebSocket's handshake and frames (RFC 6455), as much as a server of short texts needs.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::server {

/// What a client's frames put together.
struct SocketMessage {
  enum class Kind : std::uint8_t { text, ping, close };
  Kind kind = Kind::text;
  std::string text;
};

/// Reads frames from pieces of any size.
class FrameReader {
 public:
  explicit FrameReader(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  /// The messages that are complete now. After a fault there are no more.
  std::vector<SocketMessage> feed(std::string_view bytes);
  /// The status with which the connection is to be closed: 1002 for bytes that are no frames of a
  /// client, 1003 for binary messages, 1009 for one that is too long; 0 without a fault.
  int fault() const { return fault_; }

 private:
  /// Takes one frame from the front of held_; false when it is not complete.
  bool take(std::vector<SocketMessage>& messages);
  void put(int opcode, bool last, std::string payload, std::vector<SocketMessage>& messages);

  std::size_t most_bytes_;
  std::string held_, message_;
  bool in_message_ = false;
  int fault_ = 0;
};

/// Frames to a client.
std::string text_frame(std::string_view text);
std::string pong_frame(std::string_view text);
std::string close_frame(int status);

/// What a server answers to a client's Sec-WebSocket-Key.
std::string accept_key(const std::string& key);

}  // namespace sluice::server
