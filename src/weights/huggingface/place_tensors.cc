#include "huggingface/place_tensors.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "huggingface/layout.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

using numerics::DType;

constexpr std::int64_t kExpertsMax = 1 << 14;

// Parts of a multimodal model that a text model does without, and layers that predict further
// tokens.
bool IsOfAnotherSense(std::string_view name) {
  for (const std::string_view prefix :
       {"vision_tower.", "vision_model.", "visual.", "multi_modal_projector.", "audio_tower.",
        "embed_vision.", "embed_audio.", "mtp."}) {
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
  // A copy of other bytes; `shape` slowest dimension first.
  Result<std::span<std::byte>> Make(const std::string& to, DType dtype, const Shape& shape);
  Result<> Rearrange(const Placed& place, const SourceTensor& tensor);
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

// The numbers of `from` where `layout` has them in `to`; numbers are moved as the blocks that they
// are stored in.
void Scatter(const Layout& layout, DType dtype, ByteSpan from,
             std::span<const std::span<std::byte>> to) {
  const numerics::DTypeTraits& traits = numerics::TraitsOf(dtype);
  const auto at = [&](std::int64_t n) {
    return static_cast<std::size_t>(n / traits.block_elements * traits.block_bytes);
  };
  for (std::int64_t block = 0; block < layout.n_blocks(); ++block) {
    const std::byte* const source = from.data() + at(block * layout.block_values());
    for (const Run& run : layout.runs()) {
      std::byte* const target = to[static_cast<std::size_t>(run.part)].data() +
                                at(block * layout.block_values(run.part) + run.to);
      if (run.from_stride == 1 && run.to_stride == 1) {
        std::memcpy(target, source + at(run.from), at(run.n));
        continue;
      }
      for (std::int64_t i = 0; i < run.n; ++i) {
        std::memcpy(target + at(i * run.to_stride), source + at(run.from + i * run.from_stride),
                    at(1));
      }
    }
  }
}

Result<std::span<std::byte>> Placer::Make(const std::string& to, DType dtype, const Shape& shape) {
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

// What a tensor of `place` is made of: its parts, filled run by run.
Result<> Placer::Rearrange(const Placed& place, const SourceTensor& tensor) {
  const bool turned = place.rule->change == Change::kTranspose && tensor.by_output;
  const Change change = turned ? Change::kKeep : place.rule->change;
  const auto layout = Layout::OfPublished(change, options_.sizes, tensor.shape);
  if (!layout || layout->parts().size() != (place.rule->second.empty() ? 1 : 2)) {
    return WrongShape(place.to);
  }
  const ValueChange values = ValueChangeOf(change);
  if (layout->is_identity() && values == ValueChange::kNone) {
    return store_.Add(place.to, ViewOf(*tensor.type->dtype, layout->parts()[0], tensor.data));
  }
  DType dtype = *tensor.type->dtype;
  ByteSpan data = tensor.data;
  std::vector<float> widened;
  if (values != ValueChange::kNone ||
      !layout->MovesWhole(numerics::TraitsOf(dtype).block_elements)) {
    widened.resize(static_cast<std::size_t>(tensor.n_rows() * tensor.n_cols()));
    numerics::Dequantize(dtype, data, widened);
    FromPublished(values, widened);
    dtype = DType::kF32;
    data = std::as_bytes(std::span(widened));
  }
  std::array<std::span<std::byte>, 2> made;
  for (std::size_t i = 0; i < layout->parts().size(); ++i) {
    TATARA_TRY(made[i], Make(i == 0 ? place.to : place.second, dtype, layout->parts()[i]));
  }
  Scatter(*layout, dtype, data, made);
  return Ok{};
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
  return Rearrange(*place, tensor);
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
