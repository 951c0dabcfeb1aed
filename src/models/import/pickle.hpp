#pragma once
// Python's pickle, as far as a state dict needs it. Nothing in it is run: what would call or make
// anything else becomes a node that only has a name.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// A value of a pickle. Nodes refer to others of the same pickle, perhaps in circles.
struct PickleNode {
  enum class Kind : std::uint8_t {
    none,
    boolean,
    integer,
    real,
    text,     ///< str or bytes
    tuple,    ///< `items`; lists and sets too
    dict,     ///< `items`: key, value, key, value, ...
    global,   ///< `text`: "module.name"
    storage,  ///< `items`: what torch's persistent id says, without the "storage" in front
    object,   ///< anything else: `text` names what would make it; `items`: its state, if any
    tensor,   ///< `items`: storage, offset, sizes, strides
  };
  Kind kind = Kind::none;
  std::int64_t integer = 0;
  double real = 0;
  std::string text = {};
  std::vector<const PickleNode*> items = {};

  /// The value of a dict's or an object's text key; null when there is none.
  const PickleNode* find(std::string_view key) const;
};

/// A pickle, read. Immutable once made.
class Pickle {
 public:
  /// Reads one pickle from the start of `bytes`. Throws Error, a cause without the file's name, for
  /// an opcode that no state dict needs, for what is cut short or malformed, and beyond 5 million
  /// values.
  explicit Pickle(std::string_view bytes);

  const PickleNode& root() const { return *root_; }
  const std::deque<PickleNode>& nodes() const { return nodes_; }
  /// Bytes that it took.
  std::size_t size() const { return size_; }
  /// What would have been called or made, had it been run: names of classes and functions.
  const std::set<std::string>& inert() const { return inert_; }

 private:
  friend class PickleReader;
  std::deque<PickleNode> nodes_;
  const PickleNode* root_ = nullptr;
  std::size_t size_ = 0;
  std::set<std::string> inert_;
};

}  // namespace sluice
