#pragma once
// Work that falls into pieces which do not depend on each other, for one process or for several.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What must be alike in all processes of a job, by name; what matters most comes first.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// Who does pieces of work. What a piece needs and what comes of it are bytes, so that it may be
/// done in another process; its result must depend on these bytes alone, so that all is the same
/// whoever does it. Every process of a job makes the same calls in the same order, and one of them
/// leads: it is the one that reads and writes. One thread at a time may call it; errors that a
/// callback throws come out of the call in the process that did the piece.
class PieceWork {
 public:
  /// What a piece needs.
  struct Piece {
    std::string bytes;
    /// Whether the next one is at hand; else it is not waited for before this one is done.
    bool more = true;
  };
  /// The next piece; nothing after the last. Called in the process that leads.
  using Read = std::function<std::optional<Piece>()>;
  /// What comes of a piece.
  using Work = std::function<std::string(std::string_view piece)>;
  /// Takes the results in the order of the pieces, in the process that leads.
  using Write = std::function<void(std::string_view result)>;

  virtual ~PieceWork() = default;

  /// Whether this process is the one that reads and writes.
  virtual bool leads() const = 0;
  virtual int processes() const = 0;
  /// Reads, works and writes until there are no more pieces; few of them are kept at a time.
  virtual void stream(const Read& read, const Work& work, const Write& write) = 0;
  /// What comes of the pieces 0 to n - 1, in order, in the process that leads; nothing in others.
  virtual std::vector<std::string> map(std::int64_t n,
                                       const std::function<std::string(std::int64_t)>& work) = 0;
  /// What each process has, in the process that leads; nothing in others.
  virtual std::vector<std::string> collect(std::string_view mine) = 0;
  /// What the process that leads makes, in all of them.
  virtual std::string share(const std::function<std::string()>& make) = 0;
  /// Throws Error in all processes, naming the first that has another fact than the one that leads,
  /// and the fact.
  virtual void check_same(const Facts& facts) = 0;
};

/// This process does all, one piece after the other, on the thread that calls. It has no state: any
/// number of threads may use it at once.
class OwnWork final : public PieceWork {
 public:
  bool leads() const override { return true; }
  int processes() const override { return 1; }
  void stream(const Read& read, const Work& work, const Write& write) override;
  std::vector<std::string> map(std::int64_t n,
                               const std::function<std::string(std::int64_t)>& work) override;
  std::vector<std::string> collect(std::string_view mine) override { return {std::string(mine)}; }
  std::string share(const std::function<std::string()>& make) override { return make(); }
  void check_same(const Facts& /*facts*/) override {}
};

/// Texts as one, and back. Throws Error for bytes that pack() did not make.
std::string pack(std::span<const std::string> texts);
std::vector<std::string> unpack(std::string_view bytes);

/// Values of a type without pointers as bytes, and back: bytes.size() / sizeof(T) of them.
template <class T>
std::string bytes_of_values(const std::vector<T>& values) {
  static_assert(std::is_trivially_copyable_v<T>);
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}
template <class T>
std::string bytes_of_value(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
template <class T>
std::vector<T> values_of_bytes(std::string_view bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::vector<T> values(bytes.size() / sizeof(T));
  bytes.copy(reinterpret_cast<char*>(values.data()), values.size() * sizeof(T));
  return values;
}

}  // namespace sluice
SLUICE_API_END
