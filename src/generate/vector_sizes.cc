#include "vector_sizes.h"

#include <algorithm>

#include "tatara/base/check.h"
#include "tatara/numerics/ops.h"

namespace tatara::generate {
namespace {

constexpr std::size_t kListedMax = 256;

// As the model cards say: Qwen3-Embedding (any from 32 on), nomic-embed-text v1.5 (its vectors go
// through a LayerNorm without weights before they are cut) and v2.
VectorSizes PublishedSizes(const std::string& architecture, const std::string& name, int n_embd) {
  VectorSizes sizes;
  const auto has = [&](std::string_view part) { return name.find(part) != std::string::npos; };
  if (architecture == "qwen3" && has("qwen3embedding")) {
    sizes.least = std::min(32, n_embd);
  } else if (architecture == "nomic-bert" && has("nomicembedtextv15")) {
    sizes.listed = {64, 128, 256, 512};
    sizes.centred = true;
  } else if (architecture == "nomic-bert-moe" && has("nomicembedtextv2")) {
    sizes.listed = {256};
  }
  std::erase_if(sizes.listed, [&](int n) { return n >= n_embd; });
  return sizes;
}

Error OutOfRange(const Metadata& metadata, const std::string& key, std::int64_t found, int n_embd) {
  return Refuse("{0}: the key '{1}' holds {2}; vectors have 1 to {3} dimensions", metadata.origin(),
                key, found, n_embd);
}

}  // namespace

std::string PlainName(const std::string& name) {
  std::string plain;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') plain += static_cast<char>(c + 32);
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) plain += c;
  }
  return plain;
}

Result<VectorSizes> VectorSizesOf(const Metadata& metadata, int n_embd) {
  TATARA_TRY(const std::string architecture, metadata.String("general.architecture"));
  TATARA_TRY(const std::string name, metadata.StringOr("general.name", ""));
  VectorSizes sizes = PublishedSizes(architecture, PlainName(name), n_embd);
  const std::string list = architecture + ".embedding.matryoshka_dimensions";
  const std::string least = architecture + ".embedding.matryoshka_least";
  if (metadata.Has(list)) {
    const auto found = metadata.Ints(list);
    if (!found || found->size() > kListedMax) {
      return Refuse("{0}: the key '{1}' is no list of at most {2} numbers", metadata.origin(), list,
                    kListedMax);
    }
    sizes.listed.clear();
    sizes.least = 0;
    for (const std::int64_t n : *found) {
      if (n < 1 || n > n_embd) return OutOfRange(metadata, list, n, n_embd);
      if (n < n_embd) sizes.listed.push_back(static_cast<int>(n));
    }
    std::ranges::sort(sizes.listed);
    const auto repeated = std::ranges::unique(sizes.listed);
    sizes.listed.erase(repeated.begin(), repeated.end());
  }
  if (metadata.Has(least)) {
    TATARA_TRY(const std::int64_t n, metadata.Int(least));
    if (n < 1 || n > n_embd) return OutOfRange(metadata, least, n, n_embd);
    sizes.least = static_cast<int>(n);
  }
  return sizes;
}

void CutVector(std::span<float> v, int n, const VectorSizes& sizes) {
  TATARA_CHECK(n >= 1 && n <= std::ssize(v));
  if (!sizes.centred || n == std::ssize(v)) return;
  const float mean = numerics::Sum(v) / static_cast<float>(v.size());
  for (float& value : v.first(static_cast<std::size_t>(n))) value = value - mean;
}

bool VectorSizes::Allow(int n, int n_embd) const {
  return n == n_embd || (least > 0 && n >= least && n < n_embd) ||
         std::ranges::find(listed, n) != listed.end();
}

std::string VectorSizes::Text(int n_embd) const {
  if (least > 0 && least < n_embd) return std::to_string(least) + "–" + std::to_string(n_embd);
  std::string text;
  for (const int n : listed) text += std::to_string(n) + ", ";
  return text + std::to_string(n_embd);
}

}  // namespace tatara::generate
