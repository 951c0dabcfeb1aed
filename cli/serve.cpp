// sluice serve: models over HTTP, until a signal ends it.

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>

#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/error.hpp"
#include "sluice/server/server.hpp"

namespace sluice::cli {
namespace {

/// While it exists, the signals that a server is told by wait for next().
class ServerSignals {
 public:
  ServerSignals() {
    sigemptyset(&set_);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set_, signal);
    // Threads that are started from now on leave them to this one.
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~ServerSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  ServerSignals(const ServerSignals&) = delete;
  ServerSignals& operator=(const ServerSignals&) = delete;

  int next() const {
    int signal = 0;
    sigwait(&set_, &signal);
    return signal;
  }
  /// From now on they end the process at once.
  void let_through() const { pthread_sigmask(SIG_UNBLOCK, &set_, nullptr); }

 private:
  sigset_t set_{}, before_{};
};

/// A connection is an open file: as many as the machine lets.
void allow_many_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

struct ServeCommand {
  std::vector<std::string> models;
  ServerOptions options;

  int run();
};

int ServeCommand::run() {
  options.models.assign(models.begin(), models.end());
  allow_many_files();
  const ServerSignals signals;
  Server server(options, [](std::string_view line) { tell(std::string(line) + "\n"); });
  server.load();
  print(fmt::format("serving {} at {}\n", fmt::join(models, ", "), server.address()));
  flush_output();
  while (signals.next() == SIGHUP) {
    try {
      server.reload();
      tell("sluice serve: models and keys were loaded anew\n");
    } catch (const std::exception& error) {
      tell(fmt::format("sluice serve: not loaded anew, all stays as it was: {}\n",
                       reason_of(error)));
    }
  }
  tell("sluice serve: ending; a second signal ends it at once\n");
  signals.let_through();
  if (server.stop()) return 0;
  tell(fmt::format("sluice serve: some requests took longer than {} s and were cut off\n",
                   options.drain_seconds));
  return 1;
}

}  // namespace

void add_serve(CLI::App& program, int& status) {
  auto command = std::make_shared<ServeCommand>();
  CLI::App& app =
      add_command(program, "serve", "Serve models over HTTP: OpenAI's API and a web page");
  add_footer(app,
             "SIGTERM and Ctrl-C let running requests finish (--drain-timeout); SIGHUP loads "
             "models and keys again. docs/serving.md describes the routes.",
             {"sluice serve model", "sluice serve small large --port 9000 --api-key-file keys"});
  add_texts(app, "MODEL", command->models,
            "directories that sluice train made; requests name them by their last part", "")
      .required();
  add_field_flags(app, server_fields(),
                  [command](const Field& field, const Value& value, const FieldPlace& place) {
                    field.set(&command->options, value, place);
                  });
  add_threads(app);
  when_chosen(app, [command, &status] { status = command->run(); });
}

}  // namespace sluice::cli
