#pragma once
// What may fail, and when: shared by the sources of the preloaded layer.

namespace sluice::faults {

enum Kind : int {
  file_open,
  file_read,
  file_write,
  file_sync,
  file_rename,
  file_remove,
  file_mkdir,
  file_truncate,
  file_lock,
  file_stat,
  file_map,
  file_list,
  memory,
  thread,
  kinds
};

/// Counts one more; whether it is to fail, errno being its cause then.
bool fails(Kind kind);

}  // namespace sluice::faults
