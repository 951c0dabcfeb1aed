#pragma once
// Finding and loading libsluice-mpi.so.

#include "mpi_table.hpp"

namespace sluice {

/// The functions of libsluice-mpi.so, loaded from beside the program or from where it is installed.
/// Throws Error when it is not there or of another version.
const MpiTable& load_mpi();

}  // namespace sluice
