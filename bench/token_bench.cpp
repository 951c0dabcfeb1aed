// Tokens made one after another, by the protocol of bench/README.md: each is the most probable one
// behind those before it. One side of bench/compare_generation.py.
//
//   printf 'go 100\nquit\n' | token_bench MODEL --precision int8 --texts 32
//   printf 'go 100\nquit\n' | token_bench --read 18000000        # reads so many bytes 100 times

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/version.hpp"
#include "sluice/inference/sample.hpp"
#include "sluice/inference/session.hpp"

namespace sluice {
namespace {

struct Options {
  std::string model;
  std::string precision = "f32";
  std::int64_t texts = 1;
  std::int64_t read = 0;
  int threads = thread_count();
};

/// Does `steps` of something, and says of how many tokens.
class Contender {
 public:
  virtual ~Contender() = default;
  virtual std::int64_t go(std::int64_t steps) = 0;
};

class Texts final : public Contender {
 public:
  explicit Texts(const Options& options)
      : model_(load_frozen_model(options.model,
                                 {.precision = parse_enum<WeightPrecision>(options.precision)})
                   .model),
        texts_(options.texts) {}

  std::int64_t go(std::int64_t steps) override {
    const auto count = static_cast<std::size_t>(texts_);
    std::vector<Session> sessions(count, model_->session());
    std::vector<std::int32_t> ids(count);
    std::vector<Session*> all;
    std::vector<std::span<const std::int32_t>> spans;
    for (std::size_t i = 0; i < count; ++i) {
      ids[i] = static_cast<std::int32_t>(1 + i);
      all.push_back(&sessions[i]);
      spans.emplace_back(&ids[i], 1);
    }
    std::vector<Sampler> greedy(count, Sampler({.temperature = 0}));
    for (std::int64_t t = 0; t < steps; ++t) {
      Session::step(all, spans);
      const std::int64_t width = sessions.front().hidden().dim(1);
      const Tensor hidden(Shape{texts_, width});
      for (std::size_t i = 0; i < count; ++i) {
        std::copy_n(sessions[i].hidden().data<float>(), width,
                    hidden.data<float>() + static_cast<std::int64_t>(i) * width);
      }
      const Tensor logs = model_->log_probabilities(hidden);
      parallel_for(texts_, 1, [&](std::int64_t begin, std::int64_t end) {
        const auto v = static_cast<std::size_t>(logs.dim(1));
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
          ids[i] = greedy[i].draw(logs.span<float>().subspan(i * v, v));
        }
      });
    }
    return steps * texts_;
  }

 private:
  std::shared_ptr<const FrozenModel> model_;
  std::int64_t texts_;
};

/// What memory gives: all threads add up a buffer, each a part, in four streams, since one alone
/// waits for memory more than a product does, which reads several rows.
class Reading final : public Contender {
 public:
  explicit Reading(std::int64_t bytes)
      : buffer_(Tensor::zeros(Shape{std::max<std::int64_t>(1, bytes / kPart) * kPart / 4},
                              DType::i32)) {
    std::fill_n(buffer_.data<std::int32_t>(), buffer_.elements(), 1);
  }

  std::int64_t go(std::int64_t steps) override {
    for (std::int64_t step = 0; step < steps; ++step) {
      parallel_for(buffer_.elements() * 4 / kPart, 1, [&](std::int64_t begin, std::int64_t end) {
        const std::int64_t stream = (end - begin) * (kPart / 4 / kStreams);
        const std::int32_t* const from = buffer_.data<std::int32_t>() + begin * (kPart / 4);
        std::int32_t sums[kStreams][kLine] = {};
        for (std::int64_t i = 0; i < stream; i += kLine) {
          for (std::int64_t s = 0; s < kStreams; ++s) {
            for (std::int64_t j = 0; j < kLine; ++j) sums[s][j] += from[s * stream + i + j];
          }
        }
        std::int32_t sum = 0;
        for (const auto& line : sums) sum = std::accumulate(std::begin(line), std::end(line), sum);
        if (sum < 0) sum_ = sum;  // never: so that the sum is taken
      });
    }
    return steps;
  }

 private:
  static constexpr std::int64_t kPart = 4096;  // bytes
  static constexpr std::int64_t kStreams = 4;
  static constexpr std::int64_t kLine = 16;

  Tensor buffer_;
  std::int32_t sum_ = 0;
};

void serve(Contender& contender) {
  std::string line;
  while (std::getline(std::cin, line) && line != "quit") {
    std::istringstream words(line);
    std::string command;
    std::int64_t steps = 0;
    if (!(words >> command >> steps) || command != "go" || steps < 1) {
      throw UsageError(fmt::format("expected 'go STEPS' or 'quit', got '{}'", line));
    }
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t tokens = contender.go(steps);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::cout << fmt::format("{{\"seconds\": {}, \"tokens\": {}, \"version\": \"{}\"}}",
                             seconds.count(), tokens, library_version())
              << std::endl;
  }
}

void run(const Options& options) {
  const ThreadCount threads(options.threads);
  if (options.read > 0) {
    Reading reading(options.read);
    serve(reading);
  } else {
    Texts texts(options);
    serve(texts);
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  sluice::Options options;
  CLI::App app("Tokens made one after another");
  app.add_option("model", options.model, "directory that sluice train or quantize made");
  app.add_option("--precision", options.precision, "f32, bf16 or int8");
  app.add_option("--texts", options.texts, "texts side by side");
  app.add_option("--read", options.read, "read so many bytes per step instead");
  app.add_option("--threads", options.threads, "threads");
  CLI11_PARSE(app, argc, argv);
  try {
    sluice::run(options);
  } catch (const sluice::Error& error) {
    fmt::print(stderr, "token_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
