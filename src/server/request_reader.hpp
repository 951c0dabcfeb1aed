#pragma once
// Bytes of a connection to requests.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "http.hpp"

namespace sluice::server {

struct RequestLimits {
  /// Bytes of the request line and header fields, and of the body.
  std::size_t header = std::size_t{16} << 10;
  std::size_t body = std::size_t{8} << 20;
};

/// Reads one HTTP/1 request from pieces of any size. A fault ends the connection: what follows it
/// cannot be told from the rest of the broken request.
class RequestReader {
 public:
  explicit RequestReader(const RequestLimits& limits);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  /// Takes what belongs to the request, and returns how many bytes that is; the rest is the next
  /// request's. After done() or a fault it takes nothing.
  std::size_t feed(std::string_view bytes);
  bool done() const;
  /// The client waits for "100 Continue" before it sends the body; true once.
  bool wants_continue();
  /// The status that answers a request that is none, 0 without a fault: 400, 413 (body), 431
  /// (header), 501 (a coding of the body that is not known).
  int fault() const;
  /// What is wrong, as a sentence.
  const std::string& message() const;
  /// The request; done() must be true.
  HttpRequest take();

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace sluice::server
