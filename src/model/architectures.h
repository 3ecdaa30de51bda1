// The table of architectures: general.architecture -> the function that loads it. One file each.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "tatara/base/error.h"
#include "tatara/model/model.h"

namespace tatara::model {

struct LoadContext {
  std::shared_ptr<const weights::TensorStore> store;
  LoadOptions options;
  ThreadPool& pool;
  ProgressSink* progress;
};

struct Architecture {
  std::string_view name;
  Result<std::unique_ptr<Model>> (*load)(const LoadContext& context);
};

Result<std::unique_ptr<Model>> LoadCohere2(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadCommandR(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadDeepseek2(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadGemma2(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadGemma3(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadGemma4(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadGlm4(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadGlm4Moe(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadGpt2(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadGptOss(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadGranite(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadGraniteMoe(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadLlama(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadMistral3(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadOlmo2(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadPhi3(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadQwen2(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadQwen2Moe(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadQwen3(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadQwen35(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadQwen35Moe(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadQwen3Moe(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadQwen3Next(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadSmolLm3(const LoadContext& context);

std::span<const Architecture> Architectures();
// The known name with the smallest edit distance.
std::string_view NearestArchitecture(std::string_view name);

}  // namespace tatara::model
