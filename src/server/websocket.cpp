#include "websocket.hpp"

#include <boost/beast/websocket/detail/hybi13.hpp>

namespace sluice::server {
namespace {

constexpr int continuation = 0, text = 1, closing = 8, ping = 9, pong = 10;
/// A frame of control may have this many bytes.
constexpr std::size_t most_control = 125;

std::string frame(int opcode, std::string_view payload) {
  std::string bytes(1, static_cast<char>(0x80 | opcode));
  const auto add = [&](int count) {
    while (count-- > 0) bytes += static_cast<char>((payload.size() >> (8 * count)) & 0xFF);
  };
  if (payload.size() < 126) {
    add(1);
  } else if (payload.size() < 65536) {
    bytes += static_cast<char>(126);
    add(2);
  } else {
    bytes += static_cast<char>(127);
    add(8);
  }
  bytes += payload;
  return bytes;
}

}  // namespace

std::vector<SocketMessage> FrameReader::feed(std::string_view bytes) {
  std::vector<SocketMessage> messages;
  if (fault_ != 0) return messages;
  held_ += bytes;
  while (fault_ == 0 && take(messages)) {
  }
  return messages;
}

bool FrameReader::take(std::vector<SocketMessage>& messages) {
  const auto byte = [this](std::size_t i) {
    return static_cast<std::uint64_t>(static_cast<unsigned char>(held_[i]));
  };
  if (held_.size() < 2) return false;
  const bool last = (byte(0) & 0x80) != 0, masked = (byte(1) & 0x80) != 0;
  const int opcode = static_cast<int>(byte(0) & 0x0F);
  const bool control = opcode >= closing;
  std::uint64_t length = byte(1) & 0x7F;
  const std::size_t more = length == 126 ? 2 : length == 127 ? 8 : 0;
  if ((byte(0) & 0x70) != 0 || !masked || (control && (!last || length > most_control))) {
    fault_ = 1002;
    return false;
  }
  if (held_.size() < 2 + more) return false;
  if (more > 0) length = 0;
  for (std::size_t i = 0; i < more; ++i) length = length << 8 | byte(2 + i);
  if (length > most_bytes_ || length + message_.size() > most_bytes_) {
    fault_ = 1009;
    return false;
  }
  const std::size_t mask = 2 + more, begin = mask + 4;
  if (held_.size() < begin + length) return false;
  std::string payload = held_.substr(begin, static_cast<std::size_t>(length));
  for (std::size_t i = 0; i < payload.size(); ++i) {
    payload[i] = static_cast<char>(payload[i] ^ held_[mask + i % 4]);
  }
  held_.erase(0, begin + static_cast<std::size_t>(length));
  put(opcode, last, std::move(payload), messages);
  return true;
}

void FrameReader::put(int opcode, bool last, std::string payload,
                      std::vector<SocketMessage>& messages) {
  switch (opcode) {
    case closing:
      messages.push_back({SocketMessage::Kind::close, std::move(payload)});
      return;
    case ping:
      messages.push_back({SocketMessage::Kind::ping, std::move(payload)});
      return;
    case pong:
      return;
    case text:
    case continuation:
      if ((opcode == continuation) != in_message_) break;
      message_ += payload;
      in_message_ = !last;
      if (last) messages.push_back({SocketMessage::Kind::text, std::exchange(message_, {})});
      return;
    case 2:
      fault_ = 1003;
      return;
    default:
      break;
  }
  fault_ = 1002;
}

std::string text_frame(std::string_view payload) { return frame(text, payload); }
std::string pong_frame(std::string_view payload) { return frame(pong, payload); }
std::string close_frame(int status) {
  return frame(closing,
               std::string{static_cast<char>(status >> 8), static_cast<char>(status & 0xFF)});
}

std::string accept_key(const std::string& key) {
  boost::beast::websocket::detail::sec_ws_accept_type accept;
  boost::beast::websocket::detail::make_sec_ws_accept(accept, key);
  return {accept.data(), accept.size()};
}

}  // namespace sluice::server
