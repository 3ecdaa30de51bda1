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

Result<std::unique_ptr<Model>> LoadGemma3(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadLlama(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadQwen2(const LoadContext& context);
Result<std::unique_ptr<Model>> LoadQwen35(const LoadContext& context);

std::span<const Architecture> Architectures();
// The known name with the smallest edit distance.
std::string_view NearestArchitecture(std::string_view name);

}  // namespace tatara::model
