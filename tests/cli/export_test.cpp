// sluice export: models for other programs. What those make of them is in tests/export.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

class Export : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", sample_text(300));
  }
  void train(const std::string& name, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"train",   "--data",    text_,   "--out", path(name),
                                          "--steps", "20",        "--dim", "8",     "--batch",
                                          "4",       "--context", "16"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    if (std::find(more.begin(), more.end(), "--tokenizer") == more.end()) {
      arguments.insert(arguments.end(), {"--tokenizer", "word"});
    }
    const Outcome outcome = run(arguments);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  double perplexity(const std::string& model) const {
    const Outcome outcome = run({"eval", path(model), text_, "--json"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.status == 0 ? json::parse(outcome.out)["perplexity"].get<double>() : 0;
  }
  std::string text_;
};

TEST_F(Export, WritesGraphsTokensAndTokenizer) {
  train("model", {"--layers", "[(8,2)]"});
  const Outcome outcome = run({"export", path("model"), "--out", path("onnx")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("whole.onnx, step.onnx, tokens.txt, tokenizer.json"),
            std::string::npos)
      << outcome.out;
  EXPECT_FALSE(fs::exists(path("onnx") + "/.lock"));
  EXPECT_EQ(read_file(path("onnx") + "/tokenizer.json"),
            read_file(path("model") + "/tokenizer.json"));
  const std::string tokens = read_file(path("onnx") + "/tokens.txt");
  EXPECT_EQ(tokens.substr(tokens.find('\n') - 2, 2), " 0");
  EXPECT_TRUE(complains(run({"export", path("model"), "--out", path("onnx")}), 1, "export",
                        "exists already"));
  EXPECT_EQ(run({"export", path("model"), "--out", path("onnx"), "--overwrite", "--precision",
                 "int8", "--layout", "sherpa"})
                .status,
            0);
  EXPECT_LT(fs::file_size(path("onnx") + "/lm.onnx"), fs::file_size(path("onnx") + "/whole.onnx"));
  EXPECT_TRUE(complains(run({"export", path("model"), "--out", path("other"), "--layout", "k2"}), 2,
                        "export", "plain"));
  EXPECT_TRUE(
      complains(run({"export", path("none"), "--out", path("other")}), 1, "export", "no model at"));
  EXPECT_FALSE(fs::exists(path("other")));
}

TEST_F(Export, TokensAreOneWordEach) {
  train("chars", {"--layers", "[(8,2)]", "--tokenizer", "char"});
  ASSERT_EQ(run({"export", path("chars"), "--to", "torch", "--out", path("torch")}).status, 0);
  std::istringstream tokens(read_file(path("torch") + "/tokens.txt"));
  std::int64_t expected = 0;
  bool blank = false;
  for (std::string line; std::getline(tokens, line); ++expected) {
    std::istringstream parts(line);
    std::string name;
    std::int64_t id = -1;
    EXPECT_TRUE(parts >> name >> id) << line;
    EXPECT_EQ(id, expected);
    blank = blank || name == "<0x20>";
  }
  EXPECT_TRUE(blank);
}

TEST_F(Export, WhatGoesToPyTorchCanBeImported) {
  for (const char* arch : {"lstm", "gru", "rnn"}) {
    train(arch, {"--arch", arch, "--hidden", "12", "--depth", "2"});
    const std::string out = path(std::string(arch) + "-torch");
    ASSERT_EQ(run({"export", path(arch), "--to", "torch", "--out", out}).status, 0);
    const Outcome imported =
        run({"import", out + "/model.safetensors", "--dictionary", out + "/tokenizer.json", "--out",
             path(std::string(arch) + "-back")});
    ASSERT_EQ(imported.status, 0) << imported.err;
    EXPECT_NEAR(perplexity(std::string(arch) + "-back"), perplexity(arch), 1e-3);
  }
  train("mut1", {"--arch", "mut1", "--hidden", "12", "--depth", "1"});
  EXPECT_TRUE(complains(run({"export", path("mut1"), "--to", "torch", "--out", path("no")}), 1,
                        "export", "it has no layers of mut1"));
  EXPECT_FALSE(fs::exists(path("no")));
}

}  // namespace
}  // namespace sluice::cli_test
