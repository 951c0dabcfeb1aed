// Times forward and backward of one recurrent layer on made-up numbers, by the protocol of
// bench/README.md; pytorch/recurrent_bench.py is its counterpart. With --profile it prints where
// the time goes.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/nn/recurrent.hpp"

namespace sluice {
namespace {

struct Options {
  std::string cell = "lstm";
  std::int64_t hidden = 512;
  std::int64_t batch = 16;
  std::int64_t context = 128;
  std::string mode = "train";
  std::string reset = "after";
  int threads = 2;
  std::string precision = "f32";
  int profile = 0;
};

class Bench {
 public:
  explicit Bench(const Options& o)
      : options_(o),
        layer_({.cell = parse_enum<CellKind>(o.cell),
                .input = o.hidden,
                .hidden = o.hidden,
                .reset = o.reset == "after" ? GruReset::after : GruReset::before},
               DType::f32, {1, 0}),
        x_(normal(Shape{o.batch, o.context, o.hidden}, DType::f32, 1, {1, 1}), true),
        dy_(normal(Shape{1, o.batch * o.context * o.hidden}, DType::f32, 1, {1, 2})) {
    layer_.collect(parameters_, "");
  }

  // y's sum, weighted by fixed numbers: the gradient of y is those numbers.
  double step() {
    std::vector<Tensor> state;
    const Precision precision = options_.precision == "bf16" ? Precision::bf16 : Precision::f32;
    if (options_.mode == "eval") {
      const NoGrad guard;
      return static_cast<double>(*layer_.forward(x_, state, precision).value().data<float>());
    }
    x_.zero_grad();
    for (const Parameter& p : parameters_) p.variable.zero_grad();
    Tape tape;
    const Variable y = layer_.forward(x_, state, precision);
    const Variable loss = reshape(linear(reshape(y, dy_.shape()), dy_, {}), Shape{1});
    tape.backward(loss);
    return static_cast<double>(*loss.value().data<float>());
  }

 private:
  Options options_;
  RecurrentLayer layer_;
  Parameters parameters_;
  Variable x_, dy_;
};

void print_profile(Bench& bench, int steps) {
  bench.step();
  start_profile();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < steps; ++i) bench.step();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  stop_profile();
  for (const ProfileEntry& entry : profile_entries()) {
    fmt::print("{:16} {:9.3f} ms {:8.1f} GFLOP/s {:7.1f} GB/s {:7} calls\n", entry.name,
               entry.seconds / steps * 1e3, entry.flops / entry.seconds * 1e-9,
               entry.bytes / entry.seconds * 1e-9, entry.calls / static_cast<unsigned>(steps));
  }
  fmt::print("{:16} {:9.3f} ms\n", "all", seconds / steps * 1e3);
}

int serve(const Options& options) {
  Bench bench(options);
  if (options.profile > 0) {
    print_profile(bench, options.profile);
    return 0;
  }
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    int steps = 0;
    if (std::sscanf(line.c_str(), "go %d", &steps) != 1 || steps < 1) {
      fmt::print(stderr, "recurrent_bench: expected 'go N' or 'quit', got '{}'\n", line);
      return 1;
    }
    double loss = 0;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < steps; ++i) loss = bench.step();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const nlohmann::json reply = {
        {"seconds", seconds}, {"tokens", steps * options.batch * options.context}, {"loss", loss}};
    std::cout << reply.dump() << std::endl;
  }
  return 0;
}

int run(int argc, char** argv) {
  Options o;
  CLI::App app("Times a recurrent layer; see bench/README.md");
  app.add_option("--cell", o.cell);
  app.add_option("--hidden", o.hidden);
  app.add_option("--batch", o.batch);
  app.add_option("--context", o.context);
  app.add_option("--mode", o.mode)->check(CLI::IsMember({"train", "eval"}));
  app.add_option("--reset", o.reset)->check(CLI::IsMember({"after", "before"}));
  app.add_option("--threads", o.threads);
  app.add_option("--precision", o.precision)->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--profile", o.profile, "Profile this many steps instead of serving");
  CLI11_PARSE(app, argc, argv);
  try {
    set_thread_count(o.threads);
    return serve(o);
  } catch (const Error& error) {
    fmt::print(stderr, "recurrent_bench: {}\n", error.what());
    return 1;
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::run(argc, argv); }
