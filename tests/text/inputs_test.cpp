#include "sluice/text/inputs.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>
#include <map>
#include <thread>

#include "sluice/text/corpus.hpp"
#include "support.hpp"
#include "support/packing.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class InputsTest : public TextTest {
 protected:
  std::string text_of(const TextInputs& inputs) const {
    std::string text;
    for (const TextSource& source : inputs.sources()) {
      const TextFile file(source);
      text += file.read(0, file.size());
    }
    return text;
  }
  std::string read(const fs::path& from, const InputOptions& options = {}) const {
    return text_of(TextInputs({from}, options, path("cache")));
  }
  std::string why_empty(const fs::path& from, const InputOptions& options) const {
    const TextInputs inputs({from}, options, {});
    const auto tokenizer = train_tokenizer({.kind = "char"}, {file("letters", "abc\n")});
    return message_of([&] { tokenize_uncached(inputs.sources(), *tokenizer); });
  }
  std::string why_not(const fs::path& from, const InputOptions& options = {}) const {
    return message_of([&] { TextInputs({from}, options, path("cache")); });
  }
};

TEST_F(InputsTest, CompressedFilesAreKnownByTheirContent) {
  const std::string text = sample_text();
  for (const auto& [name, pack] : packers()) {
    // No name says what it is.
    const fs::path packed = file("packed", pack(text));
    EXPECT_EQ(read(packed), text) << name;
    EXPECT_EQ(read(file("twice", pack(text) + pack("and more\n"))), text + "and more\n") << name;
    EXPECT_EQ(read(file("marked", pack("\xEF\xBB\xBF" + text))), text) << name;
    EXPECT_EQ(read(file("none", pack(""))), "") << name;
    std::string streamed;
    const auto stream = open_text(packed);
    for (std::string line; std::getline(*stream, line);) streamed += line + "\n";
    EXPECT_EQ(streamed, text) << name;
  }
  EXPECT_TRUE(fs::is_empty(path("cache"))) << "what was unpacked is gone";
  // Text that begins as compressed files do.
  for (const char* start : {"BZh", "BZh9", "(", "\x1F", "BZh91AY&S"}) {
    EXPECT_EQ(read(file("plain", start)), start);
  }
}

// What is read while it is unpacked is the same text, of more files than wait at once; its tokens
// are those of the plain text.
TEST_F(InputsTest, UnpackedWhileItIsRead) {
  std::string text;
  while (text.size() < 1'300'000) text += sample_text();
  const InputOptions options{.in_background = true};
  const auto tokenizer = train_tokenizer({.kind = "word"}, {file("plain.txt", text)});
  const auto tokens_of = [&](const std::vector<TextSource>& sources) {
    const TokenShards shards = tokenize_uncached(sources, *tokenizer);
    std::vector<TokenId> tokens(static_cast<std::size_t>(shards.size()));
    shards.read(0, shards.size(), tokens.data());
    EXPECT_EQ(shards.info().bytes, static_cast<std::int64_t>(text.size()));
    return tokens;
  };
  const std::vector<TokenId> expected = tokens_of({path("plain.txt")});
  for (const auto& [name, pack] : packers()) {
    const TextInputs inputs({file("packed", pack(text))}, options, {});
    EXPECT_EQ(tokens_of(inputs.sources()), expected) << name;
    EXPECT_TRUE(text_of(inputs) == text) << name;
    EXPECT_TRUE(TextFile(inputs.sources()[0]).ends_at(text.size()));
    EXPECT_FALSE(TextFile(inputs.sources()[0]).ends_at(text.size() - 1));
    EXPECT_EQ(why_empty(file("none", pack("")), options),
              "cannot read text from '" + path("none").string() + "': the file is empty");
    // Nobody need read it.
    const TextInputs unread({path("packed")}, options, {});
  }
  std::string all;
  for (int i = 0; i < 40; ++i) {
    const std::string part = "part " + std::to_string(i) + "\n";
    file("d/" + std::to_string(100 + i), i % 3 == 0 ? part : gzipped(part));
    all += part;
  }
  EXPECT_EQ(text_of(TextInputs({path("d")}, options, {})), all);
}

// What comes before the damage can be read; who needs what is behind it is told.
TEST_F(InputsTest, DamageIsToldWhereItIsRead) {
  // What does not pack fills several of a reader's pieces.
  std::string text;
  for (std::uint32_t i = 0, x = 1; i < 2'000'000; ++i) {
    x = x * 1664525 + 1013904223;
    text += static_cast<char>(' ' + (x >> 25U) % 90);
  }
  const InputOptions options{.in_background = true};
  for (const auto& [name, pack] : packers()) {
    const std::string packed = pack(text);
    const TextInputs inputs({file("cut", packed.substr(0, packed.size() - 9))}, options, {});
    const TextFile cut(inputs.sources()[0]);
    EXPECT_EQ(cut.read(0, 1000), text.substr(0, 1000)) << name;
    const std::string why =
        "cannot read '" + path("cut").string() + "': its compressed data end too early";
    EXPECT_EQ(message_of([&] { cut.size(); }), why) << name;
    EXPECT_EQ(message_of([&] { cut.read(1'990'000, 20'000); }), why) << name;
  }
  const TextInputs binary({file("nul", gzipped(text + std::string("a\0b", 3)))}, options, {});
  EXPECT_NE(message_of([&] { TextFile(binary.sources()[0]).size(); }).find("byte 2000001 is NUL"),
            std::string::npos);
}

TEST_F(InputsTest, DamagedAndTruncatedFilesAreRefused) {
  const std::string text = sample_text();
  for (const auto& [name, pack] : packers()) {
    const std::string whole = pack(text);
    for (const std::size_t size : {whole.size() - 1, whole.size() / 2, std::size_t{12}}) {
      const std::string message = why_not(file("cut", whole.substr(0, size)));
      EXPECT_EQ(message,
                "cannot read '" + path("cut").string() + "': its compressed data end too early")
          << name << " " << size;
    }
    std::string damaged = whole;
    damaged[whole.size() / 2] = static_cast<char>(damaged[whole.size() / 2] ^ 0x10);
    const std::string message = why_not(file("damaged", damaged));
    EXPECT_EQ(message.find("cannot read '" + path("damaged").string() + "': its "), 0U) << message;
    EXPECT_EQ(why_not(file("garbage", whole + "garbage")).find("cannot read '"), 0U) << name;
    EXPECT_THROW(
        {
          const auto stream = open_text(path("damaged"));
          for (std::string line; std::getline(*stream, line);) {
          }
        },
        Error)
        << name;
  }
  EXPECT_TRUE(fs::is_empty(path("cache"))) << "nothing half-written";
}

TEST_F(InputsTest, AWindowThatTakesMuchMemoryIsRefused) {
  EXPECT_NE(why_not(file("x.xz", xzipped("text\n", std::uint32_t{1} << 30U))).find("256 MiB"),
            std::string::npos);
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                     ZSTD_freeCCtx);
  // Magic number, a frame with a window of 2^31 bytes, an empty block.
  EXPECT_NE(why_not(file("x.zst", std::string("\x28\xB5\x2F\xFD\x00\xA8\x01\x00\x00", 9)))
                .find("128 MiB"),
            std::string::npos);
}

TEST_F(InputsTest, PipesAreRead) {
  const std::string text = sample_text();
  for (const std::string& sent : {text, gzipped(text), "\xEF\xBB\xBF" + text}) {
    const fs::path pipe = path("pipe");
    fs::remove(pipe);
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    std::thread writer([&] { std::ofstream(pipe, std::ios::binary) << sent; });
    EXPECT_EQ(read(pipe), text);
    writer.join();
  }
}

TEST_F(InputsTest, TheSameFileKeepsItsTokens) {
  const auto tokenizer = trained("word", sample_text());
  int worked = 0;
  for (int i = 0; i < 2; ++i) {
    const TextInputs inputs({file("x.gz", gzipped(sample_text()))}, {}, path("cache"));
    tokenize_corpus(inputs.sources(), *tokenizer, path("cache"),
                    [&](double, std::string_view) { ++worked; });
  }
  EXPECT_EQ(worked, 1);
}

TEST_F(InputsTest, FieldsOfJsonLinesAreTexts) {
  const fs::path lines =
      file("x.jsonl",
           "{\"id\": 1, \"text\": \"one\\ntwo\"}\n\n{\"text\": \"caf\\u00e9\\n\"}\r\n"
           "{\"text\": \"\", \"more\": [1, {}]}\n{\"text\": \"last\"}");
  EXPECT_EQ(read(lines, {.field = "text"}), "one\ntwo\ncaf\xC3\xA9\n\nlast\n");
  EXPECT_EQ(read(file("x.gz", gzipped(read_file(lines))), {.field = "text"}),
            "one\ntwo\ncaf\xC3\xA9\n\nlast\n");
  const std::string start = "cannot read '" + path("bad").string() + "', line 2";
  for (const auto& [line, fault] :
       std::map<std::string, std::string>{{"{\"other\": 1}", "field 'text' is missing"},
                                          {"{\"text\": 3}", "'text' must be text, got 3"},
                                          {"[1]", "a JSON object"},
                                          {"{\"text\": \"a", ""}}) {
    const std::string message =
        why_not(file("bad", "{\"text\": \"a\"}\n" + line + "\n"), {.field = "text"});
    EXPECT_EQ(message.find(start), 0U) << message;
    EXPECT_NE(message.find(fault), std::string::npos) << message;
  }
}

TEST_F(InputsTest, DirectoriesStandForTheirFiles) {
  file("d/b.txt", "x");
  file("d/a/z.txt", "y");
  file("d/.hidden", "x");
  file("d/.git/config", "x");
  file("alone", "z");
  fs::create_directories(path("nothing"));
  const TextInputs inputs({path("alone"), path("d")}, {}, path("cache"));
  EXPECT_EQ(inputs.sources(),
            (std::vector<TextSource>{path("alone"), path("d/a/z.txt"), path("d/b.txt")}));
  EXPECT_EQ(inputs.skipped_note(), "");
  EXPECT_EQ(why_not(path("missing")),
            "cannot read '" + path("missing").string() + "': No such file or directory");
  EXPECT_NE(why_not(path("nothing")).find("it has no files"), std::string::npos);
}

TEST_F(InputsTest, OfDirectoriesFilesAreChosenAndOthersAreListed) {
  file("d/a.txt", "a");
  file("d/b.md", "b");
  file("d/sub/c.txt", "c");
  file("d/p.png", std::string("\x89PNG\r\n\x1A\n\0\0", 10));
  file("d/latin.txt", "caf\xE9\n");
  file("d/packed.txt", gzipped("g"));
  const TextInputs all({path("d")}, {}, path("cache"));
  EXPECT_EQ(text_of(all), "abgc");
  EXPECT_EQ(all.skipped(), (std::vector<fs::path>{path("d/latin.txt"), path("d/p.png")}));
  EXPECT_EQ(all.skipped_note(), "2 files are not text and were left out: " +
                                    path("d/latin.txt").string() + ", " + path("d/p.png").string());
  EXPECT_EQ(read(path("d"), {.include = {"*.md"}}), "b");
  EXPECT_EQ(read(path("d"), {.include = {"sub/*", "b.*"}}), "bc");
  EXPECT_EQ(read(path("d"), {.include = {"*.png"}, .any_bytes = true}).size(), 10U);
  EXPECT_NE(why_not(path("d"), {.include = {"*.png"}}).find("there is no text to read"),
            std::string::npos);
  EXPECT_NE(why_not(path("d"), {.include = {"*.tex"}}).find("none of its files match"),
            std::string::npos);
  // A character that the look at the beginning cuts is none the worse for it.
  file(
      "d/long.txt", "x" + [] {
        std::string text;
        while (text.size() < 100'000) text += "日";
        return text;
      }());
  EXPECT_EQ(read(path("d"), {.include = {"long*"}}).size(), 100'003U);
}

TEST_F(InputsTest, AByteOrderMarkIsNotText) {
  const auto text = file("text", "\xEF\xBB\xBFthe gate\n");
  const auto tokenizer = train_tokenizer({.kind = "word"}, {text});
  std::vector<std::string> words;
  for (TokenId id = 0; id < tokenizer->size(); ++id) words.push_back(tokenizer->token(id));
  EXPECT_EQ(words, (std::vector<std::string>{"<eos>", "gate", "the", "<unk>"}));
  const TokenShards shards = tokenize_corpus({text}, *tokenizer, path("cache"));
  EXPECT_EQ(shards.info(),
            (CorpusInfo{.tokens = 3, .lines = 1, .oov = 0, .characters = 9, .bytes = 9}));
  EXPECT_NE(message_of([&] {
              train_tokenizer({.kind = "char"}, {file("utf16", std::string("\xFF\xFE"
                                                                           "a\0",
                                                                           4))});
            }).find("UTF-16"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice
