// export: a model as a Hugging Face folder, with an adapter merged into it where asked for.
#include <memory>

#include "commands.h"
#include "json_output.h"
#include "models_access.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/row_changer.h"
#include "tatara/text/tokenizer_json.h"
#include "tatara/weights/adapter_file.h"
#include "tatara/weights/hf_export.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

numerics::DType TypeNamed(const std::string& name) {
  if (name == "f16") return numerics::DType::kF16;
  return name == "bf16" ? numerics::DType::kBF16 : numerics::DType::kF32;
}

Result<std::unique_ptr<model::RowChanger>> MakeChanger(const ModelOptions& options,
                                                       const weights::TensorStore& store,
                                                       ThreadPool& pool) {
  if (options.adapter.empty()) {
    if (options.merge) {
      return Refuse("--merge and --requantise need an adapter; name one with --adapter");
    }
    return std::unique_ptr<model::RowChanger>();
  }
  if (!options.merge) {
    return Refuse("export: an adapter is exported merged only; say so with --merge");
  }
  TATARA_TRY(const generate::AdapterSpec spec, ParseAdapter(options));
  TATARA_TRY(weights::AdapterFile file, weights::OpenAdapter(spec.path, store.metadata()));
  auto changer = std::make_unique<model::RowChanger>(store, std::move(file), spec.scale, pool);
  TATARA_RETURN_IF_ERROR(changer->Check());
  return changer;
}

}  // namespace

Result<int> Export(const ExportOptions& options) {
  TATARA_TRY(const std::string path, ResolveModelPath(options.model.model));
  TATARA_TRY(const auto store, weights::OpenTensorStore(path));
  ThreadPool pool(ThreadPool::HardwareThreads());
  TATARA_TRY(const auto changer, MakeChanger(options.model, *store, pool));
  ProgressLine progress(ProgressLine::Unit::kBytes);
  weights::HfExportOptions how{.dtype = TypeNamed(options.dtype), .progress = &progress};
  // Vocabularies that have no such form are told below.
  if (auto tokenizer = text::TokenizerJsonOf(store->metadata()); tokenizer.ok()) {
    how.tokenizer_json = std::move(*tokenizer);
  }
  if (changer != nullptr) {
    how.separate_head = changer->ChangesHead();
    how.change_rows = [&](std::string_view tensor, std::int64_t row, std::span<float> rows) {
      return changer->Change(tensor, row, rows);
    };
  }
  TATARA_TRY(const weights::HfExportReport report,
             weights::ExportHuggingFace(*store, options.folder, how));
  if (options.json) {
    OutJson({{"folder", options.folder},
             {"model_class", report.model_class},
             {"tensors", report.n_tensors},
             {"bytes", report.bytes},
             {"files", report.files},
             {"tokenizer", report.has_tokenizer}});
  } else {
    Out(Tr("{0}: {1}, {2} tensors, {3} bytes", options.folder, report.model_class, report.n_tensors,
           report.bytes) +
        "\n");
  }
  if (!report.has_tokenizer) {
    Remark(
        Tr("tokenizer.json is not among the files: this vocabulary cannot be written in that form; "
           "put the published one beside them"));
  }
  return 0;
}

}  // namespace tatara::cli
