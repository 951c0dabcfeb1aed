// Layer specs: '[(512,5)] + [(128,1,0),(128,5,0),(512,1,3)]*3' and back.

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <span>

#include "sluice/base/error.hpp"
#include "sluice/models/gcnn.hpp"

namespace sluice {
namespace {

constexpr std::int64_t max_channels = kMostWidth;
constexpr std::int64_t max_kernel = 64;
constexpr std::size_t max_layers = kMostDepth;

/// Recursive descent over
///   spec  = list ["*" number] {"+" list ["*" number]}
///   list  = "[" layer {"," layer} [","] "]"
///   layer = "(" number "," number ["," number] ")"
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::vector<LayerSpec> parse() {
    std::vector<LayerSpec> layers;
    for (;;) {
      repeated_list(layers);
      skip_blanks();
      if (at_end()) return layers;
      if (!accept('+')) expected("'+', '*' or the end");
    }
  }

 private:
  void repeated_list(std::vector<LayerSpec>& layers) {
    // Residuals count layers from the start of the whole spec, so the list is read once and checked
    // again for each repetition, at the position where it stands.
    const std::vector<Placed> block = list();
    std::size_t times = 1;
    std::size_t at = position_;
    if (accept('*')) {
      skip_blanks();
      at = position_;
      times = static_cast<std::size_t>(number("a repetition", 1, std::int64_t{max_layers}));
    }
    if (times > (max_layers - layers.size()) / block.size()) {
      fail(fmt::format("more than {} layers at position {}", max_layers, at));
    }
    for (std::size_t i = 0; i < times; ++i) {
      for (const Placed& placed : block) {
        const auto reach = static_cast<std::int64_t>(layers.size()) + 1;
        if (placed.layer.residual > reach) {
          fail(fmt::format(
              "residual {} at position {} reaches back before the first layer; layer {} "
              "takes at most {}",
              placed.layer.residual, placed.residual_position, reach, reach));
        }
        layers.push_back(placed.layer);
      }
    }
  }

  struct Placed {
    LayerSpec layer;
    std::size_t residual_position = 0;
  };

  std::vector<Placed> list() {
    require('[', "'['");
    std::vector<Placed> block;
    do {
      skip_blanks();
      if (!block.empty() && peek() == ']') break;
      block.push_back(layer());
      if (block.size() > max_layers) {
        fail(fmt::format("more than {} layers at position {}", max_layers, position_));
      }
    } while (accept(','));
    require(']', "',' or ']'");
    return block;
  }

  Placed layer() {
    Placed placed;
    require('(', "'('");
    placed.layer.channels = number("channels", 1, max_channels);
    require(',', "','");
    placed.layer.kernel = number("a kernel width", 1, max_kernel);
    if (accept(',')) {
      skip_blanks();
      placed.residual_position = position_;
      placed.layer.residual = number("a residual", 0, std::int64_t{max_layers});
    }
    require(')', "',' or ')'");
    return placed;
  }

  std::int64_t number(const char* what, std::int64_t least, std::int64_t most) {
    skip_blanks();
    const std::size_t begin = position_;
    std::int64_t value = 0;
    while (!at_end() && text_[position_] >= '0' && text_[position_] <= '9') {
      // Saturates just above every limit, so that no number of digits overflows.
      value = std::min<std::int64_t>(value * 10 + (text_[position_] - '0'), max_channels + 1);
      ++position_;
    }
    if (position_ == begin) expected(fmt::format("{} (a whole number)", what));
    if (value < least || value > most) {
      fail(fmt::format("expected {} from {} to {} at position {}, got {}", what, least, most, begin,
                       text_.substr(begin, position_ - begin)));
    }
    return value;
  }

  void skip_blanks() {
    while (!at_end() && (text_[position_] == ' ' || text_[position_] == '\t')) ++position_;
  }
  bool at_end() const { return position_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[position_]; }
  bool accept(char c) {
    skip_blanks();
    if (at_end() || text_[position_] != c) return false;
    ++position_;
    return true;
  }
  void require(char c, const char* what) {
    if (!accept(c)) expected(what);
  }
  [[noreturn]] void expected(const std::string& what) const {
    fail(fmt::format("expected {} at position {}, got {}", what, position_,
                     at_end() ? "the end" : fmt::format("'{}'", character())));
  }
  /// The character at the position, all bytes of it.
  std::string_view character() const {
    std::size_t size = 1;
    while (position_ + size < text_.size() && (text_[position_ + size] & 0xC0) == 0x80) ++size;
    return text_.substr(position_, size);
  }
  [[noreturn]] void fail(const std::string& fault) const {
    throw UsageError(fmt::format("layer spec '{}': {}; write it like '[(512,4)]*8'", text_, fault));
  }

  std::string_view text_;
  std::size_t position_ = 0;
};

std::string layer_string(const LayerSpec& layer) {
  if (layer.residual == 1) return fmt::format("({},{})", layer.channels, layer.kernel);
  return fmt::format("({},{},{})", layer.channels, layer.kernel, layer.residual);
}

/// How many times the `period` layers from `begin` stand there one after another.
std::size_t repetitions(std::span<const LayerSpec> layers, std::size_t begin, std::size_t period) {
  std::size_t times = 1;
  for (std::size_t at = begin + period; at + period <= layers.size(); at += period) {
    for (std::size_t i = 0; i < period; ++i) {
      if (layers[at + i] != layers[begin + i]) return times;
    }
    ++times;
  }
  return times;
}

}  // namespace

std::vector<LayerSpec> parse_layers(std::string_view spec) { return Parser(spec).parse(); }

std::string layers_string(const std::vector<LayerSpec>& layers) {
  constexpr std::size_t longest_block = 8;
  std::string out;
  bool open = false;  // inside a list of layers that do not repeat
  for (std::size_t begin = 0; begin < layers.size();) {
    std::size_t period = 1;
    std::size_t times = 1;
    for (std::size_t p = 1; p <= longest_block; ++p) {
      const std::size_t n = begin + p <= layers.size() ? repetitions(layers, begin, p) : 1;
      if (n > 1 && p * (n - 1) > period * (times - 1)) {
        period = p;
        times = n;
      }
    }
    if (times == 1) {
      if (!open && !out.empty()) out += " + ";
      out += open ? "," : "[";
      out += layer_string(layers[begin]);
      open = true;
      ++begin;
      continue;
    }
    if (open) out += "]";
    open = false;
    if (!out.empty()) out += " + ";
    for (std::size_t i = 0; i < period; ++i) {
      out += i == 0 ? "[" : ",";
      out += layer_string(layers[begin + i]);
    }
    out += fmt::format("]*{}", times);
    begin += period * times;
  }
  if (open) out += "]";
  return out;
}

}  // namespace sluice
