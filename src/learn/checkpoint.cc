#include "tatara/learn/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tatara/base/files.h"
#include "tatara/base/json_nesting.h"
#include "tatara/base/sha256.h"
#include "tatara/weights/gguf_file.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;
using model::Parameter;

constexpr std::uint64_t kInfoBytesMax = 1 << 20;
constexpr std::size_t kHistoryMax = 10000;
constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kPartial = ".partial-";

// Values of every parameter: laid out as the weights, or an optimiser's moments.
struct Part {
  std::string prefix;
  const std::vector<float>* values = nullptr;
  const Moments* moments = nullptr;

  std::size_t value_bytes() const {
    return moments == nullptr ? sizeof(float) : moments->value_bytes();
  }
  // Muon has no second moment. What is stored in f32 states zeros for it, as it always has; what is
  // stored as bf16 leaves it out.
  bool Has(std::size_t parameter) const {
    return moments == nullptr || moments->narrow.empty() ||
           moments->offsets[parameter] != Moments::kNone;
  }
  // Null: zeros.
  const std::byte* bytes(const std::vector<Parameter>& parameters, std::size_t parameter) const {
    if (moments == nullptr) {
      return reinterpret_cast<const std::byte*>(values->data() + parameters[parameter].offset);
    }
    if (moments->offsets[parameter] == Moments::kNone) return nullptr;
    return moments->bytes(parameter);
  }
};

// body(part, parameter, bytes) in the order of the file.
template <typename F>
void ForTensors(const std::vector<Parameter>& parameters, const std::vector<Part>& parts, F body) {
  for (const Part& part : parts) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (!part.Has(i)) continue;
      body(part, i, static_cast<std::size_t>(parameters[i].size()) * part.value_bytes());
    }
  }
}

// The header of a safetensors file of these parts: names need no escaping. Padded to 64 bytes.
std::string HeaderOf(const std::vector<Parameter>& parameters, const std::vector<Part>& parts) {
  std::string json = "{";
  std::size_t at = 0;
  ForTensors(parameters, parts, [&](const Part& part, std::size_t i, std::size_t size) {
    const Parameter& p = parameters[i];
    const std::string shape =
        p.n_rows == 1 ? fmt::format("{}", p.n_cols) : fmt::format("{},{}", p.n_rows, p.n_cols);
    json += fmt::format(R"({}"{}{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                        json.size() > 1 ? "," : "", part.prefix, p.name,
                        part.value_bytes() == sizeof(float) ? "F32" : "BF16", shape, at, at + size);
    at += size;
  });
  json += "}";
  json.resize((json.size() + 8 + 63) / 64 * 64 - 8, ' ');
  std::string header(8, '\0');
  StoreLe(header.data(), static_cast<std::uint64_t>(json.size()));
  return header + json;
}

std::size_t BytesOf(const std::vector<Parameter>& parameters, const std::vector<Part>& parts) {
  std::size_t bytes = 0;
  ForTensors(parameters, parts, [&](const Part&, std::size_t, std::size_t size) { bytes += size; });
  return bytes;
}

std::string FileOf(const std::vector<Parameter>& parameters, const std::vector<Part>& parts) {
  std::string file = HeaderOf(parameters, parts);
  file.reserve(file.size() + BytesOf(parameters, parts));
  ForTensors(parameters, parts, [&](const Part& part, std::size_t i, std::size_t size) {
    const std::byte* const bytes = part.bytes(parameters, i);
    if (bytes == nullptr) {
      file.append(size, '\0');
    } else {
      file.append(reinterpret_cast<const char*>(bytes), size);
    }
  });
  return file;
}

// The file's values into the parts. Its header must be the one that would be written.
Result<> ReadFile(const fs::path& path, const std::string& sha256,
                  const std::vector<Parameter>& parameters, const std::vector<Part>& parts) {
  TATARA_TRY(const MappedFile file, MappedFile::Open(path));
  if (Sha256Hex(file.bytes()) != sha256) {
    return Refuse("{0}: its content is not what checkpoint.json states", path.string());
  }
  const std::string header = HeaderOf(parameters, parts);
  if (file.bytes().size() != header.size() + BytesOf(parameters, parts) ||
      AsText(file.bytes().first(header.size())) != header) {
    return Refuse("{0}: the tensors are not those of this recipe's model", path.string());
  }
  const std::byte* from = file.bytes().data() + header.size();
  ForTensors(parameters, parts, [&](const Part& part, std::size_t i, std::size_t size) {
    const std::byte* const into = part.bytes(parameters, i);
    if (into != nullptr) std::memcpy(const_cast<std::byte*>(into), from, size);
    from += size;
  });
  return Ok{};
}

struct Stored {
  CheckpointInfo info;
  std::int64_t n_sequences = 0;
  SpikeHistory spikes;
  std::string weights_sha256, optimizer_sha256;
};

Result<Stored> ReadInfo(const fs::path& path) {
  TATARA_TRY(const std::string text, ReadWholeFile(path, kInfoBytesMax));
  const auto json =
      JsonNestsTooDeeply(text) ? nlohmann::json() : nlohmann::json::parse(text, nullptr, false);
  Stored stored;
  const auto take_text = [&](const char* key, std::string& value) {
    const auto it = json.find(key);
    if (it == json.end() || !it->is_string()) return false;
    value = it->get<std::string>();
    return true;
  };
  const auto take_whole = [&](const char* key, std::int64_t& value) {
    const auto it = json.find(key);
    if (it == json.end() || !it->is_number_unsigned()) return false;
    value = static_cast<std::int64_t>(it->get<std::uint64_t>() & (~std::uint64_t{0} >> 1));
    return true;
  };
  const bool whole = json.is_object() && take_whole("step", stored.info.step) &&
                     take_text("recipe", stored.info.recipe_digest) &&
                     take_text("data", stored.info.data_digest) &&
                     take_text("weights.safetensors", stored.weights_sha256) &&
                     take_text("optimizer.safetensors", stored.optimizer_sha256) &&
                     take_whole("best_step", stored.info.best_step) && json.contains("best_loss") &&
                     json["best_loss"].is_number();
  if (!whole) return Refuse("{0}: not the record of a checkpoint", path.string());
  stored.info.best_loss = json["best_loss"].get<double>();
  const auto take_numbers = [&](const char* key, std::vector<double>& values) {
    const auto it = json.find(key);
    if (it == json.end() || !it->is_array() || it->size() > kHistoryMax) return false;
    for (const auto& value : *it) {
      if (!value.is_number()) return false;
      values.push_back(value.get<double>());
    }
    return true;
  };
  if (!take_whole("sequences", stored.n_sequences) ||
      !take_whole("events", stored.spikes.n_events) ||
      !take_whole("metrics_lines", stored.info.metrics_lines) ||
      !take_numbers("losses", stored.spikes.losses) ||
      !take_numbers("gradient_norms", stored.spikes.norms)) {
    return Refuse("{0}: not the record of a checkpoint", path.string());
  }
  return stored;
}

std::string InfoText(const CheckpointInfo& info, const TrainerState& state,
                     const std::string& weights, const std::string& optimizer) {
  return fmt::format(
      "{{\"format\":1,\"contract\":1,\"step\":{},\"recipe\":\"{}\",\"data\":\"{}\","
      "\"weights.safetensors\":\"{}\",\"optimizer.safetensors\":\"{}\",\"best_step\":{},"
      "\"best_loss\":{},\"metrics_lines\":{},\"sequences\":{},\"events\":{},\"losses\":[{}],"
      "\"gradient_norms\":[{}]}}\n",
      info.step, info.recipe_digest, info.data_digest, weights, optimizer, info.best_step,
      info.best_loss, info.metrics_lines, state.n_sequences, state.spikes.n_events,
      fmt::join(state.spikes.losses, ","), fmt::join(state.spikes.norms, ","));
}

std::vector<Part> WeightParts(const TrainerState& s) {
  return {{"", &s.result()}};
}
// With an average, the weights that training goes on from are here.
std::vector<Part> OptimizerParts(const TrainerState& s) {
  std::vector<Part> parts = {{"first.", nullptr, &s.first_moment},
                             {"second.", nullptr, &s.second_moment}};
  if (!s.average.empty()) parts.push_back({"weights.", &s.weights});
  for (std::size_t i = 0; i < s.copies.size(); ++i) {
    parts.push_back({fmt::format("copy.{}.", i), &s.copies[i]});
  }
  return parts;
}

Error SystemError(const fs::path& path, const std::error_code& code) {
  return MakeError(ErrorKind::kIo, "{0}: {1}", path.string(), code.message());
}

}  // namespace

fs::path CheckpointPath(const fs::path& out, std::int64_t step) {
  return out / "checkpoints" / fmt::format("{}{:08}", kPrefix, step);
}

Result<> SaveCheckpoint(const fs::path& out, const CheckpointInfo& info, const Trainer& trainer,
                        const Metadata* keys) {
  const fs::path final = CheckpointPath(out, info.step);
  const fs::path partial =
      final.parent_path() / (std::string(kPartial) + final.filename().string());
  std::error_code code;
  if (fs::exists(final, code)) return Ok{};  // written before a stop, from the same bits
  fs::remove_all(partial, code);
  fs::create_directories(partial, code);
  if (code) return SystemError(partial, code);
  const std::vector<Parameter>& parameters = trainer.trainable().parameters();
  std::string digests[2];
  int i = 0;
  for (const auto& [name, parts] : {std::pair{"weights.safetensors", WeightParts(trainer.state())},
                                    {"optimizer.safetensors", OptimizerParts(trainer.state())}}) {
    const std::string file = FileOf(parameters, parts);
    digests[i++] = Sha256Hex(file);
    TATARA_RETURN_IF_ERROR(WriteFileAtomically(partial / name, file));
  }
  if (keys != nullptr) TATARA_RETURN_IF_ERROR(weights::WriteGgufKeys(partial / "keys.gguf", *keys));
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(
      partial / "checkpoint.json", InfoText(info, trainer.state(), digests[0], digests[1])));
  fs::rename(partial, final, code);
  if (code) return SystemError(final, code);
  return SyncFolder(final.parent_path());
}

Result<CheckpointInfo> LoadCheckpoint(const fs::path& path, const CheckpointInfo& expected,
                                      Trainer& trainer) {
  TATARA_TRY(const Stored stored, ReadInfo(path / "checkpoint.json"));
  if (stored.info.recipe_digest != expected.recipe_digest) {
    return Refuse("{0}: it comes from another recipe; use another --out", path.string());
  }
  if (stored.info.data_digest != expected.data_digest) {
    return Refuse("{0}: it comes from other data; use another --out", path.string());
  }
  trainer.EnterPhaseOf(stored.info.step);
  TrainerState& state = trainer.state();
  const std::vector<Parameter>& parameters = trainer.trainable().parameters();
  state.copies.resize(static_cast<std::size_t>(trainer.CopiesAt(stored.info.step)),
                      std::vector<float>(state.weights.size()));
  TATARA_RETURN_IF_ERROR(ReadFile(path / "weights.safetensors", stored.weights_sha256, parameters,
                                  WeightParts(state)));
  TATARA_RETURN_IF_ERROR(ReadFile(path / "optimizer.safetensors", stored.optimizer_sha256,
                                  parameters, OptimizerParts(state)));
  state.step = stored.info.step;
  state.n_sequences = stored.n_sequences;
  state.spikes = stored.spikes;
  return stored.info;
}

Result<CheckpointDigests> ReadCheckpointDigests(const fs::path& path) {
  TATARA_TRY(const Stored stored, ReadInfo(path / "checkpoint.json"));
  return CheckpointDigests{stored.weights_sha256, stored.optimizer_sha256};
}

CheckpointDigests DigestsOfCheckpoint(const Trainer& trainer) {
  const std::vector<Parameter>& parameters = trainer.trainable().parameters();
  const auto digest = [&](const std::vector<Part>& parts) {
    Sha256 sha256;
    sha256.Update(HeaderOf(parameters, parts));
    ForTensors(parameters, parts, [&](const Part& part, std::size_t i, std::size_t size) {
      const std::byte* const bytes = part.bytes(parameters, i);
      const std::string zeros(bytes == nullptr ? size : 0, '\0');
      sha256.Update(bytes == nullptr ? AsBytes(zeros) : std::span(bytes, size));
    });
    return ToHex(sha256.Finish());
  };
  return {digest(WeightParts(trainer.state())), digest(OptimizerParts(trainer.state()))};
}

namespace {

// Away from its name first, so that what a stop leaves is never taken for a checkpoint.
Result<> Remove(const fs::path& path) {
  std::error_code code;
  const fs::path away = path.parent_path() / (std::string(kPartial) + path.filename().string());
  fs::rename(path, away, code);
  if (code) return SystemError(path, code);
  fs::remove_all(away, code);
  if (code) return SystemError(away, code);
  return Ok{};
}

std::uint64_t FileBytes(const fs::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    std::error_code ignored;
    const std::uintmax_t size = it->file_size(ignored);
    if (!ignored) bytes += size;
  }
  return bytes;
}

}  // namespace

std::vector<std::int64_t> ListCheckpoints(const fs::path& out) {
  std::vector<std::int64_t> steps;
  std::error_code code;
  for (fs::directory_iterator it(out / "checkpoints", code), end; !code && it != end;
       it.increment(code)) {
    const std::string name = it->path().filename().string();
    const std::string digits = name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : "";
    if (digits.size() != 8 || digits.find_first_not_of("0123456789") != std::string::npos) continue;
    steps.push_back(std::stol(digits));
  }
  std::ranges::sort(steps);
  return steps;
}

Result<> RemoveOldCheckpoints(const fs::path& out, const KeptCheckpoints& kept) {
  const std::vector<std::int64_t> steps = ListCheckpoints(out);
  std::uint64_t bytes = kept.bytes_next;
  for (const std::int64_t step : steps) bytes += FileBytes(CheckpointPath(out, step));
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
    const bool old = i + static_cast<std::size_t>(kept.n_kept) < steps.size();
    const bool too_much = kept.bytes_max > 0 && bytes > kept.bytes_max;
    if (!(old || too_much) || std::ranges::find(kept.besides, steps[i]) != kept.besides.end()) {
      continue;
    }
    const fs::path path = CheckpointPath(out, steps[i]);
    bytes -= std::min(bytes, FileBytes(path));
    TATARA_RETURN_IF_ERROR(Remove(path));
  }
  return Ok{};
}

Result<> RemoveCheckpointsAfter(const fs::path& out, std::int64_t step) {
  std::vector<std::int64_t> steps = ListCheckpoints(out);
  for (auto it = steps.rbegin(); it != steps.rend() && *it > step; ++it) {
    TATARA_RETURN_IF_ERROR(Remove(CheckpointPath(out, *it)));
  }
  return Ok{};
}

std::uint64_t CheckpointBytes(const Trainer& trainer) {
  constexpr std::uint64_t kInfoBytes = 1 << 16;
  std::uint64_t bytes = kInfoBytes;
  const std::vector<Parameter>& parameters = trainer.trainable().parameters();
  for (const auto& parts : {WeightParts(trainer.state()), OptimizerParts(trainer.state())}) {
    bytes += HeaderOf(parameters, parts).size() + BytesOf(parameters, parts);
  }
  // The copies of an average come one by one.
  return bytes +
         static_cast<std::uint64_t>(trainer.CopiesMax() - std::ssize(trainer.state().copies)) *
             static_cast<std::uint64_t>(trainer.trainable().n_parameters()) * 4;
}

Result<CheckpointInfo> RollBack(const fs::path& out, const CheckpointInfo& expected,
                                Trainer& trainer, ThreadPool& pool) {
  const std::int64_t n_sequences = trainer.state().n_sequences;
  const std::int64_t n_events = trainer.state().spikes.n_events;
  const std::int64_t target = trainer.RollBackStep();
  CheckpointInfo info{.recipe_digest = expected.recipe_digest, .data_digest = expected.data_digest};
  if (target == 0) {
    TATARA_RETURN_IF_ERROR(trainer.Restart(pool));
  } else {
    TATARA_TRY(info, LoadCheckpoint(CheckpointPath(out, target), expected, trainer));
  }
  trainer.state().n_sequences = n_sequences;
  trainer.state().spikes.n_events = n_events;
  return info;
}

}  // namespace tatara::learn
