#include "sluice/training/metrics.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <variant>

#include "metrics_lines.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/numbers.hpp"

namespace sluice {
namespace {

/// What kind of line it is.
struct Event {
  std::string event;
};

const FieldTable& event_fields() {
  static const FieldTable table = FieldsOf<Event>().add("event", &Event::event);
  return table;
}

const FieldTable& train_line_fields() {
  const FieldSpec natural = {.range = {.least = 0}};
  static const FieldTable table =
      FieldsOf<TrainLine>()
          .add("step", &TrainLine::step, natural)
          .add("epoch", &TrainLine::epoch)
          .add("tokens", &TrainLine::tokens)
          .add("loss", &TrainLine::loss, number_or_null())
          .add("perplexity", &TrainLine::perplexity, number_or_null())
          .add("lr", &TrainLine::lr, number_or_null())
          .add("gradient_norm", &TrainLine::gradient_norm, number_or_null())
          .add("clipped", &TrainLine::clipped, {.range = {.least = 0, .most = 1}, .optional = true})
          .only_if([](const TrainLine& line) { return line.clipped > 0; })
          .add("tokens_per_second", &TrainLine::tokens_per_second, number_or_null())
          .add("seconds", &TrainLine::seconds, number_or_null());
  return table;
}

const FieldTable& validation_fields() {
  const FieldSpec natural = {.range = {.least = 0}};
  static const FieldTable table =
      FieldsOf<ValidationLine>()
          .add("step", &ValidationLine::step, natural)
          .add("epoch", &ValidationLine::epoch)
          .add("loss", &ValidationLine::loss, number_or_null())
          .add("perplexity", &ValidationLine::perplexity, number_or_null())
          .add("tokens", &ValidationLine::tokens)
          .add("best", &ValidationLine::best)
          .add("seconds", &ValidationLine::seconds, number_or_null());
  return table;
}

template <class Line>
Line read_line(const FieldTable& table, const Value& object, const FieldPlace& place) {
  Event event;
  Line line;
  read_fields({{event_fields(), event}, {table, line}}, object, place, Reading::complete);
  return line;
}

template <class Line>
Value value_of_line(const char* name, const FieldTable& table, const Line& line) {
  const Event event{name};
  return write_fields({{event_fields(), event}, {table, line}});
}

constexpr const char* train_event = "train";
constexpr const char* validation_event = "validation";

/// What ends a line: of the bytes before it, so that no changed one passes for a measurement.
std::string check_of(std::string_view before) {
  return fmt::format(R"(,"check":"{:016x}"}})", checksum(before.data(), before.size()));
}

/// The line without its check; throws when that is another. Lines of before 2026-11-26 have none.
std::string without_check(std::string_view text, const std::string& where) {
  static const std::size_t size = check_of("").size();
  if (text.size() <= size) return std::string(text);
  const std::string_view before = text.substr(0, text.size() - size);
  const std::string_view check = text.substr(before.size());
  constexpr std::size_t name = std::string_view(R"(,"check":")").size();
  const std::string expected = check_of(before);
  if (check.substr(0, name) != expected.substr(0, name)) return std::string(text);
  if (check != expected) {
    throw Error(fmt::format("{}: its bytes are not those its check is of", where));
  }
  return std::string(before) + '}';
}

}  // namespace

Value metrics_value(const TrainLine& line) {
  return value_of_line(train_event, train_line_fields(), line);
}

Value metrics_value(const ValidationLine& line) {
  return value_of_line(validation_event, validation_fields(), line);
}

std::string metrics_text(const Value& line) {
  std::string text = json_text(line);
  text.pop_back();
  return text + check_of(text);
}

MetricsLine parse_metrics_line(std::string_view text, const std::string& where) {
  const FieldPlace place{where, FieldPlace::Origin::file};
  const Value object = parse_json(without_check(text, where), place, json_line);
  if (object.as<Value::Object>() == nullptr) place.refuse("an object", object);
  const Value* event = object.find("event");
  if (event != nullptr && *event == Value(train_event)) {
    return read_line<TrainLine>(train_line_fields(), object, place);
  }
  if (event != nullptr && *event == Value(validation_event)) {
    return read_line<ValidationLine>(validation_fields(), object, place);
  }
  place.field("event").refuse(fmt::format("\"{}\" or \"{}\"", train_event, validation_event),
                              event == nullptr ? Value() : *event);
}

void MetricsFaults::add(const std::string& fault) {
  constexpr std::size_t most = 10;
  if (first_.size() < most) {
    first_.push_back(fault);
  } else {
    ++more_;
  }
}

std::vector<std::string> MetricsFaults::sentences() const {
  std::vector<std::string> all = first_;
  if (more_ > 0) all.push_back(fmt::format("{} more lines cannot be read", grouped(more_)));
  return all;
}

void for_each_metrics_line(
    const std::filesystem::path& file,
    const std::function<void(std::string_view text, const MetricsLine& line)>& whole,
    const std::function<void(const std::string& fault)>& faulty) {
  // Such a line has some 200 bytes, and a run's file some megabytes.
  constexpr std::size_t most_of_line = 4096;
  constexpr std::uintmax_t most = std::uintmax_t{1} << 30;
  std::error_code ignored;
  const std::uintmax_t size = std::filesystem::file_size(file, ignored);
  if (!ignored && size > most) {
    throw Error(fmt::format("cannot read '{}': it has {} bytes, a history at most {}; move it away",
                            file.string(), grouped(static_cast<std::int64_t>(size)),
                            grouped(static_cast<std::int64_t>(most))));
  }
  std::int64_t number = 0;
  for_each_line(file, most_of_line, [&](std::string_view line, bool complete) {
    const std::string where = fmt::format("'{}', line {}", file.string(), ++number);
    std::optional<MetricsLine> parsed;
    try {
      if (!complete) throw Error(fmt::format("{}: longer than {} bytes", where, most_of_line));
      parsed = parse_metrics_line(line, where);
    } catch (const Error& error) {
      faulty(error.what());
      return;
    }
    whole(line, *parsed);
  });
}

Metrics read_metrics(const std::filesystem::path& file) {
  Metrics metrics;
  MetricsFaults faults;
  for_each_metrics_line(
      file,
      [&](std::string_view, const MetricsLine& line) {
        if (const auto* train = std::get_if<TrainLine>(&line)) {
          metrics.train.push_back(*train);
        } else {
          metrics.validations.push_back(std::get<ValidationLine>(line));
        }
      },
      [&](const std::string& fault) { faults.add(fault); });
  metrics.faults = faults.sentences();
  return metrics;
}

}  // namespace sluice
