#pragma once
// Connections: any number of them on one thread, with limits on what each may cost.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "http.hpp"
#include "request_reader.hpp"

namespace sluice::server {

struct HttpLimits {
  RequestLimits request;
  /// Seconds from the first byte of a request to its last; that a connection may lie idle; and in
  /// which a client must take some of what it is sent.
  double request_seconds = 30, idle_seconds = 75, stall_seconds = 30;
  /// Bytes that wait for one client to read them; beyond, it counts as gone.
  std::size_t unread = std::size_t{4} << 20;
  std::int64_t connections = 10000;
  /// Bytes of all requests that are being received.
  std::int64_t receiving = std::int64_t{256} << 20;
};

/// What became of a request.
struct RequestOutcome {
  int status = 0;
  /// Of the answer, head included.
  std::int64_t bytes = 0;
  double seconds = 0;
  /// The client went before its answer was complete.
  bool gone = false;
};

/// Counters that others read.
struct HttpCounts {
  std::atomic<std::int64_t> connections{0}, accepted{0}, refused{0}, bytes_in{0}, bytes_out{0};
  /// Requests received and not answered yet.
  std::atomic<std::int64_t> open_requests{0};
};

/// What the connections call, on their thread; neither may block.
struct HttpHooks {
  std::function<void(std::shared_ptr<Exchange>)> handle;
  std::function<void(const HttpRequest&, const RequestNote&, const RequestOutcome&)> finished;
};

/// Whether `host` can be listened on: a numeric address, or "localhost".
bool is_address(const std::string& host);

/// Listens, reads requests and writes answers, on a thread of its own.
class HttpServer {
 public:
  /// Binds and listens, but takes no connection before start(). `host` is_address().
  /// Throws Error when the address cannot be had.
  HttpServer(const std::string& host, int port, const HttpLimits& limits, HttpHooks hooks);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  void start();
  /// The port it listens on (of interest where 0 was asked for), and whether only this machine
  /// reaches it.
  int port() const;
  bool loopback() const;
  /// Takes no new connections, closes the idle ones and those whose answers are complete; waits at
  /// most `seconds` for the others, then closes them too. True when none had to be.
  bool drain(double seconds);
  /// Closes everything at once.
  void stop();
  const HttpCounts& counts() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sluice::server
