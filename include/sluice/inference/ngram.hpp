#pragma once
// Backoff n-gram models: read from ARPA files, or mapped from files made of them.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/progress.hpp"
#include "sluice/inference/predictor.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A backoff n-gram model (Katz 1987) as an automaton: a state is the longest beginning of a known
/// n-gram that the text read so far ends in, a number; p(w | state) is that of the longest known
/// n-gram, less the backoff weights of the longer contexts without one. Answers are KenLM's.
/// Constant, shared by threads, mapped into memory where it was read from a file of its own.
class NgramModel {
 public:
  using Word = std::uint32_t;
  using State = std::uint32_t;

  /// Reads an ARPA file, plain or compressed; "-" is standard input. The vocabulary is its
  /// 1-grams, which must have <s> and </s>; <unk> gets the log10-probability -100 where it is
  /// missing, as with KenLM. Throws Error naming the line, what was expected and what is there.
  static std::shared_ptr<const NgramModel> read_arpa(const std::filesystem::path& path,
                                                     const Progress& progress = {});
  /// Maps a file that save() wrote. Throws Error for another file, a truncated or an altered one.
  static std::shared_ptr<const NgramModel> map(const std::filesystem::path& path);
  /// Whether the file is one that save() wrote, and whether it is that or begins as ARPA files do.
  static bool is_mapped_form(const std::filesystem::path& path);
  static bool is_ngram(const std::filesystem::path& path);
  /// map() or read_arpa(), as the file is.
  static std::shared_ptr<const NgramModel> open(const std::filesystem::path& path);

  NgramModel(const NgramModel&) = delete;
  NgramModel& operator=(const NgramModel&) = delete;
  ~NgramModel();

  /// Writes the form that map() reads, atomically.
  void save(const std::filesystem::path& path) const;

  int order() const;
  /// Number of n-grams of each length from 1 on.
  std::vector<std::int64_t> counts() const;
  Word words() const;
  /// The word of a number below words().
  std::string_view word(Word word) const;
  Word begin_word() const;    // <s>
  Word end_word() const;      // </s>
  Word unknown_word() const;  // <unk>

  /// Where nothing is known of what was before; behind <s>.
  State null_state() const;
  State begin_state() const;
  struct Step {
    /// log10 p(word | state).
    float log10 = 0;
    State next = 0;
  };
  /// `word` must be below words(), `state` one of this model.
  Step step(State state, Word word) const;
  /// log10 p of every word: `out` has words() elements.
  void distribution(State state, std::span<float> out) const;

  /// Its parts, for whoever builds or reads one; see src/inference/ngram_image.hpp.
  struct Image;
  explicit NgramModel(std::unique_ptr<const Image> image);

 private:
  std::unique_ptr<const Image> image_;
};

/// A tokenizer of the model's words, in their order: "word" with <eos> for </s>, without <s>.
std::unique_ptr<Tokenizer> make_ngram_tokenizer(const NgramModel& model);

/// The model's predictions of a tokenizer's tokens, by their names: <eos> is </s>, and what comes
/// behind it the start of a sentence, behind <s>. Throws Error unless the two have the same words.
std::shared_ptr<const Predictor> make_predictor(std::shared_ptr<const NgramModel> model,
                                                const Tokenizer& tokenizer);

}  // namespace sluice
SLUICE_API_END
