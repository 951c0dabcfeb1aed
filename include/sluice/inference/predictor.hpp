#pragma once
// What gives each token of a text a probability: a neural model, an n-gram, a mixture of several.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/inference/frozen_model.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What a predictor keeps of one text. A value: a copy is another text with the same beginning and
/// costs little (tensors are shared, an n-gram's state is a number). It belongs to one predictor
/// and to one thread at a time.
class PredictorState {
 public:
  /// A predictor's own; made by it alone.
  class Part {
   public:
    Part() = default;
    Part(const Part&) = default;
    Part& operator=(const Part&) = default;
    virtual ~Part() = default;
    virtual std::unique_ptr<Part> clone() const = 0;
  };

  /// The start of a text.
  PredictorState() = default;
  PredictorState(const PredictorState& other)
      : part_(other.part_ ? other.part_->clone() : nullptr) {}
  PredictorState(PredictorState&&) noexcept = default;
  PredictorState& operator=(PredictorState other) noexcept {
    part_ = std::move(other.part_);
    return *this;
  }
  ~PredictorState() = default;

  /// Of the type that the predictor holds there; one is made at the start of a text.
  template <class T>
  T& as() {
    if (!part_) part_ = std::make_unique<T>();
    return static_cast<T&>(*part_);
  }

 private:
  std::unique_ptr<Part> part_;
};

/// A distribution of the next token for any text of a vocabulary of V tokens. Constant: any number
/// of threads may ask one at once, each with states of its own.
///
/// All calls take any number of texts: text i has states[i] and ids[i], which may be empty. They
/// throw Error for sizes that differ, a state named twice, an id outside the vocabulary (no state
/// has then changed), and where a text is at its start though predicts_start() is false.
class Predictor {
 public:
  using Ids = std::span<const std::int32_t>;

  Predictor() = default;
  Predictor(const Predictor&) = delete;
  Predictor& operator=(const Predictor&) = delete;
  virtual ~Predictor() = default;

  virtual std::int64_t vocabulary() const = 0;
  /// Whether it knows what may come where nothing was read, not even the end of a line: an n-gram
  /// does, a neural model does not.
  virtual bool predicts_start() const = 0;

  /// Each text is read on by its ids.
  void feed(std::span<PredictorState* const> states, std::span<const Ids> ids) const;
  void feed(PredictorState& state, Ids ids) const;
  /// The same, and -ln p(token | all before it) in nats of each id: those of the first text, then
  /// of the second, and so on. With Reading::whole the last tokens are read at once rather than
  /// with what follows them: of states that are copied next, so that the copies need not each do
  /// it.
  enum class Reading : std::uint8_t { lazy, whole };
  std::vector<double> nll(std::span<PredictorState* const> states, std::span<const Ids> ids,
                          Reading reading = Reading::lazy) const;
  std::vector<double> nll(PredictorState& state, Ids ids) const;
  /// ln p(token | what was read) of every token: float32 [texts, V]. What was read does not change.
  Tensor log_probabilities(std::span<PredictorState* const> states) const;
  Tensor log_probabilities(PredictorState& state) const;

 private:
  /// The calls above with checked arguments.
  virtual void do_feed(std::span<PredictorState* const> states, std::span<const Ids> ids) const = 0;
  virtual std::vector<double> do_nll(std::span<PredictorState* const> states,
                                     std::span<const Ids> ids, Reading reading) const = 0;
  virtual Tensor do_log_probabilities(std::span<PredictorState* const> states) const = 0;
};

/// A model's predictions: what sessions do, for many texts at once. The last token of a text is
/// read when something is asked that depends on it, together with what is read then; so the end of
/// a line that nothing follows costs nothing.
std::shared_ptr<const Predictor> make_predictor(std::shared_ptr<const FrozenModel> model);

/// A share of a mixture.
struct MixturePart {
  std::shared_ptr<const Predictor> predictor;
  double weight = 0;
};

/// p(token) = Σ weight_i · p_i(token), of predictors over one vocabulary (the same tokens by the
/// same numbers). Weights must not be negative and must sum to 1 within 1e-6, else UsageError, as
/// for no parts at all; Error for vocabularies of different sizes.
std::shared_ptr<const Predictor> make_mixture(std::vector<MixturePart> parts);

}  // namespace sluice
SLUICE_API_END
