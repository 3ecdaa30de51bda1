#include "tatara/model/model.h"

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <vector>

#include "architectures.h"
#include "keys.h"
#include "tatara/base/check.h"
#include "tatara/base/utf8.h"
#include "tatara/model/encoder.h"

namespace tatara::model {
namespace {

// clang-format off
constexpr std::array kArchitectures = {
    Architecture{"cohere2", LoadCohere2},
    Architecture{"command-r", LoadCommandR},
    Architecture{"deepseek2", LoadDeepseek2},
    Architecture{"gemma2", LoadGemma2},
    Architecture{"gemma3", LoadGemma3},
    Architecture{"gemma4", LoadGemma4},
    Architecture{"glm4", LoadGlm4},
    Architecture{"glm4moe", LoadGlm4Moe},
    Architecture{"gpt-oss", LoadGptOss},
    Architecture{"gpt2", LoadGpt2},
    Architecture{"granite", LoadGranite},
    Architecture{"granitemoe", LoadGraniteMoe},
    Architecture{"llama", LoadLlama},
    Architecture{"mistral3", LoadMistral3},
    Architecture{"olmo2", LoadOlmo2},
    Architecture{"phi3", LoadPhi3},
    Architecture{"qwen2", LoadQwen2},
    Architecture{"qwen2moe", LoadQwen2Moe},
    Architecture{"qwen3", LoadQwen3},
    Architecture{"qwen35", LoadQwen35},
    Architecture{"qwen35moe", LoadQwen35Moe},
    Architecture{"qwen3moe", LoadQwen3Moe},
    Architecture{"qwen3next", LoadQwen3Next},
    Architecture{"smollm3", LoadSmolLm3},
};
// clang-format on

constexpr std::size_t kNameBytesMax = 64;

// Levenshtein distance, two rows.
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> previous(b.size() + 1), current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({replaced, previous[j] + 1, current[j - 1] + 1});
    }
    std::swap(previous, current);
  }
  return previous[b.size()];
}

}  // namespace

std::span<const Architecture> Architectures() {
  return kArchitectures;
}

std::string_view NearestArchitecture(std::string_view name) {
  name = name.substr(0, kNameBytesMax);
  return std::ranges::min_element(
             kArchitectures, {},
             [&](const Architecture& known) { return EditDistance(name, known.name); })
      ->name;
}

Result<std::unique_ptr<Model>> Model::Load(std::shared_ptr<const weights::TensorStore> store,
                                           const LoadOptions& options, ThreadPool& pool,
                                           ProgressSink* progress) {
  TATARA_CHECK(store != nullptr);
  const std::string origin = store->path().string();
  TATARA_TRY(const std::string name, store->metadata().String("general.architecture"));
  if (store->tensors().empty()) {
    return Refuse("{0}: a vocabulary only, without tensors: it turns text into ids, nothing else",
                  origin);
  }
  TATARA_TRY(const std::string type, store->metadata().StringOr("general.type", "model"));
  if (type != "model") {
    return Refuse("{0}: the key 'general.type' is '{1}'; only 'model' can be run by itself", origin,
                  Printable(type));
  }
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name != name) continue;
    try {
      TATARA_TRY(auto model, architecture.load({std::move(store), options, pool, progress}));
      if (options.merge.adapter != nullptr && !model->info().merged) {
        return Refuse("{0}: '{1}' models take no adapters here", origin, name);
      }
      return model;
    } catch (const std::bad_alloc&) {
      return MakeError(ErrorKind::kUnavailable, "{0}: not enough memory to load this model",
                       origin);
    }
  }
  if (Encoder::IsEncoder(store->metadata())) {
    return Refuse("{0}: '{1}' models make vectors or scores of texts; they continue none", origin,
                  Printable(name));
  }
  return Refuse("{0}: the architecture '{1}' is not known here; the nearest known one is '{2}'",
                origin, Printable(name), NearestArchitecture(name));
}

void Model::ForwardStates(std::span<const SequenceSlice>, KvPool&, ThreadPool&, std::span<float>) {
  TATARA_CHECK(false);  // decoders have it
}

numerics::CacheType Model::cache_type() const {
  return activations_ == numerics::Activations::kInt8 ? numerics::CacheType::kF16
                                                      : numerics::CacheType::kF32;
}

}  // namespace tatara::model
