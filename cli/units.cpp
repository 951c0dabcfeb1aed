// sluice units: what each unit is, costs and looks like.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/lab/units/gnuplot.hpp"
#include "sluice/lab/units/unit_curves.hpp"
#include "sluice/lab/units/unit_description.hpp"
#include "sluice/lab/units/unit_text.hpp"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

struct UnitsCommand {
  std::vector<std::string> names;
  std::string plot;
  bool cost = false;
  bool json = false;
  bool markdown = false;

  void run() const;

 private:
  std::vector<UnitInfo> wanted() const;
  void draw(const std::vector<UnitInfo>& infos) const;
};

/// All units, or those named, each once.
std::vector<UnitInfo> UnitsCommand::wanted() const {
  if (names.empty()) return unit_infos();
  std::vector<UnitInfo> infos;
  for (const std::string& name : names) {
    const UnitInfo info = describe_unit(name);
    const bool known = std::any_of(infos.begin(), infos.end(),
                                   [&](const UnitInfo& other) { return other.name == info.name; });
    if (!known) infos.push_back(info);
  }
  return infos;
}

/// The second part of the title: at which parameters an activation is drawn.
std::string caption(const UnitInfo& info) {
  std::string text = info.formula;
  if (info.kind != UnitKind::activation || info.parameters.empty()) return text;
  for (const UnitParameter& parameter : info.parameters) {
    text += fmt::format("{}{} = {:.6g}", &parameter == info.parameters.data() ? " (" : ", ",
                        parameter.name, parameter.standard);
  }
  return text + ")";
}

void UnitsCommand::draw(const std::vector<UnitInfo>& infos) const {
  const fs::path directory = plot;
  bool made = false;
  for (const UnitInfo& info : infos) {
    const std::string svg = run_gnuplot(gnuplot_script(unit_picture(info), caption(info)));
    // Only after the first picture, so that nothing is left behind without gnuplot.
    if (!made) {
      std::error_code cause;
      fs::create_directories(directory, cause);
      if (cause) {
        throw Error(fmt::format("cannot make the directory '{}': {}", plot, cause.message()));
      }
      made = true;
    }
    write_file(directory / (info.name + ".svg"), svg);
  }
  print(fmt::format("{} picture{} in {}\n", infos.size(), infos.size() == 1 ? "" : "s", plot));
}

void UnitsCommand::run() const {
  const std::vector<UnitInfo> infos = wanted();
  if (!plot.empty()) {
    draw(infos);
    return;
  }
  if (markdown) {
    print(units_markdown(infos));
    return;
  }
  std::vector<ListedUnit> units;
  for (const UnitInfo& info : infos) {
    units.push_back({info, {}});
    if (cost) units.back().cost = measure_unit_cost(info);
  }
  if (json) {
    print(units_json(units) + "\n");
  } else if (names.empty()) {
    print(unit_list_text(units) + "sluice units NAME says all about a unit.\n");
  } else {
    for (const ListedUnit& unit : units) {
      print((&unit == units.data() ? "" : "\n") + unit_text(unit));
    }
  }
}

}  // namespace

void add_units(CLI::App& program, int& status) {
  auto command = std::make_shared<UnitsCommand>();
  CLI::App& app =
      add_command(program, "units", "Show formula, range, cost and picture of every unit");
  add_footer(app, "", {"sluice units", "sluice units softsign glu"});
  add_texts(app, "NAME", command->names,
            "units to tell all about, as --unit takes them: also relu6(5) (default: list all)", "");
  const Argument cost =
      add_flag(app, "--cost", command->cost,
               "measure what each unit costs on this machine, on one thread, in cache");
  const Argument json =
      add_flag(app, "--json", command->json, "print one JSON object instead (docs/formats.md)");
  const Argument markdown =
      add_flag(app, "--markdown", command->markdown, "print the page docs/units.md instead");
  const Argument plot =
      add_text(app, "--plot", command->plot,
               "draw each unit's value and derivative as DIR/NAME.svg (with gnuplot)", "DIR");
  plot.excludes({cost, json, markdown});
  markdown.excludes({cost, json});
  when_chosen(app, [command, plot, &status] {
    if (plot.given() && command->plot.empty()) {
      throw UsageError("--plot: expected a directory, got ''");
    }
    command->run();
    status = 0;
  });
}

}  // namespace sluice::cli
