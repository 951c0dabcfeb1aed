// kill -9 at random moments, and disks that fill up.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <thread>

#include "sluice/base/error.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

constexpr const char* child_variable = "SLUICE_TEST_TRAIN_DIRECTORY";

TrainConfig long_training() {
  TrainConfig config = tiny_training();
  config.steps = 200;
  config.validate_every = 17;
  config.checkpoint_every = 5;
  return config;
}

/// Trains in a process of its own: this program again (a fork without exec would inherit an OpenMP
/// pool whose threads are gone), told by the environment to be the child.
pid_t start_child(const std::filesystem::path& directory) {
  const pid_t child = fork();
  if (child != 0) return child;
  setenv(child_variable, directory.c_str(), 1);
  execl("/proc/self/exe", "training_test", "--gtest_filter=Crash.Child", "--gtest_brief=1",
        static_cast<char*>(nullptr));
  _exit(127);
}

TEST(Crash, Child) {
  const char* directory = std::getenv(child_variable);
  if (directory == nullptr) return;  // only the next test's children have work
  TrainOptions options;
  options.resume =
      std::filesystem::exists(std::filesystem::path(directory) / "checkpoint.safetensors");
  run(directory, long_training(), options);
}

TEST(Crash, KilledAtTwentyRandomMomentsTheRunEndsTheSame) {
  const Directory whole;
  const auto start = std::chrono::steady_clock::now();
  int status = 0;
  ASSERT_EQ(waitpid(start_child(whole.path()), &status, 0) > 0, true);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  const auto span = std::chrono::steady_clock::now() - start;

  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> moment(0.0, 1.0);
  int kills = 0;
  int runs = 0;
  while (kills < 20) {
    const Directory directory;
    for (bool finished = false; !finished;) {
      const pid_t child = start_child(directory.path());
      if (kills < 20) {
        std::this_thread::sleep_for(span * moment(random));
        kill(child, SIGKILL);
      }
      ASSERT_GT(waitpid(child, &status, 0), 0);
      if (WIFSIGNALED(status)) {
        ASSERT_EQ(WTERMSIG(status), SIGKILL);
        ++kills;
      } else {
        ASSERT_EQ(WEXITSTATUS(status), 0);
        finished = true;
      }
    }
    ++runs;
    expect_same_run(whole.path(), directory.path());
  }
  RecordProperty("runs", runs);
}

/// While it lives, this process cannot write files beyond `bytes`: like a disk that is full.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    previous_ = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &saved_);
    const rlimit limit{bytes, saved_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &saved_);
    signal(SIGXFSZ, previous_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit saved_{};
  sighandler_t previous_ = SIG_DFL;
};

/// Trains in `directory` until a file cannot grow beyond `bytes`, from step `from` on; the error.
std::string train_on_full_disk(const std::filesystem::path& directory, std::int64_t from,
                               rlim_t bytes) {
  std::unique_ptr<FullDisk> full;
  TrainOptions options;
  options.callbacks.stepped = [&](const TrainProgress& progress) {
    if (progress.step == from) full = std::make_unique<FullDisk>(bytes);
  };
  try {
    run(directory, tiny_training(), options);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Crash, AFullDiskLeavesThePreviousCheckpoint) {
  const Directory whole;
  run(whole.path(), tiny_training());
  // Room for the metrics but not for a checkpoint, and room for nothing (half a line of metrics).
  for (const rlim_t bytes : {rlim_t{5000}, rlim_t{300}}) {
    const Directory directory;
    const std::string message = train_on_full_disk(directory.path(), 12, bytes);
    EXPECT_NE(message.find(directory.path().string()), std::string::npos) << message;
    EXPECT_EQ(read_checkpoint_state(directory / "checkpoint.safetensors").step, 10);
    for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
      const std::string name = entry.path().filename().string();
      EXPECT_TRUE(name == "checkpoint.safetensors" || name == "model.safetensors" ||
                  name == "metrics.jsonl")
          << name << " was left behind";
    }
    const std::string metrics = read_file(directory / "metrics.jsonl");
    EXPECT_EQ(metrics.back(), '\n');
    TrainOptions options;
    options.resume = true;
    run(directory.path(), tiny_training(), options);
    expect_same_run(whole.path(), directory.path());
  }
}

}  // namespace
}  // namespace sluice::training_test
