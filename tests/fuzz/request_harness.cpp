// What a connection's bytes go through before anything is known of them. The first byte says in
// pieces of what size they come.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "harnesses.hpp"
#include "request_reader.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "websocket.hpp"

namespace sluice::fuzz {
namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

struct Seen {
  std::string requests;
  /// The status of what ended them; 0: the bytes did.
  int fault = 0;
};

Seen read_requests(std::string_view bytes, std::size_t piece) {
  std::string seen;
  auto reader =
      std::make_unique<server::RequestReader>(server::RequestLimits{.header = 2048, .body = 4096});
  std::string ahead;
  while (!bytes.empty()) {
    const std::size_t size = std::min(piece, bytes.size());
    ahead += bytes.substr(0, size);
    bytes.remove_prefix(size);
    while (!ahead.empty()) {
      const std::size_t used = reader->feed(ahead);
      check(used <= ahead.size());
      ahead.erase(0, used);
      if (reader->fault() != 0) return {seen, reader->fault()};
      if (!reader->done()) break;
      const server::HttpRequest request = reader->take();
      check(request.body.size() <= 4096);
      seen +=
          request.method + ' ' + request.path + '?' + request.query + '\n' + request.body + '\n';
      reader = std::make_unique<server::RequestReader>(
          server::RequestLimits{.header = 2048, .body = 4096});
      try {
        const Value value =
            parse_json(request.body, {.where = "body"}, {.bytes = 4096, .levels = 16});
        // What is written can be read again.
        (void)parse_json(json_text(value), {.where = "body"});
      } catch (const Error&) {
      }
    }
  }
  return {seen, 0};
}

}  // namespace

void requests(std::string_view input) {
  if (input.size() < 2) return;
  const std::string_view bytes = input.substr(1);
  const std::size_t piece = 1 + static_cast<unsigned char>(input[0]);
  // The same requests whatever the pieces. Of several faults of one, too long and malformed, either
  // may be found first; of a header that does not end yet, what follows may tell.
  const Seen whole = read_requests(bytes, bytes.size());
  const Seen pieces = read_requests(bytes, piece);
  check(whole.requests == pieces.requests && (whole.fault != 0 || pieces.fault == 0));
  server::FrameReader frames(1000);
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    for (const auto& message : frames.feed(bytes.substr(at, piece))) {
      check(message.text.size() <= 1000);
    }
  }
}

}  // namespace sluice::fuzz
