#pragma once
// The directories that the laboratory makes below those that its user names.

#include <filesystem>

namespace sluice {

/// Makes `directory` and what it is in. Throws Error when one of its last `own` names, which are
/// this program's, is a symbolic link: whoever may write there could lead it anywhere.
void make_own_directory(const std::filesystem::path& directory, int own);

}  // namespace sluice
