// Tokenizers that users bring: SentencePiece models, lists of words.

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include "support.hpp"
#include "support/packing.hpp"

namespace sluice {
namespace {

namespace sp = sentencepiece;

std::vector<std::string> names(const Tokenizer& tokenizer) {
  std::vector<std::string> all;
  for (TokenId id = 0; id < tokenizer.size(); ++id) all.push_back(tokenizer.token(id));
  return all;
}

class Lines final : public sp::SentenceIterator {
 public:
  explicit Lines(const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      lines_.push_back(text.substr(at, end - at));
      at = end == std::string::npos ? text.size() : end + 1;
    }
  }
  bool done() const override { return at_ == lines_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return lines_[at_]; }
  sp::util::Status status() const override { return {}; }

 private:
  std::vector<std::string> lines_;
  std::size_t at_ = 0;
};

/// A model as SentencePiece trains them when it is asked for nothing else.
std::string sentencepiece_model(const std::string& text,
                                std::unordered_map<std::string, std::string> options) {
  options.emplace("vocab_size", "300");
  options.emplace("hard_vocab_limit", "false");
  options.emplace("minloglevel", "4");
  Lines lines(text);
  std::string model;
  EXPECT_TRUE(sp::SentencePieceTrainer::Train(options, &lines, &model).ok());
  return model;
}

const std::vector<std::string>& awkward_lines() {
  static const std::vector<std::string> lines = {
      "the gate opens",  "  two   blanks  ",   "",        "   ",
      "日本語のgate",    "ﬁne ｆｕｌｌ width", "tab\tin", "unseen ᚠ and \xF0\x9F\xA6\x9E",
      "<s> </s> <unk> ", "\xE2\x96\x81mark x"};
  return lines;
}

TEST_F(TextTest, SentencePieceModelsCutAsSentencePieceDoes) {
  const std::string text = sample_text();
  for (const char* type : {"unigram", "bpe"}) {
    for (const char* fallback : {"false", "true"}) {
      const std::string model = sentencepiece_model(
          text, {{"model_type", type},
                 {"byte_fallback", fallback},
                 {"vocab_size", std::string(fallback) == "true" ? "500" : "300"}});
      sp::SentencePieceProcessor theirs;
      ASSERT_TRUE(theirs.LoadFromSerializedProto(model).ok());
      const auto tokenizer = read_tokenizer(file("their.model", model));
      EXPECT_EQ(tokenizer->kind(), type);
      EXPECT_EQ(tokenizer->size(), theirs.GetPieceSize());
      EXPECT_EQ(tokenizer->eos(), theirs.eos_id());
      EXPECT_EQ(tokenizer->unk(), std::string(fallback) == "true" ? -1 : theirs.unk_id());
      const auto expect_same = [&](const std::string& line) {
        std::vector<TokenId> ours;
        tokenizer->encode(line, ours);
        const std::vector<int> expected = theirs.EncodeAsIds(line);
        EXPECT_EQ(ours, expected) << type << fallback << ": " << line;
        if (tokenizer->unk() < 0) {
          EXPECT_EQ(tokenizer->decode(ours), theirs.DecodeIds(expected)) << line;
        }
      };
      for (const std::string& line : awkward_lines()) expect_same(line);
      for (std::size_t at = 0; at < 20'000;) {
        const std::size_t end = text.find('\n', at);
        expect_same(text.substr(at, end - at));
        at = end + 1;
      }
      // Saved and loaded, it is the same.
      std::filesystem::create_directories(path("kept"));
      tokenizer->save(path("kept"));
      EXPECT_EQ(load_tokenizer(path("kept"))->serialize(), model);
      EXPECT_EQ(read_tokenizer(path("kept"))->fingerprint(), tokenizer->fingerprint());
    }
  }
}

TEST_F(TextTest, AFilesTokenizerIsTrainedByTakingIt) {
  const std::string model = sentencepiece_model(sample_text(), {});
  const auto there = file("their.model", model);
  const auto text = file("text", sample_text());
  EXPECT_EQ(train_tokenizer({.kind = there.string()}, {text})->serialize(), model);
  EXPECT_THROW(train_tokenizer({.kind = there.string(), .vocabulary = 100}, {text}), UsageError);
  EXPECT_THROW(train_tokenizer({.kind = there.string(), .min_count = 2}, {text}), UsageError);
  EXPECT_THROW(train_tokenizer({.kind = there.string(), .byte_fallback = true}, {text}),
               UsageError);
  EXPECT_NE(message_of([&] {
              train_tokenizer({.kind = path("none").string()}, {text});
            }).find("No such file"),
            std::string::npos);
  EXPECT_NE(
      message_of([&] {
        read_tokenizer(file("no-eos", sentencepiece_model(sample_text(), {{"eos_id", "-1"}})));
      }).find("no end-of-sentence piece"),
      std::string::npos);
  for (const std::size_t size : {std::size_t{100}, model.size() / 2}) {
    EXPECT_NE(message_of([&] {
                read_tokenizer(file("cut", model.substr(0, size)));
              }).find("cannot load the tokenizer '"),
              std::string::npos);
  }
}

TEST_F(TextTest, SaysWhatIsNoTokenizer) {
  const auto why = [&](const std::string& name, const std::string& bytes) {
    const auto path = file(name, bytes);
    const std::string message = message_of([&] { read_tokenizer(path); });
    const std::string start = "cannot load the tokenizer '" + path.string() + "': ";
    EXPECT_EQ(message.find(start), 0U) << message;
    return message.substr(std::min(message.size(), start.size()));
  };
  for (const auto& [name, pack] : packers()) {
    EXPECT_EQ(why("list." + name, pack("the\ncat\n")), "it is compressed; unpack it first");
  }
  EXPECT_EQ(why("vocab.json", R"({"the": 0, "cat": 1})"),
            "it is not a tokenizer, which has its rules besides its vocabulary (Hugging Face's is "
            "tokenizer.json)");
}

/// A field of a message of protobuf that holds bytes.
std::string field(int number, const std::string& content) {
  std::string result(1, static_cast<char>(number << 3 | 2));
  std::size_t size = content.size();
  for (; size >= 0x80; size >>= 7U) result += static_cast<char>(size | 0x80U);
  result += static_cast<char>(size);
  return result + content;
}

// SentencePiece itself ends the program, or reads what is not its own.
TEST_F(TextTest, SentencePieceModelsThatLeadAstrayAreRefused) {
  for (const char* const rule : {"nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"}) {
    const std::string model =
        sentencepiece_model(sample_text(), {{"normalization_rule_name", rule}});
    const auto why = [&](const std::string& more) {
      const auto path = file("hostile.model", model + more);
      return message_of([&] {
        std::vector<TokenId> tokens;
        read_tokenizer(path)->encode("a ｆｕｌｌ gate", tokens);
      });
    };
    EXPECT_EQ(why(""), "no error") << rule;
    EXPECT_NE(why(field(1, field(1, ""))).find("empty or has a zero byte"), std::string::npos);
    EXPECT_NE(why(field(1, field(1, std::string("a\0", 2)))).find("zero byte"), std::string::npos);
    EXPECT_NE(why(field(1, "")).find("empty"), std::string::npos);
    EXPECT_NE(why("\x0B").find("damaged"), std::string::npos);  // a group, which there is none of
    const auto table = [](std::uint32_t unit, std::uint32_t texts) {
      std::vector<std::uint32_t> units(257, 0);
      units[0] = 256 * sizeof(std::uint32_t);
      units[1] = unit;
      return field(
          2, std::string(reinterpret_cast<const char*>(units.data()), units.size() * sizeof(unit)) +
                 std::string(texts, '\0'));
    };
    const auto with_table = [&](std::uint32_t unit, std::uint32_t texts) {
      return why(field(3, table(unit, texts)));
    };
    EXPECT_EQ(with_table(0, 2), "no error");
    EXPECT_NE(with_table(1U << 10U << 8U, 2).find("table of normalisation"), std::string::npos);
    EXPECT_NE(with_table(~(1U << 31U), 2).find("table of normalisation"), std::string::npos);
    EXPECT_NE(with_table(0, 0).find("table of normalisation"), std::string::npos);
    EXPECT_NE(why(field(3, field(2, "abc"))).find("table of normalisation"), std::string::npos);
    EXPECT_NE(why(field(5, field(2, "abc"))).find("table of normalisation"), std::string::npos);
    // Where a reader of fewer kinds of fields does not see it: behind a group, which is unknown to
    // both, and under a tag whose bits above the 32nd protobuf drops.
    const std::string hostile = table(1U << 10U << 8U, 2);
    EXPECT_NE(why(field(3, "\x23\x24" + hostile)).find("damaged"), std::string::npos);
    EXPECT_NE(why(field(3, "\x92\x80\x80\x80\x10" + hostile.substr(1))).find("damaged"),
              std::string::npos);
  }
}

TEST_F(TextTest, WordListsKeepTheirOrder) {
  const auto list = read_tokenizer(file("words", "\xEF\xBB\xBFthe\r\nof\ngate\n日本\n\n"));
  EXPECT_EQ(names(*list),
            (std::vector<std::string>{"<eos>", "the", "of", "gate", "日本", "<unk>"}));
  std::vector<TokenId> tokens;
  EXPECT_EQ(list->encode("gate of x", tokens), 1);
  EXPECT_EQ(tokens, (std::vector<TokenId>{3, 2, 5}));
  const auto named = read_tokenizer(file("named", "<unk>\nthe\n</s>\n"));
  EXPECT_EQ(names(*named), (std::vector<std::string>{"<unk>", "the", "</s>"}));
  EXPECT_EQ(named->eos(), 2);
  EXPECT_EQ(named->unk(), 0);
  const auto bytes = read_tokenizer(file("words", "the\n"), {.byte_fallback = true});
  EXPECT_EQ(bytes->size(), 258);
  EXPECT_EQ(bytes->decode(bytes->encode_text("the 日本 the\n")), "the 日本 the\n");
  for (const auto& [text, fault] :
       std::vector<std::pair<std::string, std::string>>{{"a\nb c\n", "line 2: expected one word"},
                                                        {"a\n\nb\n", "line 2: a word is missing"},
                                                        {"a\nb\na\n", "line 3: 'a' is there twice"},
                                                        {"a 3\nb\n", "line 1: expected one word"},
                                                        {"\n", "it is empty"}}) {
    EXPECT_NE(message_of([&, t = text] { read_tokenizer(file("bad", t)); }).find(fault),
              std::string::npos)
        << text;
  }
}

TEST_F(TextTest, FairseqDictionariesHaveFourTokensInFront) {
  const auto made = read_tokenizer(file("dict.txt", "the 100\n, 50\n3 20\nmadeupword0000 0\n"));
  EXPECT_EQ(names(*made), (std::vector<std::string>{"<s>", "<pad>", "</s>", "<unk>", "the", ",",
                                                    "3", "madeupword0000"}));
  std::filesystem::create_directories(path("kept"));
  made->save(path("kept"));
  const auto dictionary = load_tokenizer(path("kept"));
  EXPECT_EQ(dictionary->eos(), 2);
  EXPECT_EQ(dictionary->unk(), 3);
  EXPECT_EQ(dictionary->encode_text("the , what 3 </s>\n"),
            (std::vector<TokenId>{4, 5, 3, 6, 3, 2}));
  EXPECT_NE(message_of([&] {
              read_tokenizer(file("dict.txt", "a 1\n<unk> 4\n"));
            }).find("line 2: '<unk>' is there twice"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice
