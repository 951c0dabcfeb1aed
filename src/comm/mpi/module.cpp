// The one source that is compiled against MPI: libsluice-mpi.so.
#include <mpi.h>

#include <new>

#include "../mpi_table.hpp"

namespace {

MPI_Comm world = MPI_COMM_NULL;

MPI_Request* begun(int status, MPI_Request* request) {
  if (status == MPI_SUCCESS) return request;
  delete request;
  return nullptr;
}

const char* open_mpi(int* rank, int* size) {
  int provided = 0;
  // The thread that opens MPI makes all calls, but for an abort.
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS) {
    return "MPI_Init_thread() failed";
  }
  if (provided < MPI_THREAD_SERIALIZED) return "MPI allows its use on the main thread alone";
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (MPI_Comm_dup(MPI_COMM_WORLD, &world) != MPI_SUCCESS) return "MPI_Comm_dup() failed";
  MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
  MPI_Comm_rank(world, rank);
  MPI_Comm_size(world, size);
  return nullptr;
}

void* all_gather(const void* mine, int count, void* all, const int* counts, const int* offsets) {
  auto* request = new (std::nothrow) MPI_Request;
  return begun(MPI_Iallgatherv(mine == nullptr ? MPI_IN_PLACE : mine, count, MPI_BYTE, all, counts,
                               offsets, MPI_BYTE, world, request),
               request);
}

void* all_to_all(const void* from, const int* from_counts, const int* from_offsets, void* to,
                 const int* to_counts, const int* to_offsets) {
  auto* request = new (std::nothrow) MPI_Request;
  return begun(MPI_Ialltoallv(from, from_counts, from_offsets, MPI_BYTE, to, to_counts, to_offsets,
                              MPI_BYTE, world, request),
               request);
}

void* broadcast(void* data, int count, int root) {
  auto* request = new (std::nothrow) MPI_Request;
  return begun(MPI_Ibcast(data, count, MPI_BYTE, root, world, request), request);
}

void* send(const void* data, int count, int to, int tag) {
  auto* request = new (std::nothrow) MPI_Request;
  return begun(MPI_Isend(data, count, MPI_BYTE, to, tag, world, request), request);
}

void* receive(void* data, int count, int from, int tag) {
  auto* request = new (std::nothrow) MPI_Request;
  return begun(MPI_Irecv(data, count, MPI_BYTE, from, tag, world, request), request);
}

int test(void* request) {
  auto* mpi = static_cast<MPI_Request*>(request);
  int complete = 0;
  const int status = MPI_Test(mpi, &complete, MPI_STATUS_IGNORE);
  if (status == MPI_SUCCESS && complete == 0) return 0;
  delete mpi;
  return status == MPI_SUCCESS ? 1 : -1;
}

void cancel(void* request) {
  auto* mpi = static_cast<MPI_Request*>(request);
  MPI_Cancel(mpi);
  MPI_Request_free(mpi);
  delete mpi;
}

void close_mpi() {
  MPI_Comm_free(&world);
  MPI_Finalize();
}

void abort_all(int status) { MPI_Abort(MPI_COMM_WORLD, status); }

constexpr sluice::MpiTable table{.version = sluice::mpi_table_version,
                                 .open = open_mpi,
                                 .all_gather = all_gather,
                                 .all_to_all = all_to_all,
                                 .broadcast = broadcast,
                                 .send = send,
                                 .receive = receive,
                                 .test = test,
                                 .cancel = cancel,
                                 .close = close_mpi,
                                 .abort = abort_all};

}  // namespace

extern "C" __attribute__((visibility("default"))) const sluice::MpiTable* sluice_mpi_table() {
  return &table;
}
