// Comparisons: pairing, caching, resuming, damage, divergence, and what is refused.

#include "sluice/lab/compare/compare.hpp"
#include "sluice/base/error.hpp"

#include <atomic>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "lab/support.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/model_directory.hpp"

namespace sluice::lab_test {
namespace {

using nlohmann::json;

/// The batches of each run, by variant and seed: a checksum per step.
struct Batches {
  CompareCallbacks callbacks() {
    CompareCallbacks callbacks;
    callbacks.read = [this](const CompareRun& run, std::int64_t step,
                            std::span<const TokenId> inputs, std::span<const TokenId> targets) {
      auto& sums = read[{run.variant, run.seed}];
      EXPECT_EQ(static_cast<std::size_t>(step), sums.size());
      sums.push_back(checksum(inputs.data(), inputs.size_bytes()) ^
                     (checksum(targets.data(), targets.size_bytes()) << 1U));
    };
    return callbacks;
  }
  std::map<std::pair<std::size_t, std::uint64_t>, std::vector<std::uint64_t>> read;
};

TEST_F(Lab, EveryRunReadsTheSameBatchesInTheSameOrder) {
  CompareSpec request = spec();
  request.vary.push_back(parse_variation("optimizer=adamw,sgd"));
  request.jobs = 2;
  Batches batches;
  Comparison comparison(request, out(), batches.callbacks());
  ASSERT_TRUE(comparison.run());
  EXPECT_TRUE(comparison.same_batches());
  ASSERT_EQ(batches.read.size(), 8U);
  const auto& first = batches.read.begin()->second;
  EXPECT_EQ(first.size(), 20U);
  EXPECT_NE(first[0], first[1]);
  for (const auto& [run, sums] : batches.read) EXPECT_EQ(sums, first) << run.first;
}

// The seed is all that tells two runs of a variant apart, and the same seed gives the same run,
// whatever is trained before or beside it.
TEST_F(Lab, SeedsAreAllThatDiffersBetweenRunsOfAVariant) {
  CompareSpec request = spec();
  request.seeds = 3;
  Comparison forward(request, out());
  ASSERT_TRUE(forward.run());
  const auto losses = all_losses(forward);
  EXPECT_NE(losses[0][0][0], losses[0][0][1]);

  // The same runs with the variants and the seeds in another order.
  CompareSpec turned = spec();
  turned.vary = {parse_variation("unit=glu,tanh")};
  turned.match = MatchBy::width;
  request.match = MatchBy::width;
  set_training(turned, {{"seed", 2}});
  turned.seeds = 2;
  fs::create_directories(directory_ / "b");
  fs::create_directories(directory_ / "c");
  Comparison plain(request, directory_ / "b");
  Comparison other(turned, directory_ / "c");
  ASSERT_TRUE(plain.run());
  ASSERT_TRUE(other.run());
  const auto a = all_losses(plain);
  const auto b = all_losses(other);
  for (const std::size_t seed : {0, 1}) {
    EXPECT_EQ(a[0][0][seed + 1], b[1][0][seed]);
    EXPECT_EQ(a[1][0][seed + 1], b[0][0][seed]);
  }
}

TEST_F(Lab, JobsDoNotChangeResults) {
  CompareSpec request = spec();
  request.rates = {0.003, 0.01};
  Comparison alone(request, out());
  ASSERT_TRUE(alone.run());
  request.jobs = 3;
  fs::create_directories(directory_ / "b");
  Comparison beside(request, directory_ / "b");
  ASSERT_TRUE(beside.run());
  EXPECT_EQ(all_losses(alone), all_losses(beside));
  EXPECT_EQ(alone.runs()[0].plan.hash, beside.runs()[0].plan.hash);
}

TEST_F(Lab, AddingAVariantTrainsOnlyThat) {
  Counter first;
  Comparison(spec(), out(), first.callbacks()).run();
  EXPECT_EQ(first.trained, 4);

  CompareSpec more = spec();
  more.vary = {parse_variation("unit=tanh,glu,relu")};
  Counter second;
  Comparison comparison(more, out(), second.callbacks());
  ASSERT_TRUE(comparison.run());
  EXPECT_EQ(second.trained, 2);
  EXPECT_TRUE(second.notes.empty());

  more.seeds = 3;
  Counter third;
  Comparison(more, out(), third.callbacks()).run();
  EXPECT_EQ(third.trained, 3);

  // Other data, other runs.
  std::ofstream(directory_ / "text.txt", std::ios::app) << sample_text(5);
  Counter fourth;
  Comparison(more, out(), fourth.callbacks()).run();
  EXPECT_EQ(fourth.trained, 9);
}

TEST_F(Lab, RunsAreOrdinaryTrainingRuns) {
  Comparison comparison(spec(), out());
  ASSERT_TRUE(comparison.run());
  const CompareRun& run = comparison.runs()[1];
  const LoadedModel loaded = load_model(comparison.directory_of(run));
  EXPECT_EQ(loaded.model->config().shape<GcnnShape>().unit, "glu");
  EXPECT_FALSE(fs::exists(comparison.directory_of(run) / "checkpoint.safetensors"));
  EXPECT_EQ(run.record.tokens, 640);
  EXPECT_EQ(run.record.steps, 20);
  EXPECT_EQ(read_curves(comparison.directory_of(run), 32).validation.size(), 10U);
}

TEST_F(Lab, AnInterruptedComparisonGoesOnWhereItStopped) {
  Comparison whole(spec(), out());
  ASSERT_TRUE(whole.run());

  fs::create_directories(directory_ / "b");
  std::atomic<int> stop{0};
  Counter before;
  CompareCallbacks callbacks = before.callbacks();
  int steps = 0;
  callbacks.stepped = [&](const CompareProgress& progress) {
    EXPECT_EQ(progress.total, 4);
    if (++steps == 27) stop = 2;  // in the second run
  };
  Comparison cut(spec(), directory_ / "b", callbacks, &stop);
  EXPECT_FALSE(cut.run());
  EXPECT_EQ(before.trained, 1);
  EXPECT_EQ(find_run(cut.directory_of(cut.runs()[1]), cut.runs()[1].plan.hash).state,
            RunState::partial);

  Counter after;
  CompareCallbacks counting = after.callbacks();
  int more = 0;
  counting.stepped = [&](const CompareProgress&) { ++more; };
  Comparison rest(spec(), directory_ / "b", counting);
  ASSERT_TRUE(rest.run());
  EXPECT_EQ(after.trained, 3);
  EXPECT_EQ(more, 80 - 27);
  EXPECT_EQ(all_losses(rest), all_losses(whole));
}

// A link to itself is refused to everybody, root too.
TEST_F(Lab, ARunThatCannotBeReadNowIsLeftAlone) {
  Comparison first(spec(), out());
  ASSERT_TRUE(first.run());
  const fs::path run = first.directory_of(first.runs()[1]);
  for (const char* name : {"run.json", "model.safetensors", "metrics.jsonl"}) {
    SCOPED_TRACE(name);
    fs::rename(run / name, run / "aside");
    fs::create_symlink(run / name, run / name);
    Counter counter;
    EXPECT_THROW(Comparison(spec(), out(), counter.callbacks()).run(), SystemError);
    EXPECT_EQ(counter.trained, 0);
    fs::rename(run / "aside", run / name);
  }
  Counter again;
  Comparison second(spec(), out(), again.callbacks());
  ASSERT_TRUE(second.run());
  EXPECT_EQ(again.trained, 0);
}

TEST_F(Lab, ADamagedRunIsNamedAndTrainedAnew) {
  Comparison first(spec(), out());
  ASSERT_TRUE(first.run());
  const auto damage = [&](std::size_t index, const char* file) {
    std::ofstream(first.directory_of(first.runs()[index]) / file, std::ios::app) << "x";
  };
  damage(0, "run.json");
  damage(2, "model.safetensors");
  damage(3, "metrics.jsonl");
  Counter again;
  Comparison second(spec(), out(), again.callbacks());
  ASSERT_TRUE(second.run());
  EXPECT_EQ(again.trained, 3);
  ASSERT_EQ(again.notes.size(), 3U);
  EXPECT_NE(again.notes[1].find(first.runs()[2].plan.hash), std::string::npos);
  EXPECT_NE(again.notes[1].find("model.safetensors is not what the run wrote"), std::string::npos);
  EXPECT_NE(again.notes[1].find("unit=tanh, learning rate 0.01, seed 2"), std::string::npos);
  EXPECT_EQ(all_losses(second), all_losses(first));
  // What is left of it is put aside.
  fs::path aside = first.directory_of(first.runs()[0]);
  aside += ".damaged";
  EXPECT_TRUE(fs::exists(aside / "model.safetensors"));

  // A partial run whose checkpoint is broken.
  const fs::path run = first.directory_of(first.runs()[0]);
  fs::remove(run / "run.json");
  std::ofstream(run / "checkpoint.safetensors") << "no checkpoint";
  Counter third;
  Comparison(spec(), out(), third.callbacks()).run();
  EXPECT_EQ(third.trained, 1);
  EXPECT_EQ(third.notes.size(), 1U);
  aside += "-2";
  EXPECT_EQ(read_file(aside / "checkpoint.safetensors"), "no checkpoint");

  // What another run left, whole as it is.
  fs::remove_all(run);
  fs::copy(first.directory_of(first.runs()[1]), run, fs::copy_options::recursive);
  Counter fourth;
  Comparison(spec(), out(), fourth.callbacks()).run();
  EXPECT_EQ(fourth.trained, 1);
  ASSERT_EQ(fourth.notes.size(), 1U);
  EXPECT_NE(fourth.notes[0].find("run.json is of another run"), std::string::npos);
}

TEST_F(Lab, RunsOfAnotherVersionAreLeftOut) {
  Comparison first(spec(), out());
  ASSERT_TRUE(first.run());
  fs::create_directories(out() / "runs" / "0123456789abcdef");
  write_file(out() / "runs" / "0123456789abcdef" / "run.json", R"({"version": "0.0.9"})");
  Counter counter;
  Comparison second(spec(), out(), counter.callbacks());
  ASSERT_TRUE(second.run());
  EXPECT_EQ(counter.trained, 0);
  ASSERT_EQ(counter.notes.size(), 1U);
  EXPECT_NE(counter.notes[0].find("1 run of version 0.0.9"), std::string::npos);
}

TEST_F(Lab, ADivergedRunIsAResult) {
  CompareSpec request = spec();
  request.vary = {parse_variation("optimizer=adamw,sgd")};
  set_training(request, {{"clip", 0}, {"momentum", 0}});
  request.rates = {0.01, 1e30};
  Comparison comparison(request, out());
  ASSERT_TRUE(comparison.run());
  for (std::size_t v = 0; v < 2; ++v) {
    EXPECT_EQ(comparison.chosen_rate(v), 0U);
    EXPECT_TRUE(std::isinf(comparison.losses(v)[1][0]));
  }
  const CompareRun& run = comparison.run_of(1, 1e30, 1);
  EXPECT_EQ(run.record.status, RunStatus::diverged);
  EXPECT_NE(run.record.message.find("diverged at step"), std::string::npos);
  // It is kept, too.
  Counter counter;
  Comparison again(request, out(), counter.callbacks());
  ASSERT_TRUE(again.run());
  EXPECT_EQ(counter.trained, 0);
  EXPECT_EQ(again.run_of(1, 1e30, 1).record.message, run.record.message);
}

TEST_F(Lab, RatesGrowWhileTheBestIsAtAnEnd) {
  CompareSpec request = spec();
  request.rates.clear();
  set_training(request, {{"lr", 1e-6}});  // far too low
  request.seeds = 1;
  Counter counter;
  Comparison comparison(request, out(), counter.callbacks());
  EXPECT_EQ(comparison.runs().size(), 6U);
  ASSERT_TRUE(comparison.run());
  EXPECT_EQ(comparison.variants()[0].rates.size(), 5U);
  EXPECT_EQ(comparison.chosen_rate(0), 4U);
  EXPECT_EQ(counter.trained, 10);
  EXPECT_EQ(counter.notes.size(), 4U);
}

// Pilots choose the rate on seeds of their own, beyond the ends of the grid and between its rates;
// the seeds that judge come behind them, at that rate alone.
TEST_F(Lab, PilotsChooseRates) {
  CompareSpec request = spec();
  request.rates = {1e-5, 1e-4};  // far too low
  request.search = {.pilots = 2, .refine = 1};
  request.seeds = 2;
  Counter counter;
  Comparison comparison(request, out(), counter.callbacks());
  EXPECT_EQ(comparison.runs().size(), 8U);
  EXPECT_FALSE(comparison.find());
  ASSERT_TRUE(comparison.run());
  EXPECT_EQ(comparison.choosing_seeds(), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(comparison.seeds(), (std::vector<std::uint64_t>{3, 4}));
  std::size_t runs = 0;
  for (std::size_t v = 0; v < 2; ++v) {
    const PlannedVariant& variant = comparison.variants()[v];
    EXPECT_FALSE(comparison.chosen_at_edge(v));
    EXPECT_GT(variant.rates[comparison.chosen_rate(v)], 1e-4);
    EXPECT_EQ(variant.refined, 1);
    EXPECT_EQ(comparison.losses(v).size(), variant.rates.size());
    EXPECT_EQ(comparison.losses(v)[0].size(), 2U);
    EXPECT_EQ(comparison.judged_losses(v).size(), 2U);
    runs += 2 * variant.rates.size() + 2;
  }
  EXPECT_EQ(comparison.runs().size(), runs);
  EXPECT_EQ(counter.trained, static_cast<int>(runs));

  const Results results = results_of(comparison);
  EXPECT_EQ(results.seeds, comparison.seeds());
  for (const VariantResult& variant : results.variants) {
    EXPECT_FALSE(variant.lr_at_edge);
    EXPECT_EQ(variant.loss.values.size(), 2U);
    EXPECT_EQ(variant.search.runs, static_cast<std::int64_t>(2 * variant.rates.size()));
  }
  EXPECT_EQ(parse_results(results_json(results), "results").variants.size(), 2U);

  // More seeds judge one of them at the same rate; nothing else is trained.
  const std::vector<double> before = comparison.judged_losses(0);
  const double rate = comparison.variants()[0].rates[comparison.chosen_rate(0)];
  comparison.set_seeds(0, rate, 4);
  comparison.set_seeds(0, rate, 3);
  ASSERT_TRUE(comparison.run());
  EXPECT_EQ(counter.trained, static_cast<int>(runs) + 2);
  EXPECT_EQ(comparison.seeds(), (std::vector<std::uint64_t>{3, 4, 5, 6}));
  EXPECT_EQ(comparison.choosing_seeds(), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(comparison.judged_losses(0).size(), 4U);
  EXPECT_EQ(comparison.judged_losses(0)[1], before[1]);
  EXPECT_EQ(comparison.judged_losses(1).size(), 2U);
  Comparison again(request, out());
  EXPECT_TRUE(again.find());
  EXPECT_EQ(again.judged_losses(0), before);
  EXPECT_THROW(comparison.set_seeds(0, rate, 0), UsageError);

  // The results say so, and compare what both have.
  const Results more = results_of(comparison);
  EXPECT_EQ(more.seeds, comparison.seeds());
  EXPECT_EQ(more.fewest_seeds(), 2U);
  EXPECT_EQ(more.variants[0].loss.values, comparison.judged_losses(0));
  EXPECT_EQ(more.variants[0].search.runs, results.variants[0].search.runs);
  EXPECT_EQ(more.variants[1].loss.values, results.variants[1].loss.values);
  EXPECT_EQ(more.pairs[0].n, 2);
  EXPECT_EQ(more.pairs[0].difference, results.pairs[0].difference);
  EXPECT_EQ(std::count_if(more.runs.begin(), more.runs.end(),
                          [](const RunResult& run) { return run.chosen; }),
            6);
  EXPECT_EQ(as_json(parse_results(results_json(more), "results")), as_json(more));
  const std::string text = format_results(more);
  EXPECT_NE(text.find("over 2 to 4 seeds:"), std::string::npos) << text;
  EXPECT_NE(text.find("perplexity  seeds\n"), std::string::npos) << text;
  EXPECT_EQ(format_results(results).find("perplexity  seeds"), std::string::npos);
}

// Without a search, seeds that one rate gets have no say in which is the best.
TEST_F(Lab, AddedSeedsDoNotChoose) {
  CompareSpec request = spec();
  request.rates = {1e-6, 0.01};
  Counter counter;
  Comparison comparison(request, out(), counter.callbacks());
  ASSERT_TRUE(comparison.run());
  comparison.set_seeds(1, 1e-6, 3);
  ASSERT_TRUE(comparison.run());
  EXPECT_EQ(counter.trained, 9);
  EXPECT_EQ(comparison.seeds_of(1, 1e-6).size(), 3U);
  EXPECT_EQ(comparison.seeds_of(1, 0.01).size(), 2U);
  EXPECT_EQ(comparison.choosing_seeds(), (std::vector<std::uint64_t>{1, 2}));
  const Results results = results_of(comparison);
  EXPECT_EQ(results.runs.size(), 9U);
  EXPECT_EQ(results.variants[1].lr, 0.01);
  EXPECT_EQ(results.variants[1].loss.values.size(), 2U);
  EXPECT_EQ(results.variants[1].search.runs, 2);
  EXPECT_FALSE(results.runs.back().chosen);
}

TEST_F(Lab, SizesAreMatched) {
  CompareSpec request = spec();
  set_model(request, {{"layers", "[(32,3)]*3"}});
  const Comparison comparison(request, out());
  const auto& variants = comparison.variants();
  EXPECT_EQ(variants[0].model.shape<GcnnShape>().layers, parse_layers("[(32,3)]*3"));
  EXPECT_NEAR(static_cast<double>(variants[1].parameters),
              static_cast<double>(variants[0].parameters),
              0.01 * static_cast<double>(variants[0].parameters));
  EXPECT_EQ(variants[1].parameters, variants[1].model.parameter_count());
}

TEST_F(Lab, RefusesWhatCannotBeCompared) {
  const auto refused = [&](auto&& change, const std::string& part) {
    CompareSpec request = spec();
    change(request);
    const std::string said = refusal(request, out());
    EXPECT_NE(said.find(part), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos);
  };
  refused([](CompareSpec& s) { s.base.training.remove("tokens"); }, "needs a budget");
  refused([](CompareSpec& s) { s.base.data.values.valid_fraction = 0; }, "validation text");
  refused([](CompareSpec& s) { s.base.data.values.valid_fraction = 0.01; },
          "too few to tell variants apart");
  refused([](CompareSpec& s) { s.seeds = 0; }, "seeds: expected 1 to 1000, got 0");
  refused([](CompareSpec& s) { s.search.pilots = -1; }, "pilot seeds of the learning rate");
  refused([](CompareSpec& s) { s.search.refine = 21; }, "learning rates between others");
  refused([](CompareSpec& s) { s.rates = {0.1, -1}; }, "rates must be above 0");
  refused(
      [](CompareSpec& s) {
        s.vary = {parse_variation("batch=4,64")};
        s.base.training.remove("tokens");
        set_training(s, {{"steps", 10}});
      },
      "give it in tokens");
  refused([](CompareSpec& s) { set_model(s, {{"tie", true}}); }, "cannot be matched within 1%");
  refused([](CompareSpec& s) { s.vary = {parse_variation("layers=[(12,3)]*2,[(12,3)]+[(12,3)]")}; },
          "are the same configuration");
  refused([](CompareSpec& s) { s.base.data.values.train.front() += ".missing"; },
          "text.txt.missing");
}

TEST_F(Lab, ThreadsAreRestored) {
  const int before = thread_count();
  CompareSpec request = spec();
  request.base.threads = before + 1;
  request.jobs = 0;
  Comparison comparison(request, out());
  EXPECT_EQ(comparison.jobs(), 1);
  ASSERT_TRUE(comparison.run());
  EXPECT_EQ(thread_count(), before);
}

}  // namespace
}  // namespace sluice::lab_test
