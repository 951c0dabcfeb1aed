// Twenty made-up worlds in which what claims say is known to be true or false: wrong verdicts are
// 5% of all at most, and right ones at least as frequent as stated.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "sluice/lab/compare/detail/rates.hpp"
#include "synthetic.hpp"

namespace sluice::lab_test {
namespace {

/// The deviation of a share of 5% among so many is √(0.05 · 0.95 / 2,000) = 0.49%: a world in which
/// 5% + 1.64 · 0.49% = 5.8% of verdicts are wrong passes once in twenty times.
constexpr int claims = 2'000;

struct World {
  const char* name;
  std::vector<SyntheticPart> parts;
  /// The true verdict; inconclusive: every verdict is wrong.
  ClaimVerdict truth;
  /// How often it is found at least.
  double power = 0;
  std::int64_t most = 40;
};

/// A difference of `effect`, in units of the spread of differences; seeds differ `shared` times as
/// much as sides do.
Draw normal_effect(double effect, double shared = 0) {
  return [=](Random& random, std::int64_t) {
    const double seed = shared * normal(random);
    return std::pair{seed + effect + normal(random) / std::sqrt(2.0),
                     seed + normal(random) / std::sqrt(2.0)};
  };
}

/// As normal_effect(), but each run fails with probability `p`, which costs 20.
Draw bimodal(double effect, double p) {
  return [=](Random& random, std::int64_t) {
    const auto run = [&](double middle) {
      return middle + normal(random) / std::sqrt(2.0) + (chance(random, p) ? 20 : 0);
    };
    const double a = run(effect);
    return std::pair{a, run(0)};
  };
}

/// The spread grows threefold from the first seed to the fortieth.
Draw drifting(double effect) {
  return [=](Random& random, std::int64_t seed) {
    const double spread = 1 + static_cast<double>(seed) / 20;
    return std::pair{effect + spread * normal(random), 0.0};
  };
}

/// Differences as Student's t with 2 degrees of freedom, without a variance.
Draw heavy_tailed(double effect) {
  return [=](Random& random, std::int64_t) {
    return std::pair{effect + std::student_t_distribution<double>(2)(random), 0.0};
  };
}

Draw lognormal_ratio(double ratio) {
  return [=](Random& random, std::int64_t) {
    return std::pair{ratio * std::exp(0.5 * normal(random)), std::exp(0.5 * normal(random))};
  };
}

Draw shares(double a, double b) {
  return [=](Random& random, std::int64_t) {
    return std::pair{chance(random, a) ? 1.0 : 0.0, chance(random, b) ? 1.0 : 0.0};
  };
}

/// Each side is judged by the best of several equal learning rates, chosen by three pilot seeds;
/// one side tries more. Draws the pilots with the first seed of each claim.
Draw searched(int rates_a, int rates_b) {
  struct Rates {
    std::vector<double> a, b;
    std::size_t best_a = 0, best_b = 0;
  };
  auto state = std::make_shared<Rates>();
  return [=](Random& random, std::int64_t seed) {
    if (seed == 0) {
      const auto choose = [&](int rates) {
        std::vector<Values> losses(static_cast<std::size_t>(rates), Values(3));
        for (Values& of_rate : losses) {
          for (double& loss : of_rate) loss = normal(random);
        }
        return choose_rate(losses);
      };
      state->best_a = choose(rates_a);
      state->best_b = choose(rates_b);
    }
    return std::pair{normal(random), normal(random)};
  };
}

std::vector<World> worlds() {
  using enum ClaimVerdict;
  const auto one = [](const PartTerms& terms, const Draw& draw) {
    return std::vector<SyntheticPart>{{terms, draw}};
  };
  const PartTerms less{};
  const PartTerms bounded{.bound = 1};
  const PartTerms median{.statistic = Statistic::median};
  const PartTerms trimmed{.statistic = Statistic::trimmed};
  const PartTerms within{.expect = Expect::within, .threshold = 1};
  const PartTerms ratio{.kind = EffectKind::ratio, .threshold = 1};
  const PartTerms share{.kind = EffectKind::share, .expect = Expect::greater};
  return {
      {"no effect", one(less, normal_effect(0)), inconclusive},
      {"no effect, and a bound", one(bounded, normal_effect(0)), equal, 0.96},
      {"an effect of a spread", one(less, normal_effect(-1)), holds, 0.99},
      {"a small effect", one(less, normal_effect(-0.5)), holds, 0.72},
      {"the opposite effect", one(less, normal_effect(1)), fails, 0.99},
      {"an effect as large as the threshold", one({.threshold = -2}, normal_effect(-2)),
       inconclusive},
      {"within its bound", one(within, normal_effect(0.2)), holds, 0.97},
      {"at the edge of its bound", one(within, normal_effect(1)), inconclusive},
      {"beyond its bound", one(within, normal_effect(-2.5)), fails, 0.99},
      {"seeds that matter more than sides", one(less, normal_effect(-1, 10)), holds, 0.99},
      {"runs that fail on both sides", one(less, bimodal(0, 0.2)), inconclusive},
      {"the same by medians", one(median, bimodal(0, 0.2)), inconclusive},
      {"an effect among runs that fail", one(median, bimodal(-1.5, 0.1)), holds, 0.98},
      {"heavy tails, trimmed", one(trimmed, heavy_tailed(0)), inconclusive},
      {"an effect in heavy tails", one(trimmed, heavy_tailed(-1.5)), holds, 0.99},
      {"a spread that drifts", one(less, drifting(0)), inconclusive},
      {"an effect in a spread that drifts", one(less, drifting(-2)), holds, 0.99},
      {"a ratio", one(ratio, lognormal_ratio(0.6)), holds, 0.96},
      {"shares", one(share, shares(0.9, 0.2)), holds, 0.99},
      {"shares without a difference", one(share, shares(0.5, 0.5)), inconclusive},
      {"five parts, one of them false",
       {{less, normal_effect(-2)},
        {less, normal_effect(-2)},
        {less, normal_effect(0)},
        {less, normal_effect(-2)},
        {less, normal_effect(-2)}},
       inconclusive},
      {"rates that were searched for, more on one side", one(less, searched(3, 9)), inconclusive},
  };
}

TEST(KnownTruth, VerdictsAreRightAtTheirRates) {
  const std::vector<World> all = worlds();
  EXPECT_GE(all.size(), 20U);
  std::uint64_t number = 0;
  for (const World& world : all) {
    Random random(++number);
    const LookPlan looks = plan_looks(5, world.most);
    int right = 0;
    int wrong = 0;
    for (int i = 0; i < claims; ++i) {
      const ClaimVerdict verdict = decide(world.parts, looks, random);
      if (verdict == ClaimVerdict::inconclusive) continue;
      ++(verdict == world.truth ? right : wrong);
    }
    const double total = claims;
    EXPECT_LE(wrong / total, 0.05) << world.name;
    EXPECT_GE(right / total, world.power) << world.name;
    RecordProperty("world " + std::to_string(number),
                   std::to_string(right) + " right, " + std::to_string(wrong) + " wrong");
  }
}

}  // namespace
}  // namespace sluice::lab_test
