#pragma once
// What the server counts, in Prometheus's text format.

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "http_server.hpp"
#include "models.hpp"

namespace sluice::server {

/// Safe to call from any thread.
class Metrics {
 public:
  Metrics();
  void request(const RequestNote& note, const RequestOutcome& outcome);
  /// A page of the format 0.0.4.
  std::string text(const ServedModels& models, const HttpCounts& counts,
                   std::int64_t log_lines_dropped) const;

 private:
  struct Route {
    std::map<int, std::uint64_t> by_status;
    std::uint64_t gone = 0;
    std::int64_t tokens_in = 0, tokens_out = 0;
    EngineHistogram seconds;
  };

  double start_seconds_;
  mutable std::mutex mutex_;
  std::map<std::string, Route> routes_;
};

/// Bytes of memory that the process holds.
std::int64_t resident_bytes();

}  // namespace sluice::server
