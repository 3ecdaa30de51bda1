// Hot adapters of the engine: added, dropped, found.

#include <algorithm>
#include <bit>
#include <cmath>

#include "batch_engine.h"
#include "json_text.h"
#include "tatara/base/check.h"
#include "tatara/base/utf8.h"
#include "tatara/weights/adapter_file.h"

namespace tatara::generate {
namespace {

constexpr double kScaleMax = 100;

Error TakesNone() {
  return Refuse("this engine takes no adapters");
}

}  // namespace

std::string_view AdapterFormName(AdapterForm form) {
  switch (form) {
    case AdapterForm::kHot:
      return "hot";
    case AdapterForm::kMerged:
      return "merged";
    case AdapterForm::kMergedRequantised:
      return "merged, requantised";
  }
  return "";
}

Result<AdapterFacts> Engine::AddAdapter(const AdapterSpec&) {
  return TakesNone();
}

Result<> Engine::RemoveAdapter(std::string_view) {
  return TakesNone();
}

Result<std::vector<float>> Engine::LogitsWith(std::span<const std::int32_t> tokens,
                                              std::string_view adapter) {
  if (!adapter.empty()) return TakesNone();
  return Logits(tokens);
}

Result<> CheckAdapterSpec(const AdapterSpec& spec) {
  if (spec.name.empty() || spec.name.size() > kAdapterNameBytesMax || !IsValidUtf8(spec.name)) {
    return Refuse("the name of an adapter has {0} bytes; 1 to {1} bytes of UTF-8 are accepted",
                  spec.name.size(), kAdapterNameBytesMax);
  }
  if (!(std::fabs(spec.scale) <= kScaleMax)) {
    return Refuse("{0}: the adapter's scale is {1}; {2} to {3} is accepted", spec.name, spec.scale,
                  -kScaleMax, kScaleMax);
  }
  return Ok{};
}

AdapterFacts FactsOf(const AdapterSpec& spec, const weights::AdapterFile& file, AdapterForm form) {
  return {.name = spec.name,
          .path = spec.path,
          .sha256 = file.sha256,
          .scale = spec.scale,
          .form = form,
          .dora = file.is_dora(),
          .rank = file.rank_max(),
          .n_matrices = static_cast<std::int64_t>(file.parts.size())};
}

Error NoSuchAdapter(std::string_view name) {
  return MakeError(ErrorKind::kNotFound, "no adapter named '{0}' is loaded", name);
}

Result<AdapterFacts> BatchEngine::AddAdapter(const AdapterSpec& spec) {
  TATARA_CHECK(!in_step_);
  TATARA_RETURN_IF_ERROR(CheckAdapterSpec(spec));
  if (parts_.store == nullptr) return TakesNone();
  if (FindAdapter(spec.name) != nullptr) {
    return Refuse("an adapter named '{0}' is loaded already", spec.name);
  }
  if (adapters_.size() >= static_cast<std::size_t>(kAdaptersMax)) {
    return Refuse("{0} adapters are loaded already, the most allowed", adapters_.size());
  }
  TATARA_TRY(const weights::AdapterFile file,
             weights::OpenAdapter(spec.path, parts_.store->metadata()));
  auto adapter = std::make_shared<HotAdapter>();
  TATARA_TRY(adapter->numbers, model::Adapter::Make(file, *parts_.model, spec.scale, *parts_.pool));
  adapter->facts = FactsOf(spec, file, AdapterForm::kHot);
  adapter->facts.bytes = adapter->numbers->bytes();
  adapter->cache_key = file.sha256 + " " + std::to_string(std::bit_cast<std::uint64_t>(spec.scale));
  adapters_.push_back(adapter);
  return adapter->facts;
}

Result<> BatchEngine::RemoveAdapter(std::string_view name) {
  TATARA_CHECK(!in_step_);
  const auto removed =
      std::erase_if(adapters_, [&](const auto& adapter) { return adapter->facts.name == name; });
  if (removed == 0) return NoSuchAdapter(name);
  return Ok{};
}

std::vector<AdapterFacts> BatchEngine::adapters() const {
  std::vector<AdapterFacts> all;
  for (const auto& adapter : adapters_) all.push_back(adapter->facts);
  return all;
}

std::shared_ptr<const HotAdapter> BatchEngine::FindAdapter(std::string_view name) const {
  for (const auto& adapter : adapters_) {
    if (adapter->facts.name == name) return adapter;
  }
  return nullptr;
}

}  // namespace tatara::generate
