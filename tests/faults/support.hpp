#pragma once
// What the tests of faults look at.

#include <string>
#include <vector>

namespace sluice::faults {

/// Which of `all` operations of a kind are to fail, from 1: `most`, spread over them; every one
/// when that is 0, but of allocations, which are many, no more than some hundred.
std::vector<long> chosen(long all, long most, const std::string& kind);

/// Whether a library that is not ours is known not to survive that an allocation is refused there:
/// `place` is what the layer tells of it (SLUICE_FAULT_PLACE).
bool is_known_crash(const std::string& place);

/// One line of at most 500 bytes.
bool is_sentence(const std::string& said);

/// Files below `directory` that a command should have removed: temporaries.
std::vector<std::string> strays(const std::string& directory);

/// The data of a safetensors file, without its header.
std::string tensors_of(const std::string& file);

/// Output without what another run says otherwise: lines and fields of times and speeds.
std::string without_times(const std::string& said);

}  // namespace sluice::faults
