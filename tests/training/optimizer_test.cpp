#include "sluice/training/optimizer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/random.hpp"

namespace sluice {
namespace {

/// Sizes around the optimizer's blocks; the second has no weight decay.
const std::vector<std::int64_t> sizes{5, 40, 16384, 50001};

Tensor random_tensor(std::int64_t n, std::uint32_t stream, std::uint32_t step) {
  const RandomKey key{.seed = 3, .stream = stream, .step = step};
  Tensor out(Shape{n});
  for (std::int64_t i = 0; i < n; ++i) {
    out.data<float>()[i] = static_cast<float>(key.normal(static_cast<std::uint64_t>(i)));
  }
  return out;
}

Parameters make_parameters() {
  Parameters out;
  for (std::size_t p = 0; p < sizes.size(); ++p) {
    out.push_back(
        {.name = "p" + std::to_string(p),
         .variable = Variable(random_tensor(sizes[p], static_cast<std::uint32_t>(p), 0), true),
         .to_file = {},
         .from_file = {},
         .decay = p != 1});
  }
  return out;
}

/// Parameter 0 has no gradient in step 2.
void set_gradients(const Parameters& parameters, std::uint32_t step) {
  for (std::size_t p = 0; p < sizes.size(); ++p) {
    if (p == 0 && step == 2) continue;
    parameters[p].variable.gradient()->accumulate(
        random_tensor(sizes[p], static_cast<std::uint32_t>(p) + 100, step));
  }
}

/// torch.optim's rules in double, as its documentation writes them.
struct Reference {
  explicit Reference(const OptimizerConfig& c) : config(c) {}
  OptimizerConfig config;
  std::vector<double> w, m, v;
  int t = 0;

  void step(const float* grad, double scale, double lr, double decay) {
    ++t;
    const bool adam = config.kind == OptimizerKind::adam || config.kind == OptimizerKind::adamw;
    for (std::size_t i = 0; i < w.size(); ++i) {
      double g = static_cast<double>(grad[i]) * scale;
      if (config.kind == OptimizerKind::adamw) {
        w[i] -= lr * decay * w[i];
      } else {
        g += decay * w[i];
      }
      if (adam) {
        m[i] = config.beta1 * m[i] + (1 - config.beta1) * g;
        v[i] = config.beta2 * v[i] + (1 - config.beta2) * g * g;
        const double mh = m[i] / (1 - std::pow(config.beta1, t));
        const double vh = v[i] / (1 - std::pow(config.beta2, t));
        w[i] -= lr * mh / (std::sqrt(vh) + config.epsilon);
      } else {
        m[i] = config.momentum * m[i] + g;
        w[i] -= lr * (config.kind == OptimizerKind::nesterov ? g + config.momentum * m[i] : m[i]);
      }
    }
  }
};

class OptimizerKinds : public testing::TestWithParam<OptimizerKind> {};

INSTANTIATE_TEST_SUITE_P(All, OptimizerKinds,
                         testing::Values(OptimizerKind::nesterov, OptimizerKind::sgd,
                                         OptimizerKind::adam, OptimizerKind::adamw),
                         [](const auto& kind) { return std::string(name_of(kind.param)); });

// Tolerance 2e-5 absolute on weights of size 1 moved by steps of 0.1: float32 rounding over five
// updates, Adam's square root included.
TEST_P(OptimizerKinds, FollowsPyTorchsRule) {
  OptimizerConfig config;
  config.kind = GetParam();
  config.momentum = 0.9;
  config.weight_decay = 0.05;
  const Parameters parameters = make_parameters();
  std::vector<Reference> references(sizes.size(), Reference(config));
  for (std::size_t p = 0; p < sizes.size(); ++p) {
    const auto values = parameters[p].variable.value().span<float>();
    references[p].w.assign(values.begin(), values.end());
    references[p].m.resize(values.size());
    references[p].v.resize(values.size());
  }
  Optimizer optimizer(parameters, config);
  for (std::uint32_t step = 1; step <= 5; ++step) {
    set_gradients(parameters, step);
    const double lr = 0.1 / step;
    const double scale = 0.5;
    for (std::size_t p = 0; p < sizes.size(); ++p) {
      const Tensor& grad = parameters[p].variable.grad();
      if (!grad.defined()) continue;
      references[p].step(grad.data<float>(), scale, lr, p == 1 ? 0 : config.weight_decay);
    }
    optimizer.step(lr, scale);
    optimizer.zero_gradients();
    for (const Parameter& parameter : parameters) {
      EXPECT_FALSE(parameter.variable.grad().defined());
    }
  }
  for (std::size_t p = 0; p < sizes.size(); ++p) {
    const auto values = parameters[p].variable.value().span<float>();
    double worst = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(values[i]) - references[p].w[i]));
    }
    EXPECT_LT(worst, 2e-5) << parameters[p].name;
  }
}

TEST_P(OptimizerKinds, SavedStateContinuesBitForBit) {
  OptimizerConfig config;
  config.kind = GetParam();
  const Parameters straight = make_parameters();
  const Parameters resumed = make_parameters();
  Optimizer a(straight, config);
  Optimizer b(resumed, config);
  TensorSources saved;
  for (std::uint32_t step = 1; step <= 6; ++step) {
    if (step == 4) {
      for (const auto& [info, make] : b.state())
        saved.push_back(source_of(info.name, make().clone()));
    }
    const bool before = step < 4;
    set_gradients(straight, step);
    a.step(0.01);
    a.zero_gradients();
    if (!before) continue;
    set_gradients(resumed, step);
    b.step(0.01);
    b.zero_gradients();
  }
  Optimizer c(resumed, config);
  c.load_state(saved);
  for (std::uint32_t step = 4; step <= 6; ++step) {
    set_gradients(resumed, step);
    c.step(0.01);
    c.zero_gradients();
  }
  for (std::size_t p = 0; p < sizes.size(); ++p) {
    const Tensor& x = straight[p].variable.value();
    EXPECT_EQ(std::memcmp(x.raw(), resumed[p].variable.value().raw(), x.bytes()), 0);
  }
}

TEST_P(OptimizerKinds, ThreadsDoNotMatter) {
  const int threads = thread_count();
  OptimizerConfig config;
  config.kind = GetParam();
  std::vector<Parameters> results;
  std::vector<double> norms;
  for (const int n : {1, 2, 3, 7}) {
    set_thread_count(n);
    results.push_back(make_parameters());
    Optimizer optimizer(results.back(), config);
    set_gradients(results.back(), 1);
    norms.push_back(optimizer.gradient_norm());
    optimizer.step(0.1, 0.3);
  }
  set_thread_count(threads);
  for (std::size_t i = 1; i < results.size(); ++i) {
    EXPECT_EQ(norms[i], norms[0]);
    for (std::size_t p = 0; p < sizes.size(); ++p) {
      const Tensor& x = results[0][p].variable.value();
      EXPECT_EQ(std::memcmp(x.raw(), results[i][p].variable.value().raw(), x.bytes()), 0);
    }
  }
}

/// A table whose rows straddle the optimizer's blocks, and sparse gradients that touch its first
/// and last row, neighbours, and mostly nothing.
constexpr std::int64_t table_rows = 700;
constexpr std::int64_t table_columns = 300;

SparseRows sparse_gradient(std::uint32_t step) {
  SparseRows out;
  for (std::int32_t row = 0; row < table_rows; ++row) {
    const bool ends = step % 5 == 0 && (row == 0 || row == table_rows - 1);
    if (ends || (row * 31 + static_cast<std::int32_t>(step) * 17) % 97 < 3) out.ids.push_back(row);
  }
  const auto n = static_cast<std::int64_t>(out.ids.size());
  out.rows = random_tensor(n * table_columns, 50, step).reshape(Shape{n, table_columns});
  return out;
}

TEST_P(OptimizerKinds, SparseRowsAreWorthADenseGradientToTheBit) {
  OptimizerConfig config;
  config.kind = GetParam();
  config.momentum = 0.5;  // untouched moments get as far as 0
  config.beta1 = 0.3;
  config.beta2 = 0.5;
  config.weight_decay = 0.01;
  const auto make = [] {
    const Tensor value = random_tensor(table_rows * table_columns, 1, 0);
    return Parameters{{.name = "table",
                       .variable = Variable(value.reshape(Shape{table_rows, table_columns}), true),
                       .to_file = {},
                       .from_file = {},
                       .decay = true}};
  };
  const Parameters dense = make(), sparse = make();
  Optimizer a(dense, config), b(sparse, config), c(sparse, config);
  Optimizer* second = &b;
  for (std::uint32_t step = 0; step < 50; ++step) {
    if (step == 25) {  // resumed
      c.load_state(b.state());
      second = &c;
    }
    dense[0].variable.gradient()->accumulate(sparse_gradient(step));
    static_cast<void>(dense[0].variable.grad());  // spreads the rows over a tensor
    ASSERT_EQ(dense[0].variable.gradient()->sparse(), nullptr);
    sparse[0].variable.gradient()->accumulate(sparse_gradient(step));
    const double norm = a.gradient_norm();
    EXPECT_NEAR(second->gradient_norm(), norm, 1e-12 * norm);
    a.step(0.01, 0.7);
    second->step(0.01, 0.7);
    ASSERT_NE(sparse[0].variable.gradient()->sparse(), nullptr);
    a.zero_gradients();
    second->zero_gradients();
    ASSERT_FALSE(sparse[0].variable.gradient()->defined());
  }
  const Tensor& x = dense[0].variable.value();
  EXPECT_EQ(std::memcmp(x.raw(), sparse[0].variable.value().raw(), x.bytes()), 0);
  const TensorSources moments = a.state(), others = second->state();
  for (std::size_t i = 0; i < moments.size(); ++i) {
    const Tensor m = moments[i].make(), other = others[i].make();
    EXPECT_EQ(std::memcmp(m.raw(), other.raw(), m.bytes()), 0) << moments[i].info.name;
  }
}

TEST(Optimizer, GradientNormTakesSquaresThatAreKnown) {
  Parameters parameters = make_parameters();
  parameters.resize(2);
  const Optimizer optimizer(parameters, {});
  parameters[0].variable.gradient()->accumulate(random_tensor(sizes[0], 1, 1), 9.0);
  EXPECT_EQ(optimizer.gradient_norm(), 3);
  parameters[1].variable.gradient()->accumulate(random_tensor(sizes[1], 2, 1), 16.0);
  EXPECT_EQ(optimizer.gradient_norm(), 5);
  // After another contribution the gradient is read.
  const Tensor more = random_tensor(sizes[1], 3, 1);
  parameters[1].variable.gradient()->accumulate(more.clone(), 7.0);
  double sum = 9;
  for (const float g : parameters[1].variable.grad().span<float>()) {
    sum += static_cast<double>(g) * static_cast<double>(g);
  }
  EXPECT_NEAR(optimizer.gradient_norm(), std::sqrt(sum), 1e-12 * std::sqrt(sum));
  optimizer.zero_gradients();
  EXPECT_EQ(optimizer.gradient_norm(), 0);
}

TEST(Optimizer, GradientNormIsTheGlobalOne) {
  const Parameters parameters = make_parameters();
  const Optimizer optimizer(parameters, {});
  EXPECT_EQ(optimizer.gradient_norm(), 0);
  set_gradients(parameters, 2);
  double sum = 0;
  for (const Parameter& parameter : parameters) {
    if (!parameter.variable.grad().defined()) continue;
    for (const float g : parameter.variable.grad().span<float>()) {
      sum += static_cast<double>(g) * static_cast<double>(g);
    }
  }
  EXPECT_NEAR(optimizer.gradient_norm(), std::sqrt(sum), 1e-9 * std::sqrt(sum));
}

TEST(Optimizer, ClipCoefficient) {
  EXPECT_EQ(clip_coefficient(0, 0.1), 1);
  EXPECT_EQ(clip_coefficient(0.05, 0.1), 1);
  EXPECT_DOUBLE_EQ(clip_coefficient(0.1, 0.1), 0.1 / (0.1 + 1e-6));
  EXPECT_DOUBLE_EQ(clip_coefficient(5, 0.1), 0.1 / (5 + 1e-6));
  EXPECT_EQ(clip_coefficient(5, 0), 1);
}

TEST(Optimizer, RefusesForeignState) {
  const Parameters parameters = make_parameters();
  Optimizer optimizer(parameters, {});
  const auto message = [&](const TensorSources& state) -> std::string {
    try {
      optimizer.load_state(state);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  TensorSources state = optimizer.state();
  EXPECT_EQ(message(state), "");
  state[0] = source_of("momentum.p0", Tensor::zeros(Shape{6}));
  EXPECT_EQ(message(state),
            "optimizer state: tensor 'momentum.p0' must be float32 [5], got float32 [6]");
  state.erase(state.begin());
  EXPECT_EQ(message(state), "optimizer state: tensor 'momentum.p0' is missing");
  state = optimizer.state();
  state.push_back(source_of("momentum.p9", Tensor::zeros(Shape{1})));
  EXPECT_EQ(message(state), "optimizer state: tensor 'momentum.p9' is unknown");
}

TEST(Optimizer, RefusesDoubleParameters) {
  Parameters parameters(1);
  parameters[0].name = "w";
  parameters[0].variable = Variable(Tensor::zeros(Shape{2}, DType::f64), true);
  EXPECT_THROW(Optimizer(parameters, {}), Error);
}

TEST(Optimizer, NamesReadBack) {
  for (const std::string& name : enum_names(OptimizerKind{}).names()) {
    EXPECT_EQ(name_of(parse_enum<OptimizerKind>(name)), name);
  }
  EXPECT_THROW(parse_enum<OptimizerKind>("adagrad"), UsageError);
}

// Each shard changes the scalars that are its own, to the bits that one optimizer of all gives
// them.
TEST(Optimizer, ShardsMakeTheUpdateOfOne) {
  for (const OptimizerKind kind : {OptimizerKind::nesterov, OptimizerKind::adamw}) {
    OptimizerConfig config;
    config.kind = kind;
    config.weight_decay = 0.1;
    for (const int count : {2, 3, 7}) {
      const Parameters whole = make_parameters();
      Optimizer one(whole, config);
      std::vector<Parameters> parts;
      std::vector<std::unique_ptr<Optimizer>> shards;
      for (int index = 0; index < count; ++index) parts.push_back(make_parameters());
      for (int index = 0; index < count; ++index) {
        shards.push_back(std::make_unique<Optimizer>(parts[static_cast<std::size_t>(index)], config,
                                                     OptimizerShard{index, count}));
      }
      const auto w = [](const Parameters& parameters, std::size_t p) {
        return parameters[p].variable.value().data<float>();
      };
      for (std::uint32_t step = 1; step < 5; ++step) {
        set_gradients(whole, step);
        one.step(0.01, 0.5);
        one.zero_gradients();
        for (std::size_t s = 0; s < shards.size(); ++s) {
          set_gradients(parts[s], step);
          shards[s]->step(0.01, 0.5);
          shards[s]->zero_gradients();
        }
        for (std::size_t p = 0; p < sizes.size(); ++p) {
          std::int64_t reached = 0;
          for (std::size_t s = 0; s < shards.size(); ++s) {
            const ScalarRange range = shards[0]->range(p, static_cast<int>(s));
            if (range.size() == 0) continue;
            EXPECT_EQ(range.begin, reached);
            reached = range.end;
            const std::size_t bytes = static_cast<std::size_t>(range.size()) * sizeof(float);
            EXPECT_EQ(std::memcmp(w(parts[s], p) + range.begin, w(whole, p) + range.begin, bytes),
                      0);
            // What the others go on from.
            for (const Parameters& other : parts) {
              std::copy_n(w(parts[s], p) + range.begin, range.size(), w(other, p) + range.begin);
            }
          }
          EXPECT_EQ(reached, sizes[p]);
        }
      }
      std::int64_t kept = 0, all = 0;
      for (const auto& shard : shards) {
        for (const auto& [p, moment] : shard->moments()) kept += moment.elements();
      }
      for (const auto& [p, moment] : one.moments()) all += moment.elements();
      EXPECT_EQ(kept, all) << "no moment is kept twice";
    }
  }
}

// Each sums the squares of its own scalars alone, block by block: what its gradients hold of
// others' does not matter.
TEST(Optimizer, ShardsHaveTheNormOfOne) {
  const Parameters whole = make_parameters();
  const Optimizer one(whole, {});
  set_gradients(whole, 1);
  const double norm = one.gradient_norm();
  for (const int count : {2, 3, 7}) {
    std::vector<double> found;
    std::size_t expected = 0;
    for (const bool second : {false, true}) {
      for (int index = 0; index < count; ++index) {
        const Parameters part = make_parameters();
        const Optimizer shard(part, {}, {index, count});
        set_gradients(part, 1);
        for (std::size_t p = 0; p < sizes.size(); ++p) {
          const ScalarRange own = shard.range(p, index);
          float* const gradient = part[p].variable.grad().data<float>();
          std::fill(gradient, gradient + own.begin, NAN);
          std::fill(gradient + own.end, gradient + sizes[p], NAN);
        }
        const double joined = shard.gradient_norm([&](auto mine, auto counts) {
          EXPECT_EQ(counts.size(), static_cast<std::size_t>(count));
          EXPECT_EQ(mine.size(), counts[static_cast<std::size_t>(index)]);
          expected = 0;
          for (const std::size_t each : counts) expected += each;
          if (!second) found.insert(found.end(), mine.begin(), mine.end());
          return second ? found : std::vector<double>(expected);
        });
        if (second) {
          EXPECT_EQ(joined, norm) << index << " of " << count;
        }
      }
      EXPECT_EQ(found.size(), expected);
    }
  }
}

// A bucket of gradients that travels has a part for each; what is left over goes to each in turn.
TEST(Optimizer, ShardsAreEqualInEveryParameter) {
  constexpr std::int64_t block = 16384;
  Parameters parameters;
  for (int p = 0; p < 60; ++p) {
    parameters.push_back({.name = std::to_string(p),
                          .variable = Variable(Tensor::zeros(Shape{(p % 4 * 5 + 1) * block}), true),
                          .to_file = {},
                          .from_file = {},
                          .decay = true});
  }
  constexpr int count = 7;
  const Optimizer optimizer(parameters, {}, {0, count});
  std::vector<std::int64_t> blocks(count);
  std::int64_t all = 0;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const std::int64_t of_all = parameters[p].variable.value().elements() / block;
    all += of_all;
    for (int shard = 0; shard < count; ++shard) {
      const std::int64_t own = optimizer.range(p, shard).size() / block;
      EXPECT_GE(own, of_all / count);
      EXPECT_LE(own, of_all / count + 1);
      blocks[static_cast<std::size_t>(shard)] += own;
    }
  }
  // Within 3%.
  const double mean = static_cast<double>(all) / count;
  for (const std::int64_t own : blocks) EXPECT_NEAR(static_cast<double>(own), mean, 0.03 * mean);
}

}  // namespace
}  // namespace sluice
