// sluice units.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "program.hpp"
#include "sluice/base/file.hpp"
#include "support/eventually.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;

std::size_t widest_line(const std::string& text) {
  std::size_t widest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto width =
        std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; });
    widest = std::max(widest, static_cast<std::size_t>(width));
  }
  return widest;
}

TEST(Units, ListsEveryUnitWithin80Columns) {
  const Outcome list = run({"units"});
  EXPECT_EQ(list.status, 0) << list.err;
  EXPECT_LE(widest_line(list.out), 80U);
  for (const char* part :
       {"\nglu             a sigmoid(b)\n", "\nrelu            max(x, 0)\n",
        "derivative  1 if x > 0, else 0\n", "range       [0, Inf)\n", "saturation  dies for x <= 0",
        "\nmaxout ", "\nsluice units NAME says all about a unit.\n"}) {
    EXPECT_NE(list.out.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(list.out.find("cost  "), std::string::npos);
}

TEST(Units, TellsAllAboutThoseNamed) {
  const Outcome told = run({"units", "leaky_relu", "glu", "leaky_relu"});
  EXPECT_EQ(told.status, 0) << told.err;
  EXPECT_LE(widest_line(told.out), 80U);
  EXPECT_EQ(told.out.find("leaky_relu (activation)"), 0U);
  for (const char* part : {"parameters   slope = 0.01 (1e-06 to 1e+06)", "accuracy     ",
                           "source       Maas et al. 2013", "\n\nglu (gate)\n"}) {
    EXPECT_NE(told.out.find(part), std::string::npos) << part << '\n' << told.out;
  }
  EXPECT_EQ(told.out.find("leaky_relu (", 1), std::string::npos) << "said twice";
  // As --unit takes them.
  const Outcome own = run({"units", "relu6(5)", "gelu(stochastic)", "hard_sigmoid"});
  EXPECT_EQ(own.status, 0) << own.err;
  for (const char* part : {"relu6(5) (activation)", "max = 5 (", "\ngelu(stochastic) (layer)",
                           "\nhardsigmoid (activation)"}) {
    EXPECT_NE(own.out.find(part), std::string::npos) << part << '\n' << own.out;
  }
}

TEST(Units, MeasuresCosts) {
  const Outcome told = run({"units", "tanh", "--cost"});
  EXPECT_EQ(told.status, 0) << told.err;
  EXPECT_NE(told.out.find(" ns forward and backward\n"), std::string::npos) << told.out;
  nlohmann::json units;
  const auto backward_costs = [&] {
    const Outcome json = run({"units", "tanh", "softmax", "--cost", "--json"});
    units = nlohmann::json::parse(json.out).at("units");
    return units.at(0).at("cost").at("forward_backward_ns").get<double>() >
           units.at(0).at("cost").at("forward_ns").get<double>();
  };
  // Another program may have had the core throughout one measurement, not each time.
  EXPECT_TRUE(eventually(backward_costs));
  EXPECT_EQ(units.at(1).at("cost").at("elements"), 4096);
}

TEST(Units, PrintsJson) {
  const Outcome all = run({"units", "--json"});
  EXPECT_EQ(all.status, 0) << all.err;
  const auto units = nlohmann::json::parse(all.out).at("units");
  EXPECT_GT(units.size(), 40U);
  const auto found = std::find_if(units.begin(), units.end(),
                                  [](const auto& unit) { return unit.at("name") == "leaky_relu"; });
  ASSERT_NE(found, units.end());
  EXPECT_EQ(found->at("kind"), "activation");
  EXPECT_EQ(found->at("formula"), "x if x > 0, else slope x");
  EXPECT_EQ(found->at("parameters").at(0).at("default"), 0.01);
  EXPECT_EQ(found->at("value_error").at("ulp"), 1);
  EXPECT_FALSE(found->contains("cost"));
}

TEST(Units, RefusesWhatIsMalformed) {
  EXPECT_TRUE(complains(run({"units", "gul"}), 2, "units", "did you mean glu"));
  EXPECT_TRUE(complains(run({"units", "glu", "rellu", "--json"}), 2, "units", "relu"));
  EXPECT_TRUE(complains(run({"units", "relu6(0)"}), 2, "units", "relu6 got max = 0"));
  EXPECT_TRUE(complains(run({"units", "--plot"}), 2, "units", "--plot"));
  EXPECT_TRUE(complains(run({"units", "--plot", ""}), 2, "units", "--plot: expected a directory"));
  EXPECT_TRUE(complains(run({"units", "--plot", "d", "--json"}), 2, "units", "--json"));
  EXPECT_TRUE(complains(run({"units", "--jsn"}), 2, "units", "did you mean --json?"));
}

class UnitPlots : public ScratchTest {};

TEST_F(UnitPlots, AreDrawn) {
  const std::string directory = path("new/pictures");
  const Outcome drawn = run({"units", "--plot", directory, "glu", "hardswish", "rrelu"});
  ASSERT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_EQ(drawn.out, "3 pictures in " + directory + "\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), {}), 3);
  const std::string activation = read_file(directory + "/hardswish.svg");
  EXPECT_TRUE(activation.starts_with("<?xml"));
  for (const char* part : {"hardswish: x min(max(x + 3, 0), 6) / 6", ">value<", ">derivative<",
                           "derivative| &lt; 0.01", "fill=\"#ffffff\""}) {
    EXPECT_NE(activation.find(part), std::string::npos) << part;
  }
  const std::string gate = read_file(directory + "/glu.svg");
  for (const char* part : {"glu: a sigmoid(b)", "∂y/∂a", "∂y/∂b", "a = 2", "b = -1", "any a"}) {
    EXPECT_NE(gate.find(part), std::string::npos) << part;
  }
  // Drawn again, they replace what was there.
  write("new/pictures/glu.svg", "old");
  EXPECT_EQ(run({"units", "--plot", directory, "glu"}).status, 0);
  EXPECT_EQ(read_file(directory + "/glu.svg"), gate);
}

TEST_F(UnitPlots, SayWhatIsMissingAndLeaveNothing) {
  const std::string before = ::getenv("PATH");
  ::setenv("PATH", directory_.c_str(), 1);
  const Outcome refused = run({"units", "--plot", path("pictures")});
  ::setenv("PATH", before.c_str(), 1);
  EXPECT_TRUE(complains(refused, 1, "units", "apt-get install gnuplot-nox"));
  EXPECT_FALSE(fs::exists(path("pictures")));
}

TEST_F(UnitPlots, SayWhyGnuplotFailed) {
  // A gnuplot that refuses, and one that ends without a picture.
  fs::create_directory(path("bin"));
  const auto plot_with = [&](const std::string& script) {
    write("bin/gnuplot", "#!/bin/sh\n" + script);
    fs::permissions(path("bin/gnuplot"), fs::perms::owner_all);
    const std::string before = ::getenv("PATH");
    ::setenv("PATH", (path("bin") + ":" + before).c_str(), 1);
    const Outcome outcome = run({"units", "--plot", path("pictures"), "glu"});
    ::setenv("PATH", before.c_str(), 1);
    return outcome;
  };
  EXPECT_TRUE(
      complains(plot_with("echo no such terminal >&2; exit 1"), 1, "units", "no such terminal"));
  EXPECT_TRUE(complains(plot_with("exit 0"), 1, "units", "gnuplot"));
  EXPECT_FALSE(fs::exists(path("pictures")));
}

TEST_F(UnitPlots, FailOnFullDisksAndUnwritableDirectories) {
  const std::string file = write("file", "");
  EXPECT_TRUE(complains(run({"units", "--plot", file, "glu"}), 1, "units", file));
  EXPECT_TRUE(complains(run({"units", "--plot", file + "/below", "glu"}), 1, "units", file));
  const std::string full = path("full");
  ProcessOptions options;
  options.largest_file = 30000;  // the picture of glu is larger
  const Outcome outcome = run({"units", "--plot", full, "relu", "glu"}, options);
  EXPECT_TRUE(complains(outcome, 1, "units", ""));
  // Nothing half-written.
  for (const auto& entry : fs::directory_iterator(directory_)) {
    if (!entry.is_directory()) continue;
    for (const auto& left : fs::directory_iterator(entry)) {
      EXPECT_EQ(left.path().filename(), "relu.svg");
    }
  }
  fs::create_directory(path("locked"));
  fs::permissions(path("locked"), fs::perms::none);
  options = {};
  options.as_nobody = true;
  EXPECT_TRUE(
      complains(run({"units", "--plot", path("locked"), "glu"}, options), 1, "units", "locked"));
}

}  // namespace
}  // namespace sluice::cli_test
