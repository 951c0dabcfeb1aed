// sluice train --documents, and what reads its models.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

using nlohmann::json;

class Documents : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    // Of different lengths; the last lines of some are the first ones of others.
    const std::string lines = sample_text(60);
    std::size_t at = 0;
    for (int i = 0; at < lines.size(); ++i) {
      std::string document;
      for (int line = 0; line <= i % 5 && at < lines.size(); ++line) {
        const std::size_t end = lines.find('\n', at) + 1;
        document += lines.substr(at, end - at);
        at = end;
      }
      documents_.push_back(document + "\n");
    }
    std::string all;
    for (const std::string& document : documents_) all += document;
    text_ = write("text.txt", all);
  }
  /// With `more` in place of what is said twice.
  Outcome train(const std::string& name, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"train", "--data", text_, "--out", path(name)};
    const std::vector<std::string> usual = {
        "--tokenizer", "word", "--batch",     "2",   "--context", "8",
        "--steps",     "12",   "--min-count", "1",   "--dim",     "16",
        "--lr",        "0.02", "--dropout",   "0.1", "--threads", "1"};
    for (std::size_t i = 0; i < usual.size(); i += 2) {
      if (std::find(more.begin(), more.end(), usual[i]) != more.end()) continue;
      arguments.insert(arguments.end(), {usual[i], usual[i + 1]});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  json eval(const std::string& model, const std::string& text,
            const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"eval", path(model), text, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.status == 0 ? json::parse(outcome.out) : json{{"nll", 0}, {"tokens", 0}};
  }
  double nll_of_each(const std::string& model) const {
    double sum = 0;
    for (const std::string& document : documents_) {
      sum += eval(model, write("one.txt", document))["nll"].get<double>();
    }
    return sum;
  }
  std::vector<std::string> documents_;
  std::string text_;
};

class DocumentsOf : public Documents, public testing::WithParamInterface<const char*> {};

// The text's documents cost what each costs in a file of its own; a resumed run is the same as one
// that was not stopped.
TEST_P(DocumentsOf, AreReadAloneAndResumed) {
  const std::string arch = GetParam();
  std::vector<std::string> flags = {"--arch", arch, "--documents", "blank-lines"};
  if (arch == "gcnn") flags.insert(flags.end(), {"--layers", "[(16,3)]*2"});
  if (arch != "gcnn") flags.insert(flags.end(), {"--depth", "2"});
  if (arch == "transformer") flags.insert(flags.end(), {"--positions", "learned", "--window", "6"});
  if (arch != "gcnn" && arch != "transformer") flags.insert(flags.end(), {"--hidden", "16"});
  const Outcome outcome = train("model", flags);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("documents, "), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("% of each step is padding"), std::string::npos) << outcome.out;
  const double together = eval("model", text_)["nll"];
  EXPECT_NEAR(together, nll_of_each("model"), 1e-4 * together);
  const double across = eval("model", text_, {"--documents", "none"})["nll"];
  EXPECT_GT(std::abs(across - together), 1e-6 * together);

  flags.insert(flags.end(), {"--valid-fraction", "0", "--schedule", "constant", "--steps", "7"});
  ASSERT_EQ(train("parts", flags).status, 0);
  const Outcome resumed =
      run({"train", "--out", path("parts"), "--resume", "--steps", "12", "--threads", "1"});
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  flags.back() = "12";
  ASSERT_EQ(train("whole", flags).status, 0);
  EXPECT_EQ(read_file(path("parts") + "/model.safetensors"),
            read_file(path("whole") + "/model.safetensors"));
  EXPECT_TRUE(complains(
      run({"train", "--out", path("parts"), "--resume", "--steps", "14", "--documents", "files"}),
      1, "train", "documents"));
}

INSTANTIATE_TEST_SUITE_P(All, DocumentsOf,
                         testing::Values("gcnn", "rnn", "lstm", "gru", "indrnn", "mut1",
                                         "transformer"));

TEST_F(Documents, MarksStandForBlankLines) {
  const Outcome outcome = train("model", {"--layers", "[(16,3)]*2", "--documents", "blank-lines",
                                          "--document-mark", "<doc>"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json config = json::parse(read_file(path("model") + "/config.json"))["model"];
  EXPECT_EQ(config["documents"], "blank-lines");
  EXPECT_EQ(config["document_mark"], "<doc>");
  EXPECT_NE(
      run({"info", path("model")}).out.find("documents        blank-lines, <doc> at their end"),
      std::string::npos);
  const json result = eval("model", text_);
  EXPECT_NEAR(result["nll"].get<double>(), nll_of_each("model"), 1e-3);
  EXPECT_EQ(result["tokens"], eval("model", text_, {"--documents", "none"})["tokens"]);
  // Lines that are scored one after another are the same text.
  std::istringstream lines(run({"score", path("model"), text_, "--running"}).out);
  double sum = 0;
  std::int64_t tokens = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream columns(line);
    double score = 0;
    std::int64_t count = 0;
    columns >> score >> count;
    sum += score;
    tokens += count;
  }
  EXPECT_EQ(tokens, result["tokens"].get<std::int64_t>());
  EXPECT_NEAR(-sum, result["nll"].get<double>(), 1e-2);
  // What goes on from it keeps its documents, or has others.
  ASSERT_EQ(run({"train", "--data", text_, "--from", path("model"), "--out", path("next"),
                 "--steps", "1", "--batch", "2", "--context", "8"})
                .status,
            0);
  EXPECT_EQ(json::parse(read_file(path("next") + "/config.json"))["model"]["document_mark"],
            "<doc>");
  ASSERT_EQ(run({"train", "--data", text_, "--from", path("model"), "--out", path("other"),
                 "--steps", "1", "--batch", "2", "--context", "8", "--documents", "none"})
                .status,
            0);
  EXPECT_FALSE(
      json::parse(read_file(path("other") + "/config.json"))["model"].contains("documents"));
}

// Whoever reads a text for a model reads the documents that it learnt.
TEST_F(Documents, AreThoseOfWhoeverReadsThem) {
  ASSERT_EQ(train("model", {"--layers", "[(16,3)]*2", "--documents", "blank-lines"}).status, 0);
  const std::string tokenizer = path("model");
  ASSERT_EQ(train("other", {"--layers", "[(16,3)]", "--tokenizer", tokenizer}).status, 0);
  const json apart = eval("model", text_), across = eval("model", text_, {"--documents", "none"});
  const double nll = apart["nll"], perplexity = apart["perplexity"],
               perplexity_across = across["perplexity"];
  ASSERT_GT(std::abs(perplexity_across / perplexity - 1), 1e-5);

  const auto inspect = [&](const std::vector<std::string>& more) -> double {
    std::vector<std::string> arguments = {"inspect", path("model"), "--text",
                                          text_,     "--out",       path("seen")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return std::exp(json::parse(read_file(path("seen") + "/inspect.json"))["loss"].get<double>());
  };
  EXPECT_NEAR(inspect({}), perplexity, 1e-6 * perplexity);
  EXPECT_NEAR(inspect({"--documents", "none"}), perplexity_across, 1e-6 * perplexity);

  const auto mix = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"mix",    path("model"), path("model"),
                                          "--tune", text_,         "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json::parse(outcome.out)["models"][0]["perplexity"].get<double>();
  };
  EXPECT_NEAR(mix({}), perplexity, 1e-6 * perplexity);
  EXPECT_NEAR(mix({"--documents", "none"}), perplexity_across, 1e-6 * perplexity);
  const std::string twice = path("model") + "*0.5+" + path("model") + "*0.5",
                    both = path("model") + "*0.5+" + path("other") + "*0.5";
  const Outcome mixed = run({"eval", twice, text_, "--json"});
  ASSERT_EQ(mixed.status, 0) << mixed.err;
  EXPECT_NEAR(json::parse(mixed.out)["nll"].get<double>(), nll, 1e-6 * nll);
  EXPECT_TRUE(complains(run({"eval", both, text_}), 2, "eval", "different documents"));
  EXPECT_TRUE(complains(run({"score", both, text_, "--running"}), 2, "score", "--documents"));
  EXPECT_TRUE(complains(run({"mix", path("model"), path("other"), "--tune", text_}), 2, "mix",
                        "different documents"));
  EXPECT_EQ(
      run({"mix", path("model"), path("other"), "--tune", text_, "--documents", "none"}).status, 0);
  // quantize --check says what eval says.
  const Outcome checked =
      run({"quantize", path("model"), "--out", path("small"), "--check", text_, "--json"});
  ASSERT_EQ(checked.status, 0) << checked.err;
  const json both_precisions = json::parse(checked.out);
  EXPECT_NEAR(both_precisions["perplexity_before"].get<double>(), perplexity, 1e-6 * perplexity);
  EXPECT_NEAR(both_precisions["perplexity_after"].get<double>(),
              eval("small", text_)["perplexity"].get<double>(), 1e-6 * perplexity);
}

TEST_F(Documents, FilesAreDocuments) {
  std::vector<std::string> arguments;
  for (std::size_t i = 0; i < documents_.size(); ++i) {
    write("many-" + std::to_string(i) + ".txt", documents_[i]);
  }
  const Outcome outcome = run({"train",       "--data",      directory_.string(),
                               "--include",   "many-*",      "--out",
                               path("model"), "--documents", "files",
                               "--layers",    "[(16,3)]*2",  "--tokenizer",
                               "word",        "--min-count", "1",
                               "--steps",     "3",           "--batch",
                               "2",           "--context",   "8"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const double together = eval("model", directory_.string(), {"--include", "many-*"})["nll"];
  EXPECT_NEAR(together, nll_of_each("model"), 1e-4 * together);
}

TEST_F(Documents, WhatCannotBeIsRefused) {
  EXPECT_TRUE(complains(train("a", {"--documents", "pages"}), 2, "train", "blank-lines"));
  EXPECT_TRUE(complains(train("a", {"--document-mark", "<doc>"}), 2, "train", "needs documents"));
  EXPECT_TRUE(complains(train("a", {"--documents", "files", "--document-mark", "a b"}), 2, "train",
                        "without blanks"));
  ASSERT_EQ(train("model", {"--layers", "[(16,3)]"}).status, 0);
  EXPECT_TRUE(complains(
      run({"eval", path("model"), text_, "--documents", "files", "--document-mark", "<doc>"}), 2,
      "eval", "is none of the tokenizer's"));
  EXPECT_TRUE(complains(run({"score", path("model"), text_, "--documents", "blank-lines"}), 2,
                        "score", "--running"));
  for (const char* field : {"documents=none,files", "document_mark=a,b"}) {
    EXPECT_TRUE(complains(
        run({"compare", "--data", text_, "--out", path("c"), "--steps", "1", "--vary", field}), 2,
        "compare", "all variants read one text"));
  }
  EXPECT_TRUE(complains(
      train("b", {"--documents", "blank-lines", "--batch", "500", "--layers", "[(16,3)]"}), 1,
      "train", "lower the batch"));
}

}  // namespace
}  // namespace sluice::cli_test
