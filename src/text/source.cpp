#include "sluice/text/source.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sluice/base/error.hpp"

namespace sluice {

MappedText::MappedText(const TextSource& source) : file_(source.path), begin_(source.begin) {
  const std::string_view all = file_.text();
  const std::uint64_t end = source.end == TextSource::end_of_file ? all.size() : source.end;
  if (begin_ > end || end > all.size()) {
    throw Error(fmt::format(
        "cannot read bytes {} to {} of '{}': the file has {} bytes; it was changed while in use",
        begin_, end, source.path.string(), all.size()));
  }
  text_ = all.substr(begin_, end - begin_);
}

}  // namespace sluice
