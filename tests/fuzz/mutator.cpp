// Mutations that know what a file is made of, for the readers that bytes alone do not get past: a
// JSON document stays one, a line of JSON lines too, and a safetensors file's header has the length
// it says. Half of the mutations are libFuzzer's own.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace {

using Json = nlohmann::ordered_json;
using Random = std::minstd_rand;

/// Nodes and bytes that are worth the while of taking apart.
constexpr std::size_t most_bytes = 1 << 16;
constexpr int most_levels = 60;

std::size_t below(Random& random, std::size_t n) { return random() % n; }
bool once_in(Random& random, std::size_t n) { return below(random, n) == 0; }

/// Values that lie at an edge of something.
Json interesting(Random& random) {
  static const std::vector<Json> values = {nullptr,
                                           true,
                                           false,
                                           0,
                                           1,
                                           -1,
                                           2,
                                           7,
                                           255,
                                           65536,
                                           INT32_MAX,
                                           INT64_MAX,
                                           INT64_MIN,
                                           UINT64_MAX,
                                           9007199254740993,
                                           0.5,
                                           -0.0,
                                           1e-310,
                                           1e30,
                                           1.7e308,
                                           "",
                                           "a",
                                           "glu",
                                           "nan",
                                           "<script>&\"'",
                                           "../../x",
                                           std::string("\0\x1b", 2),
                                           Json::array(),
                                           Json::object(),
                                           Json::array({1, 2, 3}),
                                           Json::array({Json::array(), Json::array({0.5})})};
  return values[below(random, values.size())];
}

std::string mutated_bytes(std::string bytes) {
  const std::size_t room = bytes.size() + 64;
  const std::size_t size = bytes.size();
  bytes.resize(room);
  bytes.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(bytes.data()), size, room));
  return bytes;
}

/// The depth of brackets, strings included: a bound.
int levels(std::string_view text) {
  int level = 0;
  int most = 0;
  for (const char c : text) {
    if (c == '[' || c == '{') most = std::max(most, ++level);
    if (c == ']' || c == '}') --level;
  }
  return most;
}

Json parsed(std::string_view text) {
  if (text.size() > most_bytes || levels(text) > most_levels) return Json(Json::value_t::discarded);
  return Json::parse(text, nullptr, false);
}

std::string written(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void collect(Json& node, std::vector<Json*>& all) {
  all.push_back(&node);
  if (node.is_structured()) {
    for (Json& child : node) collect(child, all);
  }
}

bool mutate_json(std::string& text, Random& random);

void mutate_container(Json& node, const std::vector<Json*>& all, Random& random) {
  const std::size_t place = node.empty() ? 0 : below(random, node.size());
  const Json other = once_in(random, 2) ? interesting(random) : *all[below(random, all.size())];
  if (node.is_object()) {
    if (node.empty() || once_in(random, 4)) {
      node["x"] = other;
      return;
    }
    auto at = node.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(place));
    if (once_in(random, 2)) {
      node.erase(at);
    } else {  // another name for it
      Json value = at.value();
      std::string name = mutated_bytes(at.key());
      node.erase(at);
      node[std::move(name)] = std::move(value);
    }
    return;
  }
  switch (node.empty() ? 0 : below(random, 5)) {
    case 0:
      node.push_back(other);
      break;
    case 1:
      node.erase(place);
      break;
    case 2:
      std::swap(node[place], node[below(random, node.size())]);
      break;
    case 3:
      for (std::size_t n = node[place].is_structured() ? 2 : below(random, 40); n > 0; --n) {
        node.push_back(Json(node[place]));
      }
      break;
    default:
      node.insert(node.begin() + static_cast<std::ptrdiff_t>(place), other);
  }
}

void mutate_node(Json& node, const std::vector<Json*>& all, Random& random) {
  if (once_in(random, 4)) {
    node = interesting(random);
  } else if (once_in(random, 6)) {
    const Json copy = *all[below(random, all.size())];
    node = copy;
  } else if (node.is_structured()) {
    mutate_container(node, all, random);
  } else if (node.is_string()) {
    std::string text = node.get<std::string>();
    // A document in a string, as metadata has it.
    if (text.empty() || text.front() != '{' || !mutate_json(text, random)) {
      text = mutated_bytes(text);
    }
    node = text;
  } else if (node.is_number_integer()) {
    const auto bits = node.get<std::uint64_t>();
    const std::uint64_t changed[] = {bits + 1, bits - 1,
                                     bits * 2, bits / 2,
                                     0 - bits, bits ^ (std::uint64_t{1} << below(random, 64))};
    node = static_cast<std::int64_t>(changed[below(random, std::size(changed))]);
  } else if (node.is_number_float()) {
    const double value = node.get<double>();
    const double changed[] = {-value, value * 1e10, value * 1e-10, value + 1, 1 / (value + 1e-300)};
    node = changed[below(random, std::size(changed))];
  } else {
    node = interesting(random);
  }
}

/// False for what is no JSON.
bool mutate_json(std::string& text, Random& random) {
  Json document = parsed(text);
  if (document.is_discarded()) return false;
  for (std::size_t n = 1 + below(random, 3); n > 0; --n) {
    std::vector<Json*> all;
    collect(document, all);
    // Not often the whole, which has most below it.
    mutate_node(*all[all.size() == 1 ? 0 : below(random, all.size())], all, random);
  }
  text = written(document);
  return text.size() <= most_bytes;
}

bool mutate_line(std::string& text, Random& random) {
  const std::size_t somewhere = text.empty() ? 0 : below(random, text.size());
  const std::size_t before = text.rfind('\n', somewhere);
  const std::size_t begin = before == std::string::npos || somewhere == 0 ? 0 : before + 1;
  const std::size_t end = std::min(text.find('\n', begin), text.size());
  std::string line = text.substr(begin, end - begin);
  Json document = parsed(line);
  if (document.is_object() && document.contains("check")) {  // it would be of other bytes
    document.erase("check");
    line = written(document);
  }
  if (!mutate_json(line, random)) return false;
  text.replace(begin, end - begin, line);
  return true;
}

bool mutate_safetensors(std::string& text, Random& random) {
  std::uint64_t size = 0;
  if (text.size() < sizeof size) return false;
  std::memcpy(&size, text.data(), sizeof size);
  if (size > text.size() - sizeof size) return false;
  std::string header = text.substr(sizeof size, size);
  if (!mutate_json(header, random)) return false;
  const std::uint64_t length = header.size();
  const std::string data = text.substr(sizeof size + size);
  text.assign(reinterpret_cast<const char*>(&length), sizeof length);
  text += header;
  text += data;
  return true;
}

using Mutation = bool (*)(std::string& text, Random& random);

/// How the harness's files are made; null: of bytes.
Mutation mutation_of(std::string_view harness) {
  constexpr std::string_view documents[] = {
      "json",           "config",  "model_directory", "settings",      "tokenizer_list",
      "tokenizer_file", "results", "inspection",      "claim_results", "claim"};
  constexpr std::string_view lines[] = {"metrics", "json_lines"};
  constexpr std::string_view tensors[] = {"safetensors", "checkpoint", "foreign_file"};
  const auto has = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), harness) != std::end(names);
  };
  return has(documents) ? mutate_json
         : has(lines)   ? mutate_line
         : has(tensors) ? mutate_safetensors
                        : nullptr;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  static const char* const name = std::getenv("SLUICE_FUZZ");
  static const Mutation mutation = name == nullptr ? nullptr : mutation_of(name);
  Random random(seed);
  std::string text(reinterpret_cast<const char*>(data), size);
  if (mutation == nullptr || once_in(random, 2) || !mutation(text, random) || text.size() > most) {
    return LLVMFuzzerMutate(data, size, most);
  }
  std::memcpy(data, text.data(), text.size());
  return text.size();
}
