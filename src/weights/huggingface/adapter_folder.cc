#include "huggingface/adapter_folder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "adapter_parts.h"
#include "huggingface/adapter_config.h"
#include "huggingface/family.h"
#include "huggingface/place_tensors.h"
#include "tatara/base/files.h"
#include "tatara/base/sha256.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::int64_t kHeadsMax = 1 << 16;
constexpr std::int64_t kHeadSizeMax = 1 << 20;

enum class Role { kA, kB, kMagnitude };
struct RoleName {
  std::string_view suffix;
  Role role;
};
constexpr RoleName kRoles[] = {{".lora_A.weight", Role::kA},
                               {".lora_B.weight", Role::kB},
                               {".lora_magnitude_vector", Role::kMagnitude},
                               {".lora_magnitude_vector.weight", Role::kMagnitude}};

// Heads, as the model's keys say.
struct Heads {
  std::int64_t n = 0, n_kv = 0, size = 0;
};

Result<Heads> HeadsOf(const Metadata& model, const std::string& architecture) {
  Heads heads;
  const auto key = [&](const char* name) { return architecture + "." + name; };
  TATARA_TRY(heads.n, model.Int(key("attention.head_count")));
  TATARA_TRY(heads.n_kv, model.IntOr(key("attention.head_count_kv"), heads.n));
  TATARA_TRY(const std::int64_t n_embd, model.Int(key("embedding_length")));
  if (heads.n < 1 || heads.n > kHeadsMax || heads.n_kv < 1 || heads.n_kv > kHeadsMax) {
    return Refuse("{0}: the key '{1}' is {2}", model.origin(), key("attention.head_count"),
                  heads.n);
  }
  TATARA_TRY(heads.size, model.IntOr(key("attention.key_length"), n_embd / heads.n));
  if (heads.size < 1 || heads.size > kHeadSizeMax) {
    return Refuse("{0}: the key '{1}' is {2}", model.origin(), key("attention.key_length"),
                  heads.size);
  }
  return heads;
}

// A module of the published model, and where its matrix lies in GGUF's names.
struct Module {
  std::string name;
  std::optional<Placed> place;
};

Module FindModule(std::span<const Family* const> families, std::string_view name) {
  Module module{std::string(name), std::nullopt};
  for (const Family* family : families) {
    module.place = FindPlace(*family, module.name + ".weight");
    if (module.place) break;
  }
  return module;
}

// Whether an adapter can change what lies there.
bool IsPlainMatrix(const Placed& place) {
  switch (place.rule->change) {
    case Change::kKeep:
    case Change::kDropTied:
    case Change::kPairs:
    case Change::kKeyPairs:
    case Change::kTranspose:  // the adapter's factors are outputs x inputs all the same
    case Change::kHalves:
      return place.expert < 0 && place.to != "token_embd.weight";
    default:
      return false;
  }
}

// Rows from halves of a head to neighbours, as the matrix's own rows are.
Result<> TurnRows(std::span<std::byte> rows, std::int64_t n_rows, std::int64_t n_heads,
                  std::int64_t head, const std::string& path, std::string_view name) {
  if (head < 2 || head % 2 != 0 || n_rows != n_heads * head) {
    return Refuse(
        "{0}: the adapter's change of '{1}' has {2} rows, but the model has {3} heads of "
        "{4}",
        path, Printable(name), n_rows, n_heads, head);
  }
  const std::vector<std::byte> before(rows.begin(), rows.end());
  const std::size_t row_bytes = rows.size() / static_cast<std::size_t>(n_rows);
  for (std::int64_t r = 0; r < n_rows; ++r) {
    const std::int64_t in_head = r % head;
    const std::int64_t from = r - in_head + in_head / 2 + in_head % 2 * (head / 2);
    std::memcpy(rows.data() + static_cast<std::size_t>(r) * row_bytes,
                before.data() + static_cast<std::size_t>(from) * row_bytes, row_bytes);
  }
  return Ok{};
}

Result<> TurnPart(const Module& module, const Heads& heads, const std::string& path,
                  AdapterPart& part) {
  const Change change = module.place->rule->change;
  if (change != Change::kPairs && change != Change::kKeyPairs) return Ok{};
  const std::int64_t n_heads = change == Change::kPairs ? heads.n : heads.n_kv;
  TATARA_RETURN_IF_ERROR(
      TurnRows(part.b.data, part.b.n_rows, n_heads, heads.size, path, module.name));
  if (part.magnitude.empty()) return Ok{};
  return TurnRows(std::as_writable_bytes(std::span(part.magnitude)), part.b.n_rows, n_heads,
                  heads.size, path, module.name);
}

// The first or second half of the rows.
AdapterPart HalfOf(const AdapterPart& part, std::size_t half) {
  AdapterPart out = part;
  const std::size_t n_bytes = part.b.data.size() / 2, n_numbers = part.magnitude.size() / 2;
  out.b.n_rows /= 2;
  out.b.data.assign(part.b.data.begin() + static_cast<std::ptrdiff_t>(half * n_bytes),
                    part.b.data.begin() + static_cast<std::ptrdiff_t>((half + 1) * n_bytes));
  out.magnitude.assign(
      part.magnitude.begin() + static_cast<std::ptrdiff_t>(half * n_numbers),
      part.magnitude.begin() + static_cast<std::ptrdiff_t>((half + 1) * n_numbers));
  return out;
}

Result<std::map<std::string, AdapterPart, std::less<>>> CollectModules(const TensorStore& store) {
  std::map<std::string, AdapterPart, std::less<>> modules;
  for (const auto& [name, view] : store.tensors()) {
    const auto role = std::ranges::find_if(
        kRoles, [&](const RoleName& known) { return name.ends_with(known.suffix); });
    if (!name.starts_with(kPrefix) || role == std::end(kRoles) ||
        name.size() <= kPrefix.size() + role->suffix.size()) {
      return Refuse(
          "{0}: the tensor '{1}' is no factor or magnitude of a LoRA or DoRA adapter; ignoring it "
          "could give wrong answers",
          store.path().string(), Printable(name));
    }
    AdapterPart& part =
        modules[name.substr(kPrefix.size(), name.size() - kPrefix.size() - role->suffix.size())];
    if (role->role == Role::kMagnitude) {
      TATARA_TRY(part.magnitude, ReadMagnitude(store, view));
    } else {
      TATARA_TRY((role->role == Role::kA ? part.a : part.b), ReadFactor(store, view));
    }
  }
  return modules;
}

// Scale and rank as the configuration says; DoRA exactly where it says so.
Result<> Configure(const AdapterConfig& config, const std::string& path, const std::string& module,
                   AdapterPart& part) {
  const std::int64_t rank = config.RankOf(module);
  if (part.rank() != rank) {
    return Refuse("{0}: the adapter's change of '{1}' has rank {2}, but its configuration says {3}",
                  path, Printable(module), part.rank(), rank);
  }
  if (part.magnitude.empty() == config.dora) {
    return Refuse("{0}: the adapter's change of '{1}' has {2} magnitudes, but 'use_dora' is {3}",
                  path, Printable(module), part.magnitude.size(), config.dora);
  }
  part.scale = config.ScaleOf(module, rank);
  if (!std::isfinite(part.scale)) {
    return Refuse("{0}: the scale of '{1}' is {2}", path, Printable(module), part.scale);
  }
  return Ok{};
}

Result<> PlacePart(const Module& module, const Heads& heads, AdapterPart part, AdapterFile& file) {
  const std::string path = file.path.string();
  if (!module.place || !IsPlainMatrix(*module.place)) {
    return Refuse(
        "{0}: the adapter changes '{1}', which is no matrix of '{2}' models that adapters can "
        "change (experts, embeddings and norms are not)",
        path, Printable(module.name), file.architecture);
  }
  TATARA_RETURN_IF_ERROR(TurnPart(module, heads, path, part));
  if (module.place->rule->change != Change::kHalves) {
    file.parts[module.place->to] = std::move(part);
    return Ok{};
  }
  if (part.b.n_rows % 2 != 0) {
    return Refuse("{0}: the adapter's change of '{1}' has {2} rows, expected an even number", path,
                  Printable(module.name), part.b.n_rows);
  }
  file.parts[module.place->to] = HalfOf(part, 0);
  file.parts[module.place->second] = HalfOf(part, 1);
  return Ok{};
}

// As `sha256sum adapter_config.json adapter_model.safetensors | sha256sum` gives it.
Result<std::string> DigestOf(const fs::path& config, const fs::path& tensors) {
  TATARA_TRY(const std::string of_config, Sha256OfFile(config));
  TATARA_TRY(const std::string of_tensors, Sha256OfFile(tensors));
  return Sha256Hex(of_config + "  " + config.filename().string() + "\n" + of_tensors + "  " +
                   tensors.filename().string() + "\n");
}

}  // namespace

Result<AdapterFile> OpenPeftFolder(const fs::path& folder, const Metadata& model) {
  AdapterFile file;
  file.path = folder;
  TATARA_TRY(file.architecture, model.String("general.architecture"));
  const fs::path config_path = folder / "adapter_config.json";
  const fs::path tensors_path = folder / "adapter_model.safetensors";
  TATARA_TRY(const AdapterConfig config, ReadAdapterConfig(config_path));
  const std::vector<const Family*> families = FamiliesOfArchitecture(file.architecture);
  if (families.empty()) {
    return Refuse(
        "{0}: no published layout of '{1}' models is known here, so that PEFT's names "
        "cannot be found in them",
        folder.string(), Printable(file.architecture));
  }
  TATARA_TRY(const Heads heads, HeadsOf(model, file.architecture));
  TATARA_TRY(const auto store, OpenTensorStore(tensors_path));
  TATARA_TRY(auto modules, CollectModules(*store));
  // Checked under the published names first, which are those that people know.
  AdapterFile published;
  published.path = tensors_path;
  published.parts = std::move(modules);
  TATARA_RETURN_IF_ERROR(CheckParts(published));
  for (auto& [name, part] : published.parts) {
    TATARA_RETURN_IF_ERROR(Configure(config, folder.string(), name, part));
    TATARA_RETURN_IF_ERROR(PlacePart(FindModule(families, name), heads, std::move(part), file));
  }
  TATARA_TRY(file.sha256, DigestOf(config_path, tensors_path));
  return file;
}

}  // namespace tatara::weights
