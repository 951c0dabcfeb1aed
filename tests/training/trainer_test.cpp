#include "sluice/training/trainer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "sluice/base/error.hpp"
#include "sluice/inference/evaluate.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/tensor/tensor.hpp"
#include "sluice/text/batches.hpp"
#include "support/allocations.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

std::vector<nlohmann::json> metrics(const std::filesystem::path& file) {
  std::istringstream lines(read_file(file));
  std::vector<nlohmann::json> out;
  for (std::string line; std::getline(lines, line);) out.push_back(nlohmann::json::parse(line));
  return out;
}

TEST(Train, LearnsARepeatingSequence) {
  std::vector<TokenId> tokens;
  tokens.reserve(1000);
  for (int i = 0; i < 1000; ++i) tokens.push_back(static_cast<TokenId>(i % 5 + (i % 3) * 5));
  const TokenShards text(tokens, 0, vocabulary);
  for (const OptimizerKind kind : {OptimizerKind::nesterov, OptimizerKind::adam}) {
    const Directory directory;
    ModelConfig model_config = tiny_config();
    model_config.dropout = 0;
    const auto model = make_model(model_config, 5);
    TrainConfig config = tiny_training(kind);
    config.schedule.lr = kind == OptimizerKind::adam ? 0.02 : 1;
    config.clip = 1;
    config.steps = 300;
    const TrainResult result = train(*model, text, &text, config, directory.path());
    EXPECT_EQ(result.status, TrainStatus::finished);
    EXPECT_LT(result.best_loss, 0.05) << name_of(kind);
    EXPECT_LT(result.smoothed_loss, 0.1) << name_of(kind);
  }
}

TEST(Train, ReportsAndRecordsWhatItDoes) {
  const Directory directory;
  TrainConfig config = tiny_training();
  std::vector<TrainProgress> progress;
  std::vector<ValidationReport> validations;
  std::vector<std::int64_t> checkpoints;
  TrainOptions options;
  options.callbacks.stepped = [&](const TrainProgress& p) { progress.push_back(p); };
  options.callbacks.validated = [&](const ValidationReport& v) { validations.push_back(v); };
  options.callbacks.checkpointed = [&](std::int64_t step) { checkpoints.push_back(step); };
  const TrainResult result = run(directory.path(), config, options);

  ASSERT_EQ(progress.size(), 37U);
  EXPECT_EQ(progress[10].step, 11);
  EXPECT_EQ(progress[10].epoch, 2);
  EXPECT_EQ(progress[9].epoch, 1);
  EXPECT_EQ(progress[10].steps_per_epoch, 10);
  EXPECT_EQ(progress[10].total_steps, 37);
  EXPECT_EQ(progress[10].tokens, 11 * 32);
  EXPECT_NEAR(progress[10].fraction, 11.0 / 37, 1e-12);
  EXPECT_NEAR(progress[0].loss, std::log(24.0), 1.5);
  EXPECT_EQ(progress[0].smoothed_loss, progress[0].loss);
  EXPECT_GT(progress[36].tokens_per_second, 0);
  EXPECT_EQ(progress[36].eta, 0);
  EXPECT_NEAR(progress[0].learning_rate, config.schedule.lr / 4, 1e-12);

  ASSERT_EQ(validations.size(), 4U);
  EXPECT_EQ(validations[0].step, 10);
  EXPECT_EQ(validations[3].step, 37);
  EXPECT_EQ(validations[3].epoch, 4);
  EXPECT_EQ(validations[3].tokens, 100);
  EXPECT_NEAR(validations[3].perplexity, std::exp(validations[3].loss), 1e-9);
  EXPECT_EQ(checkpoints, (std::vector<std::int64_t>{0, 10, 20, 30, 37}));
  EXPECT_EQ(result.epochs, 3);
  EXPECT_EQ(result.tokens, 37 * 32);
  EXPECT_EQ(result.last_validation_loss, validations[3].loss);

  double best = validations[0].loss;
  std::int64_t best_step = 10;
  for (const ValidationReport& v : validations) {
    if (v.loss < best) {
      best = v.loss;
      best_step = v.step;
    }
  }
  EXPECT_EQ(result.best_loss, best);
  EXPECT_EQ(result.best_step, best_step);

  // Train lines at 7, 14, ..; their losses are means over the steps since the last.
  std::size_t trains = 0;
  double sum = 0;
  for (int i = 7; i < 14; ++i) sum += progress[static_cast<std::size_t>(i)].loss;
  for (const auto& line : metrics(directory / "metrics.jsonl")) {
    if (line.at("event") != "train") continue;
    ++trains;
    EXPECT_EQ(line.at("step"), 7 * trains);
    if (trains == 2) {
      EXPECT_NEAR(line.at("loss").get<double>(), sum / 7, 1e-12);
    }
  }
  EXPECT_EQ(trains, 5U);
}

TEST(Trainer, TellsHowOftenGradientsAreClipped) {
  const Directory directory;
  std::vector<double> norms;
  TrainOptions options;
  options.callbacks.stepped = [&](const TrainProgress& p) { norms.push_back(p.gradient_norm); };
  TrainConfig config = tiny_training();
  config.clip = 0;
  for (const char* name : {"never", "once", "always"}) {
    std::filesystem::create_directories(directory / name);
  }
  run(directory / "never", config, options);
  for (const auto& line : metrics(directory / "never/metrics.jsonl")) {
    EXPECT_FALSE(line.contains("clipped"));
  }
  // The first step's norm is the same whatever the clip: the run below clips it alone or not at
  // all.
  const auto first_step = [&](double clip) {
    double clipped = -1;
    options.callbacks.stepped = [&](const TrainProgress& p) {
      if (p.step == 1) clipped = p.clipped;
    };
    config.clip = clip;
    run(directory / "once", config, options);
    return clipped;
  };
  EXPECT_EQ(first_step(1.01 * norms.front()), 0);
  EXPECT_NEAR(first_step(0.99 * norms.front()), 1, 1e-9);
  config.clip = 1e-6;
  run(directory / "always", config, {});
  for (const auto& line : metrics(directory / "always/metrics.jsonl")) {
    if (line.at("event") != "train") continue;
    EXPECT_EQ(line.at("clipped"), 1.0);
  }
}

TEST(Train, KeepsTheBestModel) {
  const Directory directory;
  TrainConfig config = tiny_training(OptimizerKind::adam, ScheduleKind::constant);
  config.schedule.lr = 0.03;
  config.steps = 400;  // enough to learn 330 tokens by heart
  config.validate_every = 20;
  const TrainResult result = run(directory.path(), config);
  ASSERT_LT(result.best_loss, result.last_validation_loss);
  const auto model = tiny_model();
  load_parameters(directory / "model.safetensors", *model);
  const EvalResult found = evaluate(*FrozenModel::freeze(*model), tiny_tokens(100, 2));
  EXPECT_EQ(found.nll / static_cast<double>(found.tokens), result.best_loss);
}

TEST(Train, StopsEarlyAndStaysStopped) {
  const Directory directory;
  TrainConfig config = tiny_training(OptimizerKind::adam, ScheduleKind::constant);
  config.schedule.lr = 0.3;
  config.clip = 0;
  config.steps = 1000;
  config.validate_every = 2;
  config.patience = 3;
  const TrainResult result = run(directory.path(), config);
  EXPECT_EQ(result.status, TrainStatus::stopped_early);
  EXPECT_EQ(result.step, result.best_step + 6);
  TrainOptions options;
  options.resume = true;
  const TrainResult again = run(directory.path(), config, options);
  EXPECT_EQ(again.status, TrainStatus::stopped_early);
  EXPECT_EQ(again.step, result.step);
}

TEST(Train, WithoutValidationTheLastModelIsKept) {
  const Directory directory;
  const auto model = tiny_model();
  const TrainResult result =
      train(*model, tiny_tokens(330, 1), nullptr, tiny_training(), directory.path());
  EXPECT_EQ(result.status, TrainStatus::finished);
  EXPECT_TRUE(std::isinf(result.best_loss));
  const auto loaded = tiny_model();
  load_parameters(directory / "model.safetensors", *loaded);
  for (std::size_t p = 0; p < model->parameters().size(); ++p) {
    const Tensor& a = model->parameters()[p].variable.value();
    const Tensor& b = loaded->parameters()[p].variable.value();
    EXPECT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0) << model->parameters()[p].name;
  }
}

TEST(Train, TimeBudgetEnds) {
  const Directory directory;
  TrainConfig config = tiny_training();
  config.steps = 0;
  std::vector<double> elapsed;  // after each step
  TrainOptions options;
  options.callbacks.stepped = [&](const TrainProgress& progress) {
    elapsed.push_back(progress.elapsed);
  };
  // However slow the machine: longer until there is time for two steps.
  TrainResult result;
  for (double seconds = 0.3; elapsed.size() < 2; seconds *= 2) {
    elapsed.clear();
    config.minutes = seconds / 60;
    result = run(directory.path(), config, options);
    EXPECT_EQ(result.status, TrainStatus::finished);
    EXPECT_GE(result.elapsed, seconds);
  }
  ASSERT_EQ(static_cast<std::int64_t>(elapsed.size()), result.step);
  EXPECT_LT(elapsed[elapsed.size() - 2], 60 * config.minutes) << "a step began after the end";
  // The time spent counts in a resumed run: nothing is left of it.
  options.resume = true;
  EXPECT_EQ(run(directory.path(), config, options).step, result.step);
}

TEST(Train, CarriedContextMatters) {
  const Directory carried;
  const Directory padded;
  TrainConfig config = tiny_training();
  run(carried.path(), config);
  config.carry = false;
  run(padded.path(), config);
  EXPECT_NE(read_file(carried / "model.safetensors"), read_file(padded / "model.safetensors"));
}

TEST(Train, ANewRunReplacesTheOld) {
  const Directory once;
  const Directory twice;
  TrainConfig config = tiny_training(OptimizerKind::adam);
  run(twice.path(), config);
  config = tiny_training();
  run(twice.path(), config);
  run(once.path(), config);
  expect_same_run(once.path(), twice.path());
}

// The same from end to end: a run in bfloat16 learns what one in float32 learns, and not to the
// bit.
TEST(Train, PrecisionChangesTheCurveALittle) {
  std::vector<double> curves[2];
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const Directory directory;
    TrainConfig config = tiny_training(OptimizerKind::adamw);
    config.precision = precision;
    TrainOptions options;
    options.callbacks.stepped = [&](const TrainProgress& progress) {
      curves[precision == Precision::bf16 ? 1 : 0].push_back(progress.loss);
    };
    run(directory.path(), config, options);
  }
  double most = 0;
  for (std::size_t i = 0; i < curves[0].size(); ++i) {
    most = std::max(most, std::abs(curves[1][i] / curves[0][i] - 1));
  }
  EXPECT_GT(most, 1e-4);
  EXPECT_LT(most, 5e-2);
}

// A mask that stays the same trains another model than one drawn in each step: from the middle of a
// run on, what the loop passes is the number of steps done, also when it was resumed.
TEST(Train, MasksAreOfTheStepInAResumedRunToo) {
  const Directory whole;
  ModelConfig shape = tiny_config();
  shape.dropout = 0.4F;
  const TrainConfig config = tiny_training();
  run(whole.path(), config, {}, 100, shape);
  const auto model = tiny_model(shape);
  const TokenShards text = tiny_tokens(330, 1);
  // The same by hand, each step told its number.
  Optimizer optimizer(model->parameters(), config.optimizer);
  const Schedule schedule(config.schedule);
  BatchStream stream(text, config.batch, config.context);
  std::vector<TokenId> inputs(32), targets(32);
  ModelState state;
  for (std::int64_t step = 0; step < config.steps; ++step) {
    if (stream.starts_epoch(step)) state.tensors.clear();
    stream.read(step, inputs.data(), targets.data());
    const ForwardOptions options{
        .training = true, .seed = config.seed, .step = static_cast<std::uint32_t>(step)};
    Tape tape;
    const Variable hidden = model->hidden(inputs, config.batch, config.context, state, options);
    tape.backward(model->loss(hidden, targets, options));
    optimizer.step(schedule.rate(step, static_cast<double>(step) / 37),
                   clip_coefficient(optimizer.gradient_norm(), config.clip));
    optimizer.zero_gradients();
  }
  const SafetensorsFile saved(whole / "checkpoint.safetensors");
  for (const Parameter& parameter : model->parameters()) {
    const Tensor expected = parameter.in_file(parameter.variable.value());
    const Tensor actual = saved.read("parameter." + parameter.name);
    EXPECT_EQ(std::memcmp(actual.raw(), expected.raw(), expected.bytes()), 0) << parameter.name;
  }
}

TEST(Train, SteadyStateAllocatesNothing) {
  const Directory directory;
  TrainConfig config = tiny_training();
  config.steps = 60;
  std::uint64_t after_warmup = 0;
  TrainOptions options;
  options.callbacks.stepped = [&](const TrainProgress& progress) {
    if (progress.step == 30) after_warmup = allocator_stats().system_allocations;
  };
  run(directory.path(), config, options);
  if (test::kBuffersAreKept) {
    EXPECT_EQ(allocator_stats().system_allocations, after_warmup);
  }
}

// The adaptive softmax's tails have other sizes in every step: their buffers are shared by sizes
// that are near each other.
TEST(Train, SteadyStateAllocatesNothingHoweverTheTailsVary) {
  const Directory directory;
  ModelConfig shape;
  shape.shape<GcnnShape>().layers = parse_layers("[(16,3)]*2");
  shape.vocabulary = 600;
  shape.dim = 16;
  shape.dropout = 0.2F;
  shape.softmax = "adaptive";
  shape.cutoffs = {50, 200};
  const auto model = make_model(shape, 5);
  TrainConfig config = tiny_training();
  config.batch = 8;
  config.context = 32;
  config.steps = 360;  // six times the text: after four, buffers have settled
  std::vector<TokenId> tokens;
  const RandomKey key{.seed = 8, .stream = 1, .step = 0};
  for (std::uint64_t i = 0; i < 8 * 32 * 60 + 1; ++i) {
    // About as many words of each rank as Zipf's law has.
    const double u = static_cast<double>(key.bits(i)) * 0x1p-32;
    tokens.push_back(static_cast<TokenId>(std::pow(600.0, u)) - 1);
  }
  std::set<std::size_t> tail_sizes;
  std::uint64_t after_warmup = 0;
  TrainOptions options;
  options.callbacks.stepped = [&](const TrainProgress& progress) {
    if (progress.step == 240) after_warmup = allocator_stats().system_allocations;
    if (progress.step < 240 || !test::kBuffersAreKept) return;
    EXPECT_EQ(allocator_stats().system_allocations, after_warmup) << "step " << progress.step;
  };
  const TokenShards shards(tokens, 0, 600);
  BatchStream stream(shards, 8, 32);
  std::vector<TokenId> inputs(256), targets(256);
  for (std::int64_t step = 80; step < 100; ++step) {
    stream.read(step, inputs.data(), targets.data());
    tail_sizes.insert(static_cast<std::size_t>(
        std::ranges::count_if(targets, [](TokenId token) { return token >= 200; })));
  }
  EXPECT_GT(tail_sizes.size(), 5U);  // the test is about something
  train(*model, shards, nullptr, config, directory.path(), options);
}

TEST(Train, RefusesWhatCannotWork) {
  const Directory directory;
  const auto model = tiny_model();
  const auto message = [&](const TokenShards& tokens, const TrainConfig& config) -> std::string {
    try {
      train(*model, tokens, nullptr, config, directory.path());
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  TrainConfig config = tiny_training();
  EXPECT_NE(message(tiny_tokens(31, 1), config), "");
  EXPECT_NE(message(TokenShards(std::vector<TokenId>(100, 1), 0, 25), config).find("25"),
            std::string::npos);
  config.steps = 0;
  EXPECT_NE(message(tiny_tokens(330, 1), config).find("budget"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

}  // namespace
}  // namespace sluice::training_test
