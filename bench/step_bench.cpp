// One side of bench/compare_pytorch.py: times training and evaluation steps of a model on made-up
// tokens, by the protocol of bench/README.md. With --profile it prints where a step's time goes
// (and with
// --trace writes one of them as a Chrome trace).

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/training/optimizer.hpp"
#include "sluice/training/profile_report.hpp"

namespace sluice {
namespace {

struct Options {
  std::string layers = "[(256,4)]*8";
  std::int64_t dim = 256;
  std::string unit = "glu";
  std::int64_t batch = 16;
  std::int64_t context = 128;
  std::int64_t vocabulary = 33278;
  std::string softmax = "adaptive";
  std::vector<std::int64_t> cutoffs{2000, 10000};
  std::string mode = "train";
  int threads = 2;
  std::string precision = "f32";
  std::int64_t profile = 0;
  std::string trace;
  std::string conv = "auto";
  bool recompute = false;
};

constexpr std::int64_t kBatches = 32;

// High-water mark of resident memory, from /proc/self/status.
std::int64_t peak_rss() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

// The Zipf-distributed tokens of bench/README.md.
std::vector<std::int32_t> make_tokens(const Options& o) {
  std::vector<std::int32_t> tokens;
  const std::int64_t count = kBatches * o.batch * (o.context + 1);
  std::uint64_t s = 1;
  for (std::int64_t i = 0; i < count; ++i) {
    s = s * 6364136223846793005ULL + 1442695040888963407ULL;
    const double u = static_cast<double>(s >> 11U) * 0x1p-53;
    const double token = std::floor(std::exp(u * std::log(static_cast<double>(o.vocabulary + 1))));
    tokens.push_back(static_cast<std::int32_t>(std::min(static_cast<double>(o.vocabulary), token)) -
                     1);
  }
  return tokens;
}

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        tokens_(make_tokens(options)),
        model_(make_model(config(options), 1)),
        optimizer_(model_->parameters(), OptimizerConfig{}) {
    forward_.precision = options.precision == "bf16" ? Precision::bf16 : Precision::f32;
    forward_.conv = parse_enum<ConvPath>(options.conv);
    forward_.recompute = options.recompute;
    if (options.mode == "eval") {
      frozen_ = FrozenModel::freeze(
          *model_,
          {.precision = parse_enum<WeightPrecision>(options.precision), .conv = forward_.conv});
      states_.resize(static_cast<std::size_t>(options.batch));
    }
  }

  double step() {
    const std::int64_t n = options_.batch * options_.context;
    inputs_.clear();
    targets_.clear();
    const auto* row = tokens_.data() + step_++ % kBatches * options_.batch * (options_.context + 1);
    for (std::int64_t b = 0; b < options_.batch; ++b, row += options_.context + 1) {
      inputs_.insert(inputs_.end(), row, row + options_.context);
      targets_.insert(targets_.end(), row + 1, row + options_.context + 1);
    }
    if (options_.mode == "eval") {
      std::vector<StackState*> states;
      for (StackState& state : states_) states.push_back(&state);
      const PackedRows rows(std::vector<std::int64_t>(states.size(), options_.context));
      double total = 0;
      for (const double nll : frozen_->nll(frozen_->hidden(inputs_, rows, states), targets_)) {
        total += nll;
      }
      return total / static_cast<double>(n);
    }
    forward_.training = true;
    optimizer_.zero_gradients();
    Tape tape;
    const Variable loss = [&] {
      const ProfileScope scope("forward");
      const Variable h =
          model_->hidden(inputs_, options_.batch, options_.context, state_, forward_);
      return model_->loss(h, targets_, forward_);
    }();
    {
      const ProfileScope scope("backward");
      tape.backward(loss);
    }
    optimizer_.step(0.1, clip_coefficient(optimizer_.gradient_norm(), 0.1));
    return static_cast<double>(*loss.value().data<float>());
  }

  std::int64_t parameters() const { return parameter_count(model_->parameters()); }

 private:
  static ModelConfig config(const Options& o) {
    ModelConfig config;
    config.shape<GcnnShape>().layers = parse_layers(o.layers);
    config.vocabulary = o.vocabulary;
    config.dim = o.dim;
    config.shape<GcnnShape>().unit = o.unit;
    config.softmax = o.softmax;
    if (o.softmax == "adaptive") config.cutoffs = o.cutoffs;
    return config;
  }

  Options options_;
  std::vector<std::int32_t> tokens_, inputs_, targets_;
  std::unique_ptr<LanguageModel> model_;
  std::shared_ptr<const FrozenModel> frozen_;
  std::vector<StackState> states_;
  Optimizer optimizer_;
  ModelState state_;
  ForwardOptions forward_;
  std::int64_t step_ = 0;
};

void print_profile(Bench& bench, const Options& o) {
  StepProfiler profiler(o.profile);
  while (!profiler.done()) {
    const StepProfiler::Step step(profiler);
    bench.step();
  }
  const Precision precision = o.precision == "bf16" ? Precision::bf16 : Precision::f32;
  const StepProfile profile = profiler.profile(o.batch * o.context, precision);
  if (!o.trace.empty()) write_chrome_trace(o.trace);
  fmt::print("{}", format_profile(profile, measure_ceilings(precision)));
}

int serve(const Options& options, std::int64_t baseline) {
  Bench bench(options);
  if (options.profile > 0) {
    print_profile(bench, options);
    return 0;
  }
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    int steps = 0;
    if (std::sscanf(line.c_str(), "go %d", &steps) != 1 || steps < 1) {
      fmt::print(stderr, "step_bench: expected 'go N' or 'quit', got '{}'\n", line);
      return 1;
    }
    double loss = 0;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < steps; ++i) loss = bench.step();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const nlohmann::json reply = {{"seconds", seconds},
                                  {"tokens", steps * options.batch * options.context},
                                  {"peak_rss_bytes", peak_rss()},
                                  {"baseline_rss_bytes", baseline},
                                  {"loss", loss},
                                  {"parameters", bench.parameters()}};
    std::cout << reply.dump() << std::endl;
  }
  return 0;
}

int run(int argc, char** argv) {
  Options o;
  CLI::App app("Times steps of a model; see bench/README.md");
  app.add_option("--layers", o.layers);
  app.add_option("--dim", o.dim);
  app.add_option("--unit", o.unit);
  app.add_option("--batch", o.batch);
  app.add_option("--context", o.context);
  app.add_option("--vocab", o.vocabulary);
  app.add_option("--softmax", o.softmax);
  app.add_option("--cutoffs", o.cutoffs)->delimiter(',');
  app.add_option("--mode", o.mode)->check(CLI::IsMember({"train", "eval"}));
  app.add_option("--threads", o.threads);
  app.add_option("--precision", o.precision)->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--conv", o.conv)->check(CLI::IsMember({"auto", "direct", "fast"}));
  app.add_flag("--recompute", o.recompute);
  app.add_option("--profile", o.profile, "Profile this many steps instead of serving");
  app.add_option("--trace", o.trace, "With --profile: write a Chrome trace of a step to this file");
  CLI11_PARSE(app, argc, argv);
  try {
    set_thread_count(o.threads);
    return serve(o, peak_rss());
  } catch (const Error& error) {
    fmt::print(stderr, "step_bench: {}\n", error.what());
    return 1;
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::run(argc, argv); }
