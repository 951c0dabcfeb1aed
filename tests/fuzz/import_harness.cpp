// Readers of what other programs wrote: weights, tokenizers, compressed texts, vectors of words.

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <istream>

#include "harnesses.hpp"
#include "import/foreign_file.hpp"
#include "in_memory.hpp"
#include "sluice/base/error.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/word_vectors.hpp"
#include "sluice/text/inputs.hpp"

namespace sluice::fuzz {

void foreign_file(std::string_view bytes) {
  const InMemory file(bytes);
  const ForeignFile read(file.path());
  // Not more than a fuzzer can afford: a tensor may share its elements with itself.
  constexpr std::int64_t most = std::int64_t{1} << 22;
  for (const ForeignTensor& tensor : read.tensors()) {
    std::int64_t elements = 1;
    for (const std::int64_t size : tensor.shape) {
      elements = size > 0 && elements > most / size ? most + 1 : elements * size;
    }
    if (elements > most) continue;
    try {
      static_cast<void>(read.read(tensor));
    } catch (const Error&) {  // of one type or another; the others are read all the same
    }
  }
}

void tokenizer_file(std::string_view bytes) {
  const InMemory file(bytes);
  use_tokenizer(*read_tokenizer(file.path()));
}

void compressed_text(std::string_view bytes) {
  const InMemory file(bytes);
  const auto text = open_text(file.path());
  constexpr std::size_t most = std::size_t{1} << 24;
  char part[4096];
  std::size_t read = 0;
  while (read < most && text->read(part, sizeof part)) read += sizeof part;
}

void json_lines(std::string_view bytes) {
  const InMemory file(bytes);
  const TextInputs read({file.path()}, {.field = "text"}, {});
}

void word_vectors(std::string_view bytes) {
  static const auto tokenizer = make_word_tokenizer({"<eos>", "the", "<unk>", "cat"});
  static const auto model = [] {
    ModelConfig config(architecture_names().front());
    config.shape<GcnnShape>().layers = parse_layers("[(4,2)]");
    config.softmax = "full";
    config.vocabulary = 4;
    config.dim = 3;
    return make_model(config, 1);
  }();
  const InMemory file(bytes);
  static_cast<void>(read_word_vectors(file.path(), *tokenizer, *model));
}

}  // namespace sluice::fuzz
