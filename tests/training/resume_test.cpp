// A resumed run equals the uninterrupted one, bit for bit.
#include <gtest/gtest.h>

#include <functional>
#include <sstream>

#include "metrics_log.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/evaluate.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/training/metrics.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

struct Recipe {
  const char* name;
  OptimizerKind optimizer;
  ScheduleKind schedule;
  bool carry;
  std::int64_t validate_every;
};

class Resume : public testing::TestWithParam<Recipe> {
 protected:
  static TrainConfig config() {
    TrainConfig config = tiny_training(GetParam().optimizer, GetParam().schedule);
    config.carry = GetParam().carry;
    config.validate_every = GetParam().validate_every;
    return config;
  }
};

INSTANTIATE_TEST_SUITE_P(
    All, Resume,
    testing::Values(Recipe{"nesterov_cosine", OptimizerKind::nesterov, ScheduleKind::cosine, true,
                           0},
                    Recipe{"sgd_plateau", OptimizerKind::sgd, ScheduleKind::plateau, true, 3},
                    Recipe{"adam_constant", OptimizerKind::adam, ScheduleKind::constant, false, 0},
                    Recipe{"adamw_plateau", OptimizerKind::adamw, ScheduleKind::plateau, true, 4}),
    [](const auto& recipe) { return std::string(recipe.param.name); });

// An epoch is 10 steps, a metrics line 7: borders of both, their neighbours, and the first and last
// step.
TEST_P(Resume, EqualsTheUninterruptedRun) {
  const Directory whole;
  ASSERT_EQ(run(whole.path(), config()).status, TrainStatus::finished);
  for (const std::int64_t stop : {1, 3, 7, 9, 10, 11, 20, 28, 36}) {
    SCOPED_TRACE(stop);
    const Directory parts;
    StopAt stopper(stop);
    const TrainResult first = run(parts.path(), config(), stopper.options);
    EXPECT_EQ(first.status, TrainStatus::interrupted);
    EXPECT_EQ(first.stop, 15);
    EXPECT_EQ(first.step, stop);
    TrainOptions options;
    options.resume = true;
    const TrainResult rest = run(parts.path(), config(), options);
    EXPECT_EQ(rest.status, TrainStatus::finished);
    EXPECT_EQ(rest.step, 37);
    expect_same_run(whole.path(), parts.path());
  }
}

TEST_P(Resume, ManyInterruptionsChangeNothing) {
  const Directory whole;
  run(whole.path(), config());
  const Directory parts;
  for (std::int64_t step = 0; step < 37; step += 2) {
    StopAt stopper(step);
    stopper.options.resume = step > 0;
    if (step == 0) stopper.flag = 2;
    EXPECT_EQ(run(parts.path(), config(), stopper.options).status, TrainStatus::interrupted);
  }
  TrainOptions options;
  options.resume = true;
  run(parts.path(), config(), options);
  expect_same_run(whole.path(), parts.path());
}

TEST_P(Resume, CheckpointsChangeNothing) {
  const Directory whole;
  run(whole.path(), config());
  for (const std::int64_t every : {1, 6, 1000}) {
    const Directory other;
    TrainConfig often = config();
    often.checkpoint_every = every;
    run(other.path(), often);
    expect_same_run(whole.path(), other.path());
  }
}

TEST(Interrupt, DuringValidationLeavesItToTheResumedRun) {
  constexpr std::int64_t valid_tokens = 5000;  // several chunks, so that there is a during
  const TrainConfig config = tiny_training();
  const Directory whole;
  run(whole.path(), config, {}, valid_tokens);
  const Directory parts;
  std::atomic<int> flag{0};
  TrainOptions options;
  options.stop = &flag;
  std::int64_t step = 0;
  int validated = 0;
  options.callbacks.stepped = [&](const TrainProgress& progress) { step = progress.step; };
  options.callbacks.validated = [&](const ValidationReport&) { ++validated; };
  options.callbacks.validating = [&](double) {
    if (step == 20) flag = 2;
  };
  const TrainResult first = run(parts.path(), config, options, valid_tokens);
  EXPECT_EQ(first.status, TrainStatus::interrupted);
  EXPECT_EQ(first.stop, 2);
  EXPECT_EQ(first.step, 20);
  EXPECT_EQ(validated, 1);
  EXPECT_EQ(read_checkpoint_state(parts / "checkpoint.safetensors").validated_step, 10);
  TrainOptions resume;
  resume.resume = true;
  run(parts.path(), config, resume, valid_tokens);
  expect_same_run(whole.path(), parts.path());
}

TEST(Resume, OnTwoThreadsToo) {
  set_thread_count(2);
  const Directory whole;
  TrainConfig config = tiny_training();
  config.steps = 13;  // two threads on a busy machine are slow at work this small
  run(whole.path(), config);
  const Directory parts;
  StopAt stopper(7);
  run(parts.path(), config, stopper.options);
  TrainOptions options;
  options.resume = true;
  run(parts.path(), config, options);
  set_thread_count(1);
  expect_same_run(whole.path(), parts.path());
}

TEST(Resume, AFinishedRunIsLeftAsItIs) {
  const Directory directory;
  const TrainConfig config = tiny_training();
  const TrainResult first = run(directory.path(), config);
  const std::string before = read_file(directory / "checkpoint.safetensors");
  TrainOptions options;
  options.resume = true;
  const TrainResult again = run(directory.path(), config, options);
  EXPECT_EQ(again.status, TrainStatus::finished);
  EXPECT_EQ(again.step, first.step);
  EXPECT_EQ(again.best_loss, first.best_loss);
  EXPECT_EQ(read_file(directory / "checkpoint.safetensors"), before);
}

TEST(Resume, ALargerBudgetGoesOn) {
  const Directory directory;
  TrainConfig config = tiny_training(OptimizerKind::adam, ScheduleKind::constant);
  run(directory.path(), config);
  config.steps = 50;
  TrainOptions options;
  options.resume = true;
  EXPECT_EQ(run(directory.path(), config, options).step, 50);
}

TEST(Resume, LinesAfterTheCheckpointAreDropped) {
  const Directory whole;
  const TrainConfig config = tiny_training();
  run(whole.path(), config);
  const Directory parts;
  StopAt stopper(20);
  run(parts.path(), config, stopper.options);
  // What a killed run may leave: lines beyond the checkpoint, the last one half written.
  // (It stopped before the validation of step 20, which the resumed run does.)
  const Metrics before = read_metrics(parts / "metrics.jsonl");
  ASSERT_EQ(before.validations.size(), 1U);
  ValidationLine validation = before.validations[0];
  validation.step = 20;
  TrainLine training = before.train.at(0);
  training.step = 21;
  {
    MetricsLog log(parts / "metrics.jsonl", MetricsLog::Kept{20, true});
    log.append(validation);
    log.append(training);
  }
  std::string text = read_file(parts / "metrics.jsonl");
  text += R"({"event":"tra)";
  write_file(parts / "metrics.jsonl", text);
  TrainOptions options;
  options.resume = true;
  run(parts.path(), config, options);
  expect_same_run(whole.path(), parts.path());
}

// A bad line names itself and takes nothing with it.
TEST(Resume, ABadLineOfMetricsIsNamedAndTheRestKept) {
  const Directory whole;
  const TrainConfig config = tiny_training();
  run(whole.path(), config);
  const Directory parts;
  StopAt stopper(20);
  run(parts.path(), config, stopper.options);
  const std::string text = read_file(parts / "metrics.jsonl");
  const std::size_t second = text.find('\n') + 1;
  write_file(parts / "metrics.jsonl", text.substr(0, second) + "{]\n" + text.substr(second));
  std::vector<std::string> notes;
  TrainOptions options;
  options.resume = true;
  options.callbacks.note = [&](const std::string& note) { notes.push_back(note); };
  run(parts.path(), config, options);
  expect_same_run(whole.path(), parts.path());
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_NE(notes[0].find("metrics.jsonl', line 2"), std::string::npos) << notes[0];
}

/// A run stopped after step `stop`, whose saved weights are then spoiled, resumed; what is told.
std::vector<std::string> resume_without_weights(
    const std::filesystem::path& directory, const TrainConfig& config, std::int64_t stop,
    const std::function<void(const std::filesystem::path&)>& spoil) {
  StopAt stopper(stop);
  run(directory, config, stopper.options);
  spoil(directory / "model.safetensors");
  std::vector<std::string> notes;
  TrainOptions options;
  options.resume = true;
  options.callbacks.note = [&](const std::string& note) { notes.push_back(note); };
  const TrainResult result = run(directory, config, options);
  // What it says it has saved is there.
  const auto model = tiny_model();
  load_parameters(directory / "model.safetensors", *model);
  const EvalResult found = evaluate(*FrozenModel::freeze(*model), tiny_tokens(100, 2));
  EXPECT_EQ(found.nll / static_cast<double>(found.tokens), result.best_loss);
  return notes;
}

const std::vector<std::pair<const char*, std::function<void(const std::filesystem::path&)>>>
    spoilers = {
        {"deleted", [](const std::filesystem::path& file) { std::filesystem::remove(file); }},
        {"damaged",
         [](const std::filesystem::path& file) {
           std::string bytes = read_file(file);
           bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 4);
           write_file(file, bytes);
         }},
        {"replaced",
         [](const std::filesystem::path& file) {
           save_parameters(file, *make_model(tiny_config(), 77));
         }},
        {"of another shape",
         [](const std::filesystem::path& file) {
           ModelConfig shape = tiny_config();
           shape.dim = 12;
           save_parameters(file, *make_model(shape, 77));
         }},
};

// The best step is past: the weights cannot be had back, so the best is sought anew, and it is
// said.
TEST(Resume, BestWeightsThatAreLostAreNotSaidToBeSaved) {
  TrainConfig config = tiny_training(OptimizerKind::adam, ScheduleKind::constant);
  config.schedule.lr = 0.03;
  config.steps = 400;
  config.validate_every = 20;
  for (const auto& [how, spoil] : spoilers) {
    SCOPED_TRACE(how);
    const Directory directory;
    const auto notes = resume_without_weights(directory.path(), config, 390, spoil);
    ASSERT_EQ(notes.size(), 1U);
    EXPECT_NE(notes[0].find("model.safetensors"), std::string::npos) << notes[0];
    EXPECT_NE(notes[0].find("the best is sought anew from step 390 on"), std::string::npos)
        << notes[0];
  }
}

// Weights that the system refuses to open may be whole. A link to itself is refused to everybody,
// root too.
TEST(Resume, BestWeightsThatCannotBeReadNowAreKept) {
  TrainConfig config = tiny_training(OptimizerKind::adam, ScheduleKind::constant);
  config.schedule.lr = 0.03;
  config.steps = 400;
  config.validate_every = 20;
  const Directory directory;
  StopAt stopper(390);
  run(directory.path(), config, stopper.options);
  const std::filesystem::path weights = directory / "model.safetensors";
  const std::string before = read_file(weights);
  std::filesystem::rename(weights, directory / "aside");
  std::filesystem::create_symlink(weights, weights);
  TrainOptions options;
  options.resume = true;
  EXPECT_THROW(run(directory.path(), config, options), SystemError);
  EXPECT_TRUE(std::filesystem::is_symlink(weights)) << "they were written over";
  std::filesystem::rename(directory / "aside", weights);
  std::vector<std::string> notes;
  options.callbacks.note = [&](const std::string& note) { notes.push_back(note); };
  EXPECT_EQ(run(directory.path(), config, options).status, TrainStatus::finished);
  EXPECT_TRUE(notes.empty()) << notes[0];
  EXPECT_EQ(read_file(weights), before) << "another best was sought";
}

// The best step is the last one: the checkpoint has the weights, and nothing is lost.
TEST(Resume, BestWeightsThatTheCheckpointHasAreSavedAgain) {
  const TrainConfig config = tiny_training();
  const Directory whole;
  run(whole.path(), config);
  for (const auto& [how, spoil] : spoilers) {
    SCOPED_TRACE(how);
    const Directory directory;
    EXPECT_TRUE(resume_without_weights(directory.path(), config, 10, spoil).empty());
    expect_same_run(whole.path(), directory.path());
  }
}

TEST(Resume, AFinishedRunWithoutItsWeightsIsMadeGood) {
  const TrainConfig config = tiny_training();
  const Directory directory;
  run(directory.path(), config);
  const std::string before = read_file(directory / "model.safetensors");
  std::filesystem::remove(directory / "model.safetensors");
  TrainOptions options;
  options.resume = true;
  EXPECT_EQ(run(directory.path(), config, options).status, TrainStatus::finished);
  EXPECT_TRUE(std::filesystem::exists(directory / "model.safetensors"));
}

TEST(Train, WhatVanishesWhileItTrainsIsNotSaidToBeSaved) {
  const TrainConfig config = tiny_training();
  const Directory directory;
  TrainOptions options;
  options.callbacks.validated = [&](const ValidationReport& report) {
    if (report.step == 37) std::filesystem::remove(directory / "model.safetensors");
  };
  try {
    run(directory.path(), config, options);
    FAIL() << "nothing was said";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("model.safetensors"), std::string::npos);
  }
  options = {};
  options.resume = true;
  EXPECT_EQ(run(directory.path(), config, options).status, TrainStatus::finished);
}

std::vector<std::string> notes_of_resuming(const TrainConfig& before, const TrainConfig& after,
                                           std::int64_t stop, std::vector<double>* rates) {
  const Directory directory;
  StopAt stopper(stop);
  stopper.options.callbacks.stepped =
      [&, stops = stopper.options.callbacks.stepped](const TrainProgress& progress) {
        rates->push_back(progress.learning_rate);
        stops(progress);
      };
  run(directory.path(), before, stopper.options);
  std::vector<std::string> notes;
  TrainOptions options;
  options.resume = true;
  options.callbacks.note = [&](const std::string& note) { notes.push_back(note); };
  options.callbacks.stepped = [&](const TrainProgress& progress) {
    rates->push_back(progress.learning_rate);
  };
  run(directory.path(), after, options);
  return notes;
}

TEST(Resume, ALearningRateThatJumpsIsSaidWithBothRates) {
  TrainConfig before = tiny_training();
  TrainConfig after = before;
  after.steps = 74;
  std::vector<double> rates;
  const auto notes = notes_of_resuming(before, after, 1000, &rates);
  ASSERT_EQ(notes.size(), 1U);
  const auto number = [](double rate) {
    std::ostringstream text;
    text.precision(3);
    text << rate;
    return text.str();
  };
  EXPECT_NE(notes[0].find("was " + number(rates[36])), std::string::npos) << notes[0];
  EXPECT_NE(notes[0].find("is " + number(rates[37])), std::string::npos) << notes[0];

  // As it says, this avoids it.
  after.schedule.kind = ScheduleKind::constant;
  after.schedule.lr = rates[36];
  after.schedule.warmup = 0;
  std::vector<double> smooth;
  notes_of_resuming(before, after, 1000, &smooth);
  EXPECT_EQ(smooth[37], smooth[36]);
}

TEST(Resume, NothingIsSaidOfARateThatGoesOnAsItWas) {
  for (const ScheduleKind kind :
       {ScheduleKind::cosine, ScheduleKind::constant, ScheduleKind::plateau}) {
    TrainConfig config = tiny_training(OptimizerKind::nesterov, kind);
    config.schedule.warmup = 12;
    config.validate_every = 3;
    for (const std::int64_t stop : {1, 11, 30, 1000}) {
      std::vector<double> rates;
      EXPECT_TRUE(notes_of_resuming(config, config, stop, &rates).empty())
          << name_of(kind) << " at " << stop;
    }
  }
  TrainConfig constant = tiny_training(OptimizerKind::nesterov, ScheduleKind::constant);
  TrainConfig longer = constant;
  longer.steps = 60;
  std::vector<double> rates;
  EXPECT_TRUE(notes_of_resuming(constant, longer, 1000, &rates).empty());
}

std::string resume_message(const std::filesystem::path& directory, const TrainConfig& config,
                           const ModelConfig& model_config = tiny_config(),
                           std::uint64_t data_seed = 1,
                           const std::map<std::string, std::string>& facts = {
                               {"vocabulary", "abc"}}) {
  const auto model = make_model(model_config, 5);
  const TokenShards valid = tiny_tokens(100, 2);
  TrainOptions options;
  options.resume = true;
  options.fingerprint = facts;
  try {
    train(*model, tiny_tokens(330, data_seed), &valid, config, directory, options);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Resume, RefusesAnotherRunNamingTheField) {
  const Directory directory;
  TrainConfig config = tiny_training();
  config.steps = 3;
  TrainOptions options;
  options.fingerprint = {{"vocabulary", "abc"}};
  run(directory.path(), config, options);
  const std::string before = read_file(directory / "checkpoint.safetensors");
  const auto names = [](const std::string& message, std::string_view field) {
    EXPECT_NE(message.find(field), std::string::npos) << message;
  };

  TrainConfig other = config;
  other.batch = 5;
  names(resume_message(directory.path(), other), "its batch is 4, that of this run is 5");
  other = config;
  other.context = 9;
  names(resume_message(directory.path(), other), "its context is 8");
  other = config;
  other.carry = false;
  names(resume_message(directory.path(), other), "its carry is on");
  other = config;
  other.optimizer.kind = OptimizerKind::adam;
  names(resume_message(directory.path(), other), "its optimizer is nesterov");
  names(resume_message(directory.path(), config, tiny_config(), 9), "its training data is");
  names(resume_message(directory.path(), config, tiny_config(), 1, {{"vocabulary", "xyz"}}),
        "its vocabulary is abc, that of this run is xyz");
  names(resume_message(directory.path(), config, tiny_config(), 1, {}), "its vocabulary is abc");
  ModelConfig model = tiny_config();
  model.shape<GcnnShape>().unit = "gtu";
  names(resume_message(directory.path(), config, model), "its model unit is \"glu\"");
  model = tiny_config();
  model.shape<GcnnShape>().layers[0].channels = 16;
  names(resume_message(directory.path(), config, model), "its model ");
  EXPECT_EQ(read_file(directory / "checkpoint.safetensors"), before);

  model = tiny_config();
  model.dropout = 0.3F;
  EXPECT_EQ(resume_message(directory.path(), config, model), "");
}

TEST(Resume, RefusesFilesThatAreNoCheckpoint) {
  const Directory directory;
  const TrainConfig config = tiny_training();
  EXPECT_NE(resume_message(directory.path(), config).find("checkpoint.safetensors"),
            std::string::npos);
  save_parameters(directory / "checkpoint.safetensors", *tiny_model());
  EXPECT_NE(resume_message(directory.path(), config).find("not a training checkpoint"),
            std::string::npos);

  TrainOptions options;
  options.fingerprint = {{"vocabulary", "abc"}};
  TrainConfig few = config;
  few.steps = 2;
  run(directory.path(), few, options);
  std::string bytes = read_file(directory / "checkpoint.safetensors");
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 4);
  write_file(directory / "checkpoint.safetensors", bytes);
  EXPECT_NE(resume_message(directory.path(), config), "") << "a flipped bit went unnoticed";
  write_file(directory / "checkpoint.safetensors",
             std::string_view(bytes).substr(0, bytes.size() / 2));
  EXPECT_NE(resume_message(directory.path(), config), "");
}

}  // namespace
}  // namespace sluice::training_test
