#include "http_server.hpp"
#include "sluice/server/server.hpp"

namespace sluice {
namespace {

/// The text of an address that can be listened on.
FieldCodec<std::string> host_codec() {
  FieldCodec<std::string> codec = field_codec<std::string>({});
  codec.expected = "a numeric address or localhost";
  codec.read = [read = codec.read, expected = codec.expected](const Value& value,
                                                              const FieldPlace& place) {
    std::string host = read(value, place);
    if (!server::is_address(host)) place.refuse(expected, value);
    return host;
  };
  return codec;
}

}  // namespace

const EnumNames<LogFormat>& enum_names(LogFormat) {
  static const EnumNames<LogFormat> names(
      "log format",
      {{LogFormat::none, "none"}, {LogFormat::text, "text"}, {LogFormat::json, "json"}});
  return names;
}

const FieldTable& server_fields() {
  using Options = ServerOptions;
  static const char* const address = "Address";
  static const char* const limits = "Limits";
  static const char* const access = "Access and log";
  static const FieldTable table =
      FieldsOf<Options>()
          .add("host", &Options::host, host_codec(),
               {.flag = "--host",
                .group = address,
                .value = "ADDRESS",
                .help = "numeric address to listen on (default 127.0.0.1: this machine alone; "
                        "0.0.0.0: every network it is in)"})
          .add("port", &Options::port,
               {.range = between(0, 65535),
                .flag = "--port",
                .group = address,
                .help = "port to listen on (default 8080; 0: one that is free)"})
          .add(
              "precision", &Options::precision,
              {.flag = "--precision",
               .help = "f32, bf16 (bfloat16 products with float32 sums) or int8 (8-bit weights); a "
                       "runtime model has its own (default f32)"})
          .add("api_key_file", &Options::api_key_file,
               {.flag = "--api-key-file",
                .group = access,
                .value = "FILE",
                .help = "ask for one of the keys in FILE, one a line, each perhaps followed by a "
                        "space and a name for the log (default: ask for none)"})
          .add("cors_origins", &Options::cors_origins,
               {.flag = "--cors-origin",
                .group = access,
                .value = "URL,..",
                .help = "let pages of these origins call the server, * for all (default: only its "
                        "own page)"})
          .add("hosts", &Options::hosts,
               {.flag = "--allow-host",
                .group = access,
                .value = "NAME,..",
                .help = "names besides localhost that requests to a loopback address may call it "
                        "by: the name a proxy passes on (default: none)"})
          .add("log", &Options::log,
               {.flag = "--log",
                .group = access,
                .help = "a line for each request: text, json or none (default text)"})
          .add("log_texts", &Options::log_texts,
               {.flag = "--log-texts",
                .group = access,
                .help = "add the beginning of each request's text to its line"})
          .add("max_sessions", &Options::max_sessions,
               {.range = between(1, 65536),
                .flag = "--max-sessions",
                .group = limits,
                .help = "texts that each model continues side by side (default 32)"})
          .add("max_queue", &Options::max_queue,
               {.range = between(0, 1e6),
                .flag = "--max-queue",
                .group = limits,
                .help = "texts that wait for their turn; more are refused with 429 (default 1024)"})
          .add(
              "deterministic", &Options::deterministic,
              {.flag = "--deterministic",
               .help = "the same answers bit for bit whoever else is served; slower where few are"})
          .add("max_prompt", &Options::max_prompt,
               {.range = between(1, 1e8),
                .flag = "--max-prompt",
                .group = limits,
                .help = "tokens of a prompt (default 32768)"})
          .add("max_tokens", &Options::max_tokens,
               {.range = between(1, 1e7),
                .flag = "--max-tokens",
                .group = limits,
                .help = "tokens that a request may make for each choice (default 8192)"})
          .add("max_choices", &Options::max_choices,
               {.range = between(1, 4096),
                .flag = "--max-choices",
                .group = limits,
                .help = "choices of one request: prompts times n or best_of (default 128)"})
          .add("max_header", &Options::max_header,
               {.range = between(1024, 1 << 20),
                .flag = "--max-header",
                .group = limits,
                .help = "bytes of a request's header (default 16384)"})
          .add("max_body", &Options::max_body,
               {.range = between(1024, 1 << 28),
                .flag = "--max-body",
                .group = limits,
                .help = "bytes of a request's body (default 8388608)"})
          .add("max_connections", &Options::max_connections,
               {.range = between(1, 1e6),
                .flag = "--max-connections",
                .group = limits,
                .help = "connections at once (default 10000)"})
          .add("request_seconds", &Options::request_seconds,
               {.range = between(0.1, 86400),
                .flag = "--request-timeout",
                .group = limits,
                .value = "SECONDS",
                .help = "time for a request to arrive (default 30)"})
          .add("idle_seconds", &Options::idle_seconds,
               {.range = between(0.1, 86400),
                .flag = "--idle-timeout",
                .group = limits,
                .value = "SECONDS",
                .help = "time a connection may wait for its next request (default 75)"})
          .add("stall_seconds", &Options::stall_seconds,
               {.range = between(0.1, 86400),
                .flag = "--stall-timeout",
                .group = limits,
                .value = "SECONDS",
                .help = "time in which a client must read some of what it is sent (default 30)"})
          .add("drain_seconds", &Options::drain_seconds,
               {.range = between(0, 86400),
                .flag = "--drain-timeout",
                .group = limits,
                .value = "SECONDS",
                .help = "time that requests have to end when the server is told to (default 30)"});
  return table;
}

FieldParts field_parts(ServerOptions& options) { return {{server_fields(), options}}; }
FieldParts field_parts(const ServerOptions& options) { return {{server_fields(), options}}; }

}  // namespace sluice
