#include "huggingface/place_tensors.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "utf8.h"

namespace tatara::weights {
namespace {

using numerics::DType;

constexpr std::int64_t kExpertsMax = 1 << 14;

// Parts of a multimodal model that a text model does without.
bool IsOfAnotherSense(std::string_view name) {
  for (const std::string_view prefix :
       {"vision_tower.", "vision_model.", "visual.", "multi_modal_projector.", "audio_tower.",
        "embed_vision.", "embed_audio."}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

// The same tensor is published as "model.layers…", "layers…", "language_model.model.layers…".
std::string_view WithoutPrefixes(std::string_view name) {
  bool again = true;
  while (again) {
    again = false;
    for (const std::string_view prefix :
         {"model.", "language_model.", "transformer.", "bert.", "roberta.", "text_model."}) {
      if (!name.starts_with(prefix)) continue;
      name.remove_prefix(prefix.size());
      again = true;
    }
  }
  return name;
}

// A whole number below 2^14 at the front of `text`, without leading zeros.
bool TakeNumber(std::string_view& text, std::int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  const auto n = static_cast<std::size_t>(end - text.data());
  if (error != std::errc{} || out < 0 || out >= kExpertsMax || (n > 1 && text[0] == '0')) {
    return false;
  }
  text.remove_prefix(n);
  return true;
}

bool Matches(std::string_view pattern, std::string_view name, std::int64_t& layer,
             std::int64_t& expert) {
  while (!pattern.empty()) {
    if (pattern[0] == '#' || pattern[0] == '*') {
      if (!TakeNumber(name, pattern[0] == '#' ? layer : expert)) return false;
    } else {
      if (name.empty() || name[0] != pattern[0]) return false;
      name.remove_prefix(1);
    }
    pattern.remove_prefix(1);
  }
  return name.empty();
}

std::string Filled(std::string_view to, std::int64_t layer) {
  std::string out(to);
  const std::size_t at = out.find('#');
  if (at != std::string::npos) out.replace(at, 1, std::to_string(layer));
  return out;
}

class Placer {
 public:
  Placer(const Family& family, const PlaceOptions& options, HeldStore& store)
      : family_(family), options_(options), store_(store) {
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    room_ = pages > 0 && page_bytes > 0
                ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes)
                : std::uint64_t{1} << 36;
  }

  Result<> Place(const std::string& name, const SourceTensor& tensor);
  Result<> JoinExperts();

 private:
  Result<> Add(const std::string& to, const SourceTensor& tensor);
  // A copy of other bytes; `shape` slowest dimension first.
  Result<std::span<std::byte>> Make(const std::string& to, DType dtype,
                                    const std::vector<std::int64_t>& shape);
  Result<> TurnPairs(const Placed& place, const SourceTensor& tensor, std::int64_t n_heads);
  Result<> PlusOne(const Placed& place, const SourceTensor& tensor);
  Result<> Transpose(const Placed& place, const SourceTensor& tensor);
  Result<> Halve(const Placed& place, const SourceTensor& tensor);
  Result<> DropTwoRows(const Placed& place, const SourceTensor& tensor);
  // Of one value; types of blocks or of parts of a byte have none.
  Result<std::size_t> BytesEach(const Placed& place, const SourceTensor& tensor) const;
  Error WrongShape(std::string_view to) const {
    return Refuse("{0}: the shape of '{1}' is not what config.json says", store_.path().string(),
                  Printable(to));
  }

  const Family& family_;
  const PlaceOptions& options_;
  HeldStore& store_;
  std::uint64_t room_;
  std::map<std::string, std::map<std::int64_t, SourceTensor>> experts_;
};

TensorView ViewOf(DType dtype, const std::vector<std::int64_t>& shape, ByteSpan data) {
  TensorView view;
  view.dtype = dtype;
  view.n_dims = std::max(1, static_cast<int>(shape.size()));
  for (std::size_t i = 0; i < shape.size(); ++i) view.shape[i] = shape[shape.size() - 1 - i];
  view.data = data;
  return view;
}

Result<> Placer::Add(const std::string& to, const SourceTensor& tensor) {
  return store_.Add(to, ViewOf(*tensor.type->dtype, tensor.shape, tensor.data));
}

Result<std::span<std::byte>> Placer::Make(const std::string& to, DType dtype,
                                          const std::vector<std::int64_t>& shape) {
  std::uint64_t n_rows = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) n_rows *= static_cast<std::uint64_t>(shape[i]);
  const auto counted =
      CountedBytes(dtype, shape.empty() ? 1 : static_cast<std::uint64_t>(shape.back()), n_rows);
  const std::uint64_t bytes = counted.value_or(0);
  if (!counted || bytes > room_) {
    return MakeError(ErrorKind::kUnavailable,
                     "{0}: not enough memory for what has to be made of it",
                     store_.path().string());
  }
  room_ -= bytes;
  const std::span<std::byte> made = store_.Allocate(bytes);
  TATARA_RETURN_IF_ERROR(store_.Add(to, ViewOf(dtype, shape, made)));
  return made;
}

// Row i of the second half of a head belongs beside row i of the first.
Result<> Placer::TurnPairs(const Placed& place, const SourceTensor& tensor, std::int64_t n_heads) {
  const std::int64_t rows = tensor.shape[0];
  const std::int64_t head = options_.sizes.head_dim;
  if (tensor.shape.size() > 2 || head % 2 != 0 || rows != n_heads * head) {
    return WrongShape(place.to);
  }
  TATARA_TRY(const auto made, Make(place.to, *tensor.type->dtype, tensor.shape));
  const std::size_t row_bytes = tensor.data.size() / static_cast<std::size_t>(rows);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t in_head = r % head;
    const std::int64_t from = r - in_head + in_head / 2 + in_head % 2 * (head / 2);
    std::memcpy(made.data() + static_cast<std::size_t>(r) * row_bytes,
                tensor.data.data() + static_cast<std::size_t>(from) * row_bytes, row_bytes);
  }
  return Ok{};
}

Result<> Placer::PlusOne(const Placed& place, const SourceTensor& tensor) {
  TATARA_TRY(const auto made, Make(place.to, DType::kF32, tensor.shape));
  const std::span values(reinterpret_cast<float*>(made.data()), made.size() / sizeof(float));
  numerics::Dequantize(*tensor.type->dtype, tensor.data, values);
  for (float& value : values) value += 1;
  return Ok{};
}

Result<std::size_t> Placer::BytesEach(const Placed& place, const SourceTensor& tensor) const {
  const auto bits = static_cast<std::size_t>(tensor.type->bits);
  if (bits > 0 && bits % 8 == 0) return bits / 8;
  return Refuse("{0}: '{1}' has the type {2}, whose values can not be moved one by one",
                store_.path().string(), Printable(place.to), tensor.type->name);
}

Result<> Placer::Transpose(const Placed& place, const SourceTensor& tensor) {
  if (tensor.shape.size() != 2) return WrongShape(place.to);
  TATARA_TRY(const std::size_t bytes, BytesEach(place, tensor));
  const auto rows = static_cast<std::size_t>(tensor.shape[0]);
  const auto cols = static_cast<std::size_t>(tensor.shape[1]);
  TATARA_TRY(const auto made,
             Make(place.to, *tensor.type->dtype, {tensor.shape[1], tensor.shape[0]}));
  for (std::size_t c = 0; c < cols; ++c) {
    for (std::size_t r = 0; r < rows; ++r) {
      std::memcpy(made.data() + (c * rows + r) * bytes, tensor.data.data() + (r * cols + c) * bytes,
                  bytes);
    }
  }
  return Ok{};
}

Result<> Placer::Halve(const Placed& place, const SourceTensor& tensor) {
  std::vector<std::int64_t> shape = tensor.shape;
  if (shape.size() < 2 || shape[shape.size() - 2] % 2 != 0) return WrongShape(place.to);
  shape[shape.size() - 2] /= 2;
  const std::size_t n_outer =
      shape.size() == 2 ? 1
                        : static_cast<std::size_t>(tensor.n_rows() / (2 * shape[shape.size() - 2]));
  const std::size_t half_bytes = tensor.data.size() / n_outer / 2;
  for (const std::size_t half : {0u, 1u}) {
    TATARA_TRY(const auto made,
               Make(half == 0 ? place.to : place.second, *tensor.type->dtype, shape));
    for (std::size_t i = 0; i < n_outer; ++i) {
      std::memcpy(made.data() + i * half_bytes, tensor.data.data() + (2 * i + half) * half_bytes,
                  half_bytes);
    }
  }
  return Ok{};
}

Result<> Placer::DropTwoRows(const Placed& place, const SourceTensor& tensor) {
  if (tensor.shape.size() != 2 || tensor.shape[0] < 3) return WrongShape(place.to);
  TATARA_TRY(const std::size_t bytes, BytesEach(place, tensor));
  SourceTensor rest = tensor;
  rest.shape[0] -= 2;
  rest.data = tensor.data.subspan(2 * static_cast<std::size_t>(tensor.n_cols()) * bytes);
  return Add(place.to, rest);
}

Result<> Placer::Place(const std::string& name, const SourceTensor& tensor) {
  if (IsOfAnotherSense(WithoutPrefixes(name))) return Ok{};
  const auto place = FindPlace(family_, name);
  if (!place) {
    return Refuse("{0}: the tensor '{1}' has no place in '{2}' models", store_.path().string(),
                  Printable(name), family_.architecture);
  }
  if (place->rule->change == Change::kDrop) return Ok{};
  if (place->rule->change == Change::kDropTied && options_.tied_head) return Ok{};
  if (!tensor.type->dtype || tensor.data.empty() || tensor.shape.size() > 4) {
    return Refuse("{0}: tensor '{1}' has the type {2}, which this version does not compute with",
                  store_.path().string(), Printable(name), tensor.type->name);
  }
  if (place->expert >= 0) {
    experts_[place->to][place->expert] = tensor;
    return Ok{};
  }
  switch (place->rule->change) {
    case Change::kPairs:
      return TurnPairs(*place, tensor, options_.sizes.n_heads);
    case Change::kKeyPairs:
      return TurnPairs(*place, tensor, options_.sizes.n_kv_heads);
    case Change::kPlusOne:
      return PlusOne(*place, tensor);
    case Change::kTranspose:
      return Transpose(*place, tensor);
    case Change::kHalves:
      return Halve(*place, tensor);
    case Change::kDropTwoRows:
      return DropTwoRows(*place, tensor);
    default:
      return Add(place->to, tensor);
  }
}

Result<> Placer::JoinExperts() {
  for (const auto& [to, parts] : experts_) {
    const SourceTensor& first = parts.begin()->second;
    std::vector<std::int64_t> shape = first.shape;
    shape.insert(shape.begin(), static_cast<std::int64_t>(parts.size()));
    if (shape.size() > 4) return WrongShape(to);
    TATARA_TRY(const auto made, Make(to, *first.type->dtype, shape));
    std::size_t at = 0;
    std::int64_t expected = 0;
    for (const auto& [expert, tensor] : parts) {
      if (expert != expected++ || tensor.type != first.type || tensor.shape != first.shape) {
        return Refuse("{0}: the experts of '{1}' are not all there or not of one shape and type",
                      store_.path().string(), Printable(to));
      }
      std::memcpy(made.data() + at, tensor.data.data(), tensor.data.size());
      at += tensor.data.size();
    }
  }
  return Ok{};
}

}  // namespace

std::optional<Placed> FindPlace(const Family& family, std::string_view name) {
  name = WithoutPrefixes(name);
  for (const std::span<const Rename> rules : family.renames) {
    for (const Rename& rule : rules) {
      Placed placed{.rule = &rule};
      std::int64_t layer = -1;
      if (!Matches(rule.from, name, layer, placed.expert)) continue;
      placed.to = Filled(rule.to, layer);
      placed.second = Filled(rule.second, layer);
      return placed;
    }
  }
  return std::nullopt;
}

Result<> PlaceTensors(const Family& family, SourceTensors tensors, const PlaceOptions& options,
                      HeldStore& store) {
  Placer placer(family, options, store);
  for (const auto& [name, tensor] : tensors) {
    TATARA_RETURN_IF_ERROR(placer.Place(name, tensor));
  }
  return placer.JoinExperts();
}

}  // namespace tatara::weights
