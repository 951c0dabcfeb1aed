#pragma once
// Errors: one sentence saying operation, argument, expected, got, remedy.

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// `text` as a message may show it, whatever a file or a person put into it: control characters and
/// bytes that are no UTF-8 as \n or \x1b; of a word longer than 120 bytes the beginning, and of a
/// text longer than 460 bytes the beginning and the end, with "..." for what is left out.
std::string presentable(std::string_view text);

/// Anything the library refuses or fails at. what() is one complete, presentable() sentence for a
/// person. A value, as every exception is.
class Error : public std::runtime_error {
 public:
  explicit Error(std::string_view what) : std::runtime_error(presentable(what)) {}
};

/// A request that is malformed whatever the state of the machine: an unknown name, a value out of
/// range, a layer spec that does not parse. Programs exit with status 2 for it, 1 for other errors.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// What the system refused: a file that cannot be opened, read, mapped or written. It says nothing
/// of what the file holds, nor, unless missing(), that there is none: another time it may be
/// granted.
class SystemError : public Error {
 public:
  /// `cause` is an errno.
  SystemError(std::string_view what, int cause) : Error(what), cause_(cause) {}
  int cause() const noexcept { return cause_; }
  /// Whether it was refused because there is no such file.
  bool missing() const noexcept;

 private:
  int cause_;
};

/// In the handler of an Error that is to be taken for damage or absence: throws it on when it is a
/// SystemError that is not missing().
void rethrow_if_refused(const Error& error);

/// What a person may be told of any exception: what() of an Error; of others what they mean, but
/// nothing of their text, which is not written for users.
std::string reason_of(const std::exception& error);
/// The same of one that is kept, of whatever type it is.
std::string reason_of(const std::exception_ptr& failure);

}  // namespace sluice
SLUICE_API_END
