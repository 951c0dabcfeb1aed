// Vocabularies made to fit another text.

#include "sluice/text/detail/vocabulary_change.hpp"

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
  EXPECT_THROW(change_vocabulary(*trained("byte", "some text\n"), {text}, {.new_words = 2}, {}),
               UsageError);
  TokenizerOptions options;
  options.kind = "bpe";
  options.vocabulary = 280;
  const auto before = train_tokenizer(options, {text});
  EXPECT_THROW(change_vocabulary(*before, {text}, {.prune = true}, {}), UsageError);
}

TEST_F(VocabularyChangeTest, GivesSubwordsWholeWords) {
  const auto old = file("old", sample_text());
  std::string zebras = "zebra zebras zebra\n";
  for (int i = 0; i < 5; ++i) zebras += "a zebra Ｚｅｂｒａ\n";
  const auto text = file("new", zebras);
  for (const std::string kind : {"bpe", "unigram"}) {
    TokenizerOptions options;
    options.kind = kind;
    options.vocabulary = 300;
    options.normalize = Normalization::nfkc;
    const auto before = train_tokenizer(options, {old});
    const auto after = change_vocabulary(*before, {text}, {.new_words = 2}, {});
    ASSERT_EQ(after->size(), before->size() + 2);
    EXPECT_EQ(after->token(static_cast<TokenId>(before->size())), "▁zebra");
    EXPECT_EQ(after->token(static_cast<TokenId>(before->size() + 1)), "▁Zebra") << "nfkc";
    EXPECT_EQ(after->encode_text(" zebra"),
              (std::vector<TokenId>{static_cast<TokenId>(before->size()), after->eos()}));
    for (const std::string whole : {" zebras", " zebra,", "the cat sat", "zebras"}) {
      EXPECT_EQ(after->encode_text(whole), before->encode_text(whole)) << whole;
    }
    EXPECT_EQ(after->decode(after->encode_text(zebras)),
              before->decode(before->encode_text(zebras)));
    // Its file says it all, and grows again.
    std::filesystem::create_directory(path("saved"));
    after->save(path("saved"));
    const auto saved = load_tokenizer(path("saved"));
    EXPECT_EQ(saved->size(), after->size());
    EXPECT_EQ(saved->encode_text(zebras), after->encode_text(zebras));
    const auto more = change_vocabulary(*saved, {text}, {.new_words = 100}, {});
    EXPECT_GT(more->size(), saved->size());
    EXPECT_EQ(more->encode_text(" zebra"), after->encode_text(" zebra"));
  }
}

}  // namespace
}  // namespace sluice
