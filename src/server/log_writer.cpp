#include "log_writer.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <exception>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/names.hpp"

namespace sluice::server {
namespace {

constexpr std::size_t most_lines = 10000;

std::string now() {
  const auto time = std::chrono::system_clock::now();
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count() % 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(time)), milliseconds);
}

}  // namespace

LogWriter::LogWriter(LogFormat format, Server::Log log)
    : format_(log ? format : LogFormat::none), log_(std::move(log)), thread_(1, most_lines) {}

void LogWriter::write(std::string line) {
  if (!thread_.add([this, line = std::move(line)] { log_(line); })) dropped_.fetch_add(1);
}

void LogWriter::say(const std::string& event, const std::string& message) {
  if (format_ == LogFormat::none) return;
  try {
    write_event(event, message);
  } catch (const std::exception&) {
    dropped_.fetch_add(1);  // what is done does not fail because it cannot be told
  }
}

void LogWriter::write_event(const std::string& event, const std::string& message) {
  if (format_ == LogFormat::text) {
    write(fmt::format("{} {}: {}", now(), event, message));
    return;
  }
  Value line;
  line.set("time", now());
  line.set("event", event);
  line.set("message", message);
  write(json_text(line));
}

void LogWriter::request(const HttpRequest& request, const RequestNote& note,
                        const RequestOutcome& outcome) {
  if (format_ == LogFormat::none) return;
  try {
    write_request(request, note, outcome);
  } catch (const std::exception&) {
    dropped_.fetch_add(1);
  }
}

void LogWriter::write_request(const HttpRequest& request, const RequestNote& note,
                              const RequestOutcome& outcome) {
  if (format_ == LogFormat::text) {
    std::string line = fmt::format("{} {} {} {} {} {} bytes {:.3f} s", now(), request.peer,
                                   request.method.empty() ? "-" : request.method,
                                   request.path.empty() ? "-" : in_quotes(request.path),
                                   outcome.status, outcome.bytes, outcome.seconds);
    if (!note.key.empty()) line += fmt::format(" key={}", in_quotes(note.key));
    if (note.tokens_in + note.tokens_out > 0) {
      line += fmt::format(" tokens={}+{}", note.tokens_in, note.tokens_out);
    }
    if (outcome.gone) line += " (client gone)";
    if (!note.text.empty()) line += " text=" + in_quotes(note.text);
    write(std::move(line));
    return;
  }
  Value line;
  line.set("time", now());
  line.set("event", "request");
  line.set("peer", request.peer);
  line.set("key", note.key);
  line.set("method", request.method);
  line.set("path", request.path);
  line.set("route", note.route);
  line.set("model", note.model);
  line.set("status", outcome.status);
  line.set("bytes", outcome.bytes);
  line.set("seconds", outcome.seconds);
  line.set("tokens_in", note.tokens_in);
  line.set("tokens_out", note.tokens_out);
  line.set("gone", outcome.gone);
  if (!note.text.empty()) line.set("text", note.text);
  write(json_text(line));
}

}  // namespace sluice::server
