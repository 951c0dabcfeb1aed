#pragma once
// What the part of the program that is linked with MPI offers to the rest, which is not: plain
// functions, found by dlopen() when the program was launched under MPI.

namespace sluice {

inline constexpr int mpi_table_version = 2;
inline constexpr const char* mpi_table_name = "sluice_mpi_table";

/// One thread at a time calls these. Counts and offsets are in bytes. What returns a request has
/// only begun: nothing of it may be touched before test() has said 1; null: it failed.
struct MpiTable {
  int version;
  /// Null, or what went wrong.
  const char* (*open)(int* rank, int* size);
  /// `mine` is null where it lies in `all` already, in all processes then.
  void* (*all_gather)(const void* mine, int count, void* all, const int* counts,
                      const int* offsets);
  void* (*all_to_all)(const void* from, const int* from_counts, const int* from_offsets, void* to,
                      const int* to_counts, const int* to_offsets);
  void* (*broadcast)(void* data, int count, int root);
  void* (*send)(const void* data, int count, int to, int tag);
  void* (*receive)(void* data, int count, int from, int tag);
  /// 1: complete, the request is gone; 0: not yet; -1: it failed.
  int (*test)(void* request);
  void (*cancel)(void* request);
  void (*close)();
  /// Ends all processes of the job.
  void (*abort)(int status);
};

using MpiTableFunction = const MpiTable* (*)();

}  // namespace sluice
