// Hugging Face's tokenizer.json against its own library: tests/golden/hugging_face.json.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "support.hpp"

namespace sluice {
namespace {

using nlohmann::json;

const json& fixture() {
  static const json all =
      json::parse(read_file(SLUICE_SOURCE_DIR "/tests/golden/hugging_face.json"));
  return all;
}

class HuggingFace : public TextTest {
 protected:
  std::unique_ptr<Tokenizer> tokenizer(const json& object) const {
    return read_tokenizer(file("their.json", object.dump()));
  }
  json their(const char* name) const { return fixture()["tokenizers"][name]["tokenizer"]; }
  std::string refused(const json& object) const {
    return message_of([&] { tokenizer(object); });
  }
};

TEST_F(HuggingFace, CutsAsItsLibraryDoes) {
  for (const auto& [name, each] : fixture()["tokenizers"].items()) {
    const auto cutter = tokenizer(each["tokenizer"]);
    for (std::size_t i = 0; i < fixture()["lines"].size(); ++i) {
      std::vector<TokenId> expected;
      for (const json& id : each["ids"][i]) {
        // Only a line's end is eos.
        if (id.get<TokenId>() != cutter->eos()) {
          expected.push_back(id.get<TokenId>());
        } else if (cutter->unk() >= 0) {
          expected.push_back(cutter->unk());
        }
      }
      const std::string line = fixture()["lines"][i];
      std::vector<TokenId> tokens;
      const std::int64_t unknown = cutter->encode(line, tokens);
      EXPECT_EQ(tokens, expected) << name << ": " << line;
      EXPECT_EQ(unknown, std::count(tokens.begin(), tokens.end(), cutter->unk())) << name;
    }
  }
}

TEST_F(HuggingFace, TokensBecomeTextAgain) {
  for (const char* name : {"gpt2", "llama3", "llama"}) {
    const auto cutter = tokenizer(their(name));
    EXPECT_EQ(cutter->unk(), -1);
    for (const std::string line : fixture()["lines"]) {
      if (line.find("<|endoftext|>") != std::string::npos || line.empty()) continue;
      EXPECT_EQ(cutter->decode(cutter->encode_prompt(line)), line) << name;
    }
  }
  const auto bert = tokenizer(their("bert"));
  EXPECT_EQ(bert->decode(bert->encode_text("The gate opens\nslowly\n")),
            "the gate opens\nslowly\n");
  const auto t5 = tokenizer(their("t5"));
  EXPECT_EQ(t5->decode(t5->encode_text("the gate  opens\n")), "the gate  opens\n");
}

// As the original in Rust has them; its library for JavaScript knows ASCII's letters alone here,
// and takes punctuation together.
TEST_F(HuggingFace, WordsAndPunctuationAreUnicodes) {
  json object = their("steps");
  const auto pieces = [&](const json& splitter, const std::string& text) {
    object["pre_tokenizer"] = splitter;
    std::vector<TokenId> tokens;
    tokenizer(object)->encode(text, tokens);
    return tokens;
  };
  const json spaces = {{"type", "WhitespaceSplit"}};
  const json words = {{"type", "Whitespace"}};
  const json both = {
      {"type", "Sequence"},
      {"pretokenizers", {words, {{"type", "Punctuation"}, {"behavior", "Isolated"}}}}};
  EXPECT_EQ(pieces(words, "straße,the gate?!"), pieces(spaces, "straße , the gate ?!"));
  EXPECT_EQ(pieces(both, "straße,the gate?!"), pieces(spaces, "straße , the gate ? !"));
  // What becomes of what a pattern matches.
  const auto split = [&](const char* behavior, bool invert = false) {
    return json{{"type", "Split"},
                {"pattern", {{"String", "o"}}},
                {"behavior", behavior},
                {"invert", invert}};
  };
  const std::string text = "thooteos";
  EXPECT_EQ(pieces(split("Removed"), text), pieces(spaces, "th te s"));
  EXPECT_EQ(pieces(split("Removed", true), text), pieces(spaces, "o o o"));
  EXPECT_EQ(pieces(split("Isolated"), text), pieces(spaces, "th o o te o s"));
  EXPECT_EQ(pieces(split("Contiguous"), text), pieces(spaces, "th oo te o s"));
  EXPECT_EQ(pieces(split("MergedWithPrevious"), text), pieces(spaces, "tho o teo s"));
  EXPECT_EQ(pieces(split("MergedWithNext"), text), pieces(spaces, "th o ote os"));
}

TEST_F(HuggingFace, AreKeptAndTakenByTraining) {
  const auto cutter = tokenizer(their("gpt2"));
  EXPECT_EQ(cutter->kind(), "bpe");
  EXPECT_EQ(cutter->token(cutter->eos()), "<|endoftext|>");
  std::filesystem::create_directories(path("kept"));
  cutter->save(path("kept"));
  EXPECT_EQ(load_tokenizer(path("kept"))->serialize(), cutter->serialize());
  EXPECT_EQ(train_tokenizer({.kind = path("their.json").string()}, {file("text", "a\n")})->size(),
            cutter->size());
}

// b has gone into ab when its own pair's turn comes; else c would not be there for de.
TEST_F(HuggingFace, PairsOfWhatHasMergedAreNoMore) {
  json object = their("gpt2");
  object["model"]["vocab"] = {{"<|endoftext|>", 0},
                              {"a", 1},
                              {"b", 2},
                              {"c", 3},
                              {"d", 4},
                              {"e", 5},
                              {"ab", 6},
                              {"bc", 7},
                              {"de", 8},
                              {"cde", 9}};
  object["model"]["merges"] = {"a b", "b c", "d e", "c de"};
  object["added_tokens"] = {their("gpt2")["added_tokens"][0]};
  object["added_tokens"][0]["id"] = 0;
  const auto cutter = tokenizer(object);
  std::vector<TokenId> tokens;
  cutter->encode("abcde", tokens);
  EXPECT_EQ(tokens, (std::vector<TokenId>{6, 9}));
}

TEST_F(HuggingFace, WhatIsNotSupportedIsNamed) {
  json object = their("gpt2");
  object["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "xx"}};
  EXPECT_NE(refused(object).find("its normalizer 'Precompiled' is not supported"),
            std::string::npos);
  object["normalizer"] = nullptr;
  object["pre_tokenizer"] = {{"type", "UnicodeScripts"}};
  EXPECT_NE(refused(object).find("its pre-tokenizer 'UnicodeScripts' is not supported"),
            std::string::npos);
  object["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}};
  EXPECT_NE(refused(object).find("the pattern '(a' is none"), std::string::npos);
  object["pre_tokenizer"]["pattern"]["Regex"] = "a";
  object["pre_tokenizer"]["behavior"] = "Sideways";
  EXPECT_NE(refused(object).find("behavior 'Sideways' is not known"), std::string::npos);
  object = their("gpt2");
  object["decoder"] = {{"type", "CTC"}};
  EXPECT_NE(refused(object).find("its decoder 'CTC' is not supported"), std::string::npos);
  object = their("gpt2");
  object["added_tokens"][0]["lstrip"] = true;
  EXPECT_NE(refused(object).find("'lstrip' of token '<|endoftext|>'"), std::string::npos);
  object = their("gpt2");
  object["model"]["type"] = "WordLevel";
  EXPECT_NE(refused(object).find("its model 'WordLevel' is not supported"), std::string::npos);
  object = their("gpt2");
  object["model"]["dropout"] = 0.1;
  EXPECT_NE(refused(object).find("dropout"), std::string::npos);
  object = their("gpt2");
  object["model"]["merges"].push_back("nothing there");
  EXPECT_NE(refused(object).find("is not in the vocabulary"), std::string::npos);
  object = their("gpt2");
  object["added_tokens"] = json::array();
  object["model"]["vocab"].erase("<|endoftext|>");
  EXPECT_NE(refused(object).find("no token that can end lines"), std::string::npos);
}

TEST_F(HuggingFace, HostileFilesAreRefused) {
  json object = their("gpt2");
  object["model"]["vocab"]["x"] = 2'000'000'000;
  EXPECT_NE(refused(object).find("a token's number"), std::string::npos);
  // A table of all numbers would take a gigabyte.
  object["model"]["vocab"]["x"] = 33'554'432;
  EXPECT_NE(refused(object).find("a token's number, "), std::string::npos);
  object["model"]["vocab"]["x"] = -1;
  EXPECT_NE(refused(object).find("a token's number"), std::string::npos);
  object = their("gpt2");
  object["added_tokens"][0]["id"] = 33'554'432;
  EXPECT_NE(refused(object).find("a token's number, "), std::string::npos);
  // A pattern that takes for ever.
  object = their("gpt2");
  object["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"behavior", "Isolated"}};
  const auto slow = tokenizer(object);
  std::vector<TokenId> tokens;
  EXPECT_NE(
      message_of([&] { slow->encode(std::string(60, 'a') + "!", tokens); }).find("too many steps"),
      std::string::npos);
  // Damage anywhere.
  const std::string good = their("t5").dump();
  std::uint64_t state = 1;
  for (int i = 0; i < 300; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    std::string bad = good;
    bad[(state >> 33U) % bad.size()] = static_cast<char>(state >> 20U);
    (void)message_of([&] {
      tokens.clear();
      read_tokenizer(file("bad.json", bad))->encode("the gate opens", tokens);
    });
  }
}

}  // namespace
}  // namespace sluice
