#pragma once
// What handlers of requests work with.

#include <atomic>
#include <memory>
#include <shared_mutex>
#include <string>

#include "api_keys.hpp"
#include "http_server.hpp"
#include "log_writer.hpp"
#include "metrics.hpp"
#include "models.hpp"
#include "sluice/server/server.hpp"
#include "worker_pool.hpp"

namespace sluice::server {

struct Services {
  explicit Services(ServerOptions given, Server::Log log_lines);

  ServerOptions options;
  ModelHost models;
  Metrics metrics;
  LogWriter log;
  WorkerPool pool;
  /// Null until the server listens.
  const HttpCounts* counts = nullptr;
  /// The server is reached from this machine alone.
  bool loopback = true;
  std::atomic<bool> loading{true}, ending{false};

  std::shared_ptr<const ApiKeys> keys() const;
  /// Reads the keys anew. Throws Error, and leaves those it has, when they cannot be read.
  void load_keys();

 private:
  mutable std::mutex keys_mutex_;
  std::shared_ptr<const ApiKeys> keys_;
};

/// A request that a handler is to answer: of a route, with its body read.
struct Call {
  Services& services;
  std::shared_ptr<Exchange> exchange;
  /// Null for a request without a body.
  Value body;
  /// What stands in the path where the route has a name in braces.
  std::string argument;
  /// Whose request it is: the key's name, else the client's address.
  std::string key;

  /// The model a request names, the first for "". Throws RequestError (404, 503 while loading).
  std::shared_ptr<ServedModel> model(const std::string& name) const;
  /// Answers 200 with an object.
  void answer(const Value& object) const;
};

/// The value of a field of a query, as it stands there; "" for none.
std::string query_value(std::string_view query, std::string_view name);

/// The tokens of a text to be continued. Throws RequestError (400) for text that the tokenizer
/// cannot take, or ids outside the vocabulary.
struct Prompt;
std::vector<TokenId> tokens_of(const ServedModel& model, const Prompt& prompt,
                               const std::string& field);

}  // namespace sluice::server
