// The tape tells of every parameter of every architecture once, after the last contribution to its
// gradient.

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "models/support.hpp"
#include "sluice/base/parallel.hpp"

namespace sluice {
namespace {

/// A gradient as it is at one moment, sparse rows staying sparse.
struct Snapshot {
  std::vector<std::int32_t> ids;
  Tensor values;

  explicit Snapshot(GradientSlot& slot) {
    if (const SparseRows* sparse = slot.sparse()) {
      ids = sparse->ids;
      values = sparse->rows.clone();
    } else if (slot.defined()) {
      values = slot.dense().clone();
    }
  }
  bool operator==(const Snapshot& other) const {
    if (ids != other.ids || values.defined() != other.values.defined()) return false;
    return !values.defined() ||
           (values.shape() == other.values.shape() &&
            std::memcmp(values.raw(), other.values.raw(), values.bytes()) == 0);
  }
};

struct Told {
  std::vector<std::size_t> order;
  std::vector<std::size_t> left;  // ops still to be differentiated then
  std::map<std::size_t, Snapshot> snapshots;
  bool sparse = false;
};

/// One training step's backward pass in the middle of a text.
Told differentiate(LanguageModel& model, const std::vector<Variable>& leaves) {
  const std::int64_t vocabulary = model.config().vocabulary;
  ForwardOptions options;
  options.training = true;
  options.step = 4;
  ModelState state;
  {
    const NoGrad guard;
    model.hidden(test::random_ids(12, vocabulary, 3), 2, 6, state, {});
  }
  for (const Variable& leaf : leaves) leaf.zero_grad();
  Told told;
  Tape tape;
  const Variable h = model.hidden(test::random_ids(12, vocabulary, 1), 2, 6, state, options);
  const Variable loss = model.loss(h, test::random_ids(12, vocabulary, 2), options);
  tape.backward(loss, {leaves, [&](std::size_t i) {
                         told.order.push_back(i);
                         told.left.push_back(tape.size());
                         told.sparse |= leaves[i].gradient()->sparse() != nullptr;
                         told.snapshots.emplace(i, Snapshot(*leaves[i].gradient()));
                       }});
  return told;
}

void check_model(const ModelConfig& config) {
  const auto model = make_model(config, 3);
  std::vector<Variable> leaves;
  std::vector<std::string> names;
  for (const Parameter& parameter : model->parameters()) {
    if (!parameter.variable.requires_grad()) continue;
    leaves.push_back(parameter.variable);
    names.push_back(parameter.name);
  }
  const Told told = differentiate(*model, leaves);
  ASSERT_EQ(told.order.size(), leaves.size());
  ASSERT_EQ(std::set<std::size_t>(told.order.begin(), told.order.end()).size(), leaves.size());
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    EXPECT_TRUE(told.snapshots.at(i).values.defined()) << names[i] << " got no gradient";
    EXPECT_TRUE(told.snapshots.at(i) == Snapshot(*leaves[i].gradient()))
        << names[i] << " got something after it was complete";
  }
  // One by one, not all at the end.
  const std::set<std::size_t> moments(told.left.begin(), told.left.end());
  EXPECT_GT(moments.size(), 3U);
  EXPECT_EQ(told.sparse, !config.tie) << "rows of the embedding";

  const int threads = thread_count();
  set_thread_count(2);
  EXPECT_EQ(differentiate(*model, leaves).order, told.order);
  set_thread_count(threads);
}

TEST(CompleteGradients, OfEveryArchitecture) {
  std::map<std::string, ModelConfig> configs;
  for (const std::string norm : {"none", "weight", "layer", "batch", "group"}) {
    configs["gcnn " + norm] = test::small_gcnn();
    configs["gcnn " + norm].norm = norm;
    configs["gcnn " + norm].groups = 2;
  }
  configs["gcnn with parameters in its unit"] = test::small_gcnn("prelu(shared)");
  for (const std::string arch : {"rnn", "lstm", "gru", "indrnn", "mut1"}) {
    configs[arch] = test::small_recurrent(arch);
  }
  configs["transformer"] = test::small_transformer();
  for (auto& [name, config] : configs) {
    SCOPED_TRACE(name);
    config.dropout = 0.2F;
    check_model(config);
  }
}

TEST(CompleteGradients, OfEveryKindOfTokenLayer) {
  for (const bool tie : {false, true}) {
    for (const bool adaptive : {false, true}) {
      SCOPED_TRACE(testing::Message() << "tied " << tie << ", adaptive " << adaptive);
      ModelConfig config = test::small_gcnn();
      config.shape<GcnnShape>().layers = parse_layers("[(16,3)]*2");
      config.dim = 16;
      config.tie = tie;
      if (!adaptive) {
        config.softmax = "full";
        config.cutoffs = {};
      }
      check_model(config);
    }
  }
}

}  // namespace
}  // namespace sluice
