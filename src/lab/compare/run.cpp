#include "sluice/lab/compare/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>

#include "codecs.hpp"
#include "own_directory.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/version.hpp"
#include "sluice/lab/compare/statistics.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/training/detail/checkpoint.hpp"
#include "sluice/training/detail/data_fingerprint.hpp"
#include "sluice/training/metrics.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t record_version = 1;

/// run.json.
struct RunFile {
  std::int64_t format_version = record_version;
  /// Of the run, see run_hash.
  std::string run;
  /// Of the library.
  std::string version;
  /// Checksums of what the run left behind, by file name.
  std::map<std::string, std::string> files;
  RunRecord result;
};

FieldCodec<std::map<std::string, std::string>> checksums_by_name() {
  return {"an object of checksums", "",
          [](const Value& value, const FieldPlace& place) {
            const auto* object = value.as<Value::Object>();
            if (object == nullptr) place.refuse("an object of checksums", value);
            std::map<std::string, std::string> sums;
            for (const auto& [name, sum] : *object) {
              // It becomes a path: nothing outside the run's directory is read.
              if (!is_plain_name(name)) place.field(name).refuse("expected the name of a file");
              sums[name] = fields_detail::read_text(sum, place.field(name));
            }
            return sums;
          },
          [](const std::map<std::string, std::string>& sums) {
            Value::Object object;
            for (const auto& [name, sum] : sums) object.emplace_back(name, sum);
            return Value(std::move(object));
          },
          [](std::string_view text) { return Value(std::string(text)); }};
}

const FieldTable& run_file_fields() {
  static const FieldTable table = FieldsOf<RunFile>()
                                      .add("format_version", &RunFile::format_version)
                                      .add("run", &RunFile::run)
                                      .add("version", &RunFile::version)
                                      .add("files", &RunFile::files, checksums_by_name())
                                      .add_struct("result", &RunFile::result, run_record_fields());
  return table;
}

/// How data stand in what run_hash() is the checksum of.
const FieldTable& data_facts_fields() {
  static const FieldTable table =
      FieldsOf<DataFacts>()
          .add("tokenizer", &DataFacts::tokenizer)
          .add("train", &DataFacts::train)
          .add("train_tokens", &DataFacts::train_tokens)
          .add("valid", &DataFacts::valid, optional_of(field_codec<std::string>({})))
          .add("valid_tokens", &DataFacts::valid_tokens);
  return table;
}

/// Checksums of what a run leaves behind, by file name.
std::map<std::string, std::string> checksums(const ModelDirectory& files) {
  std::map<std::string, std::string> sums;
  for (const fs::path& file : {files.config_file(), files.metrics_file(), files.weights_file(),
                               files.weights_file(Weights::last)}) {
    if (is_there(file)) sums[file.filename().string()] = file_checksum(file);
  }
  return sums;
}

bool ends_behind_best(const RunRecord& record) {
  return record.status == RunStatus::finished && record.best_step != record.steps;
}

RunFile read_run_file(const fs::path& directory) {
  const fs::path path = run_record_file(directory);
  const FieldPlace place{fmt::format("'{}'", path.string()), FieldPlace::Origin::file};
  RunFile file;
  read_fields({{run_file_fields(), file}}, parse_json(read_file(path, most_json_bytes), place),
              place, Reading::complete);
  return file;
}

/// The record in run.json. Throws Error for anything that is not as it was written.
RunRecord read_record(const fs::path& directory, const std::string& hash) {
  const RunFile file = read_run_file(directory);
  if (file.format_version > record_version)
    throw Error(fmt::format("{} is of a newer format", LabDirectory::run_record_name));
  if (file.run != hash)
    throw Error(fmt::format("{} is of another run", LabDirectory::run_record_name));
  for (const auto& [name, sum] : file.files) {
    if (file_checksum(directory / name) != sum) {
      throw Error(fmt::format("{} is not what the run wrote", name));
    }
  }
  if (ends_behind_best(file.result) && !file.files.contains(ModelDirectory::last_weights_name)) {
    throw Error("its last weights are missing");
  }
  return file.result;
}

void write_record(const ModelDirectory& files, const std::string& hash, const RunRecord& record) {
  const RunFile file{.run = hash,
                     .version = std::string(library_version()),
                     .files = checksums(files),
                     .result = record};
  write_file(run_record_file(files.path()),
             json_text(write_fields({{run_file_fields(), file}}), 1) + "\n");
}

double median_speed(const fs::path& directory) {
  std::vector<double> speeds;
  for (const TrainLine& line : read_metrics(ModelDirectory(directory).metrics_file()).train) {
    speeds.push_back(line.tokens_per_second);
  }
  return speeds.empty() ? 0 : center(speeds, Statistic::median);
}

/// What is known of a run that diverged, from the history it left.
RunRecord diverged_record(const fs::path& directory, const RunPlan& plan,
                          const std::string& message) {
  RunRecord record;
  record.status = RunStatus::diverged;
  record.message = message;
  const std::int64_t per_step = plan.training.tokens_per_step();
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

/// A free name beside the directory of a damaged run, to put it aside.
fs::path place_for_damaged(const fs::path& directory) {
  for (int n = 1;; ++n) {
    fs::path place = directory;
    place += LabDirectory::damaged_mark;
    if (n > 1) place += fmt::format("-{}", n);
    if (!is_there(place)) return place;
  }
}

}  // namespace

const EnumNames<RunStatus>& enum_names(RunStatus) {
  static const EnumNames<RunStatus> names(
      "status", {{RunStatus::finished, "finished"}, {RunStatus::diverged, "diverged"}});
  return names;
}

const FieldTable& run_record_fields() {
  static const FieldTable table = FieldsOf<RunRecord>()
                                      .add("status", &RunRecord::status)
                                      .add("message", &RunRecord::message)
                                      .add("steps", &RunRecord::steps)
                                      .add("tokens", &RunRecord::tokens)
                                      .add("seconds", &RunRecord::seconds)
                                      .add("tokens_per_second", &RunRecord::tokens_per_second)
                                      .add("train_loss", &RunRecord::train_loss, number_or_null())
                                      .add("final_loss", &RunRecord::final_loss, number_or_null())
                                      .add("best_loss", &RunRecord::best_loss, number_or_null())
                                      .add("best_step", &RunRecord::best_step);
  return table;
}

fs::path run_record_file(const fs::path& directory) {
  return directory / LabDirectory::run_record_name;
}

std::optional<std::string> recorded_version(const fs::path& directory) {
  // Other fields may be others in another version.
  try {
    const fs::path path = run_record_file(directory);
    const Value file =
        parse_json(read_file(path, most_json_bytes), {path.string(), FieldPlace::Origin::file});
    const Value* version = file.find("version");
    const auto* text = version != nullptr ? version->as<std::string>() : nullptr;
    return text != nullptr ? std::optional(*text) : std::nullopt;
  } catch (const Error&) {
    // Only the user is told of the versions of other runs: one that cannot be read is left out.
    return std::nullopt;
  }
}

DataFacts data_facts(const PreparedText& text) {
  DataFacts facts{.tokenizer = std::to_string(text.tokenizer->fingerprint()),
                  .train = data_fingerprint(text.train),
                  .train_tokens = text.train.size()};
  if (text.valid) {
    facts.valid = data_fingerprint(*text.valid);
    facts.valid_tokens = text.valid->size();
  }
  return facts;
}

std::string run_hash(const ModelConfig& model, const TrainConfig& training, std::int64_t threads,
                     const DataFacts& data) {
  // Runs are found again by this text: it must never change.
  Value all;
  all.set("version", std::string(library_version()));
  all.set("model", write_model(model));
  all.set("training", write_fields(field_parts(training)));
  all.set("threads", threads);
  all.set("data", write_fields({{data_facts_fields(), data}}));
  const std::string text = json_text(all);
  return checksum_hex(text.data(), text.size());
}

FoundRun find_run(const fs::path& directory, const std::string& hash) {
  if (!is_there(directory)) return {};
  const ModelDirectory files(directory);
  try {
    if (is_there(run_record_file(directory))) {
      return {RunState::whole, read_record(directory, hash), ""};
    }
    if (!files.has_checkpoint() || !is_there(files.metrics_file())) return {};
    read_checkpoint_state(files.checkpoint_file());
    SafetensorsFile(files.checkpoint_file()).check_data();
    return {RunState::partial, {}, ""};
  } catch (const Error& error) {
    // What cannot be read now may be whole.
    rethrow_if_refused(error);
    return {RunState::damaged, {}, error.what()};
  }
}

std::optional<RunRecord> train_run(const RunPlan& plan, const PreparedText& text,
                                   const fs::path& directory, const RunOptions& options) {
  const RunState state = find_run(directory, plan.hash).state;
  // Somebody may want to look what is left of it.
  if (state == RunState::damaged) fs::rename(directory, place_for_damaged(directory));
  make_own_directory(directory, 2);  // runs/HASH
  const ModelDirectory files(directory);
  const DirectoryLock lock = files.lock();
  fs::remove(run_record_file(directory));
  fs::remove(files.weights_file(Weights::last));

  TrainOptions training;
  training.resume = state == RunState::partial;
  training.callbacks = options.callbacks;
  training.stop = options.stop;
  RunRecord record;
  try {
    const TrainResult result = train_model(plan, text, files, training, LastWeights::keep);
    if (result.status == TrainStatus::interrupted) return std::nullopt;
    record = finished_record(directory, result);
  } catch (const DivergedError& error) {
    record = diverged_record(directory, plan, error.what());
  }
  write_record(files, plan.hash, record);
  if (record.status == RunStatus::finished) fs::remove(files.checkpoint_file());
  return record;
}

LoadedModel load_trained(const fs::path& directory) {
  return ModelDirectory(directory).load(Weights::last);
}

RunCurves read_curves(const fs::path& directory, std::int64_t tokens_per_step) {
  const Metrics metrics = read_metrics(ModelDirectory(directory).metrics_file());
  const auto point = [&](const auto& line) {
    return CurvePoint{
        .tokens = static_cast<double>(line.step) * static_cast<double>(tokens_per_step),
        .seconds = line.seconds,
        .loss = line.loss};
  };
  RunCurves curves;
  for (const TrainLine& line : metrics.train) curves.train.push_back(point(line));
  for (const ValidationLine& line : metrics.validations) curves.validation.push_back(point(line));
  return curves;
}

}  // namespace sluice
