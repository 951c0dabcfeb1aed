// Frozen recurrent stacks and Transformers: what they promise over all cells, norms, units and
// positions.

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <thread>

#include "sluice/inference/session.hpp"
#include "sluice/models/recurrent.hpp"
#include "sluice/models/transformer.hpp"
#include "sluice/tensor/gemm.hpp"
#include "support.hpp"

namespace sluice {
namespace {

using testing_support::random_ids;

constexpr std::int64_t kVocabulary = 30;

ModelConfig with_softmax(ModelConfig config) {
  config.vocabulary = kVocabulary;
  config.softmax = "adaptive";
  config.cutoffs = {10, 20};
  config.dropout = 0.3F;  // never applied
  return config;
}

ModelConfig recurrent(const std::string& arch) {
  ModelConfig config(arch);
  config.dim = 12;
  config.norm = "none";
  config.shape<RecurrentShape>().depth = 2;
  config.shape<RecurrentShape>().hidden = 40;  // more than a panel, and no multiple of one
  return with_softmax(config);
}

ModelConfig transformer(std::int64_t window, const std::string& positions,
                        const std::string& ffn = "swiglu") {
  ModelConfig config("transformer");
  config.dim = 16;
  config.norm = "layer";
  config.shape<TransformerShape>() = {.depth = 2,
                                      .heads = 2,
                                      .window = window,
                                      .positions = positions,
                                      .ffn = ffn,
                                      .ffn_width = 10};
  return with_softmax(config);
}

const std::map<std::string, ModelConfig>& configs() {
  static const std::map<std::string, ModelConfig> all = [] {
    std::map<std::string, ModelConfig> made;
    for (const std::string arch : {"rnn", "lstm", "gru", "indrnn", "mut1"}) {
      made[arch] = recurrent(arch);
      made[arch + " residual"] = recurrent(arch);
      made[arch + " residual"].shape<RecurrentShape>().residual = true;
    }
    made["rnn relu"] = recurrent("rnn");
    made["rnn relu"].shape<RecurrentShape>().unit = "relu";
    made["gru reset before"] = recurrent("gru");
    made["gru reset before"].shape<RecurrentShape>().reset = "before";
    made["mut1 of its own width"] = recurrent("mut1");
    made["mut1 of its own width"].dim = 40;
    for (const std::string gate : {"input", "forget", "output"}) {
      made["lstm without " + gate] = recurrent("lstm");
      made["lstm without " + gate].shape<RecurrentShape>().removed_gates = {gate};
    }
    for (const std::string norm : {"layer", "rms", "group", "batch"}) {
      made["lstm norm " + norm] = recurrent("lstm");
      made["lstm norm " + norm].norm = norm;
      made["lstm norm " + norm].groups = 2;
      made["transformer norm " + norm] = transformer(9, "rotary");
      made["transformer norm " + norm].norm = norm;
      made["transformer norm " + norm].groups = 2;
    }
    for (const std::string positions : {"none", "rotary", "learned"}) {
      // Windows of one position, of less than a page, of a page and the one behind it, of several.
      for (const std::int64_t window : {1, 4, 17, 40}) {
        made["transformer " + positions + " " + std::to_string(window)] =
            transformer(window, positions);
      }
    }
    for (const std::string ffn : {"relu", "prelu", "swish", "rrelu", "maxout", "softmax"}) {
      made["transformer " + ffn] = transformer(9, "rotary", ffn);
    }
    return made;
  }();
  return all;
}

/// A model none of whose parameters is what it starts with.
std::unique_ptr<LanguageModel> make(const ModelConfig& config) {
  auto model = make_model(config, 5);
  std::uint32_t stream = 0;
  for (const Parameter& parameter : model->parameters()) {
    const RandomKey key{9, stream++, 0};
    const Tensor& value = parameter.variable.value();
    for (std::int64_t i = 0; i < value.elements(); ++i) {
      value.data<float>()[i] += 0.2F * (key.uniform(static_cast<std::uint64_t>(i)) - 0.5F);
    }
  }
  return model;
}

/// The model's own forward pass over a text: [T, H].
Tensor model_hidden(LanguageModel& model, const std::vector<std::int32_t>& ids,
                    Precision precision = Precision::f32) {
  const NoGrad guard;
  ModelState state;
  ForwardOptions options;
  options.precision = precision;
  return model.hidden(ids, 1, static_cast<std::int64_t>(ids.size()), state, options).value();
}

/// Reads each text's next tokens, ids[i], side by side: [ΣT, H].
Tensor read(const FrozenModel& model, const std::vector<std::vector<std::int32_t>>& ids,
            std::vector<StackState>& states) {
  std::vector<std::int32_t> all;
  std::vector<std::int64_t> lengths;
  std::vector<StackState*> pointers;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i].empty()) continue;
    all.insert(all.end(), ids[i].begin(), ids[i].end());
    lengths.push_back(static_cast<std::int64_t>(ids[i].size()));
    pointers.push_back(&states[i]);
  }
  return model.hidden(all, PackedRows(lengths), pointers);
}

Tensor read(const FrozenModel& model, const std::vector<std::int32_t>& ids, StackState& state) {
  std::vector<StackState> states = {state};
  const Tensor hidden = read(model, {ids}, states);
  state = std::move(states.front());
  return hidden;
}

std::vector<float> values(const Tensor& x) {
  return {x.span<float>().begin(), x.span<float>().end()};
}

/// Sums in another order differ by a few roundings.
void expect_near(const Tensor& actual, const Tensor& expected, double bound = 1e-5) {
  ASSERT_EQ(actual.shape(), expected.shape());
  for (std::int64_t i = 0; i < actual.elements(); ++i) {
    const double e = expected.data<float>()[i];
    ASSERT_NEAR(actual.data<float>()[i], e, bound * (1 + std::abs(e))) << "element " << i;
  }
}

std::vector<std::int32_t> part(const std::vector<std::int32_t>& ids, std::size_t first,
                               std::size_t count) {
  const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(std::min(first, ids.size()));
  const auto left = static_cast<std::size_t>(ids.end() - begin);
  return {begin, begin + static_cast<std::ptrdiff_t>(std::min(count, left))};
}

class FrozenRecurrence : public testing::TestWithParam<std::string> {
 protected:
  const ModelConfig& config() const { return configs().at(GetParam()); }
};

// The same products of the same shapes: the same bits.
TEST_P(FrozenRecurrence, AWholeTextHasTheModelsBits) {
  const auto model = make(config());
  const auto frozen = FrozenModel::freeze(*model);
  const auto ids = random_ids(70, kVocabulary);
  StackState state;
  EXPECT_EQ(values(read(*frozen, ids, state)), values(model_hidden(*model, ids)));
}

TEST_P(FrozenRecurrence, AWholeTextHasTheModelsBitsInBfloat16) {
  if (!has_bfloat16_gemm()) GTEST_SKIP() << "this CPU has no bfloat16 products";
  const auto model = make(config());
  FreezeOptions options;
  options.precision = WeightPrecision::bf16;
  const auto frozen = FrozenModel::freeze(*model, options);
  const auto ids = random_ids(70, kVocabulary);
  StackState state;
  EXPECT_EQ(values(read(*frozen, ids, state)), values(model_hidden(*model, ids, Precision::bf16)));
}

TEST_P(FrozenRecurrence, PortionsOfAnyLengthEqualTheWholeText) {
  const auto model = make(config());
  const auto frozen = FrozenModel::freeze(*model);
  const auto ids = random_ids(70, kVocabulary);
  const Tensor whole = model_hidden(*model, ids);
  for (const std::size_t length : {1, 2, 3, 16, 19, 69}) {
    StackState state;
    for (std::size_t first = 0; first < ids.size(); first += length) {
      const auto next = part(ids, first, length);
      const Tensor hidden = read(*frozen, next, state);
      const auto begin = static_cast<std::int64_t>(first);
      expect_near(hidden, whole.rows(begin, begin + static_cast<std::int64_t>(next.size())));
    }
    EXPECT_EQ(state.position, 70);
  }
}

// Texts of their own lengths that join, pause and leave, in one batch.
TEST_P(FrozenRecurrence, TextsSideBySideEqualEachAlone) {
  const auto model = make(config());
  const auto frozen = FrozenModel::freeze(*model);
  const std::vector<std::vector<std::size_t>> passes = {
      {5, 1, 0, 17}, {1, 4, 9, 1}, {1, 0, 30, 2}, {1, 1, 1, 1}, {22, 3, 1, 0}};
  std::vector<std::vector<std::int32_t>> texts;
  std::vector<Tensor> whole;
  for (std::uint64_t i = 0; i < 4; ++i) {
    std::size_t length = 0;
    for (const auto& pass : passes) length += pass[i];
    texts.push_back(random_ids(length, kVocabulary, 10 + i));
    whole.push_back(model_hidden(*model, texts.back()));
  }
  std::vector<StackState> states(4);
  std::vector<std::size_t> at(4);
  for (const auto& pass : passes) {
    std::vector<std::vector<std::int32_t>> next;
    for (std::size_t i = 0; i < 4; ++i) next.push_back(part(texts[i], at[i], pass[i]));
    const Tensor hidden = read(*frozen, next, states);
    std::int64_t row = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const auto count = static_cast<std::int64_t>(pass[i]),
                 first = static_cast<std::int64_t>(at[i]);
      expect_near(hidden.rows(row, row + count), whole[i].rows(first, first + count));
      row += count;
      at[i] += pass[i];
    }
  }
}

// Copies share what they have read and nothing else.
TEST_P(FrozenRecurrence, CopiesOfATextGoTheirOwnWays) {
  const auto frozen = FrozenModel::freeze(*make(config()));
  const auto beginning = random_ids(21, kVocabulary, 1);
  const auto alone = [&](std::uint64_t seed) {
    StackState state;
    read(*frozen, beginning, state);
    std::vector<float> all;
    for (const std::int32_t id : random_ids(12, kVocabulary, seed)) {
      const auto hidden = values(read(*frozen, std::vector<std::int32_t>{id}, state));
      all.insert(all.end(), hidden.begin(), hidden.end());
    }
    return all;
  };
  std::vector<StackState> states(1);
  read(*frozen, beginning, states.front());
  states.resize(3, states.front());
  std::vector<std::vector<float>> got(3);
  for (std::size_t step = 0; step < 12; ++step) {
    for (std::size_t i = 0; i < 3; ++i) {
      const auto id = random_ids(12, kVocabulary, 2 + i)[step];
      const auto hidden = values(read(*frozen, std::vector<std::int32_t>{id}, states[i]));
      got[i].insert(got[i].end(), hidden.begin(), hidden.end());
    }
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(got[i], alone(2 + i)) << "copy " << i;
}

TEST_P(FrozenRecurrence, WhatBecomesOfTheModelIsNotSeen) {
  const auto model = make(config());
  const auto frozen = FrozenModel::freeze(*model);
  const auto ids = random_ids(20, kVocabulary);
  StackState before, after;
  const auto expected = values(read(*frozen, ids, before));
  for (const Parameter& parameter : model->parameters()) parameter.variable.value().fill_zero();
  EXPECT_EQ(values(read(*frozen, ids, after)), expected);
}

TEST_P(FrozenRecurrence, MemoryOfATextIsItsStateAndDoesNotGrow) {
  const auto frozen = FrozenModel::freeze(*make(config()));
  const auto ids = random_ids(200, kVocabulary);
  StackState first;
  read(*frozen, ids, first);
  const std::size_t without = allocator_stats().bytes_in_use;
  StackState second;
  std::size_t most = 0;
  for (const std::int32_t id : ids) {
    read(*frozen, std::vector<std::int32_t>{id}, second);
    most = std::max(most, second.bytes());
  }
  // The window's pages, the first and the last not full.
  EXPECT_LE(most, first.bytes() + first.bytes() / 2 +
                      2 * first.bytes() / std::max<std::size_t>(first.tensors.size(), 1));
  const std::size_t held = allocator_stats().bytes_in_use - without;
  EXPECT_GE(held, second.bytes());
  // The allocator rounds sizes up.
  EXPECT_LE(held, second.bytes() + second.bytes() / 2 + 256 * second.tensors.size());
  const StackState copy = second;
  EXPECT_EQ(allocator_stats().bytes_in_use - without, held);
}

TEST_P(FrozenRecurrence, ThreadsThatShareAModelGetTheBitsOfOne) {
  const auto frozen = FrozenModel::freeze(*make(config()));
  // Two texts, of lengths of their own, for each of four threads.
  const auto run = [&](std::uint64_t thread) {
    std::vector<StackState> states(2);
    std::vector<float> all;
    for (std::uint64_t step = 0; step < 12; ++step) {
      const auto hidden =
          values(read(*frozen,
                      {random_ids(1 + (thread + step) % 5, kVocabulary, 100 * thread + step),
                       random_ids(1 + step % 3, kVocabulary, 100 * thread + 50 + step)},
                      states));
      all.insert(all.end(), hidden.begin(), hidden.end());
    }
    return all;
  };
  std::vector<std::vector<float>> expected, got(4);
  for (std::uint64_t i = 0; i < 4; ++i) expected.push_back(run(i));
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] { got[i] = run(i); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, expected);
}

INSTANTIATE_TEST_SUITE_P(All, FrozenRecurrence, testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const auto& [name, config] : configs()) names.push_back(name);
                           return names;
                         }()),
                         [](const auto& each) {
                           std::string name = each.param;
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace sluice
