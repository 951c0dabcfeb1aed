#pragma once
// What the program makes of the process that it is given.

namespace sluice::cli {

/// To be called first of all: descriptors 0 to 2 that are closed are opened on /dev/null, so that
/// no file of a run gets what is said; a file that grows beyond `ulimit -f` is an error of writing,
/// not the end of the process; threads reserve less under `ulimit -v`; an exception that cannot be
/// caught ends it with a sentence and status 1.
void prepare_process();

/// From now on the process ends with a sentence and status 1 when a file that is mapped became
/// shorter, or cannot be read from its disk. `command` is what the sentence begins with, "train";
/// it must stay.
void tell_of_lost_files(const char* command);

}  // namespace sluice::cli
