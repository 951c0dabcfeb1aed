// sluice import, and what is imported in use.

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;

const std::string golden = SLUICE_SOURCE_DIR "/tests/golden/import/";

using ImportProgram = ScratchTest;

TEST_F(ImportProgram, WhatIsImportedIsAModel) {
  const Outcome made = run(
      {"import", golden + "fconv.pt", "--dictionary", golden + "dict.txt", "--out", path("model")});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_NE(made.out.find("fairseq's fconv_lm: 8 layers of glu"), std::string::npos) << made.out;
  EXPECT_NE(made.out.find("neither made nor called: argparse.Namespace"), std::string::npos);
  const std::string text = write("text.txt", "word1 word2\nword3\nword0 word0 what\n");
  const Outcome eval = run({"eval", path("model"), text, "--json"});
  ASSERT_EQ(eval.status, 0) << eval.err;
  EXPECT_EQ(nlohmann::json::parse(eval.out)["oov"], 1);
  // A text line by line is scored as the whole is, but for what stands before a line.
  EXPECT_EQ(run({"score", path("model"), text}).status, 0);
  EXPECT_EQ(run({"generate", path("model"), "--tokens", "5"}).status, 0);
  EXPECT_TRUE(complains(run({"import", golden + "fconv.pt", "--dictionary", golden + "dict.txt",
                             "--out", path("model")}),
                        1, "import", path("model")));
}

TEST_F(ImportProgram, RefusesInASentence) {
  EXPECT_TRUE(complains(run({"import", golden + "fconv.pt", "--out", path("model")}), 2, "import",
                        "give its dictionary"));
  const std::string whole = read_file(golden + "fconv.pt");
  write("cut.pt", whole.substr(0, whole.size() / 2));
  EXPECT_TRUE(
      complains(run({"import", path("cut.pt"), "--out", path("model")}), 1, "import", "cut short"));
  EXPECT_TRUE(complains(run({"import", path("none"), "--out", path("model")}), 1, "import",
                        "No such file"));
  EXPECT_FALSE(fs::exists(path("model"))) << "nothing is left behind";
}

TEST_F(ImportProgram, ModelsWithAProjectionInFrontAreTrained) {
  const std::string text = write("text.txt", sample_text(200));
  const std::vector<std::string> more = {"--input-projection", "--steps", "30"};
  ASSERT_EQ(run(tiny_training(text, path("model"), more)).status, 0);
  const Outcome eval = run({"eval", path("model"), text, "--json"});
  ASSERT_EQ(eval.status, 0) << eval.err;
  EXPECT_NE(run({"info", path("model")}).out.find("input.weight_v"), std::string::npos);
}

}  // namespace
}  // namespace sluice::cli_test
