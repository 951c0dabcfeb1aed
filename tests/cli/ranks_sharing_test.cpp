// Several processes under a real mpirun share what is counted, asked and compared.

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <vector>

#include "lab/claims/claim_support.hpp"
#include "ranks.hpp"
#include "sluice/base/file.hpp"
#include "support/eventually.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;

// The vocabulary, the tokens and so the model are those of one process, of texts of several rounds
// of blocks: in a directory of files, large and small, and packed in JSON lines.
TEST_F(Ranks, CountAndTokeniseTogether) {
  std::string text, lines;
  for (int i = 0; text.size() < 5'000'000; ++i) {
    const std::string line = "word" + std::to_string(i % 977 * i % 5003) +
                             " and another one, as there are many in each part of a text " +
                             std::string(static_cast<std::size_t>(i % 50), 'x');
    text += line + "\n";
    lines += R"({"said": ")" + line + "\"}\n";
  }
  const std::string packed = write("packed.jsonl", lines), plain = path("plain");
  fs::create_directories(plain);
  const std::size_t second = text.find('\n', 1'700'000) + 1, third = text.find('\n', 4'000'000) + 1;
  write("plain/a.txt", text.substr(0, second));
  write("plain/b.txt", "a small one\n");
  write("plain/c.txt", text.substr(second, third - second));
  write("plain/d.txt", text.substr(third));
  const std::vector<std::vector<std::string>> kinds = {
      {"--data", plain, "--tokenizer", "word", "--vocab", "3000"},
      {"--data", packed, "--field", "said", "--tokenizer", "bpe", "--vocab", "300"}};
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const auto train = [&](const std::string& out) {
      std::vector<std::string> command = {
          "train", "--out",    path(out), "--batch",      "1", "--context",
          "8",     "--steps",  "1",       "--dim",        "8", "--threads",
          "1",     "--layers", "[(8,2)]", "--accumulate", "3", "--valid-fraction",
          "0.01"};
      command.insert(command.end(), kinds[i].begin(), kinds[i].end());
      return command;
    };
    const std::string one = "one" + std::to_string(i), three = "three" + std::to_string(i);
    ASSERT_EQ(run(train(one)).status, 0);
    const Outcome shared = run_on(3, train(three));
    ASSERT_EQ(shared.status, 0) << shared.err;
    int compared = 0;
    for (const auto& file : fs::recursive_directory_iterator(path(one))) {
      const std::string name = file.path().filename();
      if (!name.starts_with("tokens-") && !name.starts_with("tokenizer.") &&
          name != "model.safetensors") {
        continue;
      }
      const fs::path other = fs::path(path(three)) / fs::relative(file.path(), path(one));
      // Packed text lies where its run is, and so its tokens are named after that.
      if (name.starts_with("tokens-") && i == 1) continue;
      EXPECT_TRUE(read_file(file.path()) == read_file(other)) << other;
      ++compared;
    }
    EXPECT_EQ(compared, i == 0 ? 4 : 2);
  }
}

TEST_F(Ranks, AskAModelTogether) {
  ASSERT_EQ(run(six("model", {"--steps", "6"})).status, 0);
  const std::string model = path("model");
  // Two blocks, of 4,096 lines and of 2,048 hypotheses at most; some are no good in each.
  std::string plain, table = "id\ttext\n", lists;
  for (int i = 0; i < 4150; ++i) {
    const std::string text = std::to_string(i % 700) + (i == 77 || i == 4120 ? "\xff" : "");
    plain += text + "\n";
    table += std::to_string(i) + (i == 4100 ? " " : "\t") + text + "\n";
    if (i < 2100) lists += std::to_string(i / 7) + " ||| " + text + " ||| f= 1 ||| -3\n";
  }
  const std::string lines = write("lines.txt", plain), rows = write("rows.tsv", table),
                    nbest = write("nbest", lists), long_text = write("long.txt", sample_text(900));
  const std::vector<std::vector<std::string>> commands = {
      {"score", model, lines, "--json"},
      {"score", model, rows, "--format", "tsv"},
      {"rescore", model, nbest, "--format", "moses"},
      {"rescore", model, nbest, "--format", "moses", "--best", "--weight", "0.5"}};
  for (std::vector<std::string> command : commands) {
    SCOPED_TRACE(command[0] + " " + command.back());
    command.insert(command.end(), {"--threads", "1"});
    const Outcome one = run(command);
    const Outcome shared = run_on(3, command);
    EXPECT_TRUE(written(shared, 1) == written(one, 1));
    // MPI itself may say something before and after.
    const std::size_t at = shared.err.find(one.err);
    EXPECT_FALSE(one.err.empty());
    EXPECT_NE(at, std::string::npos) << shared.err;
    EXPECT_EQ(shared.err.find(one.err, at + 1), std::string::npos) << shared.err;
  }
  // Standard input reaches the first process, which reads for all.
  ProcessOptions with_input = options();
  with_input.input = "a line\nanother\n";
  ProcessOptions one_with_input;
  one_with_input.input = with_input.input;
  const std::vector<std::string> score = {"score", model, "--threads", "1"};
  EXPECT_EQ(written(run(on(2, score), with_input), 0), written(run(score, one_with_input), 0));

  // What must be read from the beginning to the end is read by one.
  const std::vector<std::string> running = {"score",     model,       long_text,
                                            "--running", "--threads", "1"};
  const Outcome by_one = run_on(2, running);
  EXPECT_EQ(written(by_one, 0), written(run(running), 0));
  EXPECT_NE(by_one.err.find("sluice score: one of the processes reads all"), std::string::npos)
      << by_one.err;

  const auto evaluated = [](const Outcome& outcome) {
    auto json = nlohmann::json::parse(written(outcome, 0));
    json.erase("seconds");
    json.erase("tokens_per_second");
    return json.dump();
  };
  const std::vector<std::string> eval = {"eval", model, long_text, "--json", "--threads", "1"};
  const std::string one = evaluated(run(eval));
  EXPECT_EQ(evaluated(run_on(2, eval)), one);
  EXPECT_EQ(evaluated(run_on(3, eval)), one);
  with_input.input = read_file(long_text);
  EXPECT_EQ(evaluated(run(on(3, {"eval", model, "-", "--json", "--threads", "1"}), with_input)),
            one);

  const auto inspect = [&](const std::string& out) {
    return std::vector<std::string>{"inspect", model,      "--text", long_text,   "--out",
                                    path(out), "--tokens", "3000",   "--threads", "1"};
  };
  ASSERT_EQ(run(inspect("inspect1")).status, 0);
  const Outcome inspected = run_on(3, inspect("inspect3"));
  ASSERT_EQ(inspected.status, 0) << inspected.err;
  for (const char* name : {"layers.csv", "lags.csv", "context.csv", "surprisal.csv"}) {
    EXPECT_EQ(read_file(path("inspect3") + "/" + name), read_file(path("inspect1") + "/" + name));
  }
}

TEST_F(Ranks, AProfileHasTheThreadThatSpeaks) {
  const Outcome outcome = run_on(2, six("out", {"--steps", "6", "--profile", "2"}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::size_t whole = outcome.out.find("\nwhole step ");
  ASSERT_NE(whole, std::string::npos) << outcome.out;
  for (const char* row : {"\ngradients exchanged ", "\ngradients added "}) {
    const std::size_t at = outcome.out.find(row);
    EXPECT_NE(at, std::string::npos) << outcome.out;
    EXPECT_GT(at, whole);
  }
}

/// runs.csv without what takes time, and the verdicts.
std::string results_of(const std::string& directory) {
  auto results = nlohmann::json::parse(read_file(directory + "/results.json"));
  std::string out;
  for (const auto& run : results.at("runs")) {
    out += run.at("run").get<std::string>() + run.at("final_loss").dump() + "\n";
  }
  return out;
}

TEST_F(Ranks, ShareTheRunsOfAComparison) {
  const auto compare = [&](const std::string& out) {
    return std::vector<std::string>{
        "compare",   "--data",      text_,     "--out",   path(out),   "--vary",    "unit=glu,tanh",
        "--steps",   "8",           "--seeds", "2",       "--lr-grid", "0.01,0.02", "--layers",
        "[(8,2)]",   "--tokenizer", "char",    "--batch", "2",         "--context", "8",
        "--threads", "1",           "--jobs",  "1",       "--match",   "width"};
  };
  ASSERT_EQ(run(compare("one")).status, 0);
  const Outcome shared = run_on(3, compare("shared"));
  ASSERT_EQ(shared.status, 0) << shared.err << shared.out;
  EXPECT_EQ(results_of(path("shared")), results_of(path("one")));
  EXPECT_TRUE(fs::exists(path("shared") + "/report.html"));
}

// A claim with an open part about two of three variants: all processes agree on which get seeds.
TEST_F(Ranks, AddSeedsToAClaimTogether) {
  const std::string claim = write("open.json", R"({
    "format_version": 1, "title": "t", "statement": "s", "source": "a test", "minutes": 1,
    "text": {"tokenizer": "char", "validation": 1000}, "most_seeds": 4,
    "comparisons": {"main": {
      "model": {"layers": "[(8,2)]"}, "training": {"batch": 2, "context": 8}, "tokens": 128,
      "vary": {"unit": ["glu", "tanh", "relu"]}, "match": "width",
      "seeds": 2, "rates": [0.01, 0.02], "pilots": 1, "refine": 0}},
    "parts": [
      {"statement": "open", "measure": "final_loss", "expect": "less",
       "a": {"variant": {"unit": ["glu", "tanh"]}}, "b": {"variant": {"unit": ["glu", "tanh"]}}},
      {"statement": "clear", "measure": "final_loss", "expect": "greater", "threshold": -1e9,
       "a": {"variant": {"unit": "relu"}}}]})");
  const auto command = [&](const std::string& out) {
    return std::vector<std::string>{"claims",    "run", claim,    "--until-decided",
                                    "--data",    text_, "--out",  path(out),
                                    "--threads", "1",   "--jobs", "1"};
  };
  ASSERT_EQ(run(command("one")).status, 0);
  const Outcome shared = run_on(3, command("shared"));
  ASSERT_EQ(shared.status, 0) << shared.err << shared.out;
  EXPECT_EQ(results_of(path("shared") + "/open"), results_of(path("one") + "/open"));
  const auto judging = [&](const std::string& out) {
    std::map<std::string, int> runs;
    const auto results = nlohmann::json::parse(read_file(path(out) + "/open/results.json"));
    for (const auto& run : results.at("runs")) {
      if (run.at("chosen").get<bool>()) ++runs[run.at("variant").get<std::string>()];
    }
    return runs;
  };
  EXPECT_EQ(judging("shared"),
            (std::map<std::string, int>{{"unit=glu", 4}, {"unit=tanh", 4}, {"unit=relu", 2}}));
  const auto parts = [&](const std::string& out) {
    return nlohmann::json::parse(read_file(path(out) + "/claims.json"))["claims"][0]["parts"];
  };
  EXPECT_EQ(parts("shared"), parts("one"));
}

// What was finished before one of them died stays as it is, and what was not is gone on with.
TEST_F(Ranks, AComparisonGoesOnAfterOneDied) {
  std::string steps;
  const auto compare = [&](const std::string& out) {
    return std::vector<std::string>{
        "compare",   "--data",      text_,     "--out",   path(out),   "--vary",    "unit=glu,tanh",
        "--steps",   steps,         "--seeds", "2",       "--lr-grid", "0.01,0.02", "--layers",
        "[(8,2)]",   "--tokenizer", "char",    "--batch", "2",         "--context", "8",
        "--threads", "1",           "--jobs",  "1",       "--match",   "width"};
  };
  const auto finished = [&] {
    std::map<std::string, std::string> runs;
    std::error_code none;
    for (const auto& run : fs::directory_iterator(path("out") + "/runs", none)) {
      const fs::path record = run.path() / "run.json";
      if (fs::exists(record)) runs[record] = read_file(record);
    }
    return runs;
  };
  // Where the system lets the test wait until all runs have ended, they were too short.
  for (const char* length : {"200", "2000", "20000"}) {
    steps = length;
    fs::remove_all(path("out"));
    Process job(on(2, compare("out")), options(0));
    ASSERT_TRUE(eventually([&] { return !finished().empty() || job.ended_within(0); }));
    signal_rank(1, SIGKILL);
    ASSERT_TRUE(job.ends());
    if (job.wait().status != 0) break;
  }
  const auto before = finished();
  EXPECT_LT(before.size(), 8U);
  EXPECT_FALSE(fs::exists(path("out") + "/results.json"));
  const Outcome rest = run_on(3, compare("out"));
  ASSERT_EQ(rest.status, 0) << rest.err;
  for (const auto& [record, text] : before) EXPECT_EQ(read_file(record), text) << record;
  ASSERT_EQ(run(compare("one")).status, 0);
  EXPECT_EQ(results_of(path("out")), results_of(path("one")));
}

TEST_F(Ranks, CheckClaimsTogether) {
  const std::string claim = write("tiny.json", lab_test::tiny_claim().dump());
  const auto claims = [&](const std::string& out) {
    return std::vector<std::string>{"claims", "run",     claim,       "--quick", "--data", text_,
                                    "--out",  path(out), "--threads", "1",       "--jobs", "1"};
  };
  const auto parts = [&](const std::string& out) {
    return nlohmann::json::parse(read_file(path(out) + "/claims.json")).at("claims")[0].at("parts");
  };
  ASSERT_EQ(run(claims("one")).status, 0);
  const Outcome shared = run_on(2, claims("shared"));
  ASSERT_EQ(shared.status, 0) << shared.err;
  EXPECT_EQ(parts("shared"), parts("one"));
  EXPECT_EQ(results_of(path("shared") + "/tiny"), results_of(path("one") + "/tiny"));
}

}  // namespace
}  // namespace sluice::cli_test
