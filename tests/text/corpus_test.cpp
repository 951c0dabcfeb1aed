#include "sluice/text/corpus.hpp"

#include <algorithm>

#include "shard_file.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/text/detail/utf8.hpp"
#include "support.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::vector<TokenId> all_tokens(const TokenShards& shards) {
  std::vector<TokenId> tokens(static_cast<std::size_t>(shards.size()));
  shards.read(0, shards.size(), tokens.data());
  return tokens;
}

class CorpusTest : public TextTest {
 protected:
  /// Tokenises and says whether that was work (true) or found in the cache (false).
  bool tokenised(const std::vector<TextSource>& sources, const Tokenizer& tokenizer) {
    bool worked = false;
    tokenize_corpus(sources, tokenizer, path("cache"), [&](double fraction, std::string_view what) {
      worked = true;
      EXPECT_EQ(what, "tokenising");
      EXPECT_GE(fraction, 0);
      EXPECT_LE(fraction, 1);
    });
    return worked;
  }
  fs::path only_shard() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(path("cache"))) found.push_back(entry.path());
    EXPECT_EQ(found.size(), 1U);
    return found.front();
  }
};

TEST(Utf8, FindsTheFirstBadByte) {
  std::string text(1000, 'a');
  EXPECT_EQ(valid_text_length(text), 1000U);
  EXPECT_EQ(valid_text_length(""), 0U);
  for (const std::size_t at : {0U, 1U, 7U, 8U, 9U, 500U, 999U}) {
    for (const char bad : {'\0', '\x80', '\xFF', '\xC3'}) {
      std::string broken = text;
      broken[at] = bad;
      EXPECT_EQ(valid_text_length(broken), at);
    }
  }
  for (const char* good : {"\x7F", "\xC2\x80", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF", "\x01"}) {
    for (int before = 0; before < 9; ++before) {
      const std::string padded = std::string(static_cast<std::size_t>(before), 'x') + good + "yz";
      EXPECT_EQ(valid_text_length(padded), padded.size());
    }
  }
  EXPECT_EQ(count_characters("aé日\xF0\x9F\x98\x80\n"), 5);
}

TEST_F(CorpusTest, HoldsWhatTheTokenizerSays) {
  const std::string text = sample_text() + "no newline here";
  for (const std::string& kind : all_kinds()) {
    const auto tokenizer = trained(kind, sample_text(), sample_vocabulary(kind));
    const TokenShards shards = tokenize_corpus({file("text", text)}, *tokenizer, path("cache"));
    EXPECT_EQ(all_tokens(shards), tokenizer->encode_text(text)) << kind;
    EXPECT_EQ(shards.eos(), tokenizer->eos());
    EXPECT_EQ(shards.vocabulary(), tokenizer->size());
    EXPECT_EQ(shards.info().tokens, shards.size());
    EXPECT_EQ(shards.info().lines, 2001);
    EXPECT_EQ(shards.info().bytes, static_cast<std::int64_t>(text.size()));
    EXPECT_EQ(shards.info().characters, count_characters(text) + 1);
    EXPECT_EQ(shards.info().oov, kind == "word" ? 3 : 0) << kind;
  }
}

TEST_F(CorpusTest, WindowsLineEndsCountAsOneCharacter) {
  const auto text = file("text", "ab\r\n\r\nc\r");
  const auto chars = trained("char", "abc\n");
  EXPECT_EQ(tokenize_corpus({text}, *chars, path("cache")).info(),
            (CorpusInfo{.tokens = 6, .lines = 3, .oov = 0, .characters = 6, .bytes = 8}));
  const auto bytes = trained("byte", "abc\n");
  EXPECT_EQ(tokenize_corpus({text}, *bytes, path("cache")).info(),
            (CorpusInfo{.tokens = 9, .lines = 3, .oov = 0, .characters = 9, .bytes = 8}));
}

TEST_F(CorpusTest, LargeVocabulariesTakeFourBytes) {
  // The largest whose tokens fit into two, one more, and many more; <eos> and <unk> among them.
  for (const int size : {65'536, 65'537, 70'002}) {
    std::string text;
    for (int i = 0; i < size - 2; ++i) {
      text += 'w';
      text += std::to_string(i);
      text += i % 10 == 9 || i == size - 3 ? '\n' : ' ';
    }
    const auto tokenizer = trained("word", text);
    EXPECT_EQ(tokenizer->size(), size);
    const TokenShards shards = tokenize_corpus({file("text", text)}, *tokenizer, path("cache"));
    EXPECT_EQ(all_tokens(shards), tokenizer->encode_text(text)) << size;
    EXPECT_EQ(tokenizer->decode(all_tokens(shards)), text) << size;
  }
}

// Blocks are about 1 MiB, so a few MB of text meet every way of cutting: at line ends, inside long
// lines before blanks, and not at all.
TEST_F(CorpusTest, AllCoresGiveWhatOneGives) {
  std::string text;
  while (text.size() < 1'500'000) text += sample_text();
  std::string words;
  while (words.size() < 2'500'000) words += "gate   opens   日本語\t\tand\r  runs   ";
  text += words + "\r\n";
  const std::string rest = " y\n" + sample_text() + words;
  const int before = thread_count();
  for (const std::string& kind : all_kinds()) {
    const auto tokenizer = trained(kind, sample_text(), sample_vocabulary(kind));
    // SentencePiece takes seconds for megabytes without a blank.
    const std::size_t run = sample_vocabulary(kind) == 0 ? 2'500'000 : 100'000;
    const std::string all = text + std::string(run, 'x') + rest;
    const auto corpus = file("text", all);
    set_thread_count(1);
    const TokenShards one = tokenize_corpus({corpus}, *tokenizer, path("one"));
    set_thread_count(3);
    const TokenShards three = tokenize_corpus({corpus}, *tokenizer, path("three"));
    EXPECT_EQ(one.info(), three.info()) << kind;
    EXPECT_TRUE(all_tokens(one) == all_tokens(three)) << kind;
    EXPECT_TRUE(all_tokens(one) == tokenizer->encode_text(all)) << kind;
  }
  set_thread_count(before);
}

TEST_F(CorpusTest, BadBytesFarIntoTheTextAreNamedByTheirOffset) {
  std::string text;
  while (text.size() < 3'000'000) text += sample_text();
  const std::size_t first = text.find('\n', 1'700'000) + 1;
  text[first] = '\xFF';
  text[text.find('\n', 2'900'000) + 1] = '\xFF';
  const auto tokenizer = trained("word", sample_text());
  const auto corpus = file("text", text);
  EXPECT_NE(message_of([&] {
              tokenised({corpus}, *tokenizer);
            }).find("byte " + std::to_string(first) + " "),
            std::string::npos);
  EXPECT_TRUE(fs::is_empty(path("cache"))) << "nothing half-written";
}

TEST_F(CorpusTest, FilesFollowOneAnother) {
  const auto tokenizer = trained("word", "a b c d\n");
  const auto first = file("1", "a b");
  const auto empty = file("2", "");
  const auto last = file("3", "c\nd\n");
  const TokenShards shards = tokenize_corpus({first, empty, last}, *tokenizer, path("cache"));
  EXPECT_EQ(all_tokens(shards), tokenizer->encode_text("a b\nc\nd\n"));
  EXPECT_EQ(shards.info().characters, 8);
  EXPECT_EQ(message_of([&] { tokenised({empty}, *tokenizer); }),
            "cannot read text from '" + empty.string() + "': the file is empty");
  EXPECT_NE(message_of([&] {
              tokenised({empty, empty}, *tokenizer);
            }).find("all are empty"),
            std::string::npos);
}

TEST_F(CorpusTest, IsTokenisedOnce) {
  const auto tokenizer = trained("word", "a b c d\n");
  const auto text = file("text", "a b\nc\n");
  EXPECT_TRUE(tokenised({text}, *tokenizer));
  EXPECT_FALSE(tokenised({text}, *tokenizer));
  // Rewritten with the same content, and then touched: still the same text.
  write_file(text, "a b\nc\n");
  EXPECT_FALSE(tokenised({text}, *tokenizer));
  // Other content of the same size at the same time of change.
  const auto time = fs::last_write_time(text);
  write_file(text, "a d\nc\n");
  fs::last_write_time(text, time);
  EXPECT_TRUE(tokenised({text}, *tokenizer));
  EXPECT_FALSE(tokenised({text}, *tokenizer));
  // Another tokenizer.
  EXPECT_TRUE(tokenised({text}, *trained("word", "a b c\n")));
  EXPECT_TRUE(tokenised({text}, *tokenizer));
  only_shard();
}

TEST_F(CorpusTest, MovingALineFromOneFileToTheNextIsAChange) {
  const auto tokenizer = trained("word", "a b c d\n");
  const auto x = file("x", "a ");
  const auto y = file("y", "b\n");
  EXPECT_TRUE(tokenised({x, y}, *tokenizer));
  file("x", "a b");
  file("y", "\n");
  EXPECT_TRUE(tokenised({x, y}, *tokenizer));
}

TEST_F(CorpusTest, DamagedFilesAreRebuilt) {
  const std::string text = sample_text();
  const auto tokenizer = trained("word", text);
  const auto corpus = file("text", text);
  tokenised({corpus}, *tokenizer);
  const fs::path shard = only_shard();
  const std::string whole = read_file(shard);
  std::vector<std::string> damaged = {"", "short", whole.substr(0, whole.size() - 1),
                                      whole.substr(0, whole.size() / 2), whole + "more"};
  for (const std::size_t at :
       {std::size_t{0}, whole.size() / 2, whole.size() - 80, whole.size() - 60, whole.size() - 40,
        whole.size() - 20, whole.size() - 1}) {
    damaged.push_back(whole);
    damaged.back()[at] = static_cast<char>(damaged.back()[at] ^ 4);
  }
  for (const std::string& bytes : damaged) {
    write_file(shard, bytes);
    EXPECT_TRUE(tokenised({corpus}, *tokenizer));
    EXPECT_EQ(read_file(shard), whole);
  }
  EXPECT_FALSE(tokenised({corpus}, *tokenizer));
}

TEST_F(CorpusTest, AnOpenCorpusOutlivesItsFile) {
  const auto tokenizer = trained("word", "a b c d\n");
  const TokenShards shards = tokenize_corpus({file("text", "a b\n")}, *tokenizer, path("cache"));
  const TokenShards copy = shards;
  fs::remove_all(path("cache"));
  EXPECT_EQ(all_tokens(copy), tokenizer->encode_text("a b\n"));
}

TEST_F(CorpusTest, ReadsPartsAndPairs) {
  const TokenShards shards({5, 6, 0, 7, 0}, 0, 8);
  EXPECT_EQ(shards.size(), 5);
  EXPECT_EQ(shards.info().lines, 2);
  std::vector<TokenId> inputs(3);
  std::vector<TokenId> targets(3);
  shards.read_pairs(0, 3, inputs.data(), targets.data());
  EXPECT_EQ(inputs, (std::vector<TokenId>{0, 5, 6}));
  EXPECT_EQ(targets, (std::vector<TokenId>{5, 6, 0}));
  shards.read_pairs(2, 3, inputs.data(), targets.data());
  EXPECT_EQ(inputs, (std::vector<TokenId>{6, 0, 7}));
  EXPECT_EQ(targets, (std::vector<TokenId>{0, 7, 0}));
  EXPECT_NO_THROW(shards.read_pairs(5, 0, inputs.data(), targets.data()));
  for (const auto& [offset, n] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{3, 3}, {6, 0}, {-1, 1}, {0, -1}}) {
    EXPECT_THROW(shards.read(offset, n, inputs.data()), Error) << offset << " " << n;
  }
  EXPECT_THROW(TokenShards({8}, 0, 8), Error);
}

// The figures everyone reports on WikiText-2, and Tiny Shakespeare's length.
TEST_F(CorpusTest, PublishedCorporaHaveTheirPublishedCounts) {
  const fs::path data = fs::path(SLUICE_SOURCE_DIR) / "../shared/data";
  if (!fs::exists(data / "wikitext-2")) GTEST_SKIP() << "no corpora here";
  const auto words = train_tokenizer({"word", 0, 1}, {data / "wikitext-2/train.txt"});
  EXPECT_EQ(words->size(), 33'278);
  const std::vector<std::pair<std::string, std::int64_t>> counts = {
      {"train", 2'088'628}, {"valid", 217'646}, {"test", 245'569}};
  for (const auto& [name, tokens] : counts) {
    const TokenShards shards =
        tokenize_corpus({data / "wikitext-2" / (name + ".txt")}, *words, path("cache"));
    EXPECT_EQ(shards.size(), tokens) << name;
    EXPECT_EQ(shards.info().oov, 0) << name;
  }
  const fs::path shakespeare = data / "tinyshakespeare/input.txt";
  const auto characters = train_tokenizer({"char", 0, 1}, {shakespeare});
  EXPECT_EQ(characters->size(), 66) << "65 characters and <unk>";
  EXPECT_EQ(tokenize_corpus({shakespeare}, *characters, path("cache")).size(), 1'115'394);
}

// Two bytes hold 65,536 tokens, not one more.
TEST_F(CorpusTest, TheLastTokenOfAnyVocabularyIsKept) {
  for (const std::int64_t vocabulary : {65535, 65536, 65537, 65538, 1 << 20}) {
    const std::vector<TokenId> tokens = {0, static_cast<TokenId>(vocabulary - 1)};
    const ShardKey key;
    CorpusInfo info;
    info.tokens = 2;
    AtomicFile file(path("shard"));
    ShardWriter writer(file, vocabulary);
    writer.write(tokens);
    writer.finish(key, info);
    file.commit();
    const auto shard = load_shard(path("shard"), key, vocabulary);
    ASSERT_TRUE(shard) << vocabulary;
    // Tokens that are not of the vocabulary are no tokens, whatever checksum they have.
    EXPECT_FALSE(load_shard(path("shard"), key, vocabulary - 1)) << vocabulary;
    EXPECT_EQ(shard->narrow, vocabulary <= 65536);
    std::uint16_t narrow = 0;
    TokenId last = 0;
    if (shard->narrow) {
      shard->file.read(sizeof narrow, &narrow, sizeof narrow);
      last = narrow;
    } else {
      shard->file.read(sizeof last, &last, sizeof last);
    }
    EXPECT_EQ(last, tokens[1]) << vocabulary;
  }
}

}  // namespace
}  // namespace sluice
