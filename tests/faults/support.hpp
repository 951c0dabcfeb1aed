#pragma once
// What the tests of faults look at.

#include <string>
#include <vector>

namespace sluice::faults {

/// Which of `all` operations of a kind are to fail, from 1: every one when `every`, else a few
/// spread over them. Of allocations, which are many, no more than some hundred.
std::vector<long> chosen(long all, bool every, const std::string& kind);

/// One line of at most 500 bytes.
bool is_sentence(const std::string& said);

/// Files below `directory` that a command should have removed: temporaries.
std::vector<std::string> strays(const std::string& directory);

/// The data of a safetensors file, without its header.
std::string tensors_of(const std::string& file);

/// Output without what another run says otherwise: lines and fields of times and speeds.
std::string without_times(const std::string& said);

}  // namespace sluice::faults
