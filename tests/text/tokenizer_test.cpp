#include "sluice/text/tokenizer.hpp"

#include <algorithm>
#include <map>

#include "sluice/base/parallel.hpp"
#include "support.hpp"

namespace sluice {
namespace {

std::vector<std::string> names(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  std::vector<std::string> result;
  for (const TokenId token : tokens) result.push_back(tokenizer.token(token));
  return result;
}

using Names = std::vector<std::string>;

TEST_F(TextTest, WordsAreInOrderOfFrequencyWithTiesByBytes) {
  const auto tokenizer = trained("word", "b a c a\nd c a\n\nb\n");
  // a 3, <eos> 4, b 2, c 2, d 1, <unk> 0
  Names all;
  for (TokenId id = 0; id < tokenizer->size(); ++id) all.push_back(tokenizer->token(id));
  EXPECT_EQ(all, (Names{"<eos>", "a", "b", "c", "d", "<unk>"}));
  EXPECT_EQ(tokenizer->eos(), 0);
  EXPECT_EQ(tokenizer->unk(), 5);
}

TEST_F(TextTest, WordsAreSeparatedByUnicodeWhiteSpace) {
  const auto tokenizer = trained("word", "x\ty  z\v\f \xC2\xA0w\xE3\x80\x80日\n");
  EXPECT_EQ(names(*tokenizer, tokenizer->encode_text(" z\t\xC2\xA0w x\xE2\x80\xAFy  日")),
            (Names{"z", "w", "x", "y", "日", "<eos>"}));
  // All of Unicode's White_Space, and none of what only looks like it.
  const auto words = [&](const std::string& between) {
    std::vector<TokenId> tokens;
    tokenizer->encode("x" + between + "y", tokens);
    return tokens.size();
  };
  for (const char* blank : {"\t", "\v", "\f", " ", "\xC2\x85", "\xC2\xA0", "\xE1\x9A\x80",
                            "\xE2\x80\x80", "\xE2\x80\x8A", "\xE2\x80\xA8", "\xE2\x80\xA9",
                            "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"}) {
    EXPECT_EQ(words(blank), 2U) << blank;
  }
  for (const char* other :
       {"\xC2\x84", "\xC2\xA1", "\xE2\x80\x8B", "\xE2\x81\xA0", "\xE3\x80\x81", "\xEF\xBB\xBF"}) {
    EXPECT_EQ(words(other), 1U) << other;
  }
}

// Models that were trained before words ended at all white space keep their words.
TEST_F(TextTest, OlderFilesHaveWordsBetweenAsciiBlanks) {
  const std::string now = trained("word", "x y\n")->serialize();
  std::string old = now;
  const std::string line = "\"white_space\": \"unicode\",\n";
  ASSERT_NE(old.find(line), std::string::npos) << old;
  old.erase(old.find(line), line.size());
  file("old/tokenizer.json", old);
  const auto tokenizer = load_tokenizer(path("old"));
  std::vector<TokenId> tokens;
  tokenizer->encode("x\xC2\xA0y x", tokens);
  EXPECT_EQ(names(*tokenizer, tokens), (Names{"<unk>", "x"}));
}

TEST_F(TextTest, NormalFormsAreKeptWithTheTokenizer) {
  const std::string apart = "cafe\xCC\x81 \xEF\xBD\x86\xEF\xBD\x95\xEF\xBD\x8C\xEF\xBD\x8C";
  const std::string nfc = "caf\xC3\xA9 \xEF\xBD\x86\xEF\xBD\x95\xEF\xBD\x8C\xEF\xBD\x8C";
  const std::string nfkc = "caf\xC3\xA9 full";
  std::string text;
  for (int i = 0; i < 30; ++i) text += apart + " and more words\n";
  for (const std::string& kind : all_kinds()) {
    if (kind == "byte") continue;
    for (const auto& [form, expected] :
         {std::pair{Normalization::none, apart}, std::pair{Normalization::nfc, nfc},
          std::pair{Normalization::nfkc, nfkc}}) {
      const auto made = train_tokenizer({.kind = kind,
                                         .vocabulary = kind == "bpe" || kind == "unigram" ? 300 : 0,
                                         .normalize = form},
                                        {file("text", text)});
      const std::string name = kind + "-" + name_of(form);
      std::filesystem::create_directories(path(name));
      made->save(path(name));
      const auto tokenizer = load_tokenizer(path(name));
      EXPECT_EQ(tokenizer->decode(tokenizer->encode_prompt(apart)), expected) << name;
      EXPECT_EQ(tokenizer->encode_prompt(apart), tokenizer->encode_prompt(expected)) << name;
      std::vector<TokenId> tokens;
      EXPECT_EQ(tokenizer->encode(apart, tokens), 0) << name;
    }
  }
  EXPECT_THROW(train_tokenizer({.kind = "byte", .normalize = Normalization::nfc}, {file("x", "x")}),
               UsageError);
}

TEST_F(TextTest, WhatIsNotInTheVocabularyCanBeSpelledInBytes) {
  const std::string text = "the gate opens\nthe gate closes <0x41> <unk>\n";
  for (const char* kind : {"word", "char"}) {
    const auto made = train_tokenizer({.kind = kind, .byte_fallback = true}, {file("text", text)});
    std::filesystem::create_directories(path(kind));
    made->save(path(kind));
    const auto tokenizer = load_tokenizer(path(kind));
    EXPECT_EQ(tokenizer->unk(), -1);
    const std::string other = "日本 the gate zz q\n<0x41> <unk> é the\n\n";
    EXPECT_EQ(tokenizer->decode(tokenizer->encode_text(other)), other) << kind;
    std::vector<TokenId> tokens;
    EXPECT_EQ(tokenizer->encode("日本 zz", tokens), 0) << kind;
    EXPECT_EQ(tokenizer->serialize(), made->serialize());
  }
  // What was left out counts by its bytes: e five times, in the, the, gate, gate, opens.
  const auto rare =
      train_tokenizer({.kind = "word", .vocabulary = 258, .min_count = 1, .byte_fallback = true},
                      {file("rare", "aa aa aa eee\n")});
  EXPECT_EQ(rare->size(), 258);
  EXPECT_EQ(rare->token(0), "<0x65>");
  EXPECT_EQ(rare->token(1), "aa");
  EXPECT_THROW(train_tokenizer({.kind = "word", .vocabulary = 257, .byte_fallback = true},
                               {file("rare", "a\n")}),
               UsageError);
}

TEST_F(TextTest, SymbolsAreNeverSplit) {
  for (const char* kind : {"bpe", "unigram"}) {
    const auto tokenizer =
        train_tokenizer({.kind = kind, .vocabulary = 420, .symbols = {"<|user|>", "[SEP]"}},
                        {file("text", sample_text())});
    EXPECT_EQ(names(*tokenizer, tokenizer->encode_prompt("[SEP]")), Names{"[SEP]"}) << kind;
    const auto tokens = names(*tokenizer, tokenizer->encode_prompt("the<|user|>gate [SEP]s"));
    EXPECT_EQ(std::count(tokens.begin(), tokens.end(), "<|user|>"), 1) << kind;
    EXPECT_EQ(std::count(tokens.begin(), tokens.end(), "[SEP]"), 1) << kind;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode_prompt("a<|user|> [SEP]b")), "a<|user|> [SEP]b");
  }
  const auto text = file("text", "a b\n");
  EXPECT_NE(message_of([&] {
              train_tokenizer({.kind = "word", .symbols = {"x"}}, {text});
            }).find("use bpe or unigram"),
            std::string::npos);
  for (const char* bad : {"", "a b", "\xE2\x96\x81", "\xFF", "a,b"}) {
    EXPECT_THROW(train_tokenizer({.kind = "bpe", .symbols = {bad}}, {text}), UsageError) << bad;
  }
}

// SentencePiece passes over sentences of more than 4192 bytes, and takes runs without blanks for
// one.
TEST_F(TextTest, LongRunsWithoutBlanksAreLearntFrom) {
  const auto times = [](const std::string& text, int n) {
    std::string all;
    for (int i = 0; i < n; ++i) all += text;
    return all;
  };
  const std::string run = times(times("语言模型", 350) + "\n", 30);
  const std::string mixed = times("another line\n", 40) + times(times("模型数据", 350) + "\n", 30);
  EXPECT_LE(trained("bpe", run, 300)->encode_prompt("语言模型").size(), 2U);
  EXPECT_LE(trained("bpe", mixed, 300)->encode_prompt("模型数据").size(), 2U);
  // One line, of words in any order.
  const std::vector<std::string> words = {"语言", "模型", "天气很好", "数据"};
  std::string line;
  std::uint64_t state = 1;
  for (int i = 0; i < 20'000; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    line += words[(state >> 33U) % words.size()];
  }
  // Two characters or more to a token, where each would be three bytes.
  for (const char* kind : {"bpe", "unigram"}) {
    EXPECT_LT(trained(kind, line, 300)->encode_prompt(line).size(), line.size() / 6) << kind;
  }
}

TEST_F(TextTest, UnknownWordsAreCountedAndLiteralUnkIsAWord) {
  const auto tokenizer = trained("word", "<unk> a <unk> b a <unk>\n");
  EXPECT_EQ(tokenizer->unk(), 0) << "three occurrences: the most frequent";
  std::vector<TokenId> tokens;
  EXPECT_EQ(tokenizer->encode("a new <unk> b", tokens), 1);
  EXPECT_EQ(names(*tokenizer, tokens), (Names{"a", "<unk>", "<unk>", "b"}));
}

TEST_F(TextTest, EosInTheTextIsNotALineEnd) {
  const auto tokenizer = trained("word", "a <eos> b\n");
  const auto tokens = tokenizer->encode_text("a <eos> b\n");
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), tokenizer->eos()), 1);
  EXPECT_EQ(names(*tokenizer, tokens), (Names{"a", "<unk>", "b", "<eos>"}));
}

TEST_F(TextTest, VocabularyIsCutBySizeAndByCount) {
  const std::string text = "a a a a b b b c c d\n";
  const auto by_size = trained("word", text, 4);
  EXPECT_EQ(by_size->size(), 4);
  // <unk> stands for c, c and d, as often as b; bytes decide.
  EXPECT_EQ(by_size->token(0), "a");
  EXPECT_EQ(by_size->token(1), "<unk>");
  EXPECT_EQ(by_size->token(2), "b");
  EXPECT_EQ(by_size->token(3), "<eos>");
  const auto by_count = trained("word", text, 0, 3);
  EXPECT_EQ(by_count->size(), 4);
  EXPECT_EQ(trained("word", text, 100)->size(), 6);
  EXPECT_EQ(trained("char", text, 4)->size(), 4);
}

TEST_F(TextTest, CharactersAreCodePoints) {
  const auto tokenizer = trained("char", "aé日\xF0\x9F\x98\x80 a\n");
  EXPECT_EQ(tokenizer->size(), 7) << "a é 日 😀 blank newline <unk>";
  const std::string text = "日a\n\xF0\x9F\x98\x80é\n";
  const auto tokens = tokenizer->encode_text(text);
  EXPECT_EQ(tokens.size(), 6U);
  EXPECT_EQ(tokenizer->decode(tokens), text);
  EXPECT_EQ(tokenizer->token(tokenizer->eos()), "\n");
  std::vector<TokenId> out;
  EXPECT_EQ(tokenizer->encode("aßx", out), 2);
  EXPECT_EQ(tokenizer->decode(out), "a\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_F(TextTest, BytesAreThemselves) {
  const auto tokenizer = trained("byte", "anything");
  EXPECT_EQ(tokenizer->size(), 256);
  EXPECT_EQ(tokenizer->eos(), '\n');
  EXPECT_EQ(tokenizer->unk(), -1);
  std::string text;
  for (int i = 0; i < 256; ++i) text += static_cast<char>(i);
  text += "\r\n\n";
  const auto tokens = tokenizer->encode_text(text);
  ASSERT_EQ(tokens.size(), text.size());
  for (int i = 0; i < 256; ++i) EXPECT_EQ(tokens[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(tokenizer->decode(tokens), text);
  EXPECT_NO_THROW(tokenizer->check_text(text, "name"));
}

TEST_F(TextTest, AllButWordsRoundTripExactly) {
  const std::string awkward = sample_text() +
                              "  two leading, two trailing  \n\n\n \n\ttab\tand\t\ttabs\n<unk> <s> "
                              "</s> <|eos|> <|unk|> <0x41>\n"
                              "\xE2\x96\x81 a blank mark \xE2\x96\x81\xE2\x96\x81x \xE2\x96\x85\n"
                              "unseen \xF0\x9F\xA6\x9E \xE1\x9A\xA0 \x01\x7F e\xCC\x81 "
                              "\xEF\xAC\x81 \xC2\xA0 \xE3\x80\x80.\nlast";
  for (const std::string& kind : all_kinds()) {
    if (kind == "word") continue;
    const auto tokenizer =
        trained(kind, kind == "char" ? awkward : sample_text(), sample_vocabulary(kind));
    EXPECT_EQ(tokenizer->decode(tokenizer->encode_text(awkward)), awkward + "\n") << kind;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode_prompt(awkward)), awkward) << kind;
  }
}

TEST_F(TextTest, WordsRoundTripUpToBlanks) {
  const auto tokenizer = trained("word", "one two three\nfour\n");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode_text("  one  two\n\nthree four")),
            "one two\n\nthree four\n");
  // Streaming: a blank between words, none at line starts.
  const auto tokens = tokenizer->encode_prompt("two\nfour");
  EXPECT_EQ(tokenizer->text_after(tokenizer->eos(), tokens[0]), "two");
  EXPECT_EQ(tokenizer->text_after(tokens[0], tokens[1]), "\n");
  EXPECT_EQ(tokenizer->text_after(tokens[1], tokens[2]), "four");
  EXPECT_EQ(tokenizer->text_after(tokens[0], tokens[2]), " four");
}

TEST_F(TextTest, EveryLineEndsWithEos) {
  for (const std::string& kind : all_kinds()) {
    const auto tokenizer = trained(kind, sample_text(), sample_vocabulary(kind));
    const auto lines = [&](const std::string& text) {
      const auto tokens = tokenizer->encode_text(text);
      return std::count(tokens.begin(), tokens.end(), tokenizer->eos());
    };
    EXPECT_EQ(lines(""), 0) << kind;
    EXPECT_EQ(lines("the"), 1) << kind;
    EXPECT_EQ(lines("the\n"), 1) << kind;
    EXPECT_EQ(lines("\n\nthe\n\n"), 4) << kind;
    EXPECT_TRUE(tokenizer->encode_prompt("").empty()) << kind;
    EXPECT_EQ(tokenizer->encode_text("\n"), std::vector<TokenId>{tokenizer->eos()}) << kind;
    // Windows line ends read as Unix ones; only "byte" keeps them.
    const bool same = tokenizer->encode_text("the gate\r\n\r\nopens\r") ==
                      tokenizer->encode_text("the gate\n\nopens\n");
    EXPECT_EQ(same, kind != "byte") << kind;
  }
}

TEST_F(TextTest, CuttingBeforeABlankChangesNothing) {
  const std::string line = "the  gate opens\tand closes \r slowly, the 日本語 runs";
  for (const std::string& kind : all_kinds()) {
    const auto tokenizer = trained(kind, sample_text(), sample_vocabulary(kind));
    std::vector<TokenId> whole;
    tokenizer->encode(line, whole);
    for (const std::size_t cut : {3U, 9U, 15U, 19U, 26U, 36U}) {
      std::vector<TokenId> parts;
      tokenizer->encode(line.substr(0, cut), parts);
      tokenizer->encode(line.substr(cut), parts);
      EXPECT_EQ(parts, whole) << kind << " cut at " << cut;
    }
  }
}

TEST_F(TextTest, SavedTokenizersAreTheSame) {
  const std::string text = sample_text();
  for (const std::string& kind : all_kinds()) {
    const auto tokenizer = trained(kind, text, sample_vocabulary(kind));
    std::filesystem::create_directories(path(kind));
    tokenizer->save(path(kind));
    const auto loaded = load_tokenizer(path(kind));
    EXPECT_EQ(loaded->kind(), kind);
    EXPECT_EQ(loaded->size(), tokenizer->size());
    EXPECT_EQ(loaded->eos(), tokenizer->eos());
    EXPECT_EQ(loaded->unk(), tokenizer->unk());
    EXPECT_EQ(loaded->fingerprint(), tokenizer->fingerprint());
    EXPECT_EQ(loaded->encode_text(text), tokenizer->encode_text(text)) << kind;
  }
}

TEST_F(TextTest, TrainingDependsOnTheTextAlone) {
  const int before = thread_count();
  for (const std::string& kind : all_kinds()) {
    set_thread_count(1);
    const auto first = trained(kind, sample_text(), sample_vocabulary(kind));
    set_thread_count(3);
    EXPECT_EQ(trained(kind, sample_text(), sample_vocabulary(kind))->serialize(),
              first->serialize())
        << kind;
  }
  set_thread_count(before);
}

TEST_F(TextTest, SubwordIdsAreInOrderOfFrequency) {
  const std::string text = sample_text();
  for (const char* kind : {"bpe", "unigram"}) {
    const auto tokenizer = trained(kind, text, 400);
    EXPECT_LE(tokenizer->size(), 400);
    EXPECT_GT(tokenizer->size(), 300);
    std::vector<std::int64_t> counts(static_cast<std::size_t>(tokenizer->size()), 0);
    for (const TokenId token : tokenizer->encode_text(text)) {
      ++counts[static_cast<std::size_t>(token)];
    }
    EXPECT_TRUE(std::is_sorted(counts.rbegin(), counts.rend())) << kind;
    // Frequent words are one token.
    EXPECT_EQ(tokenizer->encode_prompt(" sluice").size(), 1U) << kind;
  }
}

TEST_F(TextTest, HugeWordsAndLinesAreCutAlike) {
  std::string line;
  for (int i = 0; i < 40'000; ++i) line += "日本x";
  for (const std::string& kind : all_kinds()) {
    const auto tokenizer = trained(kind, sample_text() + "x\n", sample_vocabulary(kind));
    std::vector<TokenId> tokens;
    tokenizer->encode(line, tokens);
    EXPECT_EQ(tokenizer->decode(tokens) == line, kind != "word") << kind;
    // 280,000 bytes are five words of at most 64 KiB.
    const std::size_t expected = kind == "word" ? 5 : kind == "char" ? 120'000 : tokens.size();
    EXPECT_EQ(tokens.size(), expected) << kind;
  }
}

TEST_F(TextTest, InvalidTextIsHarmlessToEncode) {
  for (const std::string& kind : all_kinds()) {
    const auto tokenizer = trained(kind, sample_text(), sample_vocabulary(kind));
    for (const char* bad : {"\xFF\xFE", "the \xE6\x97", "\x80\x80\x80", "\xF0\x9F\x98"}) {
      EXPECT_NO_THROW(tokenizer->decode(tokenizer->encode_text(bad))) << kind;
    }
  }
}

TEST_F(TextTest, BadBytesAreNamedByTheirOffset) {
  const std::string good = sample_text();
  const std::map<std::string, std::string> bad = {
      {"\xFF", "(0xff) is not valid UTF-8"},
      {"\xC0\xAF", "(0xc0) is not valid UTF-8"},          // overlong
      {"\xED\xA0\x80", "(0xed) is not valid UTF-8"},      // surrogate
      {"\xF4\x90\x80\x80", "(0xf4) is not valid UTF-8"},  // beyond U+10FFFF
      {"\xE6\x97", "(0xe6) is not valid UTF-8"},          // cut short
      {std::string(1, '\0'), "is NUL, so it looks like a binary file"},
  };
  for (const auto& [bytes, words] : bad) {
    const auto corpus = file("bad", good + "ab " + bytes + "\n" + good);
    for (const std::string& kind : all_kinds()) {
      const std::string message = message_of([&] {
        train_tokenizer({kind, sample_vocabulary(kind), 1}, {corpus});
      });
      if (kind == "byte") {
        EXPECT_EQ(message, "no error");
        continue;
      }
      const std::string start = "cannot read '" + corpus.string() + "' as text: byte " +
                                std::to_string(good.size() + 3) + " ";
      EXPECT_EQ(message.find(start + words), 0U) << kind << ": " << message;
    }
  }
}

TEST_F(TextTest, SaysWhyATokenizerCannotBeTrained) {
  const auto text = file("text", "some text\n");
  const auto message = [&](const TokenizerOptions& options, const std::filesystem::path& from) {
    return message_of([&] { train_tokenizer(options, {from}); });
  };
  EXPECT_EQ(message({"wrod", 0, 1}, text),
            "unknown tokenizer 'wrod', and there is no such file; did you mean word?");
  EXPECT_EQ(message({"team-vocabulary", 0, 1}, text),
            "unknown tokenizer 'team-vocabulary', and there is no such file; known are word, char, "
            "byte, bpe, unigram");
  EXPECT_THROW(train_tokenizer({"wrod", 0, 1}, {text}), UsageError);
  EXPECT_EQ(message({"byte", 300, 1}, text),
            "a byte tokenizer has a vocabulary of 256, got 300; leave the vocabulary size out");
  EXPECT_EQ(message({"word", -3, 1}, text),
            "the vocabulary of a word tokenizer must be 2 to 2147483647, got -3");
  EXPECT_EQ(message({"bpe", 200, 1}, text),
            "the vocabulary of a bpe tokenizer must be 259 to 2147483647, got 200");
  EXPECT_THROW(train_tokenizer({"word", 0, 0}, {text}), UsageError);
  EXPECT_THROW(train_tokenizer({"bpe", 0, 5}, {text}), UsageError);
  EXPECT_EQ(message({"word", 0, 1}, path("missing")),
            "cannot read '" + path("missing").string() + "': No such file or directory");
  EXPECT_EQ(message({"word", 0, 1}, directory_),
            "cannot read '" + directory_.string() + "': it is a directory, expected a file");
  EXPECT_EQ(message({"char", 0, 1}, file("empty", "")),
            "cannot read text from '" + path("empty").string() + "': the file is empty");
  EXPECT_EQ(message({"byte", 0, 1}, path("missing")),
            "cannot read '" + path("missing").string() + "': No such file or directory");
}

TEST_F(TextTest, TinyTextsTrain) {
  for (const char* kind : {"bpe", "unigram"}) {
    for (const char* text : {"a\n", "ab ab ab\n", "日\n"}) {
      const auto tokenizer = trained(kind, text);
      EXPECT_EQ(tokenizer->decode(tokenizer->encode_text(text)), text) << kind;
    }
    EXPECT_NE(message_of([&] { trained(kind, "\n\n"); }).find("has no words"), std::string::npos);
  }
  EXPECT_EQ(trained("word", "\n")->size(), 2);
}

TEST_F(TextTest, DamagedTokenizerFilesAreRefused) {
  EXPECT_NE(message_of([&] { load_tokenizer(directory_); }).find("No such file"),
            std::string::npos);
  for (const std::string& kind : {std::string("word"), std::string("bpe")}) {
    const auto directory = path("damaged-" + kind);
    std::filesystem::create_directories(directory);
    const auto tokenizer = trained(kind, sample_text(), sample_vocabulary(kind));
    const std::string bytes = tokenizer->serialize();
    const auto name = directory / tokenizer->file_name();
    for (const std::string& damaged :
         {std::string(), bytes.substr(0, bytes.size() / 2), std::string("{}"), std::string("[1]"),
          std::string(1000, 'x')}) {
      write_file(name, damaged);
      const std::string message = message_of([&] { load_tokenizer(directory); });
      EXPECT_EQ(message.find("cannot load the tokenizer '" + name.string() + "'"), 0U) << message;
    }
  }
  // A changed letter is found, too.
  const auto tokenizer = trained("word", "abcdef\n");
  std::string bytes = tokenizer->serialize();
  bytes[bytes.find("abcdef")] = 'x';
  std::filesystem::remove_all(path("changed"));
  file("changed/tokenizer.json", bytes);
  EXPECT_NE(message_of([&] { load_tokenizer(path("changed")); }).find("damaged"),
            std::string::npos);
}

TEST_F(TextTest, TokensOutsideTheVocabularyAreRefused) {
  for (const std::string& kind : all_kinds()) {
    const auto tokenizer = trained(kind, sample_text(), sample_vocabulary(kind));
    for (const std::int64_t id : {std::int64_t{-1}, tokenizer->size()}) {
      EXPECT_THROW(tokenizer->token(static_cast<TokenId>(id)), Error) << kind;
      EXPECT_THROW(tokenizer->text_after(tokenizer->eos(), static_cast<TokenId>(id)), Error)
          << kind;
    }
  }
}

}  // namespace
}  // namespace sluice
