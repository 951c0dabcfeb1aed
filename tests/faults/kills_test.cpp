// Commands killed at random moments, over all architectures: nothing is lost, and what comes of a
// run that is continued after each kill is what comes of one that is not killed.

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cli/program.hpp"
#include "support.hpp"

namespace sluice::faults {
namespace {

namespace fs = std::filesystem;
using cli_test::Outcome;
using cli_test::Process;
using cli_test::run;

class Kills : public cli_test::ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", cli_test::sample_text(400));
  }

  /// Starts the command and kills it after a while; false when it had ended by itself, well.
  bool killed(const std::vector<std::string>& arguments, std::mt19937& random, double usual) {
    Process process(arguments);
    const double share = static_cast<double>(random() % 1000) / 1000;
    std::this_thread::sleep_for(std::chrono::duration<double>(share * usual));
    process.signal(SIGKILL);
    const Outcome outcome = process.wait();
    if (outcome.status == 128 + SIGKILL) {
      ++kills_;
      return true;
    }
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return false;
  }

  std::string text_;
  int kills_ = 0;
};

TEST_F(Kills, LoseNothing) {
  const std::vector<std::vector<std::string>> architectures = {
      {"--layers", "[(8,3)]*2"},
      {"--arch", "rnn", "--hidden", "8", "--depth", "2", "--dim", "8"},
      {"--arch", "lstm", "--hidden", "8", "--depth", "1", "--dim", "8", "--tokenizer", "char"},
      {"--arch", "gru", "--hidden", "8", "--depth", "2", "--dim", "8"},
      {"--arch", "indrnn", "--hidden", "8", "--depth", "2", "--dim", "8"},
      {"--arch", "mut1", "--hidden", "8", "--depth", "1", "--dim", "8"},
      {"--arch", "transformer", "--dim", "8", "--depth", "2", "--heads", "2", "--window", "16"},
      {"--layers", "[(8,3)]", "--optimizer", "nesterov", "--norm", "batch", "--dim", "8"}};
  const bool all = std::getenv("SLUICE_EXHAUSTIVE") != nullptr;
  const int wanted = all ? 1000 : 6;
  std::mt19937 random(1);
  for (int round = 0; kills_ < wanted; ++round) {
    const std::string out = path("out");
    const auto& kind = architectures[static_cast<std::size_t>(round) % architectures.size()];
    std::vector<std::string> training = {"train",    "--data",
                                         text_,      "--batch",
                                         "4",        "--context",
                                         "16",       "--threads",
                                         "1",        "--steps",
                                         "20",       "--validate-every",
                                         "3",        "--checkpoint-every",
                                         "2",        "--schedule",
                                         "constant", "--out"};
    training.insert(training.end() - 1, kind.begin(), kind.end());
    const auto started = std::chrono::steady_clock::now();
    training.push_back(path("whole"));
    fs::remove_all(path("whole"));
    ASSERT_EQ(run(training).status, 0);
    const double usual =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    training.back() = out;
    fs::remove_all(out);
    int lives = 0;
    for (bool done = false; !done; ++lives) {
      const bool saved = fs::exists(out + "/checkpoint.safetensors");
      const std::vector<std::string> resume = {"train", "--resume", "--out", out};
      // In the end it may finish.
      done = lives < 6 ? !killed(saved ? resume : training, random, usual)
                       : run(saved ? resume : training).status == 0;
      ASSERT_LT(lives, 8);
    }
    EXPECT_EQ(tensors_of(out + "/model.safetensors"), tensors_of(path("whole/model.safetensors")))
        << training[11] << " " << training[12];
    EXPECT_TRUE(strays(out).empty());
    // Commands that read, killed too, leave the model as it is.
    for (const auto& reading : std::vector<std::vector<std::string>>{
             {"eval", out, text_},
             {"inspect", out, "--text", text_, "--out", path("inspection"), "--tokens", "200"}}) {
      killed(reading, random, usual);
      const Outcome again = run(reading);
      EXPECT_EQ(again.status, 0) << again.err;
    }
    const std::vector<std::string> comparison = {"compare",
                                                 "--data",
                                                 text_,
                                                 "--out",
                                                 path("comparison"),
                                                 "--valid-fraction",
                                                 "0.3",
                                                 "--vary",
                                                 "unit=glu,gtu",
                                                 "--seeds",
                                                 "1",
                                                 "--lr-grid",
                                                 "0.01",
                                                 "--layers",
                                                 "[(8,2)]",
                                                 "--batch",
                                                 "4",
                                                 "--context",
                                                 "16",
                                                 "--steps",
                                                 "4",
                                                 "--threads",
                                                 "1",
                                                 "--jobs",
                                                 "1"};
    if (round % 4 != 0) continue;
    killed(comparison, random, 2 * usual);
    const Outcome compared = run(comparison);
    EXPECT_EQ(compared.status, 0) << compared.err;
    killed({"report", path("comparison")}, random, usual);
    EXPECT_EQ(run({"report", path("comparison")}).status, 0);
    fs::remove_all(path("comparison"));
  }
  std::printf("[          ] %d kills\n", kills_);
}

}  // namespace
}  // namespace sluice::faults
