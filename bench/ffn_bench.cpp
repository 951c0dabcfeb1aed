// Times the feed-forward layer, forward or forward and backward, by the protocol of
// bench/README.md; bench/pytorch/ffn_bench.py is its opponent.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include <fmt/format.h>

#include "sluice/autograd/arithmetic.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/nn/feed_forward.hpp"

namespace sluice {
namespace {

struct Options {
  std::string unit = "swiglu";
  std::int64_t dim = 512;
  std::int64_t width = 1365;
  std::int64_t tokens = 2048;
  bool bias = false;
  std::string mode = "train";
  int threads = 2;
  std::string precision = "f32";
  bool recompute = false;
  int profile = 0;
};

// High-water mark of resident memory, from /proc/self/status.
std::int64_t peak_rss() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

class Bench {
 public:
  explicit Bench(const Options& o)
      : options_(o),
        layer_({.dim = o.dim, .width = o.width, .unit = o.unit, .bias = o.bias}, DType::f32,
               InitKey{1, 0}),
        x_(normal(Shape{o.tokens, o.dim}, DType::f32, 1.0, InitKey{1, 2}), true),
        dy_(normal(Shape{o.tokens, o.dim}, DType::f32, 1.0, InitKey{1, 3})),
        one_(Tensor::zeros(Shape{1}), true) {
    layer_.collect(parameters_, "");
    call_.precision = o.precision == "bf16" ? Precision::bf16 : Precision::f32;
    call_.recompute = o.recompute;
  }

  Tensor step() {
    if (options_.mode == "eval") {
      const NoGrad guard;
      return layer_.forward(x_, call_).value();
    }
    for (const Parameter& parameter : parameters_) parameter.variable.zero_grad();
    x_.zero_grad();
    Tape tape;
    const Variable y = layer_.forward(x_, call_);
    // The gradient is given, as to PyTorch, and the walk starts from a loss beside it.
    const Variable start = sum(one_);
    y.gradient()->accumulate(dy_);
    tape.backward(start);
    return y.value();
  }

  std::int64_t parameters() const { return parameter_count(parameters_); }

 private:
  Options options_;
  GatedFeedForward layer_;
  Variable x_;
  Tensor dy_;
  Variable one_;
  Parameters parameters_;
  FeedForward call_;
};

double mean_square(const Tensor& y) {
  double total = 0;
  for (const float value : y.span<float>()) {
    total += static_cast<double>(value) * static_cast<double>(value);
  }
  return total / static_cast<double>(y.elements());
}

void print_profile(Bench& bench, int steps) {
  bench.step();
  start_profile();
  for (int i = 0; i < steps; ++i) {
    const ProfileScope scope("rest");
    bench.step();
  }
  stop_profile();
  for (const ProfileEntry& entry : profile_entries()) {
    fmt::print("{:20} {:9.3f} ms  {:8.1f} GFLOP/s {:8.1f} GB/s\n", entry.name,
               1e3 * entry.seconds / steps, 1e-9 * entry.flops / entry.seconds,
               1e-9 * entry.bytes / entry.seconds);
  }
}

int serve(const Options& options, std::int64_t baseline) {
  Bench bench(options);
  if (options.profile > 0) {
    print_profile(bench, options.profile);
    return 0;
  }
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    int steps = 0;
    if (std::sscanf(line.c_str(), "go %d", &steps) != 1 || steps < 1) {
      fmt::print(stderr, "ffn_bench: expected 'go N' or 'quit', got '{}'\n", line);
      return 1;
    }
    Tensor y;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < steps; ++i) y = bench.step();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const nlohmann::json reply = {{"seconds", seconds},
                                  {"tokens", steps * options.tokens},
                                  {"peak_rss_bytes", peak_rss()},
                                  {"baseline_rss_bytes", baseline},
                                  {"mean_square", mean_square(y)},
                                  {"parameters", bench.parameters()}};
    std::cout << reply.dump() << std::endl;
  }
  return 0;
}

int run(int argc, char** argv) {
  Options o;
  CLI::App app("Times a feed-forward layer; see bench/README.md");
  app.add_option("--unit", o.unit);
  app.add_option("--dim", o.dim);
  app.add_option("--width", o.width);
  app.add_option("--tokens", o.tokens);
  app.add_flag("--bias", o.bias);
  app.add_option("--mode", o.mode)->check(CLI::IsMember({"train", "eval"}));
  app.add_option("--threads", o.threads);
  app.add_option("--precision", o.precision)->check(CLI::IsMember({"f32", "bf16"}));
  app.add_flag("--recompute", o.recompute);
  app.add_option("--profile", o.profile, "Profile this many steps instead of serving");
  CLI11_PARSE(app, argc, argv);
  try {
    set_thread_count(o.threads);
    return serve(o, peak_rss());
  } catch (const Error& error) {
    fmt::print(stderr, "ffn_bench: {}\n", error.what());
    return 1;
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::run(argc, argv); }
