// sluice inspect from the command line.

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class InspectProgram : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", sample_text(400));
    const Outcome trained = run(tiny_training(text_, path("model"), {"--steps", "20"}));
    ASSERT_EQ(trained.status, 0) << trained.err;
  }
  std::string out() const { return path("out"); }
  std::vector<std::string> arguments(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"inspect", path("model"), "--text", text_, "--out", out()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome inspect(const std::vector<std::string>& more = {}) const { return run(arguments(more)); }
  std::string text_;
};

TEST_F(InspectProgram, PrintsTablesAndWritesFiles) {
  const Outcome outcome = inspect({"--tokens", "500"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* part : {"layers.0", "gate open", "lag", "context", "inspect.json"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
  }
  const json inspection = json::parse(read_file(out() + "/inspect.json"));
  EXPECT_EQ(inspection["probed_tokens"], 500);
  EXPECT_EQ(inspection["text"]["file"], text_);
  for (const char* name :
       {"layers.csv", "lags.csv", "context.csv", "surprisal.csv", "report.html"}) {
    EXPECT_TRUE(fs::exists(out() + "/" + name)) << name;
  }
  // An inspection may be replaced.
  ASSERT_EQ(inspect({"--tokens", "300"}).status, 0);
  EXPECT_EQ(json::parse(read_file(out() + "/inspect.json"))["probed_tokens"], 300);
}

TEST_F(InspectProgram, RefusesInOneSentence) {
  const auto refused = [&](const std::vector<std::string>& request, int status,
                           const std::string& part) {
    EXPECT_TRUE(complains(run(request), status, "inspect", part));
    EXPECT_FALSE(fs::exists(out())) << part;
  };
  const std::string model = path("model");
  refused({"inspect", path("none"), "--text", text_, "--out", out()}, 1, "none");
  refused({"inspect", model, "--text", path("none.txt"), "--out", out()}, 1, "none.txt");
  refused({"inspect", model, "--text", write("empty.txt", ""), "--out", out()}, 1, "empty.txt");
  refused({"inspect", model, "--text", write("nul.txt", std::string("a\0b", 3)), "--out", out()}, 1,
          "nul.txt");
  refused({"inspect", model, "--text", text_}, 2, "--out");
  refused({"inspect", model, "--out", out()}, 2, "--text");
  refused({"inspect", "--text", text_, "--out", out()}, 2, "MODEL");
  refused(arguments({"--tokens", "0"}), 2, "--tokens: expected at least 1, got 0");
  refused(arguments({"--tokens", "many"}), 2, "--tokens: expected a whole number, got 'many'");
  refused(arguments({"--token", "5"}), 2, "did you mean --tokens");
}

TEST_F(InspectProgram, ReplacesNothingButInspections) {
  fs::create_directories(out());
  std::ofstream(out() + "/precious.txt") << "precious";
  EXPECT_TRUE(complains(inspect(), 1, "inspect", "holds no inspection to replace"));
  EXPECT_EQ(read_file(out() + "/precious.txt"), "precious");
  EXPECT_TRUE(complains(run({"inspect", path("model"), "--text", text_, "--out", text_}), 1,
                        "inspect", "is not a directory"));
  EXPECT_TRUE(complains(run({"inspect", path("model"), "--text", text_, "--out", path("model")}), 1,
                        "inspect", "holds no inspection to replace"));
}

TEST_F(InspectProgram, ReplacesWhatAKilledOneLeft) {
  for (const char* left : {".lock", "inspect.json.tmp0123456789abcdef"}) {
    fs::remove_all(out());
    fs::create_directories(out());
    std::ofstream(out() + "/layers.csv") << "layer";
    EXPECT_TRUE(complains(inspect(), 1, "inspect", "holds no inspection to replace"));
    std::ofstream(out() + "/" + left) << "";
    const Outcome again = inspect({"--tokens", "100"});
    EXPECT_EQ(again.status, 0) << left << ": " << again.err;
    EXPECT_TRUE(fs::exists(out() + "/inspect.json")) << left;
  }
}

TEST_F(InspectProgram, AFullDiskKeepsTheEarlierInspection) {
  ASSERT_EQ(inspect({"--tokens", "100"}).status, 0);
  const std::string before = read_file(out() + "/inspect.json");
  EXPECT_TRUE(complains(run(arguments({"--tokens", "400"}), {.largest_file = 20000}), 1, "inspect",
                        "out/inspect.json"));
  EXPECT_EQ(read_file(out() + "/inspect.json"), before);
}

TEST_F(InspectProgram, CtrlCWritesNothing) {
  // More text than is read before the signal comes, by far.
  write("text.txt", sample_text(400'000));
  Process process(arguments({"--tokens", "100000000"}));
  while (!process.catches(SIGINT)) ASSERT_FALSE(process.ended_within(1));
  process.signal(SIGINT);
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("interrupted; nothing was written"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(out()));
}

}  // namespace
}  // namespace sluice::cli_test
