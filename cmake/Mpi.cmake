# Several processes: libsluice-mpi.so is the one part that is linked with MPI, and is loaded when the
# program was launched under it. Without MPI's development files all else is built as it is.
option(SLUICE_MPI "Build the part that speaks MPI, where MPI is found" ON)

# From the program's folder to the module's, once both are installed.
file(RELATIVE_PATH SLUICE_MODULE_DIR /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR}/sluice)
target_compile_definitions(sluice_comm PRIVATE SLUICE_MODULE_DIR="${SLUICE_MODULE_DIR}")

if(SLUICE_MPI)
  set(MPI_CXX_SKIP_MPICXX TRUE)
  find_package(MPI QUIET COMPONENTS CXX)
endif()
if(MPI_CXX_FOUND)
  add_library(sluice_mpi MODULE ${PROJECT_SOURCE_DIR}/src/comm/mpi/module.cpp)
  target_link_libraries(sluice_mpi PRIVATE MPI::MPI_CXX sluice_options)
  # Beside the program, which looks there first.
  set_target_properties(sluice_mpi PROPERTIES OUTPUT_NAME sluice-mpi
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/cli)
else()
  message(STATUS "MPI was not found: the program trains in one process. ./dev setup mpi installs it.")
endif()
