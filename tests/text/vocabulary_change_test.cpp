// Vocabularies made to fit another text.

#include "sluice/text/vocabulary_change.hpp"

#include <gtest/gtest.h>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "support.hpp"

namespace sluice {
namespace {

std::vector<std::string> tokens_of(const Tokenizer& tokenizer) {
  std::vector<std::string> tokens;
  for (TokenId id = 0; id < tokenizer.size(); ++id) tokens.push_back(tokenizer.token(id));
  return tokens;
}

class VocabularyChangeTest : public TextTest {};

TEST_F(VocabularyChangeTest, AddsFrequentWordsAndDropsThoseThatTheTextLacks) {
  const auto text = file("text", "the zebra sat\nthe zebra ran\na gnu sat\n");
  const auto before = make_word_tokenizer({"the", "<eos>", "cat", "sat", "<unk>", "dog"});
  using Tokens = std::vector<std::string>;
  EXPECT_EQ(tokens_of(*change_vocabulary(*before, {text}, {.new_words = 2}, {})),
            (Tokens{"the", "<eos>", "cat", "sat", "<unk>", "dog", "zebra", "a"}));
  EXPECT_EQ(tokens_of(*change_vocabulary(*before, {text}, {.prune = true}, {})),
            (Tokens{"the", "<eos>", "sat", "<unk>"}));
  EXPECT_EQ(tokens_of(*change_vocabulary(*before, {text}, {.new_words = 100, .prune = true}, {})),
            (Tokens{"the", "<eos>", "sat", "<unk>", "zebra", "a", "gnu", "ran"}));
}

TEST_F(VocabularyChangeTest, RefusesPiecesThatDependOnOneAnother) {
  const auto text = file("text", "some text\n");
  const auto before = trained("byte", "some text\n");
  EXPECT_THROW(change_vocabulary(*before, {text}, {.new_words = 2}, {}), UsageError);
}

}  // namespace
}  // namespace sluice
