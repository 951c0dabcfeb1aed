// sluice tasks: texts that cannot be learnt without memory, a stack or arithmetic.

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/lab/tasks/tasks.hpp"

namespace sluice::cli {
namespace {

struct TasksFlags {
  std::string task;
  std::string out;
  std::int64_t lines = TaskOptions{}.lines;
  std::int64_t length = 0;
  std::int64_t seed = 1;
};

void write(const TasksFlags& flags) {
  if (flags.seed < 0)
    throw UsageError(fmt::format("--seed: expected 0 or more, got {}", flags.seed));
  const TaskOptions options{.task = parse_enum<Task>(flags.task),
                            .lines = flags.lines,
                            .length = flags.length,
                            .seed = static_cast<std::uint64_t>(flags.seed)};
  write_task(options, flags.out);
  print(fmt::format("{} lines of {}, {} bytes, in {}; the first is\n{}\n", grouped(options.lines),
                    name_of(options.task),
                    grouped(static_cast<std::int64_t>(std::filesystem::file_size(flags.out))),
                    flags.out, task_line(options, 0)));
}

}  // namespace

void add_tasks(CLI::App& program, int& status) {
  auto flags = std::make_shared<TasksFlags>();
  CLI::App& app =
      add_command(program, "tasks", "Write a text that needs memory, a stack or arithmetic");
  add_footer(app, "", {"sluice tasks copy --out copy.txt"});
  add_text(app, "TASK", flags->task, "copy, adding, xml, arithmetic or brackets", "").required();
  add_text(app, "--out", flags->out, "file to write, for --tokenizer char", "FILE").required();
  add_integer(app, "--lines", flags->lines, "lines (default 20000)");
  add_integer(app, "--length", flags->length,
              "how long lines become: dots, digits, tags or brackets (default 40), digits of a "
              "number for arithmetic (default 8)");
  add_integer(app, "--seed", flags->seed, "chooses the lines (default 1)");
  when_chosen(app, [flags, &status] {
    write(*flags);
    status = 0;
  });
}

}  // namespace sluice::cli
