// Tokens per second of texts made side by side, and where the time goes: a session alone, sessions
// that step together, and an engine, for one model of a directory.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <future>
#include <string>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/inference/engine.hpp"
#include "sluice/inference/session.hpp"

namespace sluice {
namespace {

struct Options {
  std::string model;
  std::string precision = "f32";
  std::string mode = "engine";
  std::vector<std::int64_t> texts = {1, 8, 32};
  std::int64_t tokens = 100;
  int repeats = 3;
  int threads = thread_count();
  SamplingOptions sampling;
  bool deterministic = false;
  bool profile = false;
};

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Sessions read a token each, over and over. In mode "choose" it is the one that was drawn, as an
/// engine does it; else what they predict is not asked for.
void step_sessions(const std::shared_ptr<const FrozenModel>& model, const Options& options,
                   std::int64_t texts) {
  std::vector<Sampler> samplers(static_cast<std::size_t>(texts), Sampler(options.sampling));
  std::vector<Session> sessions(static_cast<std::size_t>(texts), model->session());
  std::vector<Session*> all;
  std::vector<std::int32_t> ids(sessions.size());
  std::vector<std::span<const std::int32_t>> spans;
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    all.push_back(&sessions[i]);
    spans.emplace_back(&ids[i], 1);
  }
  for (std::int64_t t = 0; t < options.tokens; ++t) {
    for (std::size_t i = 0; i < ids.size() && (t == 0 || options.mode == "step"); ++i) {
      ids[i] = static_cast<std::int32_t>((static_cast<std::int64_t>(i) * 31 + t * 17) %
                                         model->vocabulary());
    }
    Session::step(all, spans);
    if (options.mode != "choose") continue;
    const std::int64_t width = sessions.front().hidden().dim(1);
    const Tensor hidden(Shape{texts, width});
    for (std::int64_t i = 0; i < texts; ++i) {
      std::copy_n(sessions[static_cast<std::size_t>(i)].hidden().data<float>(), width,
                  hidden.data<float>() + i * width);
    }
    const Tensor logs = model->log_probabilities(hidden);
    const ProfileScope profile("choose tokens");
    const auto v = static_cast<std::size_t>(logs.dim(1));
    parallel_for(texts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
        ids[i] = samplers[i].draw(logs.span<float>().subspan(i * v, v));
      }
    });
  }
}

class Waiting : public EngineListener {
 public:
  bool token(const EngineToken&) override { return true; }
  void done(const EngineResult& result) override {
    if (!result.error.empty()) fmt::print(stderr, "{}\n", result.error);
    done_.set_value();
  }
  void wait() { done_.get_future().wait(); }

 private:
  std::promise<void> done_;
};

void run_engine(const std::shared_ptr<const FrozenModel>& model, const Options& options,
                std::int64_t texts) {
  Engine engine(model, {.sessions = texts, .deterministic = options.deterministic});
  std::vector<std::shared_ptr<Waiting>> waiting;
  for (std::int64_t i = 0; i < texts; ++i) {
    EngineRequest request;
    request.prompt = {static_cast<std::int32_t>(i % model->vocabulary())};
    request.tokens = options.tokens;
    request.sampling = options.sampling;
    request.sampling.seed = static_cast<std::uint64_t>(i + 1);
    waiting.push_back(std::make_shared<Waiting>());
    engine.submit(std::move(request), waiting.back());
  }
  for (const auto& each : waiting) each->wait();
}

void run(const Options& options) {
  const ThreadCount threads(options.threads);
  FreezeOptions freeze;
  freeze.precision = parse_enum<WeightPrecision>(options.precision);
  const auto model = load_frozen_model(options.model, freeze).model;
  for (const std::int64_t texts : options.texts) {
    const auto work = [&] {
      if (options.mode == "engine") {
        run_engine(model, options, texts);
      } else {
        step_sessions(model, options, texts);
      }
    };
    work();
    std::vector<double> rates;
    for (int i = 0; i < options.repeats; ++i) {
      rates.push_back(static_cast<double>(texts * options.tokens) / seconds_of(work));
    }
    std::sort(rates.begin(), rates.end());
    fmt::print("{} {} texts {:3}: {:8.0f} tokens/s (of {} runs {:.0f} to {:.0f})\n", options.mode,
               options.precision, texts, rates[rates.size() / 2], options.repeats, rates.front(),
               rates.back());
    std::fflush(stdout);
    if (!options.profile) continue;
    start_profile();
    work();
    stop_profile();
    for (const ProfileEntry& entry : profile_entries()) {
      fmt::print("  {:24} {:8} calls {:9.3f} ms\n", entry.name, entry.calls, 1e3 * entry.seconds);
    }
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  sluice::Options options;
  CLI::App app("Tokens per second of texts made side by side");
  app.add_option("model", options.model, "directory that sluice train made")->required();
  app.add_option("--precision", options.precision, "f32, bf16 or int8");
  app.add_option("--mode", options.mode,
                 "engine, choose (sessions without one) or step (nothing is drawn)");
  app.add_option("--texts", options.texts, "texts side by side")->delimiter(',');
  app.add_option("--tokens", options.tokens, "tokens of each");
  app.add_option("--repeats", options.repeats, "runs, of which the median is printed");
  app.add_option("--threads", options.threads, "threads");
  app.add_option("--temperature", options.sampling.temperature, "0 is greedy");
  app.add_option("--top-k", options.sampling.top_k, "");
  app.add_option("--top-p", options.sampling.top_p, "");
  app.add_flag("--deterministic", options.deterministic, "");
  app.add_flag("--profile", options.profile,
               "print where the time of one more run goes (not of engine)");
  CLI11_PARSE(app, argc, argv);
  try {
    sluice::run(options);
  } catch (const sluice::Error& error) {
    fmt::print(stderr, "generate_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
