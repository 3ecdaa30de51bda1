// From GGUF's names of tensors to published ones. Thread safety: free functions.
#pragma once

#include <string>
#include <string_view>

#include "huggingface/family.h"

namespace tatara::weights {

// The rule that places a published tensor at `name`, and the layer in it (empty where it has none).
struct FoundRule {
  const Rename* rule = nullptr;  // null: none
  bool as_second = false;        // `name` is the rule's second tensor
  std::string layer;
};
FoundRule FindRule(const Family& family, std::string_view name);

// `pattern` with `sign` replaced.
std::string Filled(std::string_view pattern, char sign, const std::string& with);

}  // namespace tatara::weights
