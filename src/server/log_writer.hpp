#pragma once
// Lines of the log, passed on by a thread of their own: whoever reads them slowly holds nobody up.

#include <atomic>
#include <cstdint>
#include <string>

#include "http_server.hpp"
#include "sluice/server/server.hpp"
#include "worker_pool.hpp"

namespace sluice::server {

class LogWriter {
 public:
  LogWriter(LogFormat format, Server::Log log);

  /// A line of what the server does.
  void say(const std::string& event, const std::string& message);
  /// The line of a request.
  void request(const HttpRequest& request, const RequestNote& note, const RequestOutcome& outcome);
  /// Lines that were left out because too many waited, or for want of memory.
  std::int64_t dropped() const { return dropped_.load(); }
  /// Returns when all lines are written.
  void finish() { thread_.finish(); }

 private:
  void write(std::string line);
  void write_event(const std::string& event, const std::string& message);
  void write_request(const HttpRequest& request, const RequestNote& note,
                     const RequestOutcome& outcome);

  LogFormat format_;
  Server::Log log_;
  std::atomic<std::int64_t> dropped_{0};
  WorkerPool thread_;
};

}  // namespace sluice::server
