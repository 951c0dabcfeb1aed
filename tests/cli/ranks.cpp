#include "ranks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "sluice/base/file.hpp"
#include "support/eventually.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;

constexpr const char* mpirun = "/usr/bin/mpirun";

}  // namespace

void Ranks::SetUp() {
  ScratchTest::SetUp();
  if (!fs::exists(mpirun) || !fs::exists(SLUICE_MPI_MODULE)) {
    ASSERT_EQ(std::getenv("SLUICE_REQUIRE_MPI"), nullptr) << "MPI is missing";
    GTEST_SKIP() << "no mpirun, or built without MPI: ./dev setup mpi installs both";
  }
  text_ = write("text.txt", sample_text(400));
}

ProcessOptions Ranks::options(int grace) {
  return {.environment = {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                          "OMPI_MCA_odls_base_sigkill_timeout=" + std::to_string(grace),
                          "OMPI_MCA_rmaps_base_oversubscribe=1", "OMP_WAIT_POLICY=passive",
                          "OMPI_MCA_hwloc_base_binding_policy=none"},
          .program = mpirun};
}

std::vector<std::string> Ranks::on(int ranks, const std::vector<std::string>& command) {
  std::vector<std::string> all{"--quiet", "-n", std::to_string(ranks), SLUICE_BINARY};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

std::vector<std::string> Ranks::beside(const std::vector<std::string>& first,
                                       const std::vector<std::string>& second) {
  std::vector<std::string> all = on(1, first);
  all.insert(all.end(), {":", "-n", "1", SLUICE_BINARY});
  all.insert(all.end(), second.begin(), second.end());
  return all;
}

Outcome Ranks::run_on(int ranks, const std::vector<std::string>& command) {
  return run(on(ranks, command), options());
}

std::vector<std::string> Ranks::six(const std::string& out,
                                    const std::vector<std::string>& more) const {
  std::vector<std::string> all = {
      "train", "--data",    text_, "--out",       path(out), "--batch",      "1", "--context",
      "8",     "--threads", "1",   "--log-every", "4",       "--accumulate", "6"};
  all.insert(all.end(), more.begin(), more.end());
  const auto has = [&](const char* flag) {
    return std::find(all.begin(), all.end(), flag) != all.end();
  };
  if (!has("--arch") && !has("--layers")) {
    all.insert(all.end(), {"--layers", "[(16,3)]*2", "--dim", "16"});
  }
  return all;
}

void Ranks::await_training(Process& job) const {
  const auto trains = [&] { return fs::exists(path("out") + "/metrics.jsonl"); };
  ASSERT_TRUE(eventually([&] { return trains() || job.ended_within(0); }));
  ASSERT_FALSE(job.ended_within(0));
}

int Ranks::signal_rank(int rank, int number) const {
  int found = 0;
  for (const auto& process : fs::directory_iterator("/proc")) {
    const auto all_of = [&](const char* name) {
      std::ifstream file(process.path() / name);
      return std::string((std::istreambuf_iterator<char>(file)), {});
    };
    const std::string variable = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
    if (all_of("environ").find(variable) == std::string::npos ||
        all_of("cmdline").find(path("out")) == std::string::npos) {
      continue;
    }
    ::kill(std::stoi(process.path().filename()), number);
    ++found;
  }
  return found;
}

std::int64_t Ranks::saved_step(const std::string& out) const {
  const std::string bytes = read_file(path(out) + "/checkpoint.safetensors");
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  const auto header = nlohmann::json::parse(bytes.substr(sizeof size, size));
  const std::string training = header.at("__metadata__").at("training");
  return nlohmann::json::parse(training).at("step");
}

void Ranks::expect_same(const std::string& a, const std::string& b) const {
  EXPECT_EQ(read_file(path(a) + "/model.safetensors"), read_file(path(b) + "/model.safetensors"));
  EXPECT_EQ(lines_of(a), lines_of(b));
}

std::vector<nlohmann::json> Ranks::lines_of(const std::string& out) const {
  std::ifstream file(path(out) + "/metrics.jsonl");
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back(nlohmann::json::parse(line));
    for (const char* timed : {"seconds", "tokens_per_second", "check"}) lines.back().erase(timed);
  }
  return lines;
}

std::vector<Outcome> Ranks::train_on_any_number(const std::string& name,
                                                const std::vector<std::string>& flags) const {
  EXPECT_EQ(run(six("one" + name, flags)).status, 0);
  std::vector<Outcome> outcomes;
  for (const int ranks : {2, 3}) {
    const std::string out = name + "on" + std::to_string(ranks);
    outcomes.push_back(run_on(ranks, six(out, flags)));
    EXPECT_EQ(outcomes.back().status, 0) << outcomes.back().err << outcomes.back().out;
    expect_same("one" + name, out);
  }
  return outcomes;
}

std::string written(const Outcome& outcome, int status) {
  EXPECT_EQ(outcome.status, status) << outcome.err;
  return outcome.out;
}

}  // namespace sluice::cli_test
