#include "span_sum.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <optional>
#include <random>

namespace sluice {
namespace {

using Values = std::optional<std::vector<float>>;

/// Nodes [begin, begin + count) in the order of sums that MicroSum has; none where none has any.
Values sum_of(const std::vector<Values>& nodes, std::size_t begin, std::size_t count) {
  if (count == 1) return nodes[begin];
  const std::size_t first = std::bit_floor(count) == count ? count / 2 : std::bit_floor(count);
  Values a = sum_of(nodes, begin, first);
  const Values b = sum_of(nodes, begin + first, count - first);
  if (!a || !b) return a ? a : b;
  for (std::size_t i = 0; i < a->size(); ++i) (*a)[i] += (*b)[i];
  return a;
}

// Whoever has gradients, and whichever of them may be written over, the total has the same bits,
// and is where it is wanted.
TEST(SpanSum, IsMadeInOneOrderWhereItIsWanted) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (const std::size_t n : {std::size_t{1}, std::size_t{7}, std::size_t{5000}}) {
    for (std::size_t count = 1; count <= 9; ++count) {
      for (int kind = 0; kind < 6; ++kind) {
        // Everyone, the first alone, the last alone, some.
        std::vector<Values> nodes(count);
        for (std::size_t i = 0; i < count; ++i) {
          const bool there = kind == 0 || (kind == 1 && i == 0) || (kind == 2 && i + 1 == count) ||
                             (kind > 2 && random() % 2 == 0);
          if (!there) continue;
          nodes[i].emplace(n);
          for (float& value : *nodes[i]) value = normal(random);
        }
        const Values expected = sum_of(nodes, 0, count);
        for (const bool writable : {false, true}) {
          for (const bool placed : {false, true}) {
            std::vector<Values> own = nodes;
            std::vector<float> to(n, -1);
            SpanSum sum(static_cast<std::int64_t>(n), placed ? to.data() : nullptr);
            for (std::size_t i = 0; i < count; ++i) {
              float* const values = own[i] ? own[i]->data() : nullptr;
              sum.push(0, static_cast<std::int64_t>(i), {values, writable ? values : nullptr});
            }
            const float* const total = sum.total();
            ASSERT_EQ(total != nullptr, expected.has_value());
            if (!expected) continue;
            EXPECT_EQ(std::vector<float>(total, total + n), *expected) << count << " of " << n;
            if (placed) {
              EXPECT_EQ(total, to.data());
            }
            if (!writable) {
              EXPECT_EQ(own, nodes) << "what may not be written over is as it was";
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice
