#include "sluice/text/unit_costs.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "support.hpp"

namespace sluice {
namespace {

class UnitCostsTest : public TextTest {
 protected:
  /// Lines of 20 draws from `parts`.
  std::string drawn(const std::vector<std::string>& parts, int lines) const {
    std::mt19937 random(1);
    std::string text;
    for (int line = 0; line < lines; ++line) {
      for (int i = 0; i < 20; ++i) text += parts[random() % parts.size()];
      text += '\n';
    }
    return text;
  }
};

TEST_F(UnitCostsTest, AreTheEntropiesOfWhatIsDrawn) {
  // Single characters: each costs as many bits as there are to draw, whatever stands before it; a
  // line's end, one in 21, costs next to nothing to who knows only how often it occurs.
  const auto letters = file("letters", drawn({"a", "b", "c", "d", "e", "f", "g", "h"}, 5000));
  const auto flat = unit_costs({letters}, 270);
  ASSERT_TRUE(flat);
  const double entropy = std::log2(21.0) / 21 + 20.0 / 21 * (3 + std::log2(21.0 / 20));
  EXPECT_NEAR(flat->characters, entropy, 0.02);
  EXPECT_NEAR(flat->subwords, entropy, 0.1);
  EXPECT_GT(flat->subwords, entropy - 0.02) << "no vocabulary beats the entropy";
}

TEST_F(UnitCostsTest, LongPiecesFavourSubwordsAndWhatFollowsCharacters) {
  std::mt19937 random(2);
  std::vector<std::string> names(60);
  for (std::string& name : names) {
    for (int i = 0; i < 12; ++i) name += static_cast<char>('a' + random() % 4);
  }
  const auto pieces = unit_costs({file("names", drawn(names, 1000))}, 600);
  ASSERT_TRUE(pieces);
  EXPECT_LT(pieces->subwords, 0.8 * pieces->characters);
  // Each character is one of two that may follow the last: no piece comes again and again.
  std::string walk;
  int at = 0;
  for (int i = 0; i < 200'000; ++i) {
    at = (at * 2 + static_cast<int>(random() % 2)) % 26;
    walk += i % 80 == 79 ? '\n' : static_cast<char>('a' + at);
  }
  const auto followed = unit_costs({file("walk", walk)}, 600);
  ASSERT_TRUE(followed);
  EXPECT_NEAR(followed->characters, 1, 0.1);
  EXPECT_GT(followed->subwords, 1.2 * followed->characters);
}

TEST_F(UnitCostsTest, AreThoseOfSeveralSourcesAndOfWholeCharacters) {
  const std::string text = drawn({"水", "火", "木", "ab ", "é"}, 2000);
  const std::size_t line = text.find('\n', text.size() / 2) + 1;
  const auto whole = unit_costs({file("whole", text)}, 300);
  const auto parts = unit_costs(
      {file("empty", ""), file("one", text.substr(0, line)), file("two", text.substr(line))}, 300);
  ASSERT_TRUE(whole && parts);
  EXPECT_EQ(whole->characters, parts->characters);
  EXPECT_EQ(whole->subwords, parts->subwords);
  // Of a longer text the beginning, which ends at any place of a character.
  for (const std::string start : {"", "a", "aa"}) {
    std::string longer = start;
    while (longer.size() < 2'100'000) longer += "水";
    longer.insert(0, text.substr(0, line));
    const auto beginning = unit_costs({file("longer", longer)}, 300);
    ASSERT_TRUE(beginning);
    EXPECT_LT(beginning->subwords, 1) << "the last twentieth is one character again and again";
  }
}

TEST_F(UnitCostsTest, AreNoneOfWhatIsNoText) {
  EXPECT_FALSE(unit_costs({file("none", "")}, 300));
  EXPECT_FALSE(unit_costs({file("short", "a")}, 300));
  EXPECT_FALSE(unit_costs({file("binary", std::string("a\0b\xFF", 4) + drawn({"a"}, 100))}, 300));
  EXPECT_FALSE(unit_costs({file("few", drawn({"a", "b"}, 100))}, 259)) << "no room for letters";
}

}  // namespace
}  // namespace sluice
