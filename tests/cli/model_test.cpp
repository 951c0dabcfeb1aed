// eval, score, generate and info on a model trained for a moment, and on damaged ones.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::set<std::string> keys(const json& object) {
  std::set<std::string> names;
  for (const auto& item : object.items()) names.insert(item.key());
  return names;
}

std::vector<json> json_lines(const std::string& text) {
  std::vector<json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
  return lines;
}

class Model : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", sample_text(300));
    model_ = path("model");
    ASSERT_EQ(run(tiny_training(text_, model_, {"--steps", "60", "--lr", "0.02"})).status, 0);
  }
  void expect_all_refuse(const std::string& part) {
    EXPECT_TRUE(complains(run({"eval", model_, text_}), 1, "eval", part));
    EXPECT_TRUE(complains(run({"score", model_, text_}), 1, "score", part));
    EXPECT_TRUE(complains(run({"generate", model_}), 1, "generate", part));
    EXPECT_TRUE(complains(run({"info", model_}), 1, "info", part));
  }
  std::string text_;
  std::string model_;
};

TEST_F(Model, ComputesInThePrecisionAskedFor) {
  const auto nll = [&](const char* precision) {
    const Outcome outcome = run({"eval", model_, text_, "--json", "--precision", precision});
    return outcome.status == 0 ? json::parse(outcome.out)["nll"].get<double>() : 0;
  };
  const auto score = [&](const char* precision) {
    const std::string line = "the cat sat on the mat . the old man saw a tree .\n";
    return run({"score", model_, "--json", "--precision", precision}, {.input = line}).out;
  };
  if (nll("bf16") == 0) GTEST_SKIP() << "this CPU has no bfloat16 products";
  const double difference = std::abs(nll("bf16") / nll("f32") - 1);
  EXPECT_GT(difference, 1e-7);
  EXPECT_LT(difference, 1e-2);
  EXPECT_NE(score("bf16"), score("f32"));
}

TEST_F(Model, IsQuantizedAndUsedAsBefore) {
  const std::string small = path("small");
  const Outcome made =
      run({"quantize", model_, "--out", small, "--check", text_, "--json", "--threads", "1"});
  ASSERT_EQ(made.status, 0) << made.err;
  const json line = json::parse(made.out);
  EXPECT_EQ(keys(line), (std::set<std::string>{"to", "bytes", "parameters", "perplexity_before",
                                               "perplexity_after"}));
  const auto before = line["perplexity_before"].get<double>();
  EXPECT_NEAR(line["perplexity_after"].get<double>() / before, 1, 3e-3);
  EXPECT_EQ(json::parse(run({"eval", small, text_, "--json"}).out)["perplexity"],
            line["perplexity_after"]);
  EXPECT_EQ(
      json::parse(run({"eval", model_, text_, "--json", "--precision", "int8"}).out)["perplexity"],
      line["perplexity_after"]);
  EXPECT_EQ(run({"score", small, text_}).status, 0);
  EXPECT_EQ(run({"generate", small, "--tokens", "5"}).status, 0);
  const json info = json::parse(run({"info", small, "--json", "--verify"}).out);
  EXPECT_EQ(info["runtime"], (json{{"precision", "int8"}, {"bytes", line["bytes"]}}));
  EXPECT_EQ(info["parameters"], line["parameters"]);
  EXPECT_NE(run({"info", small}).out.find("int8"), std::string::npos);

  EXPECT_TRUE(complains(run({"inspect", small, "--text", text_, "--out", path("looked")}), 1,
                        "inspect", "runtime model"));
  EXPECT_TRUE(
      complains(run({"quantize", small, "--out", path("other")}), 1, "quantize", "runtime model"));
  // Its weights are what they are.
  EXPECT_TRUE(
      complains(run({"eval", small, text_, "--precision", "bf16"}), 1, "eval", "weights of int8"));
  EXPECT_EQ(run({"eval", small, text_, "--precision", "int8"}).status, 0);
  EXPECT_TRUE(complains(run({"train", "--out", small, "--resume"}), 1, "train", "runtime model"));
  EXPECT_TRUE(complains(run({"train", "--data", text_, "--out", path("x"), "--from", small}), 1,
                        "train", "runtime model"));
  EXPECT_TRUE(complains(run({"quantize", model_, "--out", model_}), 1, "quantize", "trained"));
  EXPECT_TRUE(complains(run({"quantize", model_, "--out", path("x"), "--to", "int4"}), 2,
                        "quantize", "int4"));
  EXPECT_TRUE(complains(run({"quantize", model_, "--out", path("x"), "--check", "-"}), 2,
                        "quantize", "read before and after"));
  EXPECT_TRUE(complains(run({"quantize", model_, "--out", path("x"), "--check", path("none")}), 1,
                        "quantize", "none"));
  EXPECT_FALSE(fs::exists(path("x")));
}

TEST_F(Model, EvaluatesAText) {
  const Outcome outcome = run({"eval", model_, text_, "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_EQ(keys(result), (std::set<std::string>{
                              "perplexity", "bits_per_character", "tokens", "oov", "vocabulary",
                              "nll", "seconds", "tokens_per_second", "word_perplexity",
                              "byte_perplexity", "known_perplexity", "words", "lines", "bytes"}));
  EXPECT_EQ(result["lines"], 300);
  EXPECT_EQ(result["bytes"], read_file(text_).size());
  EXPECT_NEAR(result["word_perplexity"].get<double>(), result["perplexity"].get<double>(), 1e-9);
  std::istringstream words(read_file(text_));
  std::int64_t tokens = 300;  // one <eos> per line
  for (std::string word; words >> word;) ++tokens;
  EXPECT_EQ(result["tokens"], tokens);
  EXPECT_EQ(result["oov"], 0);
  EXPECT_NEAR(result["perplexity"].get<double>(),
              std::exp(result["nll"].get<double>() / static_cast<double>(tokens)), 1e-6);
  EXPECT_LT(result["perplexity"].get<double>(), 15);  // it has learnt something: 22 words

  const Outcome text = run({"eval", model_, text_});
  EXPECT_EQ(text.status, 0);
  EXPECT_NE(text.out.find("bits per character"), std::string::npos);
  EXPECT_TRUE(complains(run({"eval", model_, path("missing")}), 1, "eval", "missing"));
  EXPECT_TRUE(complains(run({"eval", model_, write("empty", "")}), 1, "eval", "empty"));
  EXPECT_TRUE(complains(run({"eval", model_, write("bad", "a\xff\n")}), 1, "eval", "byte 1"));
  EXPECT_TRUE(complains(run({"eval", model_, text_}, {.output_file = "/dev/full"}), 1, "eval",
                        "standard output"));
}

TEST_F(Model, ScoresLines) {
  const std::string lines = "the cat sat on the mat .\n\nthe zebra sat\n";
  const Outcome outcome = run({"score", model_, "--json"}, {.input = lines});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<json> scores = json_lines(outcome.out);
  ASSERT_EQ(scores.size(), 3U);
  EXPECT_EQ(keys(scores[0]),
            (std::set<std::string>{"log_probability", "tokens", "oov", "perplexity",
                                   "word_perplexity", "byte_perplexity", "known_perplexity"}));
  EXPECT_EQ(scores[0]["tokens"], 8);
  EXPECT_EQ(scores[1]["tokens"], 1);
  EXPECT_EQ(scores[2]["oov"], 1);

  // From a file, or another order: the same lines, the same scores.
  const std::string file = write("lines.txt", "the zebra sat\nthe cat sat on the mat .");
  const std::vector<json> others = json_lines(run({"score", model_, file, "--json"}).out);
  ASSERT_EQ(others.size(), 2U);
  EXPECT_NEAR(others[1]["log_probability"].get<double>(),
              scores[0]["log_probability"].get<double>(), 1e-4);

  const Outcome words = run({"score", model_, "-", "--words"}, {.input = "the cat\n"});
  EXPECT_EQ(std::count(words.out.begin(), words.out.end(), '\n'), 1);
  EXPECT_NE(words.out.find("\tcat -"), std::string::npos) << words.out;
  const json detail =
      json::parse(run({"score", model_, "--words", "--json"}, {.input = "the cat\n"}).out);
  ASSERT_EQ(detail["words"].size(), 3U);
  EXPECT_EQ(keys(detail["words"][0]),
            (std::set<std::string>{"text", "log_probability", "tokens", "oov", "begin", "end"}));

  EXPECT_EQ(run({"score", model_}).out, "");
  EXPECT_TRUE(complains(run({"score", model_, path("missing")}), 1, "score", "missing"));
  EXPECT_TRUE(complains(run({"score", model_, model_}), 1, "score", "directory"));
  EXPECT_TRUE(complains(run({"score", model_}, {.input = "a\xff\n"}), 1, "score", "line 1"));
  const Outcome harmed = run({"score", model_}, {.input = "the\na\xff\nthe\n"});
  EXPECT_TRUE(complains(harmed, 1, "score", "line 2"));
  EXPECT_EQ(std::count(harmed.out.begin(), harmed.out.end(), '\n'), 3) << harmed.out;
  EXPECT_NE(harmed.out.find("\nnan\t0\t0\tnan\n"), std::string::npos) << harmed.out;
}

TEST_F(Model, ScoresOtherForms) {
  const Outcome tsv = run({"score", model_, "--format", "tsv", "--column", "b", "--no-eos"},
                          {.input = "a\tb\n1\tthe cat\n"});
  EXPECT_EQ(tsv.status, 0) << tsv.err;
  EXPECT_TRUE(tsv.out.starts_with("a\tb\tlog_probability\ttokens\toov\tperplexity\n1\tthe cat\t-"))
      << tsv.out;
  EXPECT_NE(tsv.out.find("\t2\t0\t"), std::string::npos) << tsv.out;
  const Outcome utterance = run({"score", model_, "--format", "kaldi", "--context", "the\\n"},
                                {.input = "u-1 the cat\n"});
  EXPECT_TRUE(utterance.out.starts_with("u-1 ")) << utterance.out << utterance.err;
  const std::string line = "the zebra sat\n";
  const json counted = json::parse(run({"score", model_, "--json"}, {.input = line}).out);
  const json less =
      json::parse(run({"score", model_, "--json", "--oov", "penalty=3"}, {.input = line}).out);
  EXPECT_NEAR(less["log_probability"].get<double>(), counted["log_probability"].get<double>() - 3,
              1e-4);

  EXPECT_TRUE(complains(run({"score", model_, "--format", "csv"}), 2, "score", "did you mean tsv"));
  EXPECT_TRUE(complains(run({"score", model_, "--oov", "ignore"}), 2, "score", "penalty=X"));
  EXPECT_TRUE(complains(run({"score", model_, "--words", "--tokens"}), 2, "score", "--json"));
  EXPECT_TRUE(complains(run({"score", model_, "--format", "tsv"}, {.input = "a\tb\n"}), 1, "score",
                        "'text'"));
}

TEST_F(Model, ScoresSeveralFiles) {
  const std::string one = write("one.txt", "the cat sat\n"), two = write("two.txt", "the cat");
  const std::string first = run({"score", model_, one}).out,
                    second = run({"score", model_, two}).out;
  EXPECT_EQ(run({"score", model_, one, two}).out, first + second);
  EXPECT_EQ(run({"score", model_, one, "-", one}, {.input = "the cat\n"}).out,
            first + second + first);
  EXPECT_TRUE(complains(run({"score", model_, one, path("missing")}), 1, "score", "missing"));
  EXPECT_EQ(run({"score", model_, one, path("missing")}).out, "")
      << "told before anything is scored";
  const std::string bad = write("bad.txt", "the\na\xff\n");
  EXPECT_TRUE(complains(run({"score", model_, one, bad}), 1, "score", "bad.txt: "));
  // Running text goes on from file to file, unless documents end with them.
  const std::string whole = write("whole.txt", "the cat sat\nthe cat\n");
  const auto running = [&](const std::vector<std::string>& files, const std::string& documents) {
    std::vector<std::string> arguments = {"score", model_, "--running", "--documents", documents};
    arguments.insert(arguments.end(), files.begin(), files.end());
    return run(arguments).out;
  };
  EXPECT_EQ(running({one, two}, "none"), running({whole}, "none"));
  EXPECT_EQ(running({one, one}, "files"), running({one}, "files") + running({one}, "files"));
  EXPECT_NE(running({one, one}, "none"), running({one}, "none") + running({one}, "none"));
  // A table has one line of names.
  const std::string table = write("t.tsv", "text\tn\nthe cat\t1\n");
  const std::string turned = write("u.tsv", "n\ttext\n1\tthe cat\n");
  const std::vector<std::string> as_table = {"score", model_, "--format", "tsv",
                                             table,   table,  turned};
  const std::string out = run(as_table).out;
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 5) << out;
  EXPECT_NE(out.find("\nn\ttext\tlog_probability"), std::string::npos) << out;
}

TEST_F(Model, MixesModels) {
  const std::string other = path("other"), alien = path("alien");
  ASSERT_EQ(run(tiny_training(text_, other, {"--steps", "10", "--seed", "3"})).status, 0);
  const std::string words = write("words.txt", "other words\n" + sample_text(300));
  ASSERT_EQ(run(tiny_training(words, alien, {"--steps", "2"})).status, 0);
  const auto probability = [&](const std::string& model) {
    const Outcome outcome = run({"score", model, "--no-eos", "--json"}, {.input = "the\n"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return std::exp(json::parse(outcome.out)["log_probability"].get<double>());
  };
  const double one = probability(model_), two = probability(other);
  EXPECT_NEAR(probability(model_ + "*0.25+" + other + "*0.75"), 0.25 * one + 0.75 * two, 1e-6);
  EXPECT_NEAR(probability(model_ + "+" + other), 0.5 * one + 0.5 * two, 1e-6);
  const auto refused = [&](const std::string& model, int status, const std::string& part) {
    return complains(run({"score", model}), status, "score", part);
  };
  EXPECT_TRUE(refused(model_ + "*0.5+" + alien + "*0.5", 1, "different vocabularies"));
  EXPECT_TRUE(refused(model_ + "*0.5+" + other + "*0.6", 2, "sum to 1.1"));
  EXPECT_TRUE(refused(model_ + "*0.5+" + other, 2, "all or none"));
  EXPECT_TRUE(refused(model_ + "*x+" + other, 2, "weight"));
}

TEST_F(Model, Generates) {
  const Outcome outcome =
      run({"generate", model_, "--prompt", "the cat", "--tokens", "12", "--seed", "3"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with("the cat")) << outcome.out;
  EXPECT_TRUE(outcome.out.ends_with("\n"));
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(run({"generate", model_, "--prompt", "the cat", "--tokens", "12", "--seed", "3"}).out,
            outcome.out);

  const Outcome stopped = run({"generate", model_, "--stop", ".", "--temperature", "0"});
  EXPECT_EQ(stopped.out.find('.'), std::string::npos) << stopped.out;
  EXPECT_EQ(stopped.err, "");  // no prompt is what --help says: the start of a line

  // Nothing of a prompt that cannot be read is printed.
  const Outcome binary = run({"generate", model_, "--prompt", "the \xff cat"});
  EXPECT_EQ(binary.out, "");
  EXPECT_TRUE(complains(binary, 1, "generate", "cannot read '--prompt' as text"));

  const Outcome unknown = run({"generate", model_, "--prompt", "the zebra", "--tokens", "3"});
  EXPECT_EQ(unknown.status, 0);
  EXPECT_NE(unknown.err.find("zebra"), std::string::npos) << unknown.err;

  EXPECT_TRUE(complains(run({"generate", model_, "--temperature", "-1"}), 2, "generate", "-1"));
  EXPECT_TRUE(complains(run({"generate", model_, "--top-p", "2"}), 2, "generate", "2"));
  EXPECT_TRUE(complains(run({"generate", model_, "--tokens", "-1"}), 2, "generate", "-1"));
  EXPECT_TRUE(complains(run({"generate", model_, "--prompt", "x"}, {.output_file = "/dev/full"}), 1,
                        "generate", "standard output"));
}

TEST_F(Model, GeneratesMany) {
  const std::string prompts = write("prompts.txt", "the cat\r\n\nthe zebra\n");
  const Outcome lines = run({"generate", model_, "--prompts", prompts, "--samples", "2", "--stop",
                             "\\n", "--stop", ".", "--tokens", "9", "--echo"});
  ASSERT_EQ(lines.status, 0) << lines.err;
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 6) << lines.out;
  EXPECT_TRUE(lines.out.starts_with("the cat")) << lines.out;
  EXPECT_EQ(lines.out.find('.'), std::string::npos);
  EXPECT_NE(lines.err.find("prompt 3"), std::string::npos) << lines.err;
  // From standard input; one prompt's samples are what a seed each makes alone.
  const std::vector<json> made = json_lines(
      run({"generate", model_, "--prompts", "-", "--samples", "3", "--json", "--tokens", "7"},
          {.input = "the cat\n"})
          .out);
  ASSERT_EQ(made.size(), 3U);
  for (std::size_t i = 0; i < made.size(); ++i) {
    EXPECT_EQ(keys(made[i]), (std::set<std::string>{"prompt", "sample", "text", "reason",
                                                    "log_probability", "tokens"}));
    EXPECT_EQ(made[i]["sample"], i + 1);
    EXPECT_EQ(made[i]["tokens"].size(), 7U);
    const Outcome alone = run({"generate", model_, "--prompt", "the cat", "--tokens", "7", "--seed",
                               std::to_string(i + 1)});
    EXPECT_TRUE(alone.out.starts_with("the cat" + made[i]["text"].get<std::string>()));
  }

  const std::vector<json> best =
      json_lines(run({"generate", model_, "--prompt", "the", "--beam", "4", "--samples", "2",
                      "--json", "--echo", "--tokens", "4", "--ban", "cat", "--bias", "=1=2"})
                     .out);
  EXPECT_TRUE(best.empty());  // there is no token "=1"
  const std::vector<json> beams =
      json_lines(run({"generate", model_, "--prompt", "the", "--beam", "4", "--samples", "2",
                      "--json", "--echo", "--tokens", "4", "--ban", "cat", "--bias", "mat=1.5"})
                     .out);
  ASSERT_EQ(beams.size(), 2U);
  EXPECT_GE(beams[0]["score"], beams[1]["score"]);
  EXPECT_EQ(beams[0]["prompt_text"], "the");
  EXPECT_EQ(beams[0]["prompt_tokens"].size(), 1U);
  EXPECT_EQ(beams[0]["text"].get<std::string>().find("cat"), std::string::npos);

  // A prompt that cannot be read is told of; the others are made.
  const Outcome bad =
      run({"generate", model_, "--prompts", "-", "--tokens", "2"}, {.input = "a\xff\nthe cat\n"});
  EXPECT_EQ(bad.status, 1);
  EXPECT_NE(bad.err.find("prompt 1"), std::string::npos) << bad.err;
  EXPECT_EQ(std::count(bad.out.begin(), bad.out.end(), '\n'), 1);
  EXPECT_TRUE(complains(run({"generate", model_, "--ban", "zebra"}), 2, "generate", "zebra"));
  EXPECT_TRUE(complains(run({"generate", model_, "--bias", "cat"}), 2, "generate", "TOKEN=X"));
  EXPECT_TRUE(complains(run({"generate", model_, "--stop", "\\x"}), 2, "generate", "backslash"));
  EXPECT_TRUE(complains(run({"generate", model_, "--samples", "0"}), 2, "generate", "0"));
  EXPECT_TRUE(
      complains(run({"generate", model_, "--prompts", path("missing")}), 1, "generate", "missing"));
}

TEST_F(Model, DescribesItself) {
  const Outcome outcome = run({"info", model_, "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json info = json::parse(outcome.out);
  EXPECT_EQ(keys(info), (std::set<std::string>{"model", "summary", "parameters", "receptive_field",
                                               "tokenizer", "tensors", "training", "history"}));
  EXPECT_EQ(info["receptive_field"], 5);  // two layers of kernel 3
  std::int64_t scalars = 0;
  for (const json& tensor : info["tensors"]) {
    std::int64_t size = 1;
    for (const json& n : tensor["shape"]) size *= n.get<std::int64_t>();
    scalars += size;
  }
  EXPECT_EQ(info["parameters"], scalars);
  EXPECT_EQ(info["history"]["validations"].back()["step"], 60);
  const Outcome text = run({"info", model_});
  EXPECT_NE(text.out.find("receptive field  5 tokens"), std::string::npos) << text.out;
}

TEST_F(Model, RefusesWhatIsNoModel) {
  model_ = path("missing");
  expect_all_refuse("missing");
  fs::create_directory(model_);
  expect_all_refuse("config.json");
  model_ = text_;
  expect_all_refuse("not a directory");
}

TEST_F(Model, RefusesDamagedFiles) {
  const std::string file = model_ + "/model.safetensors";
  const std::string good = read_file(file);
  write_file(file, good.substr(0, good.size() - 10));
  expect_all_refuse("model.safetensors");
  write_file(file, good.substr(0, 4));
  expect_all_refuse("model.safetensors");
  write_file(file, "GIF89a, and by no means a model, however long it goes on.");
  expect_all_refuse("model.safetensors");
  std::string flipped = good;
  flipped[good.size() - 7] = static_cast<char>(flipped[good.size() - 7] ^ 0x10);
  write_file(file, flipped);
  expect_all_refuse("damaged");
  fs::remove(file);
  expect_all_refuse("model.safetensors");
  write_file(file, good);
  EXPECT_EQ(run({"info", model_}).status, 0);

  const std::string config = read_file(model_ + "/config.json");
  write_file(model_ + "/config.json", "{");
  expect_all_refuse("config.json");
  json newer = json::parse(config);
  newer["format_version"] = 2;
  write_file(model_ + "/config.json", newer.dump());
  expect_all_refuse("newer");
  json absurd = json::parse(config);
  absurd["model"]["dim"] = 1'000'000'000;
  write_file(model_ + "/config.json", absurd.dump());
  expect_all_refuse("do not belong together");
  write_file(model_ + "/config.json", config);

  const std::string tokenizer = read_file(model_ + "/tokenizer.json");
  write_file(model_ + "/tokenizer.json", tokenizer.substr(0, tokenizer.size() / 2));
  expect_all_refuse("tokenizer.json");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Where memory runs out is said in a sentence, wherever it does: while reading the model, in a
// tensor, or where oneDNN makes its code.
TEST_F(Model, ShortAddressSpaceIsSaid) {
  const std::string lines = "the cat sat on the mat .\nthe dog sat\n";
  int refused = 0;
  for (std::size_t mebibytes = 60; mebibytes <= 180; mebibytes += 4) {
    const ProcessOptions options{.input = lines, .address_space = mebibytes << 20U};
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"score", model_},
          {"eval", model_, text_},
          {"generate", model_, "--tokens", "3", "--prompt", "the"}}) {
      const Outcome outcome = run(command, options);
      EXPECT_TRUE(outcome.status == 0 || outcome.status == 1 || outcome.status == 127)
          << command[0] << " in " << mebibytes << " MiB ended with " << outcome.status << ": "
          << outcome.err;
      if (outcome.status != 1) continue;
      ++refused;
      EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
      EXPECT_NE(outcome.err.find("memory"), std::string::npos) << outcome.err;
    }
  }
  EXPECT_GT(refused, 0);
}
#endif

}  // namespace
}  // namespace sluice::cli_test
