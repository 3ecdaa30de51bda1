// An adapter of an engine: what is told about it, its numbers, and what keys its prefixes. Thread
// safety: immutable. Ownership: shared by the engine and the sequences that use it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tatara/generate/engine.h"
#include "tatara/model/adapter.h"

namespace tatara::generate {

struct HotAdapter {
  AdapterFacts facts;
  std::shared_ptr<const model::Adapter> numbers;
  // Equal keys mean equal numbers: the digest of the file and the bits of the scale.
  std::string cache_key;
};

AdapterFacts FactsOf(const AdapterSpec& spec, const weights::AdapterFile& file, AdapterForm form);
Error NoSuchAdapter(std::string_view name);
// A name and a scale that can be written down and found again.
Result<> CheckAdapterSpec(const AdapterSpec& spec);

}  // namespace tatara::generate
