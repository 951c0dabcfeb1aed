#pragma once
// Words that may come next, as answers have them.

#include <cstdint>
#include <optional>
#include <string>

#include "models.hpp"
#include "sluice/base/value.hpp"
#include "sluice/inference/next.hpp"

namespace sluice::server {

/// {"next": [{"text", "insert", "probability"}, ...], "exact"}: words behind `text` that begin with
/// `starting_with`; none: with what the text has behind its last blank. Throws RequestError (400)
/// for text that the tokenizer cannot take. `read`: NextText::words().
Value next_words(const ServedModel& model, std::string text,
                 std::optional<std::string> starting_with, std::int64_t count,
                 ReadText* read = nullptr);

}  // namespace sluice::server
