// What the program meets that nobody meant well: descriptors that are closed or full, links and
// pipes in the place of its files, files without end, damage, weights that are no numbers.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "program.hpp"
#include "sluice/base/file.hpp"
#include "support/eventually.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Whether the process has a file open whose name begins so.
bool has_open(const Process& process, const std::string& name) {
  std::error_code ignored;
  const fs::path all = "/proc/" + std::to_string(process.id()) + "/fd";
  for (auto file = fs::directory_iterator(all, ignored); file != fs::directory_iterator();
       file.increment(ignored)) {
    if (fs::read_symlink(file->path(), ignored).string().rfind(name, 0) == 0) return true;
  }
  return false;
}

class Hostile : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", sample_text(300));
    model_ = path("model");
  }
  std::vector<std::string> training(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"--steps", "3", "--overwrite"};
    all.insert(all.end(), more.begin(), more.end());
    return tiny_training(text_, model_, all);
  }
  void train() { ASSERT_EQ(run(training()).status, 0); }

  std::string text_;
  std::string model_;
};

/// At most three lines and 500 characters, and nothing that a terminal obeys.
::testing::AssertionResult is_message(const Outcome& outcome) {
  if (outcome.status != 1 && outcome.status != 2) {
    return ::testing::AssertionFailure() << "status " << outcome.status << ": " << outcome.err;
  }
  if (outcome.err.size() > 500 || outcome.err.empty() ||
      std::count(outcome.err.begin(), outcome.err.end(), '\n') > 3) {
    return ::testing::AssertionFailure() << outcome.err.size() << " bytes: " << outcome.err;
  }
  for (const char c : outcome.err) {
    if (c != '\n' && (static_cast<unsigned char>(c) < ' ' || c == 0x7f)) {
      return ::testing::AssertionFailure() << "control characters: " << outcome.err;
    }
  }
  return ::testing::AssertionSuccess();
}

TEST_F(Hostile, WhatCannotBeSaidOnStandardErrorFailsNothing) {
  EXPECT_EQ(run({"nosuch"}, {.error_file = "/dev/full"}).status, 2);
  EXPECT_EQ(run({"nosuch"}, {.closed = {2}}).status, 2);
  EXPECT_EQ(run(training(), {.error_file = "/dev/full"}).status, 0);
  EXPECT_EQ(run({"eval", model_, text_}, {.error_file = "/dev/full"}).status, 0);
  // Said once too often: the progress of a model that is asked to continue nothing.
  EXPECT_EQ(run({"generate", model_}, {.error_file = "/dev/full"}).status, 0);
}

TEST_F(Hostile, FilesOfARunDoNotGetWhatIsSaid) {
  EXPECT_EQ(run(training(), {.closed = {1}}).status, 0);
  const std::string lock = read_file(model_ + "/.lock");
  EXPECT_EQ(lock.find_first_not_of("0123456789"), std::string::npos) << lock;
  EXPECT_EQ(run(training(), {.closed = {0, 1, 2}}).status, 0);
  EXPECT_EQ(run({"info", model_}).status, 0);
}

TEST_F(Hostile, LinksAndPipesInPlaceOfAFileAreNotFollowed) {
  const std::string precious = write("precious", "precious");
  for (const char* name : {".lock", "config.json", "config.json.tmp", "checkpoint.safetensors",
                           "metrics.jsonl", "checkpoint.safetensors.tmp", "model.safetensors",
                           "tokenizer.json", "tokenizer.json.tmp", "metrics.jsonl.tmp", "cache"}) {
    for (const bool link : {true, false}) {
      fs::remove_all(model_);
      fs::create_directory(model_);
      const fs::path place = fs::path(model_) / name;
      if (link) {
        fs::create_symlink(precious, place);
      } else {
        ASSERT_EQ(::mkfifo(place.c_str(), 0600), 0);
      }
      Process process(training());
      ASSERT_TRUE(process.ends()) << name << " hangs";
      const Outcome outcome = process.wait();
      EXPECT_TRUE(outcome.status == 0 || is_message(outcome)) << name << ": " << outcome.err;
      EXPECT_EQ(read_file(precious), "precious") << name;
    }
  }
}

TEST_F(Hostile, ReadingDoesNotWaitForPipes) {
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors", "metrics.jsonl"}) {
    train();
    fs::remove(fs::path(model_) / name);
    ASSERT_EQ(::mkfifo((model_ + "/" + name).c_str(), 0600), 0);
    Process process({"info", model_});
    ASSERT_TRUE(process.ends()) << name << " hangs";
    EXPECT_TRUE(complains(process.wait(), 1, "info", "not a regular file"));
  }
}

TEST_F(Hostile, APipeIsNotReplacedByAFileAndIsRefusedBeforeAnythingIsRead) {
  train();
  const std::string pipe = path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"arpa", path("missing"), "--out", pipe},
           {"tasks", "copy", "--lines", "10", "--out", pipe},
           {"classify", path("missing"), text_, "--condition", "1", "--plot", pipe}}) {
    EXPECT_TRUE(complains(run(command), 1, command.front(), "it is a pipe, expected a file"));
    EXPECT_TRUE(fs::is_fifo(pipe)) << command.front();
  }
}

TEST_F(Hostile, AReportIsWrittenThroughNoLink) {
  train();
  const std::string out = path("inspection");
  ASSERT_EQ(run({"inspect", model_, "--text", text_, "--out", out, "--tokens", "100"}).status, 0);
  fs::create_directory(path("elsewhere"));
  write("elsewhere/mine.csv", "mine");
  fs::remove_all(out + "/report");
  fs::create_symlink(path("elsewhere"), out + "/report");
  EXPECT_TRUE(complains(run({"report", out}), 1, "report", "symbolic link"));
  EXPECT_EQ(read_file(path("elsewhere/mine.csv")), "mine");
  // Beside the report's own, a person's file stays.
  fs::remove(out + "/report");
  ASSERT_EQ(run({"report", out}).status, 0);
  write("inspection/report/mine.csv", "mine");
  ASSERT_EQ(run({"report", out}).status, 0);
  EXPECT_TRUE(fs::exists(out + "/report/mine.csv"));
}

TEST_F(Hostile, TextsWithoutAnEndAreNotReadToIt) {
  train();
  for (const char* command : {"eval", "score"}) {
    EXPECT_TRUE(complains(run({command, model_, "/dev/zero"}), 1, command, "it is a device"));
  }
  EXPECT_EQ(run({"score", model_, "/dev/null"}).status, 0);
  // Zeros from a pipe, as many as are taken.
  const std::string pipe = path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  Process process({"eval", model_, pipe});
  const int end = ::open(pipe.c_str(), O_WRONLY | O_CLOEXEC);
  std::signal(SIGPIPE, SIG_IGN);
  const std::string zeros(std::size_t{1} << 16, '\0');
  int written = 0;
  while (written < 1000 && ::write(end, zeros.data(), zeros.size()) > 0) ++written;
  ::close(end);
  EXPECT_LT(written, 1000) << "it took all that it was given";
  EXPECT_TRUE(complains(process.wait(), 1, "eval", "byte 0 is NUL"));
  // A line without an end.
  const std::string line = write("line", std::string((std::size_t{16} << 20) + 1, 'a'));
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"score", model_, line},
                                             {"rescore", model_, line, "--format", "kaldi"},
                                             {"tokenize", model_, line},
                                             {"next", model_, "a", "--candidates", line}}) {
    EXPECT_TRUE(complains(run(command), 1, command.front(), "a line is longer than"));
  }
}

TEST_F(Hostile, MessagesAreShortWhateverTheInput) {
  train();
  const std::string long_text(100'000, 'a');
  const std::string odd = "a\x1b[31m\n\xc2\x9b\xff";
  std::string words;
  for (int i = 0; i < 20'000; ++i) words += "ab \n";
  for (const std::string& text : {long_text, odd, words}) {
    const std::vector<std::vector<std::string>> calls = {
        {text},
        {"train", text},
        {"train", "--" + text},
        {"eval", text, text_},
        {"eval", model_, text},
        {"eval", model_, text_, "--threads", text},
        {"score", model_, text},
        {"info", text},
        {"report", text},
        {"claims", text},
        {"claims", "run", text, "--data", text_, "--out", path("o")},
        {"inspect", text, "--text", text_, "--out", path("o")},
        {"units", text},
        {"generate", model_, "--seed", text},
        {"compare", "--data", text_, "--out", path("o"), "--vary", text},
        {"compare", "--data", text_, "--out", path("o"), "--vary", "unit=" + text},
        {"train", "--data", text, "--out", path("o")},
        {"train", "--data", text_, "--out", path("o"), "--config", text},
        {"train", "--data", text_, "--out", path("o"), "--layers", text},
        {"train", "--data", text_, "--out", path("o"), "--unit", text},
        {"train", "--data", text_, "--out", path("o"), "--cutoffs", text},
        {"train", "--data", text_, "--out", path("o"), "--vocab", text}};
    for (const auto& call : calls) EXPECT_TRUE(is_message(run(call))) << call.front();
  }
}

TEST_F(Hostile, DeepAndEndlessJsonIsRefused) {
  train();
  std::string deep(100'000, '[');
  write("model/config.json", deep);
  EXPECT_TRUE(complains(run({"info", model_}), 1, "info", "nested deeper"));
  EXPECT_TRUE(
      is_message(run({"train", "--data", text_, "--out", path("o"), "--config", "/dev/zero"})));
  write("model/config.json", "[" + std::string(600'000, ',') + "]");
  EXPECT_TRUE(is_message(run({"info", model_})));
  std::string many = "[1";
  for (int i = 0; i < 300'000; ++i) many += ",1";
  write("model/config.json", many + "]");
  EXPECT_TRUE(complains(run({"info", model_}), 1, "info", "more than 250,000 values"));
}

/// Kilobytes that the largest child so far had in memory at once.
long most_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  return usage.ru_maxrss;
}

TEST_F(Hostile, RefusingFilesWithoutEndTakesLittleMemory) {
  train();
  const std::string copy = path("copy");
  EXPECT_EQ(run({"info", model_}).status, 0);
  const long usual = most_memory();
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors", "metrics.jsonl"}) {
    fs::remove_all(copy);
    fs::copy(model_, copy, fs::copy_options::recursive);
    fs::resize_file(fs::path(copy) / name, std::uintmax_t{200} << 30);
    EXPECT_TRUE(is_message(run({"info", copy}))) << name;
  }
  // A header of half a million tensors without elements.
  std::string header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}";
  for (int i = 0; i < 200'000; ++i) {
    header +=
        ",\"" + std::to_string(i) + "\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}";
  }
  header += "}";
  const std::uint64_t size = header.size();
  std::string file(reinterpret_cast<const char*>(&size), sizeof size);
  fs::remove_all(copy);
  fs::copy(model_, copy, fs::copy_options::recursive);
  write("copy/model.safetensors", file + header);
  EXPECT_TRUE(is_message(run({"info", copy})));
  for (const char* name : {"results.json", "inspect.json", "claims.json"}) {
    fs::remove_all(copy);
    fs::create_directory(copy);
    write(std::string("copy/") + name, "");
    fs::resize_file(fs::path(copy) / name, std::uintmax_t{200} << 30);
    EXPECT_TRUE(is_message(run({"report", copy}))) << name;
  }
  EXPECT_LT(most_memory() - usual, 64 << 10) << usual << " kB are usual";
}

TEST_F(Hostile, RefusingOneLongNumberOrStringTakesLittleMemory) {
  train();
  const std::string copy = path("copy");
  ASSERT_EQ(run({"score", model_, text_}).status, 0);
  const long usual = most_memory();
  // Written in parts: a child counts the memory of this program at its start.
  const auto write_long = [&](const std::string& name, const std::string& before, char fill,
                              std::size_t megabytes, const std::string& after) {
    std::ofstream file(path(name), std::ios::binary);
    file << before;
    for (std::size_t i = 0; i < megabytes; ++i) file << std::string(1'000'000, fill);
    file << after;
  };
  const auto refuses = [&](const std::string& name, const std::string& before, char fill,
                           std::size_t megabytes, const std::string& after) {
    fs::remove_all(copy);
    fs::copy(model_, copy, fs::copy_options::recursive);
    write_long("copy/" + name, before, fill, megabytes, after);
    const Outcome outcome = run({"info", copy});
    EXPECT_TRUE(is_message(outcome)) << name;
    EXPECT_NE(outcome.err.find("is longer than"), std::string::npos) << outcome.err;
  };
  const auto header = [](std::uint64_t size) {
    return std::string(reinterpret_cast<const char*>(&size), sizeof size);
  };
  refuses("tokenizer.json", "\"", 'a', 200, "\"");
  refuses("tokenizer.json", "[", '1', 60, "]");
  refuses("tokenizer.json", R"({"model":{"vocab":{")", 'a', 60, R"(":0}}})");
  refuses("config.json", R"({"format_version":)", '1', 15, "}");
  refuses("config.json", R"({"format_version":1,"model":{"unit":")", 'a', 15, "\"}}");
  refuses("model.safetensors", header(15'000'006) + R"({"a":)", '1', 15, "}");
  refuses("model.safetensors", header(15'000'007) + "{\"", 'a', 15, R"(":{}})");
  for (const bool number : {true, false}) {
    write_long("list", number ? R"({"text":)" : R"({"text":")", number ? '1' : 'a', 15,
               number ? "}\n" : "\\x\"}\n");
    const Outcome outcome = run({"score", model_, path("list"), "--format", "jsonl"});
    EXPECT_EQ(outcome.status, 1) << outcome.err;
    EXPECT_NE(outcome.err.find("line 1, column "), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.find("line 1, line"), std::string::npos) << outcome.err;
  }
  EXPECT_LT(most_memory() - usual, 64 << 10) << usual << " kB are usual";
}

TEST_F(Hostile, ATextThatBecomesShorterWhileItIsReadIsAnError) {
  // Large enough to be read for a while.
  std::string text = sample_text(3000);
  for (int i = 0; i < 6; ++i) text += text;
  const std::string large = write("large.txt", text);
  train();
  // From the moment it is opened on later and later, until it is met while it is read.
  bool caught = false;
  double delay = 0;
  for (const auto until = std::chrono::steady_clock::now() + patience;
       !caught && std::chrono::steady_clock::now() < until; delay = 1.3 * delay + 1) {
    fs::remove_all(path("o"));
    write("large.txt", text);
    Process process(tiny_training(large, path("o"), {"--steps", "100000"}));
    if (!eventually([&] { return has_open(process, large) || process.ended_within(0); })) break;
    std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(delay));
    fs::resize_file(large, 10);
    if (fs::exists(path("o/cache"))) {
      for (const auto& file : fs::directory_iterator(path("o/cache"))) {
        std::error_code ignored;
        fs::resize_file(file.path(), 10, ignored);
      }
    }
    // Whoever trains has read all.
    const auto trains = [&] { return fs::exists(path("o/metrics.jsonl")); };
    eventually([&] { return trains() || process.ended_within(0); });
    process.signal(SIGINT);
    const Outcome outcome = process.wait();
    if (outcome.status == 130 || outcome.status == 0) {
      delay = 0;
      continue;
    }
    EXPECT_TRUE(is_message(outcome));
    caught = outcome.err.find("became shorter") != std::string::npos ||
             outcome.err.find("changed while in use") != std::string::npos;
  }
  EXPECT_TRUE(caught);
  EXPECT_EQ(run({"info", model_}).status, 0);
}

TEST_F(Hostile, AFileThatMayNotGrowIsAnError) {
  const Outcome outcome = run(training(), {.large_files_kill = true, .largest_file = 3000});
  EXPECT_TRUE(complains(outcome, 1, "train", "File too large"));
  EXPECT_FALSE(fs::exists(model_)) << "nothing had begun";
}

TEST_F(Hostile, WeightsThatAreNoNumbersAreRefusedByAll) {
  train();
  const std::string file = model_ + "/model.safetensors";
  std::string bytes = read_file(file);
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  json header = json::parse(bytes.substr(sizeof size, size));
  header["__metadata__"].erase("xxh3_64");
  header["__metadata__"].erase("header_xxh3_64");
  const std::string text = header.dump();
  const std::uint64_t length = text.size();
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    std::string data = bytes.substr(sizeof size + size);
    std::memcpy(data.data() + data.size() - sizeof bad, &bad, sizeof bad);
    write("model/model.safetensors",
          std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data);
    const std::string out = path("o");
    for (const auto& call : std::vector<std::vector<std::string>>{
             {"eval", model_, text_},
             {"score", model_, text_},
             {"generate", model_},
             {"info", model_},
             {"inspect", model_, "--text", text_, "--out", out}}) {
      EXPECT_TRUE(complains(run(call), 1, call.front(), "not finite"));
    }
  }
}

TEST_F(Hostile, FilesOfAnotherModelAreNamed) {
  train();
  json config = json::parse(read_file(model_ + "/config.json"));
  const json model = config["model"];
  config["model"]["unit"] = "gtu";  // as many parameters
  write("model/config.json", config.dump());
  EXPECT_TRUE(complains(run({"eval", model_, text_}), 1, "eval", "unit is \"gtu\""));
  config["model"] = model;
  config["model"]["dropout"] = 0.5;  // no part of what the model computes
  write("model/config.json", config.dump());
  EXPECT_EQ(run({"eval", model_, text_}).status, 0);

  std::string tokenizer = read_file(model_ + "/tokenizer.json");
  const std::size_t cat = tokenizer.find("cat");
  const std::size_t dog = tokenizer.find("dog");
  ASSERT_TRUE(cat != std::string::npos && dog != std::string::npos);
  tokenizer += "\n";
  write("model/tokenizer.json", tokenizer);
  EXPECT_TRUE(complains(run({"eval", model_, text_}), 1, "eval", "tokenizer.json is not"));
}

TEST_F(Hostile, AChangedConfigurationOfARunIsNamed) {
  ASSERT_EQ(run(training({"--checkpoint-every", "1"})).status, 0);
  json config = json::parse(read_file(model_ + "/config.json"));
  const std::vector<std::string> resume = {"train", "--resume", "--out", model_, "--steps", "4"};
  Outcome outcome = run(resume);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out.find("is not what it was"), std::string::npos) << outcome.out;
  config["training"]["lr"] = 0.5;
  write("model/config.json", config.dump());
  outcome = run({"train", "--resume", "--out", model_, "--steps", "5"});
  EXPECT_NE(outcome.out.find("config.json' is not what it was"), std::string::npos) << outcome.out;
}

TEST_F(Hostile, BadLinesOfAHistoryAreNamedAndTheRestIsKept) {
  train();
  const std::string file = model_ + "/metrics.jsonl";
  write("model/metrics.jsonl",
        "{\"event\": 5}\n" + std::string(100'000, 'x') + "\n" + read_file(file));
  const Outcome outcome = run({"info", model_});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.err.find("line 1: 'event'"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("line 2: longer than 4096 bytes"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.out.find("step 3"), std::string::npos) << outcome.out;
}

TEST_F(Hostile, NothingIsLeftOfAnInterruptedEvaluation) {
  train();
  std::string text = sample_text(3000);
  for (int i = 0; i < 6; ++i) text += text;
  const std::string large = write("large.txt", text);
  fs::create_directory(path("tmp"));
  for (const int signal : {SIGINT, SIGTERM, SIGKILL}) {
    Process process({"eval", model_, large}, {.environment = {"TMPDIR=" + path("tmp")}});
    ASSERT_TRUE(eventually(
        [&] { return has_open(process, path("tmp") + "/") || process.ended_within(0); }));
    ASSERT_FALSE(process.ended_within(0)) << "there was no such file";
    process.signal(signal);
    process.wait();
    EXPECT_TRUE(fs::is_empty(path("tmp"))) << signal;
  }
}

TEST_F(Hostile, ARunKilledBeforeItBeganIsStartedAnew) {
  // What such a run leaves.
  fs::create_directories(model_ + "/cache");
  write("model/.lock", "1");
  write("model/config.json", "{}");
  write("model/tokenizer.json", "{}");
  write("model/checkpoint.safetensors.tmp0123456789abcdef", "half");
  EXPECT_TRUE(complains(run({"train", "--resume", "--out", model_}), 1, "train", "no checkpoint"));
  EXPECT_EQ(run(tiny_training(text_, model_, {"--steps", "3"})).status, 0);
  EXPECT_FALSE(fs::exists(model_ + "/checkpoint.safetensors.tmp0123456789abcdef"));
  // Anything else is somebody's, a tokenizer by itself too.
  fs::create_directory(path("mine"));
  write("mine/tokenizer.json", "{}");
  EXPECT_TRUE(complains(run(tiny_training(text_, path("mine"))), 1, "train", "exists already"));
  fs::remove(model_ + "/checkpoint.safetensors");
  const Outcome outcome = run(tiny_training(text_, model_, {"--steps", "3"}));
  EXPECT_TRUE(complains(outcome, 1, "train", "exists already; give --overwrite"));
  EXPECT_EQ(outcome.err.find("--resume"), std::string::npos);
}

}  // namespace
}  // namespace sluice::cli_test
