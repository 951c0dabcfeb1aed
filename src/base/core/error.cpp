#include "sluice/base/error.hpp"

#include <cerrno>
#include <filesystem>
#include <new>
#include <system_error>
#include <typeinfo>

#include "visible.hpp"

namespace sluice {
namespace {

constexpr std::size_t most_bytes = 460;
constexpr std::size_t most_of_end = 160;
constexpr std::size_t most_of_word = 120;
constexpr std::string_view left_out = "...";

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U; }

/// `text` in visible characters, and no more of each word than is shown.
std::string visible_words(std::string_view text) {
  std::string out;
  std::size_t word = 0;  // where it begins in `out`
  bool cut = false;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == ' ') {
      out += text[at++];
      word = out.size();
      cut = false;
      continue;
    }
    if (cut) {
      // What closes a quotation closes it still.
      const bool closes = text[at] == '\'' && (at + 1 == text.size() || text[at + 1] == ' ' ||
                                               text[at + 1] == ':' || text[at + 1] == ';');
      if (closes) {
        cut = false;
        word = out.size();
        continue;
      }
      ++at;
      continue;
    }
    at += append_visible(out, text, at);
    if (out.size() - word > most_of_word) {
      out += left_out;
      cut = true;
    }
  }
  return out;
}

}  // namespace

std::string presentable(std::string_view text) {
  std::string out = visible_words(text);
  if (out.size() <= most_bytes) return out;
  std::size_t end = most_bytes - most_of_end - left_out.size();
  while (end > 0 && continues(out[end])) --end;
  std::size_t tail = out.size() - most_of_end;
  while (tail < out.size() && continues(out[tail])) ++tail;
  return out.substr(0, end) + std::string(left_out) + out.substr(tail);
}

bool SystemError::missing() const noexcept { return cause_ == ENOENT || cause_ == ENOTDIR; }

void rethrow_if_refused(const Error& error) {
  const auto* const refused = dynamic_cast<const SystemError*>(&error);
  if (refused != nullptr && !refused->missing()) throw;
}

std::string reason_of(const std::exception& error) {
  if (dynamic_cast<const Error*>(&error) != nullptr) return error.what();
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return "there is not enough memory";
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error)) {
    return presentable("cannot use '" + file->path1().string() + "': " + file->code().message());
  }
  if (const auto* system = dynamic_cast<const std::system_error*>(&error)) {
    return presentable("the system refused something: " + system->code().message());
  }
  return presentable("an internal error (" + std::string(typeid(error).name()) + ")");
}

std::string reason_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return reason_of(error);
  } catch (...) {
    return "an internal error";
  }
}

}  // namespace sluice
