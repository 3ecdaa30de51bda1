#include "tatara/generate/engine.h"

#include <optional>

#include "batch_engine.h"
#include "tatara/base/check.h"
#include "tatara/weights/adapter_file.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::generate {

std::string_view FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "";
}

Result<std::unique_ptr<Engine>> Engine::Open(const std::string& path,
                                             const EngineOptions& options) {
  if (options.n_threads < 0 || options.n_threads > ThreadPool::kThreadsMax) {
    return Refuse("{0} is {1}, expected {2} to {3}", "n_threads", options.n_threads, 0,
                  ThreadPool::kThreadsMax);
  }
  TATARA_TRY(auto opened, weights::OpenTensorStore(path));
  const std::shared_ptr<const weights::TensorStore> store = std::move(opened);
  const Metadata& metadata = store->metadata();
  EngineParts parts;
  parts.path = path;
  TATARA_TRY(parts.name, metadata.StringOr("general.name", ""));
  TATARA_TRY(parts.format, PromptFormat::FromMetadata(metadata, options.tokenizer_optional));
  parts.pool = std::make_unique<ThreadPool>(options.n_threads == 0 ? ThreadPool::HardwareThreads()
                                                                   : options.n_threads);
  model::LoadOptions load{.activations = options.f32_activations ? numerics::Activations::kF32
                                                                 : numerics::Activations::kInt8};
  weights::AdapterFile adapter;
  if (options.merge) {
    const AdapterSpec& spec = *options.merge;
    TATARA_RETURN_IF_ERROR(CheckAdapterSpec(spec));
    TATARA_TRY(adapter, weights::OpenAdapter(spec.path, metadata));
    load.merge = {.adapter = &adapter, .scale = spec.scale, .requantise = spec.requantise};
    parts.merged = FactsOf(
        spec, adapter, spec.requantise ? AdapterForm::kMergedRequantised : AdapterForm::kMerged);
  }
  TATARA_TRY(parts.model, model::Model::Load(store, load, *parts.pool, options.progress));
  parts.store = store;
  TATARA_TRY(std::unique_ptr<Engine> engine, BatchEngine::Make(std::move(parts), options));
  return engine;
}

Result<Completion> Engine::Generate(Request request, OnText on_text) {
  std::optional<Result<Completion>> result;
  TATARA_TRY([[maybe_unused]] const RequestId id,
             Submit(std::move(request), std::move(on_text),
                    [&](Result<Completion> done) { result.emplace(std::move(done)); }));
  while (!result) TATARA_CHECK(Step());
  return std::move(*result);
}

}  // namespace tatara::generate
