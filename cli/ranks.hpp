#pragma once
// The processes that mpirun, srun or the like started together.

#include <optional>
#include <string>
#include <string_view>

#include "sluice/comm/communicator.hpp"

namespace sluice::cli {

/// Throws UsageError when several processes were started together to run `command`, which is none
/// of those that can share their work.
void check_command_for_ranks(std::string_view command);

/// Joins the processes that were started together; this one alone when none were. The first call
/// decides on the options.
Communicator& ranks(const Communicator::Options& options = {});

/// Whether this process is the one that speaks: the first of those that were started together.
bool speaks();

/// To be called before a complaint: what it begins with, "" or "rank 2 on node7: "; none when it is
/// not to be made: of several processes that complain of the same the first one speaks.
std::optional<std::string> complainer();

/// The end of the program: all leave together when it is not a failure (0, and what a signal to all
/// makes); else the others are ended, too. Returns `status`.
int leave_ranks(int status);

}  // namespace sluice::cli
