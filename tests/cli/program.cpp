#include "program.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "sluice/base/file.hpp"
#include "support/eventually.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;

fs::path make_scratch() {
  std::string name = (fs::temp_directory_path() / "sluice-cli-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  return name;
}

void redirect(int descriptor, const std::string& file, int flags) {
  const int opened = ::open(file.c_str(), flags, 0666);
  if (opened < 0 || ::dup2(opened, descriptor) < 0) _exit(99);
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const ProcessOptions& options)
    : scratch_(make_scratch()) {
  std::ofstream(scratch_ / "in") << options.input;
  const std::string output =
      options.output_file.empty() ? (scratch_ / "out").string() : options.output_file;
  std::vector<std::string> all = {"sluice"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int binary = ::open(options.program.empty() ? SLUICE_BINARY : options.program.c_str(),
                            O_RDONLY | O_CLOEXEC);

  pid_ = ::fork();
  if (pid_ != 0) {
    ::close(binary);
    return;
  }
  redirect(STDIN_FILENO, (scratch_ / "in").string(), O_RDONLY);
  redirect(STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_TRUNC);
  redirect(STDERR_FILENO,
           options.error_file.empty() ? (scratch_ / "err").string() : options.error_file,
           O_WRONLY | O_CREAT | O_TRUNC);
  for (const int descriptor : options.closed) ::close(descriptor);
  for (const std::string& setting : options.environment) ::putenv(strdup(setting.c_str()));
  if (options.largest_file > 0) {
    const rlimit limit{options.largest_file, options.largest_file};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    if (!options.large_files_kill) std::signal(SIGXFSZ, SIG_IGN);
  }
  if (options.address_space > 0) {
    const rlimit limit{options.address_space, options.address_space};
    ::setrlimit(RLIMIT_AS, &limit);
  }
  constexpr uid_t nobody = 65534;
  if (options.as_nobody && ::geteuid() == 0 && ::setresuid(nobody, nobody, nobody) != 0) _exit(99);
  ::fexecve(binary, argv.data(), environ);
  _exit(99);
}

Process::~Process() {
  if (!ended_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status_, 0);
  }
  std::error_code ignored;
  fs::remove_all(scratch_, ignored);
}

void Process::signal(int number) const { ::kill(pid_, number); }

bool Process::ended_within(int milliseconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  while (!ended_) {
    ended_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
    if (ended_ || std::chrono::steady_clock::now() >= until) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return ended_;
}

bool Process::ends() {
  return eventually([&] { return ended_within(0); });
}

namespace {

/// Whether the line of `file` that begins with `name`, a set of signals, has the signal.
bool has_signal(const fs::path& file, const std::string& name, int number) {
  std::ifstream status(file);
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(name)) continue;
    return (std::stoull(line.substr(name.size()), nullptr, 16) >> (number - 1) & 1U) != 0;
  }
  return false;
}

}  // namespace

bool Process::catches(int number) const {
  return has_signal(fs::path("/proc") / std::to_string(pid_) / "status", "SigCgt:", number);
}

std::vector<pid_t> Process::reached_by(int number) const {
  std::vector<pid_t> threads;
  for (const fs::directory_entry& task :
       fs::directory_iterator(fs::path("/proc") / std::to_string(pid_) / "task")) {
    if (has_signal(task.path() / "status", "SigBlk:", number)) continue;
    threads.push_back(std::stoi(task.path().filename().string()));
  }
  return threads;
}

Outcome Process::wait() {
  if (!ended_) ::waitpid(pid_, &status_, 0);
  ended_ = true;
  Outcome outcome;
  outcome.status = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  if (fs::exists(scratch_ / "out")) outcome.out = read_file(scratch_ / "out");
  if (fs::exists(scratch_ / "err")) outcome.err = read_file(scratch_ / "err");
  return outcome;
}

Outcome run(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  return Process(arguments, options).wait();
}

void interrupt_first_run(const std::vector<std::string>& arguments, const std::string& out) {
  Process process(arguments);
  const fs::path runs = fs::path(out) / "runs";
  const auto has_checkpoint = [&runs] {
    return fs::exists(runs) &&
           std::any_of(fs::directory_iterator(runs), fs::directory_iterator(),
                       [](const fs::directory_entry& run) {
                         return fs::exists(run.path() / "checkpoint.safetensors");
                       });
  };
  while (!has_checkpoint()) ASSERT_FALSE(process.ended_within(5));
  process.signal(SIGINT);
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_NE(outcome.out.find("the same command continues"), std::string::npos) << outcome.out;
  const fs::path only = fs::directory_iterator(runs)->path();
  EXPECT_TRUE(fs::exists(only / "checkpoint.safetensors"));
  EXPECT_FALSE(fs::exists(only / "run.json"));
}

::testing::AssertionResult complains(const Outcome& outcome, int status, const std::string& command,
                                     const std::string& part) {
  const auto fault = [&](const char* what) {
    return ::testing::AssertionFailure()
           << what << ": status " << outcome.status << ", standard error:\n"
           << outcome.err;
  };
  const std::string start = command.empty() ? "sluice: " : "sluice " + command + ": ";
  if (outcome.status != status) return fault("wrong status");
  if (std::count(outcome.err.begin(), outcome.err.end(), '\n') != 1) return fault("not one line");
  if (!outcome.err.starts_with(start)) return fault("does not say who complains");
  if (outcome.err.find(part) == std::string::npos) {
    return fault(("does not mention " + part).c_str());
  }
  return ::testing::AssertionSuccess();
}

void ScratchTest::SetUp() {
  directory_ = make_scratch();
  fs::permissions(directory_, fs::perms::all);
}

void ScratchTest::TearDown() { fs::remove_all(directory_); }

std::string ScratchTest::write(const std::string& name, const std::string& text) const {
  std::ofstream(directory_ / name, std::ios::binary) << text;
  return path(name);
}

std::string sample_text(int lines) {
  const std::array<const char*, 4> who = {"the cat", "the dog", "a bird", "the old man"};
  const std::array<const char*, 4> does = {"sat on", "saw", "ran to", "slept by"};
  const std::array<const char*, 5> what = {"the mat .", "the log .", "a tree .", "the sea .",
                                           "the door ."};
  std::string text;
  std::size_t state = 1;
  for (int i = 0; i < lines; ++i) {
    state = state * 1103515245 + 12345;
    text += who[(state >> 16) % who.size()];
    text += ' ';
    text += does[(state >> 20) % does.size()];
    text += ' ';
    text += what[(state >> 24) % what.size()];
    text += '\n';
  }
  return text;
}

std::vector<std::string> tiny_training(const std::string& data, const std::string& out,
                                       const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {
      "train",      "--data",      data, "--out",     out,  "--layers",
      "[(16,3)]*2", "--batch",     "4",  "--context", "16", "--tokenizer",
      "word",       "--min-count", "1",  "--threads", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace sluice::cli_test
