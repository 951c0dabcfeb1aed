#include "sluice/lab/compare/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>

#include "json_values.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/version.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/training/checkpoint.hpp"
#include "sluice/training/data_fingerprint.hpp"

namespace sluice {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int record_version = 1;
constexpr const char* record_file = "run.json";

double number_of(const json& object, const char* name) {
  const json& value = object.at(name);
  return value.is_null() ? std::numeric_limits<double>::infinity() : value.get<double>();
}

/// Checksums of what a run leaves behind, by file name.
json checksums(const fs::path& directory) {
  json sums = json::object();
  const ModelDirectory files(directory);
  for (const fs::path& file : {files.config_file(), files.metrics_file(), files.weights_file(),
                               files.weights_file(Weights::last)}) {
    if (fs::exists(file)) sums[file.filename().string()] = file_checksum(file);
  }
  return sums;
}

json to_json(const RunRecord& record) {
  return {{"status", record.status == RunStatus::diverged ? "diverged" : "finished"},
          {"message", record.message},
          {"steps", record.steps},
          {"tokens", record.tokens},
          {"seconds", record.seconds},
          {"tokens_per_second", record.tokens_per_second},
          {"train_loss", number(record.train_loss)},
          {"final_loss", number(record.final_loss)},
          {"best_loss", number(record.best_loss)},
          {"best_step", record.best_step}};
}

RunRecord record_from(const json& stored) {
  RunRecord record;
  const auto status = stored.at("status").get<std::string>();
  if (status != "finished" && status != "diverged") {
    throw Error(fmt::format("its status is '{}'", status));
  }
  record.status = status == "diverged" ? RunStatus::diverged : RunStatus::finished;
  stored.at("message").get_to(record.message);
  stored.at("steps").get_to(record.steps);
  stored.at("tokens").get_to(record.tokens);
  stored.at("seconds").get_to(record.seconds);
  stored.at("tokens_per_second").get_to(record.tokens_per_second);
  record.train_loss = number_of(stored, "train_loss");
  record.final_loss = number_of(stored, "final_loss");
  record.best_loss = number_of(stored, "best_loss");
  stored.at("best_step").get_to(record.best_step);
  return record;
}

bool ends_behind_best(const RunRecord& record) {
  return record.status == RunStatus::finished && record.best_step != record.steps;
}

/// The record in run.json. Throws for anything that is not as it was written.
RunRecord read_record(const fs::path& directory, const std::string& hash) {
  const json file = json::parse(read_file(directory / record_file));
  if (file.at("format_version").get<int>() > record_version) {
    throw Error("run.json is of a newer format");
  }
  if (file.at("run").get<std::string>() != hash) throw Error("run.json is of another run");
  for (const auto& [name, sum] : file.at("files").items()) {
    if (file_checksum(directory / name) != sum.get<std::string>()) {
      throw Error(fmt::format("{} is not what the run wrote", name));
    }
  }
  RunRecord record = record_from(file.at("result"));
  if (ends_behind_best(record) && !file.at("files").contains(ModelDirectory::last_weights_name)) {
    throw Error("its last weights are missing");
  }
  return record;
}

void write_record(const fs::path& directory, const std::string& hash, const RunRecord& record) {
  const json file = {{"format_version", record_version},
                     {"run", hash},
                     {"version", library_version()},
                     {"files", checksums(directory)},
                     {"result", to_json(record)}};
  write_file(directory / record_file, file.dump(1) + "\n");
}

double median_speed(const fs::path& directory) {
  std::vector<double> speeds;
  std::istringstream lines(read_file(ModelDirectory(directory).metrics_file()));
  for (std::string line; std::getline(lines, line);) {
    const json event = json::parse(line);
    if (event.contains("tokens_per_second")) {
      speeds.push_back(event["tokens_per_second"].get<double>());
    }
  }
  if (speeds.empty()) return 0;
  const auto middle = speeds.begin() + static_cast<std::ptrdiff_t>(speeds.size() / 2);
  std::nth_element(speeds.begin(), middle, speeds.end());
  return *middle;
}

/// What is known of a run that diverged, from the history it left.
RunRecord diverged_record(const fs::path& directory, const RunPlan& plan,
                          const std::string& message) {
  RunRecord record;
  record.status = RunStatus::diverged;
  record.message = message;
  const std::int64_t per_step = plan.training.batch * plan.training.context;
  const RunCurves curves = read_curves(directory, per_step);
  for (const auto* curve : {&curves.train, &curves.validation}) {
    if (curve->empty()) continue;
    record.tokens = std::max<std::int64_t>(record.tokens, std::llround(curve->back().tokens));
    record.seconds = std::max(record.seconds, curve->back().seconds);
  }
  record.steps = record.tokens / per_step;
  for (const CurvePoint& point : curves.validation) {
    if (point.loss >= record.best_loss) continue;
    record.best_loss = point.loss;
    record.best_step = std::llround(point.tokens) / per_step;
  }
  record.tokens_per_second = median_speed(directory);
  return record;
}

RunRecord finished_record(const fs::path& directory, const TrainResult& result) {
  RunRecord record;
  record.steps = result.step;
  record.tokens = result.tokens;
  record.seconds = result.elapsed;
  record.tokens_per_second = median_speed(directory);
  if (record.tokens_per_second == 0 && result.elapsed > 0) {
    record.tokens_per_second = static_cast<double>(result.tokens) / result.elapsed;
  }
  record.train_loss = result.smoothed_loss;
  record.final_loss = result.last_validation_loss;
  record.best_loss = result.best_loss;
  record.best_step = result.best_step;
  return record;
}

}  // namespace

json data_facts(const PreparedText& text) {
  json facts = {{"tokenizer", std::to_string(text.tokenizer->fingerprint())},
                {"train_tokens", text.train.size()},
                {"train", data_fingerprint(text.train)},
                {"valid_tokens", 0},
                {"valid", nullptr}};
  if (text.valid) {
    facts["valid_tokens"] = text.valid->size();
    facts["valid"] = data_fingerprint(*text.valid);
  }
  return facts;
}

std::string run_hash(const ModelConfig& model, const TrainConfig& training, std::int64_t threads,
                     const json& data) {
  const json all = {{"version", library_version()},
                    {"model", model},
                    {"training", training},
                    {"threads", threads},
                    {"data", data}};
  const std::string text = all.dump();
  return checksum_hex(text.data(), text.size());
}

FoundRun find_run(const fs::path& directory, const std::string& hash) {
  if (!fs::exists(directory)) return {};
  const ModelDirectory files(directory);
  try {
    if (fs::exists(directory / record_file)) {
      return {RunState::whole, read_record(directory, hash), ""};
    }
    if (!files.has_checkpoint() || !fs::exists(files.metrics_file())) return {};
    read_checkpoint_state(files.checkpoint_file());
    SafetensorsFile(files.checkpoint_file()).check_data();
    return {RunState::partial, {}, ""};
  } catch (const json::exception&) {
    return {RunState::damaged, {}, "run.json is not what the run wrote"};
  } catch (const std::exception& error) {
    return {RunState::damaged, {}, error.what()};
  }
}

std::optional<RunRecord> train_run(const RunPlan& plan, const PreparedText& text,
                                   const fs::path& directory, const RunOptions& options) {
  const RunState state = find_run(directory, plan.hash).state;
  if (state == RunState::damaged) fs::remove_all(directory);
  fs::create_directories(directory);
  const ModelDirectory files(directory);
  const DirectoryLock lock = files.lock();
  fs::remove(directory / record_file);
  fs::remove(files.weights_file(Weights::last));
  text.tokenizer->save(directory);
  files.write_config(plan.settings.text());

  const auto model = make_model(plan.model, plan.training.seed);
  TrainOptions training;
  training.resume = state == RunState::partial;
  training.fingerprint = {{"tokenizer", std::to_string(text.tokenizer->fingerprint())}};
  training.callbacks = options.callbacks;
  training.stop = options.stop;
  RunRecord record;
  try {
    const TrainResult result = train(*model, text.train, text.valid ? &*text.valid : nullptr,
                                     plan.training, directory, training);
    if (result.status == TrainStatus::interrupted) return std::nullopt;
    record = finished_record(directory, result);
  } catch (const DivergedError& error) {
    record = diverged_record(directory, plan, error.what());
  }
  if (ends_behind_best(record)) files.save_weights(*model, Weights::last);
  write_record(directory, plan.hash, record);
  if (record.status == RunStatus::finished) fs::remove(files.checkpoint_file());
  return record;
}

LoadedModel load_trained(const fs::path& directory) {
  return ModelDirectory(directory).load(Weights::last);
}

RunCurves read_curves(const fs::path& directory, std::int64_t tokens_per_step) {
  RunCurves curves;
  std::istringstream lines(read_file(ModelDirectory(directory).metrics_file()));
  for (std::string line; std::getline(lines, line);) {
    const json event = json::parse(line, nullptr, false);
    if (!event.is_object()) {
      throw Error(fmt::format("'{}' has a line that is no JSON object",
                              ModelDirectory(directory).metrics_file().string()));
    }
    const CurvePoint point{
        .tokens = static_cast<double>(event.value("step", std::int64_t{0}) * tokens_per_step),
        .seconds = event.value("seconds", 0.0),
        .loss = event.value("loss", 0.0)};
    (event.value("event", "") == "validation" ? curves.validation : curves.train).push_back(point);
  }
  return curves;
}

}  // namespace sluice
