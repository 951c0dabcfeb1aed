#include "sluice/training/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"

namespace sluice {
namespace {

/// Calls field(name, value) for every field, in the order of the struct.
template <class Config, class Field>
void for_each_field(Config& config, Field&& field) {
  field("batch", config.batch);
  field("context", config.context);
  field("optimizer", config.optimizer.kind);
  field("momentum", config.optimizer.momentum);
  field("beta1", config.optimizer.beta1);
  field("beta2", config.optimizer.beta2);
  field("epsilon", config.optimizer.epsilon);
  field("weight_decay", config.optimizer.weight_decay);
  field("schedule", config.schedule.kind);
  field("lr", config.schedule.lr);
  field("warmup", config.schedule.warmup);
  field("floor", config.schedule.floor);
  field("factor", config.schedule.factor);
  field("clip", config.clip);
  field("epochs", config.epochs);
  field("minutes", config.minutes);
  field("steps", config.steps);
  field("tokens", config.tokens);
  field("patience", config.patience);
  field("validate_every", config.validate_every);
  field("checkpoint_every", config.checkpoint_every);
  field("log_every", config.log_every);
  field("carry", config.carry);
  field("seed", config.seed);
  field("precision", config.precision);
  field("conv", config.conv);
  field("recompute", config.recompute);
}

struct Writer {
  nlohmann::json& json;
  template <class T>
  void operator()(const char* name, const T& value) const {
    json[name] = value;
  }
  void operator()(const char* name, OptimizerKind kind) const { json[name] = optimizer_name(kind); }
  void operator()(const char* name, ScheduleKind kind) const { json[name] = schedule_name(kind); }
  void operator()(const char* name, Precision value) const { json[name] = precision_name(value); }
  void operator()(const char* name, ConvPath value) const { json[name] = conv_path_name(value); }
};

struct Reader {
  const nlohmann::json& json;

  void operator()(const char* name, std::int64_t& value) const { read(name, value, integer); }
  void operator()(const char* name, std::uint64_t& value) const {
    read(
        name, value,
        [](const nlohmann::json& j) {
          return j.is_number_unsigned() || (j.is_number_integer() && j.get<std::int64_t>() >= 0);
        },
        "a whole number that is not negative");
  }
  void operator()(const char* name, double& value) const {
    read(
        name, value, [](const nlohmann::json& j) { return j.is_number(); }, "a number");
  }
  void operator()(const char* name, bool& value) const {
    read(
        name, value, [](const nlohmann::json& j) { return j.is_boolean(); }, "true or false");
  }
  void operator()(const char* name, OptimizerKind& kind) const {
    std::string text(optimizer_name(kind));
    read_text(name, text);
    kind = parse_optimizer(text);
  }
  void operator()(const char* name, ScheduleKind& kind) const {
    std::string text(schedule_name(kind));
    read_text(name, text);
    kind = parse_schedule(text);
  }
  void operator()(const char* name, Precision& precision) const {
    std::string text = precision_name(precision);
    read_text(name, text);
    precision = parse_precision(text);
  }
  void operator()(const char* name, ConvPath& path) const {
    std::string text = conv_path_name(path);
    read_text(name, text);
    path = parse_conv_path(text);
  }

 private:
  static bool integer(const nlohmann::json& j) {
    return j.is_number_integer() &&
           !(j.is_number_unsigned() && j.get<std::uint64_t>() > std::uint64_t{INT64_MAX});
  }
  void read_text(const char* name, std::string& text) const {
    read(
        name, text, [](const nlohmann::json& j) { return j.is_string(); }, "a name in quotes");
  }
  template <class T, class Accepts>
  void read(const char* name, T& value, Accepts accepts,
            std::string_view expected = "a whole number") const {
    const auto it = json.find(name);
    if (it == json.end()) return;
    if (!accepts(*it)) {
      throw UsageError(
          fmt::format("training config: '{}' must be {}, got {}", name, expected, it->dump()));
    }
    it->get_to(value);
  }
};

std::vector<std::string> field_names() {
  std::vector<std::string> names;
  const TrainConfig config;
  for_each_field(config, [&](const char* name, const auto&) { names.emplace_back(name); });
  return names;
}

void at_least(std::int64_t least, const char* name, std::int64_t value) {
  if (value < least) {
    throw UsageError(fmt::format("{} must be at least {}, got {}", name, least, value));
  }
}

}  // namespace

void TrainConfig::validate() const {
  constexpr std::int64_t most = std::int64_t{1} << 24;
  at_least(1, "batch", batch);
  at_least(1, "context", context);
  if (batch > most / context) {
    throw UsageError(fmt::format("batch · context must be at most {} tokens per step, got {} · {}",
                                 most, batch, context));
  }
  optimizer.validate();
  schedule.validate();
  if (!(clip >= 0) || !std::isfinite(clip)) {
    throw UsageError(fmt::format("clip must be finite and not negative, got {}", clip));
  }
  at_least(0, "epochs", epochs);
  at_least(0, "steps", steps);
  at_least(0, "tokens", tokens);
  if (!(minutes >= 0) || !std::isfinite(minutes)) {
    throw UsageError(fmt::format("minutes must be finite and not negative, got {}", minutes));
  }
  if (epochs == 0 && steps == 0 && tokens == 0 && minutes == 0) {
    throw UsageError("training needs a budget: one of epochs, minutes, steps or tokens");
  }
  at_least(0, "patience", patience);
  at_least(0, "validate_every", validate_every);
  at_least(0, "checkpoint_every", checkpoint_every);
  at_least(1, "log_every", log_every);
}

std::int64_t TrainConfig::total_steps(std::int64_t steps_per_epoch) const {
  std::int64_t total = 0;
  const auto limit = [&](std::int64_t bound) {
    if (bound > 0) total = total == 0 ? bound : std::min(total, bound);
  };
  limit(steps);
  if (tokens > 0) limit((tokens - 1) / (batch * context) + 1);
  if (epochs > 0)
    limit(epochs <= INT64_MAX / steps_per_epoch ? epochs * steps_per_epoch : INT64_MAX);
  return total;
}

void to_json(nlohmann::json& json, const TrainConfig& config) {
  json = nlohmann::json::object();
  for_each_field(config, Writer{json});
}

void from_json(const nlohmann::json& json, TrainConfig& config) {
  if (!json.is_object()) {
    throw UsageError(fmt::format("training config: expected an object, got {}", json.type_name()));
  }
  const std::vector<std::string> names = field_names();
  for (const auto& item : json.items()) parse_name("training field", item.key(), names);
  TrainConfig read = config;
  for_each_field(read, Reader{json});
  config = read;
}

std::string precision_name(Precision precision) {
  return precision == Precision::bf16 ? "bf16" : "f32";
}

Precision parse_precision(const std::string& name) {
  return static_cast<Precision>(parse_name("precision", name, {"f32", "bf16"}));
}

}  // namespace sluice
