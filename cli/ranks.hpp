#pragma once
// The processes that mpirun, srun or the like started together.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "run_directory.hpp"
#include "sluice/base/pieces.hpp"
#include "sluice/comm/communicator.hpp"

namespace sluice::cli {

/// The variable of the environment that names a directory for the logs of all processes but the
/// first: rank-1.log and so on, which go on where they end.
inline constexpr const char* logs_variable = "SLUICE_RANK_LOGS";

/// Throws UsageError when several processes were started together to run `command`, which is none
/// of those that can share their work; empty: no command, as for --version.
void check_command_for_ranks(std::string_view command);

/// Joins the processes that were started together; this one alone when none were. The first call
/// decides on the options, and throws RankError where another is of another version or was given
/// other flags (given_flags()).
Communicator& ranks(const Communicator::Options& options = {});

/// Makes the directory of a run in the first process, and joins it in the others.
class SharedRunDirectory {
 public:
  SharedRunDirectory(const std::filesystem::path& path, Existing existing)
      : first_(ranks(), true),
        directory_(path, ranks().leads() ? existing : Existing::join),
        then_(ranks(), false) {}
  RunDirectory& operator*() { return directory_; }

 private:
  /// All but the first wait until it has been there.
  struct Turn {
    Turn(Communicator& all, bool before) {
      if (all.leads() != before) all.barrier();
    }
  };
  Turn first_;
  RunDirectory directory_;
  Turn then_;
};

/// Whether this process is the one that speaks: the first of those that were started together.
bool speaks();

/// Whether what this process says goes anywhere: it speaks, or keeps a log.
bool has_voice();

/// To be called before a complaint: what it begins with, "" or "rank 2 on node7: "; none when it is
/// not to be made: of several processes that complain of the same the first one speaks, and of
/// those that complain of another process, it among them, the first that can.
std::optional<std::string> complainer(bool of_another);

/// How many runs each of the processes on this machine trains at a time, when nothing was asked:
/// its cores divided by `threads` of each run and by the processes; 0, which asks for just that,
/// when there is one process.
std::int64_t jobs_of_process(std::int64_t threads);

/// Threads of each process when nothing was asked: the cores of its machine divided by the
/// processes there.
int threads_of_process();

/// Where several processes are about to read standard input, which reaches the first one alone:
/// all of them read what that one has. Throws Error when it cannot be read, or stored in $TMPDIR or
/// /tmp.
void share_standard_input(bool is_read);

/// Has each process compute with threads_of_process() unless --threads says otherwise.
void divide_cores();

/// Who does a command's pieces of work: all processes; this one when it is alone.
PieceWork& shared_work();

/// The end of a command that has come to its end, in all processes; returns `status`.
int leave_ranks(int status);
/// The end of one that has failed here: the others are ended, too. Returns `status`.
int fail_ranks(int status);

}  // namespace sluice::cli
