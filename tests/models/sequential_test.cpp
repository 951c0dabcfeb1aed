// Operations that wait for one another: what sluice info --length says of a stack.

#include <gtest/gtest.h>

#include "models/support.hpp"

namespace sluice {
namespace {

using test::small_gcnn;
using test::small_recurrent;
using test::small_transformer;

SequentialOperations count(const ModelConfig& config, std::int64_t length) {
  const auto operations = config.architecture().sequential(config, length);
  EXPECT_TRUE(operations);
  return operations.value_or(SequentialOperations{-1, -1});
}

ModelConfig convolutions(const char* layers) {
  ModelConfig config = small_gcnn();
  config.shape<GcnnShape>().layers = parse_layers(layers);
  return config;
}

// A layer of width k sees k - 1 tokens before its own: of N tokens the last depends on the first
// after (N - 1) / (k - 1) layers, rounded up. Reading waits for the layers that there are.
TEST(Sequential, ConvolutionsTakeLengthOverWidth) {
  for (const auto& [layers, depth, reach] :
       {std::tuple{"[(8,2)]*3", 3, 1}, {"[(8,3)]*2", 2, 2}, {"[(8,5)]*4", 4, 4}}) {
    const ModelConfig config = convolutions(layers);
    for (const std::int64_t length : {1, 2, 49, 50, 64, 1000}) {
      const SequentialOperations operations = count(config, length);
      EXPECT_EQ(operations.reading, depth) << layers << ", " << length;
      EXPECT_EQ(operations.depending, (length - 1 + reach - 1) / reach) << layers << ", " << length;
    }
  }
  // Of different widths: 1 + 3 + 0 tokens a round of three layers. 9 tokens before the last are two
  // rounds, and the first layer once more.
  EXPECT_EQ(count(convolutions("[(8,2),(8,4),(8,1)]"), 10).depending, 2 * 3 + 1);
  // Nothing ever depends on another token.
  EXPECT_EQ(count(convolutions("[(8,1)]*2"), 10).depending, 2);
}

// A step after the other, and the layers above the last.
TEST(Sequential, RecurrenceTakesTheLength) {
  for (const char* arch : {"rnn", "lstm", "gru", "indrnn", "mut1"}) {
    ModelConfig config = small_recurrent(arch);
    config.shape<RecurrentShape>().depth = 3;
    for (const std::int64_t length : {1, 50, 1000}) {
      const SequentialOperations operations = count(config, length);
      EXPECT_EQ(operations.reading, length + 2) << arch;
      EXPECT_EQ(operations.depending, length) << arch;
    }
  }
}

// Attention and feed-forward layer of each block; a block sees its window.
TEST(Sequential, TransformersTakeLengthOverWindow) {
  ModelConfig config = small_transformer();
  auto& shape = config.shape<TransformerShape>();
  shape.depth = 3;
  shape.window = 9;
  EXPECT_EQ(count(config, 33).reading, 6);
  EXPECT_EQ(count(config, 33).depending, 2 * 4);
  EXPECT_EQ(count(config, 34).depending, 2 * 5);
}

}  // namespace
}  // namespace sluice
