// Every bit of every file of small models, flipped: the model is refused, or computes what it did.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/program.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/random.hpp"
#include "sluice/inference/calibration.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/score.hpp"

namespace sluice::faults {
namespace {

namespace fs = std::filesystem;

class BitFlips : public cli_test::ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", cli_test::sample_text(300));
  }
  /// Flips the bits of the model's files.
  void flip(const std::string& model, std::uint64_t seed) const;

  std::string text_;
};

/// What the model says of a few lines, and how far its classification is believed, to the last bit.
std::vector<double> scores(const std::string& directory) {
  const LoadedFrozenModel loaded = load_frozen_model(directory, {});
  std::vector<double> all;
  const std::vector<std::string> lines = {"the cat sat on the mat .", "a dog", "\xc3\xa9 x"};
  for (const LineScore& score : score_lines(*loaded.model, *loaded.tokenizer, lines)) {
    all.push_back(score.log_probability);
  }
  all.push_back(read_calibration(ModelDirectory(directory)).temperature);
  return all;
}

/// Writes over what is there, without the file being made anew.
void replace(const std::string& file, const std::string& bytes) {
  std::FILE* const out = std::fopen(file.c_str(), "r+b");
  ASSERT_NE(out, nullptr);
  std::fwrite(bytes.data(), 1, bytes.size(), out);
  std::fclose(out);
}

void BitFlips::flip(const std::string& model, std::uint64_t seed) const {
  const bool all = std::getenv("SLUICE_EXHAUSTIVE") != nullptr;
  constexpr std::size_t sample = 60;
  const std::vector<double> before = scores(model);
  std::int64_t flips = 0;
  std::int64_t refused = 0;
  for (const auto& entry : fs::directory_iterator(model)) {
    if (!entry.is_regular_file()) continue;
    const std::string file = entry.path().string();
    const std::string whole = read_file(file);
    const std::size_t bits = 8 * whole.size();
    const std::size_t step = all ? 1 : std::max<std::size_t>(1, bits / sample);
    const RandomKey key{seed, 0, 0};
    for (std::size_t begin = 0; begin < bits; begin += step) {
      const std::size_t bit = std::min(bits - 1, begin + key.bits(begin) % step);
      std::string flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      replace(file, flipped);
      ++flips;
      try {
        EXPECT_EQ(scores(model), before) << file << ", bit " << bit;
      } catch (const Error&) {
        ++refused;
      }
    }
    replace(file, whole);
  }
  EXPECT_EQ(scores(model), before);
  std::printf("[          ] %s: %lld flips, %lld refused, the others without effect\n",
              fs::path(model).filename().c_str(), static_cast<long long>(flips),
              static_cast<long long>(refused));
}

TEST_F(BitFlips, AreRefusedOrWithoutEffect) {
  const std::vector<std::vector<std::string>> models = {
      {"--tokenizer", "bpe", "--vocab", "280"},
      {"--tokenizer", "char", "--norm", "none"},
      {"--tokenizer", "word", "--arch", "lstm", "--hidden", "6", "--depth", "1", "--dim", "6"},
      {"--tokenizer", "unigram", "--vocab", "280", "--arch", "transformer", "--dim", "8", "--depth",
       "1", "--heads", "2", "--window", "8"},
      {"--tokenizer", "byte", "--tie", "--layers", "[(4,2)]", "--dim", "4"}};
  for (std::size_t m = 0; m < models.size(); ++m) {
    const std::string model = path("model" + std::to_string(m));
    std::vector<std::string> arguments = {"train",   "--data",    text_,     "--out", model,
                                          "--steps", "4",         "--batch", "4",     "--context",
                                          "16",      "--threads", "1"};
    arguments.insert(arguments.end(), models[m].begin(), models[m].end());
    if (m < 2) arguments.insert(arguments.end(), {"--layers", "[(4,2)]*2", "--dim", "4"});
    const cli_test::Outcome trained = cli_test::run(arguments);
    ASSERT_EQ(trained.status, 0) << trained.err;
    if (m == 0) write_calibration(ModelDirectory(model), {.temperature = 2.5, .lines = 77});
    flip(model, m);
    if (m > 0) continue;
    const std::string runtime = path("runtime");
    const cli_test::Outcome made = cli_test::run({"quantize", model, "--out", runtime});
    ASSERT_EQ(made.status, 0) << made.err;
    flip(runtime, models.size());
  }
}

}  // namespace
}  // namespace sluice::faults
