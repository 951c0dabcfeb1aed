// One process, and what launchers say. Several are in tests/cli/ranks_test.cpp, under mpirun.
#include "sluice/comm/communicator.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>

namespace sluice {
namespace {

TEST(Communicator, OfOneProcess) {
  Communicator alone;
  EXPECT_TRUE(alone.alone());
  EXPECT_TRUE(alone.leads());
  EXPECT_EQ(alone.size(), 1);
  EXPECT_EQ(alone.local_size(), 1);
  EXPECT_EQ(alone.title(0).rfind("rank 0 on ", 0), 0U);
  EXPECT_EQ(alone.all_gather("mine"), std::vector<std::string>{"mine"});
  EXPECT_EQ(alone.broadcast("mine"), "mine");
  EXPECT_EQ(alone.gather(2.5), std::vector<double>{2.5});
  alone.barrier();
  alone.check_same({{"model", "a"}});
  EXPECT_EQ(alone.collect("mine"), std::vector<std::string>{"mine"});
  const std::vector<std::string> parts{"a part"};
  EXPECT_EQ(alone.scatter(parts).part, "a part");
  EXPECT_EQ(alone.scatter({}).parts, 0);

  std::vector<std::byte> from(3, std::byte{7}), to(3);
  const std::vector<std::size_t> counts{3};
  std::future<void> work =
      alone.post([&](Collectives& with) { with.all_to_all(from, counts, to, counts); });
  alone.wait(work);
  EXPECT_EQ(to, from);
  from = {std::byte{1}, std::byte{2}, std::byte{3}};
  to.resize(1);
  const std::vector<std::size_t> one{1};
  const std::vector<Collectives::Part> last{{.offset = 2, .size = 1}};
  work = alone.post([&](Collectives& with) { with.all_to_all(from, last, to, one); });
  alone.wait(work);
  EXPECT_EQ(to[0], std::byte{3});
  std::future<void> failing = alone.post([](Collectives&) { throw std::runtime_error("no"); });
  EXPECT_THROW(alone.wait(failing), std::runtime_error);
  EXPECT_FALSE(alone.first_failed());
  alone.close();
}

TEST(Communicator, IsLaunchedWhenALauncherSaysThereAreSeveral) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_SIZE", "PMI_RANK",
                           "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}) {
    unsetenv(name);
  }
  EXPECT_FALSE(Communicator::launched());
  EXPECT_EQ(Communicator::launched_rank(), 0);
  setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
  EXPECT_FALSE(Communicator::launched()) << "one process needs no MPI";
  setenv("PMI_SIZE", "3", 1);
  setenv("PMI_RANK", "2", 1);
  EXPECT_TRUE(Communicator::launched());
  EXPECT_EQ(Communicator::launched_rank(), 2);
}

TEST(Communicator, WhatNoLauncherSaysIsRefused) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_SIZE", "PMI_RANK",
                           "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}) {
    unsetenv(name);
  }
  const auto fault = [](const char* size, const char* rank) -> std::string {
    setenv("SLURM_STEP_NUM_TASKS", size, 1);
    rank == nullptr ? unsetenv("SLURM_PROCID") : setenv("SLURM_PROCID", rank, 1);
    try {
      static_cast<void>(Communicator::launched());
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(fault("4", "3"), "");
  EXPECT_EQ(fault("", nullptr), "");
  for (const char* size : {"99999999999999", "-1", "0", "4x", " 4", "0x10"}) {
    EXPECT_NE(fault(size, "0").find("SLURM_STEP_NUM_TASKS is '"), std::string::npos) << size;
  }
  for (const char* rank : {"-5", "4", "99999999999999", "one", "1 "}) {
    EXPECT_NE(fault("4", rank).find("SLURM_PROCID is '"), std::string::npos) << rank;
  }
  EXPECT_NE(fault("4", nullptr).find("SLURM_STEP_NUM_TASKS without SLURM_PROCID"),
            std::string::npos);
  unsetenv("SLURM_STEP_NUM_TASKS");
  unsetenv("SLURM_PROCID");
}

}  // namespace
}  // namespace sluice
