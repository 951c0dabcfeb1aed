#include "pickle.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <unordered_map>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

constexpr std::size_t most_nodes = 5'000'000;
constexpr std::size_t longest_name = 1000;

/// The opcodes that are read; protocol 2 and what later ones write for the same.
enum Opcode : unsigned char {
  MARK = '(',
  STOP = '.',
  BININT = 'J',
  BININT1 = 'K',
  BININT2 = 'M',
  NONE = 'N',
  BINPERSID = 'Q',
  REDUCE = 'R',
  SHORT_BINSTRING = 'U',
  BINUNICODE = 'X',
  EMPTY_LIST = ']',
  APPEND = 'a',
  BUILD = 'b',
  GLOBAL = 'c',
  APPENDS = 'e',
  BINGET = 'h',
  LONG_BINGET = 'j',
  BINPUT = 'q',
  LONG_BINPUT = 'r',
  SETITEM = 's',
  TUPLE = 't',
  EMPTY_TUPLE = ')',
  SETITEMS = 'u',
  EMPTY_DICT = '}',
  BINFLOAT = 'G',
  PROTO = 0x80,
  NEWOBJ = 0x81,
  TUPLE1 = 0x85,
  TUPLE2 = 0x86,
  TUPLE3 = 0x87,
  NEWTRUE = 0x88,
  NEWFALSE = 0x89,
  LONG1 = 0x8A,
  SHORT_BINUNICODE = 0x8C,
  EMPTY_SET = 0x8F,
  ADDITEMS = 0x90,
  STACK_GLOBAL = 0x93,
  MEMOIZE = 0x94,
  FRAME = 0x95,
};

}  // namespace

const PickleNode* PickleNode::find(std::string_view key) const {
  if (kind == Kind::object) {
    for (const PickleNode* const state : items) {
      if (const PickleNode* const found = state->kind == Kind::dict ? state->find(key) : nullptr) {
        return found;
      }
    }
    return nullptr;
  }
  if (kind != Kind::dict) return nullptr;
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    if (items[i]->kind == Kind::text && items[i]->text == key) return items[i + 1];
  }
  return nullptr;
}

/// The machine: a stack, a memo, and no way to call anything.
class PickleReader {
 public:
  PickleReader(Pickle& out, std::string_view bytes) : out_(out), bytes_(bytes) {}

  void run() {
    while (!step()) {
    }
    out_.size_ = at_;
  }

 private:
  using Kind = PickleNode::Kind;

  [[noreturn]] static void fail(const std::string& fault) {
    throw Error(fmt::format("its pickle {}", fault));
  }

  std::string_view take(std::size_t n) {
    if (n > bytes_.size() - at_) fail("is cut short");
    const std::string_view taken = bytes_.substr(at_, n);
    at_ += n;
    return taken;
  }
  template <class T>
  T number() {
    T value{};
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view line() {
    const std::size_t end = bytes_.substr(at_, longest_name).find('\n');
    if (end == std::string_view::npos) fail("has a name that does not end");
    const std::string_view text = take(end);
    ++at_;
    return text;
  }

  PickleNode& make(Kind kind) {
    if (out_.nodes_.size() >= most_nodes) fail("has more than 5 million values");
    PickleNode& node = out_.nodes_.emplace_back();
    node.kind = kind;
    return node;
  }
  void push(PickleNode& node) { stack_.push_back(&node); }
  void push_integer(std::int64_t value) {
    PickleNode& node = make(Kind::integer);
    node.integer = value;
    push(node);
  }
  void push_text(std::string_view text) {
    PickleNode& node = make(Kind::text);
    node.text = text;
    push(node);
  }
  PickleNode* pop() {
    if (stack_.empty() || (!marks_.empty() && stack_.size() <= marks_.back())) {
      fail("takes a value from where none is");
    }
    PickleNode* const node = stack_.back();
    stack_.pop_back();
    return node;
  }
  PickleNode& top() {
    PickleNode* const node = pop();
    stack_.push_back(node);
    return *node;
  }
  /// What stands behind the last mark, which goes, too.
  std::vector<const PickleNode*> pop_to_mark() {
    if (marks_.empty()) fail("ends a list that does not begin");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<const PickleNode*> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  void push_tuple(std::vector<const PickleNode*> items) {
    PickleNode& node = make(Kind::tuple);
    node.items = std::move(items);
    push(node);
  }
  void push_tuple(std::size_t size) {
    std::vector<const PickleNode*> items(size);
    for (std::size_t i = size; i > 0; --i) items[i - 1] = pop();
    push_tuple(std::move(items));
  }
  void push_global(std::string_view module, std::string_view name) {
    PickleNode& node = make(Kind::global);
    node.text = fmt::format("{}.{}", module, name);
    push(node);
  }
  static void append(PickleNode& to, const std::vector<const PickleNode*>& items) {
    if (to.kind != Kind::tuple && to.kind != Kind::object) fail("appends to what is no list");
    if (to.kind == Kind::tuple) to.items.insert(to.items.end(), items.begin(), items.end());
  }
  static void set_items(PickleNode& to, const std::vector<const PickleNode*>& items) {
    if (items.size() % 2 != 0) fail("sets a key without a value");
    if (to.kind != Kind::dict && to.kind != Kind::object) fail("sets items of what is no dict");
    if (to.kind == Kind::dict) to.items.insert(to.items.end(), items.begin(), items.end());
  }
  void remember(std::uint64_t place) {
    if (memo_.size() >= most_nodes) fail("keeps more than 5 million values");
    memo_[place] = &top();
  }
  void recall(std::uint64_t place) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) fail("recalls what it has not kept");
    stack_.push_back(found->second);
  }

  void reduce(const PickleNode& function, const PickleNode& arguments) {
    if (function.kind != Kind::global || arguments.kind != Kind::tuple) {
      push_inert("a call of what is no function");
      return;
    }
    const std::string& name = function.text;
    const auto& given = arguments.items;
    if (name == "collections.OrderedDict" && given.empty()) {
      push(make(Kind::dict));
    } else if ((name == "torch._utils._rebuild_tensor_v2" ||
                name == "torch._utils._rebuild_tensor") &&
               given.size() >= 4) {
      PickleNode& node = make(Kind::tensor);
      node.items.assign(given.begin(), given.begin() + 4);
      push(node);
    } else if (name == "torch._utils._rebuild_parameter" && !given.empty()) {
      stack_.push_back(const_cast<PickleNode*>(given.front()));
    } else {
      push_inert(name);
    }
  }
  void push_inert(const std::string& name) {
    out_.inert_.insert(name);
    PickleNode& node = make(Kind::object);
    node.text = name;
    push(node);
  }
  void new_object(const PickleNode& type) {
    if (type.kind != Kind::global) fail("makes an object of what is no class");
    if (type.text == "collections.OrderedDict") {
      push(make(Kind::dict));
    } else {
      push_inert(type.text);
    }
  }
  void build(const PickleNode& state) {
    PickleNode& object = top();
    if (object.kind != Kind::object) return;  // the attributes of a dict
    object.items.push_back(&state);
  }
  void persistent(const PickleNode& id) {
    // The old form keeps a module's class with its source, which is of no interest.
    const bool module = id.kind == Kind::tuple && id.items.size() >= 2 &&
                        id.items[0]->kind == Kind::text && id.items[0]->text == "module";
    if (module) {
      stack_.push_back(const_cast<PickleNode*>(id.items[1]));
      return;
    }
    const bool storage = id.kind == Kind::tuple && id.items.size() >= 5 &&
                         id.items[0]->kind == Kind::text && id.items[0]->text == "storage";
    if (!storage) fail("refers to something outside that is no storage");
    PickleNode& node = make(Kind::storage);
    node.items.assign(id.items.begin() + 1, id.items.end());
    push(node);
  }
  void push_long(std::string_view digits) {
    std::uint64_t value =
        digits.empty() || static_cast<signed char>(digits.back()) >= 0 ? 0 : ~std::uint64_t{0};
    for (std::size_t i = std::min<std::size_t>(digits.size(), 8); i > 0; --i) {
      value = value << 8U | static_cast<unsigned char>(digits[i - 1]);
    }
    PickleNode& node = make(Kind::integer);
    node.integer = static_cast<std::int64_t>(value);
    // Longer numbers than any that matters are kept as they are written.
    if (digits.size() > 8) node.text = digits;
    push(node);
  }

  /// One opcode; true at the end.
  bool step() {
    const auto opcode = static_cast<unsigned char>(take(1).front());
    switch (opcode) {
      case PROTO:
        if (number<std::uint8_t>() > 5) fail("is of a protocol that is not known");
        break;
      case FRAME:
        take(8);
        break;
      case STOP:
        out_.root_ = pop();
        return true;
      case MARK:
        marks_.push_back(stack_.size());
        break;
      case NONE:
        push(make(Kind::none));
        break;
      case NEWTRUE:
      case NEWFALSE: {
        PickleNode& node = make(Kind::boolean);
        node.integer = opcode == NEWTRUE ? 1 : 0;
        push(node);
        break;
      }
      case BININT:
        push_integer(number<std::int32_t>());
        break;
      case BININT1:
        push_integer(number<std::uint8_t>());
        break;
      case BININT2:
        push_integer(number<std::uint16_t>());
        break;
      case LONG1:
        push_long(take(number<std::uint8_t>()));
        break;
      case BINFLOAT: {
        PickleNode& node = make(Kind::real);
        node.real = std::bit_cast<double>(__builtin_bswap64(number<std::uint64_t>()));
        push(node);
        break;
      }
      case SHORT_BINSTRING:
      case SHORT_BINUNICODE:
        push_text(take(number<std::uint8_t>()));
        break;
      case BINUNICODE:
        push_text(take(number<std::uint32_t>()));
        break;
      default:
        containers(opcode);
    }
    return false;
  }

  void containers(unsigned char opcode) {
    switch (opcode) {
      case EMPTY_DICT:
        push(make(Kind::dict));
        break;
      case EMPTY_LIST:
      case EMPTY_SET:
      case EMPTY_TUPLE:
        push(make(Kind::tuple));
        break;
      case TUPLE:
        push_tuple(pop_to_mark());
        break;
      case TUPLE1:
      case TUPLE2:
      case TUPLE3:
        push_tuple(static_cast<std::size_t>(opcode - TUPLE1) + 1);
        break;
      case APPEND: {
        const PickleNode* const item = pop();
        append(top(), {item});
        break;
      }
      case APPENDS:
      case ADDITEMS: {
        const auto items = pop_to_mark();
        append(top(), items);
        break;
      }
      case SETITEM: {
        const PickleNode* const value = pop();
        const PickleNode* const key = pop();
        set_items(top(), {key, value});
        break;
      }
      case SETITEMS: {
        const auto items = pop_to_mark();
        set_items(top(), items);
        break;
      }
      case BINPUT:
        remember(number<std::uint8_t>());
        break;
      case LONG_BINPUT:
        remember(number<std::uint32_t>());
        break;
      case MEMOIZE:
        remember(memo_.size());
        break;
      case BINGET:
        recall(number<std::uint8_t>());
        break;
      case LONG_BINGET:
        recall(number<std::uint32_t>());
        break;
      case GLOBAL: {
        const std::string_view module = line();
        push_global(module, line());
        break;
      }
      case STACK_GLOBAL: {
        const PickleNode* const name = pop();
        const PickleNode* const module = pop();
        if (name->kind != Kind::text || module->kind != Kind::text ||
            name->text.size() + module->text.size() > longest_name) {
          fail("has a class without a name");
        }
        push_global(module->text, name->text);
        break;
      }
      case REDUCE: {
        const PickleNode* const arguments = pop();
        const PickleNode* const function = pop();
        reduce(*function, *arguments);
        break;
      }
      case NEWOBJ: {
        pop();
        new_object(*pop());
        break;
      }
      case BUILD: {
        const PickleNode* const state = pop();
        build(*state);
        break;
      }
      case BINPERSID:
        persistent(*pop());
        break;
      default:
        fail(fmt::format("has opcode 0x{:02x} at byte {}, which no state dict needs", opcode,
                         at_ - 1));
    }
  }

  Pickle& out_;
  std::string_view bytes_;
  std::size_t at_ = 0;
  std::vector<PickleNode*> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, PickleNode*> memo_;
};

Pickle::Pickle(std::string_view bytes) { PickleReader(*this, bytes).run(); }

}  // namespace sluice
