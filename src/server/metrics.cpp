#include "metrics.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <functional>

namespace sluice::server {
namespace {

constexpr const char* end_names[] = {"length", "end_token", "stopped", "cancelled", "error"};

std::vector<double> second_bounds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};
}

std::string in_label(const std::string& text) {
  std::string escaped;
  for (const char byte : text) {
    if (byte == '\\' || byte == '"') escaped += '\\';
    if (byte == '\n') {
      escaped += "\\n";
    } else {
      escaped += byte;
    }
  }
  return escaped;
}

std::string label(const char* name, const std::string& value) {
  return fmt::format("{}=\"{}\"", name, in_label(value));
}

/// The text format: families of samples, each family under its help and type.
class Page {
 public:
  void family(const std::string& name, const char* type, const char* help) {
    name_ = name;
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  template <class Number>
  void sample(const std::string& labels, Number value) {
    line(name_, labels, value);
  }
  void histogram(const std::string& labels, const EngineHistogram& histogram) {
    const std::string comma = labels.empty() ? "" : ",";
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < histogram.bounds.size(); ++i) {
      below += histogram.counts[i];
      line(name_ + "_bucket", fmt::format("{}{}le=\"{}\"", labels, comma, histogram.bounds[i]),
           below);
    }
    line(name_ + "_bucket", labels + comma + "le=\"+Inf\"", histogram.count);
    line(name_ + "_sum", labels, histogram.sum);
    line(name_ + "_count", labels, histogram.count);
  }
  std::string take() { return std::move(text_); }

 private:
  template <class Number>
  void line(const std::string& name, const std::string& labels, Number value) {
    text_ += labels.empty() ? fmt::format("{} {}\n", name, value)
                            : fmt::format("{}{{{}}} {}\n", name, labels, value);
  }
  std::string name_, text_;
};

using ModelCounters = std::pair<std::string, EngineCounters>;

void engine_families(Page& page, const std::vector<ModelCounters>& models) {
  const auto each = [&](const char* name, const char* type, const char* help, auto&& value) {
    page.family(name, type, help);
    for (const auto& [model, counters] : models)
      page.sample(label("model", model), value(counters));
  };
  using C = EngineCounters;
  each("sluice_requests_running", "gauge", "Texts that are being read and continued.",
       [](const C& c) { return c.running; });
  each("sluice_requests_waiting", "gauge", "Texts that wait for their turn.",
       [](const C& c) { return c.waiting; });
  each("sluice_requests_accepted_total", "counter", "Texts that the engine took on.",
       [](const C& c) { return c.accepted; });
  each("sluice_requests_refused_total", "counter", "Texts refused because too many waited.",
       [](const C& c) { return c.refused; });
  each("sluice_prompt_tokens_total", "counter", "Tokens of prompts that were read.",
       [](const C& c) { return c.read_tokens; });
  each("sluice_prompt_tokens_reused_total", "counter", "Tokens of prompts that were known already.",
       [](const C& c) { return c.reused_tokens; });
  each("sluice_generated_tokens_total", "counter", "Tokens that were made.",
       [](const C& c) { return c.made_tokens; });
  each("sluice_passes_total", "counter", "Passes of the engine.",
       [](const C& c) { return c.passes; });
  each("sluice_session_bytes", "gauge", "Memory of the states of running texts.",
       [](const C& c) { return c.session_bytes; });
  each("sluice_prefix_bytes", "gauge", "Memory of remembered beginnings of prompts.",
       [](const C& c) { return c.prefix_bytes; });
  page.family("sluice_requests_ended_total", "counter", "Texts that ended, by reason.");
  for (const auto& [model, counters] : models) {
    for (std::size_t i = 0; i < std::size(end_names); ++i) {
      page.sample(label("model", model) + "," + label("reason", end_names[i]), counters.ended[i]);
    }
  }
  const auto histograms = [&](const char* name, const char* help, auto&& histogram) {
    page.family(name, "histogram", help);
    for (const auto& [model, counters] : models) {
      page.histogram(label("model", model), histogram(counters));
    }
  };
  histograms("sluice_batch_size", "Texts of each pass.",
             [](const C& c) -> const EngineHistogram& { return c.batch; });
  histograms("sluice_time_to_first_token_seconds", "From a request to its first token.",
             [](const C& c) -> const EngineHistogram& { return c.first_token; });
  histograms("sluice_time_between_tokens_seconds", "From a token to the next of the same text.",
             [](const C& c) -> const EngineHistogram& { return c.between_tokens; });
}

void connection_families(Page& page, const HttpCounts& counts) {
  const auto one = [&](const char* name, const char* type, const char* help, std::int64_t value) {
    page.family(name, type, help);
    page.sample("", value);
  };
  one("sluice_http_connections", "gauge", "Open connections.", counts.connections.load());
  one("sluice_http_connections_accepted_total", "counter", "Connections that were taken.",
      counts.accepted.load());
  one("sluice_http_connections_refused_total", "counter", "Connections closed as one too many.",
      counts.refused.load());
  one("sluice_http_open_requests", "gauge", "Requests that are not answered yet.",
      counts.open_requests.load());
  one("sluice_http_received_bytes_total", "counter", "Bytes that clients sent.",
      counts.bytes_in.load());
  one("sluice_http_sent_bytes_total", "counter", "Bytes that clients were sent.",
      counts.bytes_out.load());
  one("process_resident_memory_bytes", "gauge", "Memory that the process holds.", resident_bytes());
}

}  // namespace

std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

Metrics::Metrics()
    : start_seconds_(
          std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
              .count()) {}

void Metrics::request(const RequestNote& note, const RequestOutcome& outcome) {
  const std::lock_guard lock(mutex_);
  Route& route = routes_[note.route];
  if (route.seconds.bounds.empty()) route.seconds = EngineHistogram(second_bounds());
  // A client that went before its answer had a status has none.
  ++route.by_status[outcome.status == 0 ? 499 : outcome.status];
  route.gone += outcome.gone ? 1 : 0;
  route.tokens_in += note.tokens_in;
  route.tokens_out += note.tokens_out;
  route.seconds.add(outcome.seconds);
}

std::string Metrics::text(const ServedModels& models, const HttpCounts& counts,
                          std::int64_t log_lines_dropped) const {
  Page page;
  {
    const std::lock_guard lock(mutex_);
    page.family("sluice_http_requests_total", "counter", "Requests answered, by route and status.");
    for (const auto& [name, route] : routes_) {
      for (const auto& [status, count] : route.by_status) {
        page.sample(label("route", name) + "," + label("status", std::to_string(status)), count);
      }
    }
    const auto each = [&](const char* name, const char* help, auto&& value) {
      page.family(name, "counter", help);
      for (const auto& [route_name, route] : routes_)
        page.sample(label("route", route_name), value(route));
    };
    each("sluice_http_requests_gone_total", "Requests whose client went before the answer's end.",
         [](const Route& route) { return route.gone; });
    each("sluice_http_tokens_in_total", "Tokens of prompts and texts in requests.",
         [](const Route& route) { return route.tokens_in; });
    each("sluice_http_tokens_out_total", "Tokens made for requests.",
         [](const Route& route) { return route.tokens_out; });
    page.family("sluice_http_request_seconds", "histogram", "From a request to its answer's end.");
    for (const auto& [name, route] : routes_) page.histogram(label("route", name), route.seconds);
  }
  std::vector<ModelCounters> counters;
  for (const auto& model : models) counters.emplace_back(model->name, model->engine->counters());
  engine_families(page, counters);
  connection_families(page, counts);
  page.family("sluice_log_lines_dropped_total", "counter", "Lines of the log that were left out.");
  page.sample("", log_lines_dropped);
  page.family("process_start_time_seconds", "gauge", "When the server was started.");
  page.sample("", start_seconds_);
  return page.take();
}

}  // namespace sluice::server
