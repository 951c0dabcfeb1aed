// sluice info: what is in a model directory.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/inference/runtime_model.hpp"
#include "sluice/lab/units/reading_cost.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/training/metrics.hpp"

namespace sluice::cli {
namespace {

struct TensorShape {
  std::string name;
  std::vector<std::int64_t> sizes;
};

/// What is in a model directory.
struct ModelInfo {
  ModelConfig config;
  /// Sections of config.json, as it has them.
  Value model, training;
  std::int64_t parameters = 0;
  /// None: the whole text.
  std::optional<std::int64_t> receptive_field = {};
  std::string tokenizer = {};
  std::int64_t vocabulary = 0;
  /// Of a model that can be trained.
  std::vector<TensorShape> tensors = {};
  /// The last "train" line, and every validation.
  std::optional<TrainLine> last = {};
  std::vector<ValidationLine> validations = {};
  std::optional<RuntimeInfo> runtime = {};
  std::optional<ReadingCost> cost = {};
};

/// What is known of a model without its weights.
ModelInfo describe(const ModelDirectory& files, const Tokenizer& tokenizer) {
  const Value file = files.config();
  ModelInfo info{.config = files.model_config(), .model = *file.find("model"), .training = {}};
  if (const Value* const training = file.find("training")) info.training = *training;
  Metrics metrics;
  if (std::filesystem::exists(files.metrics_file())) metrics = read_metrics(files.metrics_file());
  for (const std::string& fault : metrics.faults) {
    tell(fmt::format("sluice info: {}; it is passed over\n", fault));
  }
  if (!metrics.train.empty()) info.last = metrics.train.back();
  info.validations = std::move(metrics.validations);
  info.parameters = info.config.parameter_count();
  info.tokenizer = tokenizer.kind();
  info.vocabulary = tokenizer.size();
  return info;
}

ModelInfo describe(const std::filesystem::path& directory, bool verify) {
  const ModelDirectory files(directory);
  if (files.has_runtime()) {
    const LoadedFrozenModel loaded =
        load_runtime_model(files, verify ? Verify::always : Verify::when_changed);
    const RuntimeInfo runtime = runtime_info(files);
    ModelInfo info = describe(files, *loaded.tokenizer);
    info.receptive_field = loaded.model->receptive_field();
    info.runtime = runtime;
    return info;
  }
  const LoadedModel loaded = files.load();
  ModelInfo info = describe(files, *loaded.tokenizer);
  info.receptive_field = loaded.model->receptive_field();
  info.parameters = parameter_count(loaded.model->parameters());
  for (const Parameter& parameter : loaded.model->parameters()) {
    const Shape& shape = parameter.file_shape();
    TensorShape tensor{parameter.name, {}};
    for (int i = 0; i < shape.rank(); ++i) tensor.sizes.push_back(shape[i]);
    info.tensors.push_back(std::move(tensor));
  }
  return info;
}

/// What reading `length` tokens costs the model.
ReadingCost cost_of(const std::string& directory, std::int64_t length) {
  if (length < 1 || length > most_reading_length) {
    throw UsageError(
        fmt::format("--length: expected 1 to {} tokens, got {}", most_reading_length, length));
  }
  return measure_reading(load_frozen_model(directory).model, length);
}

Value json_of(const ReadingCost& cost) {
  Value sequential, depending;
  if (cost.sequential) {
    sequential = cost.sequential->reading;
    depending = cost.sequential->depending;
  }
  return Value::Object{{"length", cost.length},           {"flop", cost.flop},
                       {"sequential", sequential},        {"depending", depending},
                       {"seconds_at_once", cost.at_once}, {"seconds_one_by_one", cost.one_by_one}};
}

Value json_of(const ModelInfo& info) {
  Value::List tensors, validations;
  for (const TensorShape& tensor : info.tensors) {
    tensors.emplace_back(Value::Object{
        {"name", tensor.name}, {"shape", Value::List(tensor.sizes.begin(), tensor.sizes.end())}});
  }
  for (const ValidationLine& line : info.validations) {
    validations.emplace_back(metrics_value(line));
  }
  Value last;
  if (info.last) last = metrics_value(*info.last);
  Value::Object object = {
      {"model", info.model},
      {"summary", info.config.summary()},
      {"parameters", info.parameters},
      {"receptive_field", info.receptive_field ? Value(*info.receptive_field) : Value()},
      {"tokenizer", Value::Object{{"kind", info.tokenizer}, {"vocabulary", info.vocabulary}}},
      {"tensors", tensors},
      {"training", info.training},
      {"history", Value::Object{{"last", last}, {"validations", std::move(validations)}}}};
  if (info.runtime) {
    object.emplace_back("runtime", Value::Object{{"precision", name_of(info.runtime->precision)},
                                                 {"bytes", info.runtime->bytes}});
  }
  if (info.cost) object.emplace_back("cost", json_of(*info.cost));
  return object;
}

std::string validation_line(const ValidationLine& line, double uniform_loss) {
  return fmt::format("step {} (epoch {}): loss {:.4f}, perplexity {:.2f}{}\n", grouped(line.step),
                     grouped(line.epoch), line.loss, line.perplexity,
                     validation_standing(line.loss, uniform_loss, line.best));
}

std::string cost_text(const ReadingCost& cost) {
  const auto count = [&](std::int64_t SequentialOperations::*field) {
    return cost.sequential ? grouped((*cost.sequential).*field) : std::string("unknown");
  };
  const std::string length = grouped(cost.length);
  const auto tokens = static_cast<double>(cost.length);
  const auto time = [&](double seconds) {
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
      length, cost.flop, count(&SequentialOperations::reading), length,
      count(&SequentialOperations::depending), time(cost.at_once), time(cost.one_by_one));
}

std::string as_text(const ModelInfo& info) {
  const ModelConfig& config = info.config;
  // A field of some architectures.
  const Value* const layers = info.model.find("layers");
  const auto* const list = layers != nullptr ? layers->as<std::string>() : nullptr;
  std::string text = fmt::format(
      "model            {}{}\n"
      "norm             {}\n"
      "embedding        {} wide{}\n"
      "softmax          {}{}\n"
      "parameters       {}\n"
      "receptive field  {}\n"
      "tokenizer        {}, {} tokens\n",
      config.summary(), list != nullptr ? ": " + *list : "", config.norm, config.dim,
      config.tie ? ", shared with the output" : "", config.softmax,
      config.cutoffs.empty() ? "" : fmt::format(", cut at [{}]", fmt::join(config.cutoffs, ",")),
      grouped(info.parameters),
      info.receptive_field ? grouped(*info.receptive_field) + " tokens" : "the whole text",
      info.tokenizer, grouped(info.vocabulary));
  if (config.documents != DocumentEnd::none) {
    text += fmt::format(
        "documents        {}{}\n", name_of(config.documents),
        config.document_mark.empty() ? "" : ", " + config.document_mark + " at their end");
  }
  if (info.runtime) {
    text += fmt::format("weights          {}, {} bytes, mapped\n", name_of(info.runtime->precision),
                        grouped(static_cast<std::int64_t>(info.runtime->bytes)));
  }
  if (!info.tensors.empty()) text += "tensors\n";
  for (const TensorShape& tensor : info.tensors) {
    text += fmt::format("  {} [{}]\n", tensor.name, fmt::join(tensor.sizes, ","));
  }
  if (info.cost) text += cost_text(*info.cost);
  if (info.last) {
    text += fmt::format("training\n  last logged at step {}: loss {:.4f}, {} tokens in {}\n",
                        grouped(info.last->step), info.last->loss, grouped(info.last->tokens),
                        clock_time(info.last->seconds));
  }
  if (!info.validations.empty()) {
    text += "validations\n";
    const double uniform_loss = std::log(static_cast<double>(info.vocabulary));
    for (const ValidationLine& line : info.validations) {
      text += "  " + validation_line(line, uniform_loss);
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
    ModelInfo info = describe(command->model, command->verify);
    if (length.given()) info.cost = cost_of(command->model, command->length);
    if (command->json) {
      print_json(json_of(info));
    } else {
      print(as_text(info));
    }
    status = 0;
  });
}

}  // namespace sluice::cli
