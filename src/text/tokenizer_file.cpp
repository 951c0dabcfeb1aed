// Tokenizers from files that users bring.
#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "decoder.hpp"
#include "kinds.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/text/detail/utf8.hpp"
#include "vocabulary_tokenizer.hpp"

namespace sluice {

std::unique_ptr<Tokenizer> read_tokenizer(const std::filesystem::path& path,
                                          const TokenizerOptions& options) {
  const auto refuse = [&](const char* what) {
    throw UsageError(
        fmt::format("the tokenizer '{}' is taken as it is; leave the {} out", path.string(), what));
  };
  if (options.vocabulary != 0) refuse("vocabulary size");
  if (options.min_count != 1) refuse("smallest count");
  if (!options.symbols.empty()) refuse("symbols");
  std::error_code ignored;
  const bool directory = std::filesystem::is_directory(path, ignored);
  // Mapped: what is refused at its beginning is not taken into memory.
  std::optional<MappedFile> file;
  if (!directory) file.emplace(path);
  const std::string_view bytes = file ? file->text() : std::string_view();
  if (constexpr std::size_t most = std::size_t{1} << 28; bytes.size() > most) {
    throw Error(
        fmt::format("cannot load the tokenizer '{}': it has {} bytes, more than the {} of any",
                    path.string(), bytes.size(), most));
  }
  if (decoder_for(bytes.substr(0, 16))) {
    throw Error(fmt::format("cannot load the tokenizer '{}': it is compressed; unpack it first",
                            path.string()));
  }
  const bool json = bytes.starts_with("{");
  const bool text = json || valid_text_length(bytes) == bytes.size();
  const bool list = !directory && text && !json;
  if (list) return parse_word_list(bytes, path.string(), options);
  if (options.normalize != Normalization::none) refuse("normal form");
  if (options.byte_fallback) refuse("byte fallback");
  if (directory) return load_tokenizer(path);
  return text ? parse_vocabulary_tokenizer(bytes, path.string())
              : parse_subword_tokenizer(bytes, path.string());
}

}  // namespace sluice
