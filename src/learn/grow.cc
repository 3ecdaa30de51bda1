#include "grow.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string>

namespace tatara::learn {
namespace {

using model::Parameter;

constexpr std::string_view kBlock = "blk.";

struct Source {
  std::string name;
  bool repeated = false;  // the layer before came from there already
};

Source SourceOf(const std::string& name, int n_from, int n_to) {
  if (!name.starts_with(kBlock)) return {name};
  int layer = 0;
  const char* const end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + kBlock.size(), end, layer);
  const auto source = [&](int i) {
    return static_cast<int>(std::int64_t{i} * n_from / std::max(1, n_to));
  };
  return {std::string(kBlock) + std::to_string(source(layer)) + std::string(parsed.ptr, end),
          layer > 0 && source(layer) == source(layer - 1)};
}

std::map<std::string, const Parameter*> ByName(const model::Trainable& trainable) {
  std::map<std::string, const Parameter*> by_name;
  for (const Parameter& p : trainable.parameters()) by_name[p.name] = &p;
  return by_name;
}

}  // namespace

Result<> CheckGrowth(const model::Trainable& from, const model::Trainable& to,
                     std::string_view phase) {
  if (from.shape().architecture != to.shape().architecture ||
      from.shape().n_layers > to.shape().n_layers) {
    return Refuse("phase '{0}': the model must be of the same architecture, and no fewer layers",
                  phase);
  }
  const auto by_name = ByName(from);
  for (const Parameter& p : to.parameters()) {
    const Source source = SourceOf(p.name, from.shape().n_layers, to.shape().n_layers);
    const auto it = by_name.find(source.name);
    if (it == by_name.end() || it->second->n_rows != p.n_rows || it->second->n_cols != p.n_cols) {
      return Refuse("phase '{0}': '{1}' of {2} x {3} does not follow from the weights before",
                    phase, p.name, p.n_rows, p.n_cols);
    }
  }
  return Ok{};
}

void Grow(const model::Trainable& from, std::span<const float> weights, const model::Trainable& to,
          NewBlocks new_blocks, std::span<float> grown) {
  const auto by_name = ByName(from);
  std::ranges::fill(grown, 0.0F);
  for (const Parameter& p : to.parameters()) {
    const Source source = SourceOf(p.name, from.shape().n_layers, to.shape().n_layers);
    const bool last =
        p.name.find(".attn_output.") != p.name.npos || p.name.find(".ffn_down.") != p.name.npos;
    if (source.repeated && last && new_blocks == NewBlocks::kIdentity) continue;
    const std::span<const float> values =
        weights.subspan(static_cast<std::size_t>(by_name.at(source.name)->offset),
                        static_cast<std::size_t>(p.size()));
    std::ranges::copy(values, grown.begin() + p.offset);
  }
}

}  // namespace tatara::learn
