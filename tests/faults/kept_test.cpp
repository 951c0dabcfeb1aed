// What cannot be read for the moment is not taken for damaged or absent: nothing finished is
// written over. Only the operations on the files in question fail, all of them in turn.

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "faults.hpp"
#include "lab/claims/claim_support.hpp"
#include "sluice/base/file.hpp"
#include "support.hpp"

namespace sluice::faults {
namespace {

namespace fs = std::filesystem;
using cli_test::Outcome;
using cli_test::run;

/// All that reading files asks of the system.
const std::vector<std::string> of_reading = {"open", "read", "stat", "map", "list"};
/// More than a command asks of one file.
constexpr long every_one = 1000;

/// The files below `directory`, but locks.
std::map<std::string, std::string> files_below(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file() || entry.path().filename() == DirectoryLock::name) continue;
    files[entry.path().string()] = read_file(entry.path());
  }
  return files;
}

/// A run whose best step is past: its weights cannot be had back.
TEST_F(Faults, OfTheBestWeightsOfAResumedTraining) {
  const std::string past = path("past");
  std::vector<std::string> arguments = training(past, "8");
  arguments.insert(arguments.end(), {"--lr", "0.1"});
  ASSERT_EQ(run(arguments).status, 0);
  const std::string best = tensors_of(past + "/model.safetensors");
  // So high a rate makes the next steps worse.
  ASSERT_EQ(run({"train", "--resume", "--out", past, "--steps", "9", "--lr", "0.5"}).status, 0);
  ASSERT_TRUE(tensors_of(past + "/model.safetensors") == best) << "the best step is not past";
  const auto prepare = [&] {
    clean();
    fs::copy(past, out(), fs::copy_options::recursive);
  };
  const std::string weights = out() + "/model.safetensors";
  for (const std::string& file : {weights, out() + "/checkpoint.safetensors"}) {
    for (const char* how : {"--resume", "--resume-if-possible"}) {
      const std::vector<std::string> resume = {"train", how, "--out", out(), "--steps", "10"};
      std::vector<std::string> all = resume;
      if (std::string(how) == "--resume-if-possible") {
        all = training(out(), "10");
        all.emplace_back(how);
      }
      inject(
          {.name = std::string(how) + " without " + fs::path(file).filename().string(),
           .arguments = all,
           .prepare = prepare,
           .check =
               [&](const Outcome& ended) {
                 EXPECT_EQ(ended.err.find("lost"), std::string::npos) << ended.err;
                 EXPECT_EQ(ended.out.find("lost"), std::string::npos) << ended.out;
                 EXPECT_TRUE(tensors_of(weights) == best) << "another best was sought";
                 EXPECT_EQ(run({"train", "--resume", "--out", out(), "--steps", "10"}).status, 0);
                 EXPECT_TRUE(tensors_of(weights) == best) << "another best was sought";
               },
           .root = file,
           .most = every_one},
          of_reading);
    }
  }
}

TEST_F(Faults, OfFinishedRunsOfAComparison) {
  const std::vector<std::string> comparison = {
      "compare",   "--data",       text_,         "--out",   out(),
      "--vary",    "unit=glu,gtu", "--seeds",     "1",       "--lr-grid",
      "0.01",      "--layers",     "[(8,2)]",     "--batch", "4",
      "--context", "16",           "--tokenizer", "word",    "--steps",
      "2",         "--threads",    "1",           "--jobs",  "1"};
  const Outcome first = run(comparison);
  ASSERT_EQ(first.status, 0) << first.err;
  const std::string runs = out() + "/runs";
  const auto trained = files_below(runs);
  inject({.name = "compare again",
          .arguments = comparison,
          .prepare = [] {},
          .check =
              [&](const Outcome&) {
                const auto now = files_below(runs);
                ASSERT_EQ(now.size(), trained.size());
                for (const auto& [file, bytes] : trained) {
                  ASSERT_TRUE(now.contains(file) && now.at(file) == bytes) << file;
                }
              },
          .root = fs::directory_iterator(runs)->path().string(),
          .most = 8},
         of_reading);
}

TEST_F(Faults, OfVerdictsOfClaims) {
  const std::string claim = write("tiny.json", lab_test::tiny_claim().dump());
  const std::vector<std::string> claims = {"claims", "run", claim,    "--quick", "--data",    text_,
                                           "--out",  out(), "--jobs", "1",       "--threads", "1"};
  ASSERT_EQ(run(claims).status, 0);
  const std::string file = out() + "/claims.json";
  // The verdict on a second claim.
  auto all = nlohmann::json::parse(read_file(file));
  nlohmann::json other = all["claims"][0];
  other["name"] = "other";
  all["claims"].push_back(other);
  const std::string before = all.dump();
  inject(
      {.name = "claims run",
       .arguments = claims,
       .prepare = [&] { write_file(file, before); },
       .check =
           [&](const Outcome&) { EXPECT_NE(read_file(file).find("\"other\""), std::string::npos); },
       .root = file,
       .most = every_one},
      of_reading);
}

}  // namespace
}  // namespace sluice::faults
