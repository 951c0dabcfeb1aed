// The answers of tasks, and what of them is guessed without the question.

#include <gtest/gtest.h>

#include <fstream>

#include "claims_fixture.hpp"

namespace sluice::lab_test {
namespace {

/// A claim on characters of a text: what two tiny models have right of its answers, of which the
/// second part takes away what the best guess has.
json answers_claim() {
  json text = tiny_claim();
  text["text"] = {{"tokenizer", "char"}, {"min_count", 1}, {"validation", 2700}};
  json& main = text["comparisons"]["main"];
  main["rates"] = {0.02};
  main["match"] = "width";
  text["parts"] = {single("answer_accuracy"), single("above_guessing")};
  return text;
}

/// What the guess has right, of each seed: the difference of the parts of that claim.
std::vector<double> guessed(const ClaimResult& result) {
  std::vector<double> values = result.parts[0].values_a;
  for (std::size_t i = 0; i < values.size(); ++i) values[i] -= result.parts[1].values_a[i];
  return values;
}

// Answers are aab, a>, aab, bab and aba, over and over. At the first place an a is right in four of
// five, behind it an a in two of four (the others: > and b) and behind b an a always, at the third
// place b behind a always, and a behind b: 11 of 14. Without the places, or without the token
// before, it would be 10, and with ends of lines 15 of 18.
TEST_F(Claims, GuessesGoByPlaceAndTheTokenBefore) {
  std::ofstream text(directory_ / "text.txt");
  for (int i = 0; i < 1200; ++i) text << "k/a>=aab\nm=aab\nn=bab\no=aba\n";
  text.close();
  const auto result = run_claim(claim(answers_claim()), request());
  ASSERT_TRUE(result);
  for (const double guess : guessed(*result)) EXPECT_NEAR(guess, 11.0 / 14, 1e-9);
  // Block by block it is the same mean, blocks being of about as many answers.
  const PartResult& above = result->parts[1];
  EXPECT_EQ(above.text_blocks, 40);
  EXPECT_LE(above.text_low, above.effect + 0.02);
  EXPECT_GE(above.text_high, above.effect - 0.02);
}

// Where a token never came behind another at its place, the guess is what is frequent there: the
// training text has 0 and 1 behind 2 and 3, the validation text behind 4.
TEST_F(Claims, GuessesOfWhatWasNotSeenGoByThePlace) {
  std::ofstream text(directory_ / "text.txt");
  for (int i = 0; i < 10800; ++i) text << (i % 3 == 0 ? "a=31\n" : "a=20\n");
  for (int i = 0; i < 540; ++i) text << (i % 4 == 0 ? "a=41\n" : "a=40\n");
  text.close();
  const auto result = run_claim(claim(answers_claim()), request());
  ASSERT_TRUE(result);
  // Never the first digit, and the second in three of four.
  for (const double guess : guessed(*result)) EXPECT_NEAR(guess, 0.375, 1e-9);
}

// Two digits of 55 of 100 pairs sum to less than ten: 0 is the first digit's guess; behind it 9
// comes in 10 of the 55, and behind 1 a 0 in 9 of the 45. A model of nothing cannot be above.
TEST_F(Claims, GuessesOfSums) {
  json text = answers_claim();
  text["text"]["task"] = {{"name", "adding"}, {"lines", 20000}, {"length", 6}};
  text["text"]["validation"] = 20000;
  ClaimRequest request = this->request();
  request.data.clear();
  const auto result = run_claim(claim(text), request);
  ASSERT_TRUE(result);
  for (const double guess : guessed(*result)) EXPECT_NEAR(guess, (0.55 + 0.10 + 0.09) / 2, 0.015);
  for (const double above : result->parts[1].values_a) EXPECT_LT(above, 0.01);
}

}  // namespace
}  // namespace sluice::lab_test
