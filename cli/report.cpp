// sluice report: the page of a comparison, an inspection or claims, rebuilt from their files.

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "sluice/lab/report/report.hpp"

namespace sluice::cli {

void add_report(CLI::App& program, int& status) {
  auto directory = std::make_shared<std::string>();
  CLI::App& app =
      add_command(program, "report", "Make a page of what compare, inspect or claims found");
  add_footer(app, "", {"sluice report units"});
  add_text(app, "DIR", *directory,
           fmt::format("directory with {}, {} or {}; DIR/{} and DIR/{}/*.csv are written",
                       LabDirectory::results_name, LabDirectory::inspection_name,
                       LabDirectory::claims_name, LabDirectory::report_name,
                       LabDirectory::report_tables_name),
           "")
      .required();
  when_chosen(app, [directory, &status] {
    const std::filesystem::path path = *directory;
    write_report(path);
    print(fmt::format("report: {}\n", LabDirectory(path).report_file().string()));
    status = 0;
  });
}

}  // namespace sluice::cli
