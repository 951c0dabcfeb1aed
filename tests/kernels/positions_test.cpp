#include "sluice/kernels/detail/positions.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace sluice::kernels {
namespace {

using Numbers = std::vector<std::int32_t>;
constexpr std::int32_t untouched = -7;
constexpr std::int32_t largest = std::numeric_limits<std::int32_t>::max();

TEST(Positions, WrapAtTheWindow) {
  struct Row {
    std::int32_t first, window;
    Numbers index;
    std::int32_t next;
  };
  for (const Row& row : std::vector<Row>{
           {0, 4, {}, 0},
           {3, 4, {}, 3},
           {0, 1, {0, 0, 0}, 0},
           {0, 4, {0, 1, 2}, 3},
           {0, 4, {0, 1, 2, 3}, 0},
           {3, 4, {3, 0, 1, 2, 3, 0, 1}, 2},
           {1, 2, {1}, 0},
           {largest - 2, largest, {largest - 2, largest - 1, 0}, 1},
           {9, 4, {9, 0, 1}, 2},  // left for others to refuse
       }) {
    SCOPED_TRACE(testing::Message() << row.first << " of " << row.window);
    Numbers index(row.index.size() + 2, untouched);
    EXPECT_EQ(
        wrapped_positions(std::span(index).subspan(1, row.index.size()), row.first, row.window),
        row.next);
    EXPECT_EQ(Numbers(index.begin() + 1, index.end() - 1), row.index);
    EXPECT_EQ(index.front(), untouched);
    EXPECT_EQ(index.back(), untouched);
  }
}

TEST(Positions, WrapInEachTextByItself) {
  struct Row {
    Numbers before, index, after;
    std::int32_t window;
  };
  for (const Row& row : std::vector<Row>{
           {{}, {}, {}, 3},
           {{}, {}, {0, 0}, 3},  // no time passes
           {{2, 1}, {}, {2, 1}, 3},
           {{}, {0, 1, 2, 0, 0, 1, 2, 0}, {1, 1}, 3},
           {{2, 0, 1}, {2, 0, 1}, {0, 1, 2}, 3},
           {{4}, {4, 0, 1, 2, 3, 4, 0}, {1}, 5},
           {{0, 0}, {0, 0, 0, 0}, {0, 0}, 1},
       }) {
    SCOPED_TRACE(testing::PrintToString(row.before));
    Numbers index(row.index.size(), untouched), after(row.after.size(), untouched);
    wrapped_positions(index, after, row.before, row.window);
    EXPECT_EQ(index, row.index);
    EXPECT_EQ(after, row.after);
    if (row.before.empty()) continue;
    Numbers in_place = row.before;
    wrapped_positions(index, in_place, in_place, row.window);
    EXPECT_EQ(in_place, row.after);
  }
}

TEST(Positions, CountToTheMost) {
  struct Row {
    Numbers before;
    std::int64_t count;
    std::int32_t most;
    Numbers after;
  };
  for (const Row& row : std::vector<Row>{
           {{}, 5, 7, {}},
           {{}, 5, 7, {5, 5}},
           {{}, 5, 0, {0}},
           {{0, 2, 6, 7}, 1, 7, {1, 3, 7, 7}},
           {{3, 4}, 0, 7, {3, 4}},
           {{largest, 1}, std::int64_t{1} << 40, largest, {largest, largest}},
           {{largest}, 1, 9, {9}},
       }) {
    SCOPED_TRACE(testing::PrintToString(row.before));
    Numbers after(row.after.size(), untouched);
    count_positions(after, row.before, row.count, row.most);
    EXPECT_EQ(after, row.after);
    if (row.before.empty()) continue;
    Numbers in_place = row.before;
    count_positions(in_place, in_place, row.count, row.most);
    EXPECT_EQ(in_place, row.after);
  }
}

}  // namespace
}  // namespace sluice::kernels
