// Power lost at any moment of a training: of what was not yet told to reach the disk, any part may
// be there. The operations of a run are recorded, and the directories that they may leave are made
// and used.

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cli/program.hpp"
#include "recording.hpp"
#include "sluice/base/file.hpp"
#include "support.hpp"

namespace sluice::faults {
namespace {

namespace fs = std::filesystem;

struct Step {
  Operation operation;
  long file;
  long offset;
  std::string first;
  std::string second;
};

std::vector<Step> read_recording(const std::string& file) {
  const std::string bytes = read_file(file);
  std::vector<Step> steps;
  for (std::size_t at = 0; at + sizeof(Header) <= bytes.size();) {
    Header header{};
    std::memcpy(&header, bytes.data() + at, sizeof header);
    at += sizeof header;
    steps.push_back({header.operation, header.file, header.offset, bytes.substr(at, header.first),
                     bytes.substr(at + header.first, header.second)});
    at += header.first + header.second;
  }
  return steps;
}

/// What a file holds, and how much of it is on the disk.
struct Content {
  std::string durable;
  /// Since the last sync, in order: what was written where; nothing written: cut at the offset.
  std::vector<std::pair<long, std::optional<std::string>>> pending;

  void apply(std::string& bytes, const std::pair<long, std::optional<std::string>>& change) const {
    const auto at = static_cast<std::size_t>(change.first);
    if (!change.second) {
      bytes.resize(at, '\0');
      return;
    }
    if (bytes.size() < at + change.second->size()) bytes.resize(at + change.second->size(), '\0');
    bytes.replace(at, change.second->size(), *change.second);
  }
  void sync() {
    for (const auto& change : pending) apply(durable, change);
    pending.clear();
  }
  /// Some of what is pending, each change by itself, and of the last one perhaps only a part.
  std::string after_loss(std::mt19937& random) const {
    std::string bytes = durable;
    const unsigned kind = random() % 4;  // all, none, any
    for (const auto& change : pending) {
      if (kind == 1 || (kind > 1 && random() % 2 == 0)) continue;
      auto some = change;
      if (some.second && random() % 8 == 0)
        some.second->resize(random() % (some.second->size() + 1));
      apply(bytes, some);
    }
    return bytes;
  }
};

/// A change of a directory: `name` becomes `file`, or goes when that is 0.
struct Entry {
  std::string name;
  long file = 0;
};

/// Files and directories as the recorded steps leave them, and as they are on the disk.
class Disk {
 public:
  /// Carries out one more step.
  void run(const Step& step) {
    switch (step.operation) {
      case Operation::create:
        files_[step.file] = {};
        change({step.first, step.file});
        break;
      case Operation::write:
        files_[step.file].pending.emplace_back(step.offset, step.first);
        break;
      case Operation::truncate:
        files_[step.file].pending.emplace_back(step.offset, std::nullopt);
        break;
      case Operation::sync:
        if (directories_.contains(step.first)) {
          settle(step.first);
        } else {
          files_[step.file].sync();
        }
        break;
      case Operation::rename: {
        const long file = now_.at(step.first);
        pending_.push_back({{step.first, 0}, {step.second, file}});
        now_.erase(step.first);
        now_[step.second] = file;
        break;
      }
      case Operation::remove:
        change({step.first, 0});
        break;
      case Operation::make_directory:
        directories_.insert(step.first);
        break;
    }
  }

  /// Makes below `root` what a loss of power may leave now; file names are the recorded ones with
  /// `from` replaced by it. Returns what describes it.
  std::string leave(const std::string& from, const std::string& root, std::mt19937& random) const {
    std::map<std::string, long> names = durable_;
    const unsigned kind = random() % 4;
    for (const auto& group : pending_) {
      // A rename happens or does not; other changes of names may come in any order, of which for
      // different names only that matters which of them have come.
      if (kind == 1 || (kind > 1 && random() % 2 == 0)) continue;
      for (const Entry& entry : group) {
        if (entry.file == 0) {
          names.erase(entry.name);
        } else {
          names[entry.name] = entry.file;
        }
      }
    }
    std::string description;
    const auto place = [&](const std::string& path) { return root + path.substr(from.size()); };
    for (const std::string& directory : directories_) {
      if (directory.size() >= from.size()) fs::create_directories(place(directory));
    }
    for (const auto& [name, file] : names) {
      const std::string bytes = files_.at(file).after_loss(random);
      // Not by write_file(), which syncs.
      std::FILE* const out = std::fopen(place(name).c_str(), "wb");
      std::fwrite(bytes.data(), 1, bytes.size(), out);
      std::fclose(out);
      description += name + " " + checksum_hex(bytes.data(), bytes.size()) + "\n";
    }
    return description;
  }

  bool has(const std::string& name) const { return durable_.contains(name); }

 private:
  void change(const Entry& entry) {
    pending_.push_back({entry});
    if (entry.file == 0) {
      now_.erase(entry.name);
    } else {
      now_[entry.name] = entry.file;
    }
  }
  /// What happened to names in the directory is on the disk now.
  void settle(const std::string& directory) {
    std::vector<std::vector<Entry>> others;
    for (const auto& group : pending_) {
      if (fs::path(group.back().name).parent_path() != directory) {
        others.push_back(group);
        continue;
      }
      for (const Entry& entry : group) {
        if (entry.file == 0) {
          durable_.erase(entry.name);
        } else {
          durable_[entry.name] = entry.file;
        }
      }
    }
    pending_ = others;
  }

  std::map<long, Content> files_;
  std::set<std::string> directories_;
  std::map<std::string, long> now_, durable_;
  std::vector<std::vector<Entry>> pending_;
};

class PowerLoss : public cli_test::ScratchTest {};

TEST_F(PowerLoss, LeavesARunThatGoesOn) {
  const std::string text = write("text.txt", cli_test::sample_text(200));
  const auto training = [&](const std::string& out) {
    return cli_test::tiny_training(text, out,
                                   {"--steps", "6", "--validate-every", "2", "--checkpoint-every",
                                    "1", "--log-every", "1", "--schedule", "constant"});
  };
  const std::string model = path("model");
  const cli_test::Outcome whole = cli_test::run(
      training(model),
      {.environment = {"LD_PRELOAD=" SLUICE_FAULT_LAYER, "SLUICE_FAULT_ROOT=" + directory_.string(),
                       "SLUICE_FAULT_RECORD=" + path("recording")}});
  ASSERT_EQ(whole.status, 0) << whole.err;
  const std::string weights = tensors_of(model + "/model.safetensors");
  const std::vector<Step> steps = read_recording(path("recording"));
  ASSERT_GT(steps.size(), 100U);

  const bool exhaustive = std::getenv("SLUICE_EXHAUSTIVE") != nullptr;
  const int losses = exhaustive ? 3000 : 30;
  std::set<std::string> seen;
  int resumed = 0;
  for (int loss = 0; loss < losses; ++loss) {
    std::mt19937 random(static_cast<unsigned>(loss));
    Disk disk;
    const std::size_t moment = random() % (steps.size() + 1);
    for (std::size_t i = 0; i < moment; ++i) disk.run(steps[i]);
    const std::string out = path("left");
    fs::remove_all(out);
    if (!seen.insert(disk.leave(model, out, random)).second) continue;
    SCOPED_TRACE("loss " + std::to_string(loss) + ", after " + std::to_string(moment) + " of " +
                 std::to_string(steps.size()) + " operations");
    const bool saved = fs::exists(out + "/checkpoint.safetensors");
    // Once a checkpoint is on the disk, one is there for good.
    ASSERT_TRUE(saved || !disk.has(model + "/checkpoint.safetensors"));
    if (fs::exists(out + "/model.safetensors")) {
      const cli_test::Outcome read = cli_test::run({"info", out});
      EXPECT_EQ(read.status, 0) << read.err;
    }
    const cli_test::Outcome again =
        saved ? cli_test::run({"train", "--resume", "--out", out, "--steps", "6"})
              : cli_test::run(training(out));
    ASSERT_EQ(again.status, 0) << again.err;
    resumed += saved ? 1 : 0;
    ASSERT_EQ(tensors_of(out + "/model.safetensors"), weights);
  }
  std::printf("[          ] %d losses of power in %zu operations, %zu different, %d resumed\n",
              losses, steps.size(), seen.size(), resumed);
}

}  // namespace
}  // namespace sluice::faults
