#pragma once
// HTTP as the rest of the room sees it: requests that are complete, and answers given from any
// thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::server {

/// A request whose body has arrived.
struct HttpRequest {
  std::string method;
  /// The target before '?', and what is behind it.
  std::string path, query;
  std::string body;
  /// Header fields that the server looks at; "" for one that is not there. `upgrade` is in small
  /// letters.
  std::string host, origin, authorization, content_type, upgrade;
  std::string websocket_key, websocket_version;
  /// Minor version of HTTP/1, and whether the connection may be used again.
  int version = 1;
  bool keep_alive = true;
  /// Who sent it, as "127.0.0.1".
  std::string peer;
};

/// The head of an answer, and its body where that is known at once.
struct HttpResponse {
  int status = 200;
  std::string type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// "Not Found" for 404.
std::string_view reason_phrase(int status);

/// What the access log and the metrics say of a request, filled in by whoever handles it.
struct RequestNote {
  /// As the table of routes has it, so that there are few: "/v1/completions".
  std::string route = "unknown";
  /// Name of the key, not the key.
  std::string key;
  std::string model;
  std::int64_t tokens_in = 0, tokens_out = 0;
  /// The text of the request, where the log is to show it.
  std::string text;
};

/// One request and the way to answer it. Methods may be called from any thread, one at a time:
/// either respond() once, or open(), write() any number of times and close(). One that goes without
/// an answer has failed: 500, or a broken stream.
class Exchange {
 public:
  Exchange() = default;
  virtual ~Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  virtual const HttpRequest& request() const = 0;
  virtual void respond(HttpResponse response) = 0;
  /// The head of an answer whose body comes in pieces.
  virtual void open(HttpResponse head) = 0;
  virtual void write(std::string piece) = 0;
  virtual void close() = 0;
  /// Instead of an answer: 101 with these fields, after which the connection's bytes are no HTTP
  /// any more. They go by write() as they are and end with close(); what the client sends comes to
  /// `received`, on the connections' thread.
  virtual void take_over(std::vector<std::pair<std::string, std::string>> fields,
                         std::function<void(std::string_view)> received) = 0;
  /// Whether the client has gone, or does not read what it is sent: nothing of the answer is of
  /// use.
  virtual bool gone() const = 0;
  /// Calls `then` once when the client goes before its answer is complete; at once when it has
  /// gone. It must not block.
  virtual void when_gone(std::function<void()> then) = 0;
  /// To be filled in before the answer is complete.
  virtual RequestNote& note() = 0;
};

}  // namespace sluice::server
