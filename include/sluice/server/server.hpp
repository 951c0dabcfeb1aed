#pragma once
// Serving models over HTTP: OpenAI's completions, llama.cpp's routes, and a page.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/tensor/freeze.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What the access log is written as.
enum class LogFormat : std::uint8_t { none, text, json };
const EnumNames<LogFormat>& enum_names(LogFormat);

/// How models are served. Every limit has a default.
struct ServerOptions {
  /// Model directories. The last part of each path is its name, which must be different from the
  /// others'.
  std::vector<std::filesystem::path> models = {};
  /// Numeric address, or "localhost"; port 0: one that is free.
  std::string host = "127.0.0.1";
  std::int64_t port = 8080;
  /// Of matrix products: see FreezeOptions.
  WeightPrecision precision = WeightPrecision::f32;
  /// A file of keys, one a line, each perhaps followed by a blank and a name; "": none is asked
  /// for.
  std::filesystem::path api_key_file = {};
  /// Origins of pages that may call the server, "*" for all; none: only its own page may.
  std::vector<std::string> cors_origins = {};
  /// Names besides "localhost" and numeric addresses by which a server on a loopback address may be
  /// called.
  std::vector<std::string> hosts = {};

  /// Of each model: texts that are continued side by side, and requests that wait for their turn.
  std::int64_t max_sessions = 32;
  std::int64_t max_queue = 1024;
  /// Requests get the same answer, bit for bit, whoever else is served (EngineOptions).
  bool deterministic = false;
  /// Tokens of a prompt, and that one request may make for one choice.
  std::int64_t max_prompt = 32768;
  std::int64_t max_tokens = 8192;
  /// Choices (prompts times n or best_of) of one request.
  std::int64_t max_choices = 128;
  /// Bytes of a request's header and body.
  std::int64_t max_header = 16384;
  std::int64_t max_body = std::int64_t{8} << 20;
  std::int64_t max_connections = 10000;
  /// Seconds in which a request must arrive; that a connection may lie idle; in which a client must
  /// read some of what it is sent; and that stop() waits for what runs.
  double request_seconds = 30;
  double idle_seconds = 75;
  double stall_seconds = 30;
  double drain_seconds = 30;

  LogFormat log = LogFormat::text;
  /// The log shows the beginning of each text, too.
  bool log_texts = false;
};

/// The fields of ServerOptions, models excepted, with their flags.
const FieldTable& server_fields();
FieldParts field_parts(ServerOptions& options);
FieldParts field_parts(const ServerOptions& options);

/// Serves models to clients until it is told to stop. Members may be called from any thread.
class Server {
 public:
  /// Takes lines of the log, without line ends, one at a time from a thread of the server's.
  using Log = std::function<void(std::string_view line)>;

  /// Listens, and answers "loading" (503) from then on. Throws UsageError for options out of range
  /// or models of one name, Error when the address cannot be had or the keys cannot be read.
  explicit Server(ServerOptions options, Log log = {});
  /// stop() without waiting for what runs.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Loads the models and serves them. Throws Error for a directory that is no model's.
  void load();
  /// Loads the models and the keys again and serves them from then on; what runs, runs on with the
  /// model it has. Throws Error, and leaves all as it was, when one cannot be read.
  void reload();
  /// Takes no new requests, waits for those it has (at most ServerOptions::drain_seconds), and
  /// ends. Returns whether all were answered.
  bool stop();

  /// The port it listens on, and the address of its page.
  int port() const;
  std::string address() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
SLUICE_API_END
