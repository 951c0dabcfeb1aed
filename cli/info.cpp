// sluice info: what is in a model directory.

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/inference/runtime_model.hpp"
#include "sluice/lab/units/reading_cost.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/training/metrics.hpp"

namespace sluice::cli {
namespace {

using nlohmann::ordered_json;

/// What the metrics tell of the training: the last "train" line and every validation.
ordered_json history(const Metrics& metrics) {
  ordered_json last = nullptr;
  if (!metrics.train.empty()) last = document_of(metrics_value(metrics.train.back()));
  ordered_json validations = ordered_json::array();
  for (const ValidationLine& line : metrics.validations) {
    validations.emplace_back(document_of(metrics_value(line)));
  }
  return {{"last", last}, {"validations", validations}};
}

/// What is known of a model without its weights.
ordered_json describe(const ModelDirectory& files, const Tokenizer& tokenizer,
                      std::optional<std::int64_t> field) {
  const Value config = files.config();
  const ModelConfig model = files.model_config();
  Metrics metrics;
  if (std::filesystem::exists(files.metrics_file())) metrics = read_metrics(files.metrics_file());
  for (const std::string& fault : metrics.faults) {
    tell(fmt::format("sluice info: {}; it is passed over\n", fault));
  }
  const Value* const training = config.find("training");
  return {{"model", document_of(*config.find("model"))},
          {"summary", model.summary()},
          {"parameters", model.parameter_count()},
          {"receptive_field", field ? ordered_json(*field) : ordered_json()},
          {"tokenizer", {{"kind", tokenizer.kind()}, {"vocabulary", tokenizer.size()}}},
          {"tensors", ordered_json::array()},
          {"training", document_of(training != nullptr ? *training : Value())},
          {"history", history(metrics)}};
}

ordered_json describe(const std::filesystem::path& directory, bool verify) {
  const ModelDirectory files(directory);
  if (files.has_runtime()) {
    const LoadedFrozenModel loaded =
        load_runtime_model(files, verify ? Verify::always : Verify::when_changed);
    const RuntimeInfo runtime = runtime_info(files);
    ordered_json info = describe(files, *loaded.tokenizer, loaded.model->receptive_field());
    info["runtime"] = {{"precision", name_of(runtime.precision)}, {"bytes", runtime.bytes}};
    return info;
  }
  const LoadedModel loaded = files.load();
  ordered_json info = describe(files, *loaded.tokenizer, loaded.model->receptive_field());
  info["parameters"] = parameter_count(loaded.model->parameters());
  for (const Parameter& parameter : loaded.model->parameters()) {
    const Shape& shape = parameter.file_shape();
    ordered_json sizes = ordered_json::array();
    for (int i = 0; i < shape.rank(); ++i) sizes.push_back(shape[i]);
    info["tensors"].push_back({{"name", parameter.name}, {"shape", sizes}});
  }
  return info;
}

/// Null stands for a number that is not finite.
double number_of(const ordered_json& event, const char* field) {
  const ordered_json& value = event.at(field);
  return value.is_null() ? std::numeric_limits<double>::infinity() : value.get<double>();
}

std::string validation_line(const ordered_json& event, double uniform_loss) {
  return fmt::format(
      "step {} (epoch {}): loss {:.4f}, perplexity {:.2f}{}\n",
      grouped(event.value("step", std::int64_t{0})), event.value("epoch", std::int64_t{0}),
      number_of(event, "loss"), number_of(event, "perplexity"),
      validation_standing(number_of(event, "loss"), uniform_loss, event.value("best", false)));
}

/// What reading `length` tokens costs the model.
ordered_json describe_cost(const std::string& directory, std::int64_t length) {
  if (length < 1 || length > most_reading_length) {
    throw UsageError(
        fmt::format("--length: expected 1 to {} tokens, got {}", most_reading_length, length));
  }
  const ReadingCost cost = measure_reading(load_frozen_model(directory).model, length);
  ordered_json found = {{"length", cost.length},           {"flop", cost.flop},
                        {"sequential", nullptr},           {"depending", nullptr},
                        {"seconds_at_once", cost.at_once}, {"seconds_one_by_one", cost.one_by_one}};
  if (cost.sequential) {
    found["sequential"] = cost.sequential->reading;
    found["depending"] = cost.sequential->depending;
  }
  return found;
}

std::string cost_text(const ordered_json& cost) {
  const auto count = [](const ordered_json& value) {
    return value.is_null() ? std::string("unknown") : grouped(value.get<std::int64_t>());
  };
  const std::string length = grouped(cost["length"].get<std::int64_t>());
  const double tokens = cost["length"].get<double>();
  const auto time = [&](const char* field) {
    const double seconds = cost[field].get<double>();
    return fmt::format("{:.4g} ms ({} tokens/s)", 1e3 * seconds,
                       grouped(static_cast<std::int64_t>(tokens / seconds)));
  };
  return fmt::format(
      "reading {} tokens\n"
      "  floating-point operations   {:.3g}\n"
      "  that wait for one another   {} layers or steps\n"
      "  to depend on all {} tokens  {} layers or steps\n"
      "  at once                     {}\n"
      "  one after another           {}\n",
      length, cost["flop"].get<double>(), count(cost["sequential"]), length,
      count(cost["depending"]), time("seconds_at_once"), time("seconds_one_by_one"));
}

std::string as_text(const ordered_json& info) {
  const ordered_json& model = info["model"];
  std::string text = fmt::format(
      "model            {}{}\n"
      "norm             {}\n"
      "embedding        {} wide{}\n"
      "softmax          {}{}\n"
      "parameters       {}\n"
      "receptive field  {}\n"
      "tokenizer        {}, {} tokens\n",
      info["summary"].get<std::string>(),
      model.contains("layers") ? ": " + model["layers"].get<std::string>() : "",
      model.value("norm", "none"), model["dim"].dump(),
      model["tie"].get<bool>() ? ", shared with the output" : "",
      model["softmax"].get<std::string>(),
      model["cutoffs"].empty() ? "" : ", cut at " + model["cutoffs"].dump(),
      grouped(info["parameters"].get<std::int64_t>()),
      info["receptive_field"].is_null()
          ? "the whole text"
          : grouped(info["receptive_field"].get<std::int64_t>()) + " tokens",
      info["tokenizer"]["kind"].get<std::string>(),
      grouped(info["tokenizer"]["vocabulary"].get<std::int64_t>()));
  if (model.contains("documents")) {
    const std::string mark = model.value("document_mark", "");
    text += fmt::format("documents        {}{}\n", model["documents"].get<std::string>(),
                        mark.empty() ? "" : ", " + mark + " at their end");
  }
  if (info.contains("runtime")) {
    text += fmt::format("weights          {}, {} bytes, mapped\n",
                        info["runtime"]["precision"].get<std::string>(),
                        grouped(info["runtime"]["bytes"].get<std::int64_t>()));
  }
  if (!info["tensors"].empty()) text += "tensors\n";
  for (const ordered_json& tensor : info["tensors"]) {
    text += fmt::format("  {} {}\n", tensor["name"].get<std::string>(), tensor["shape"].dump());
  }
  if (info.contains("cost")) text += cost_text(info["cost"]);
  const ordered_json& history = info["history"];
  if (const ordered_json& last = history["last"]; last.is_object()) {
    text += fmt::format("training\n  last logged at step {}: loss {:.4f}, {} tokens in {}\n",
                        grouped(last.value("step", std::int64_t{0})), number_of(last, "loss"),
                        grouped(last.value("tokens", std::int64_t{0})),
                        clock_time(number_of(last, "seconds")));
  }
  if (!history["validations"].empty()) {
    text += "validations\n";
    const double uniform_loss = std::log(info["tokenizer"]["vocabulary"].get<double>());
    for (const ordered_json& event : history["validations"]) {
      text += "  " + validation_line(event, uniform_loss);
    }
  }
  return text;
}

}  // namespace

void add_info(CLI::App& program, int& status) {
  struct InfoCommand {
    std::string model;
    bool json = false;
    bool verify = false;
    std::int64_t length = 0;
  };
  auto command = std::make_shared<InfoCommand>();
  CLI::App& app = add_command(program, "info", "Show a model's shape, size, tokenizer and history");
  add_footer(app, "", {"sluice info model"});
  add_text(app, "MODEL", command->model, "directory that sluice train made", "").required();
  add_flag(app, "--json", command->json, "print one JSON object instead (docs/formats.md)");
  add_flag(app, "--verify", command->verify,
           "compute a runtime model's checksum even if it is known to be whole");
  const Argument length =
      add_integer(app, "--length", command->length,
                  "what reading N tokens costs besides: floating-point operations, how many layers "
                  "or steps wait "
                  "for one another, and the time here, all at once and one after another");
  add_threads(app);
  when_chosen(app, [command, length, &status] {
    ordered_json info = describe(command->model, command->verify);
    if (length.given()) info["cost"] = describe_cost(command->model, command->length);
    print(command->json ? info.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
                        : as_text(info));
    status = 0;
  });
}

}  // namespace sluice::cli
