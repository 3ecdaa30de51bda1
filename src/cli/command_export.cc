// export: a model as a Hugging Face folder, with an adapter merged into it where asked for.
#include <algorithm>
#include <memory>
#include <optional>

#include "commands.h"
#include "json_output.h"
#include "models_access.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/adapter.h"
#include "tatara/text/tokenizer_json.h"
#include "tatara/weights/adapter_file.h"
#include "tatara/weights/hf_export.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

// Adds an adapter's changes to rows as they are exported.
class RowChanger {
 public:
  RowChanger(const weights::TensorStore& store, weights::AdapterFile file, double scale)
      : store_(store), file_(std::move(file)), scale_(scale) {}

  // Refused where the adapter changes something that is no matrix of the model.
  Result<> Check() const {
    for (const auto& [name, part] : file_.parts) {
      const weights::TensorView* view = ViewOf(name);
      const bool fits = view != nullptr && view->n_dims == 2 && name != "token_embd.weight" &&
                        view->n_rows() == part.b.n_rows && view->n_cols() == part.a.n_cols;
      if (!fits) {
        return Refuse("{0}: the adapter changes '{1}' as a matrix of {2} x {3}, which {4} has not",
                      file_.path.string(), name, part.b.n_rows, part.a.n_cols,
                      store_.path().string());
      }
    }
    return Ok{};
  }

  bool ChangesHead() const { return file_.parts.contains("output.weight"); }

  Result<> Change(std::string_view tensor, std::int64_t first_row, std::span<float> rows) {
    const auto part = file_.parts.find(tensor);
    if (part == file_.parts.end()) return Ok{};
    if (merged_ != tensor) {
      merger_.emplace(part->second, scale_, pool_);
      merged_ = tensor;
    }
    return merger_->Merge(*ViewOf(tensor), file_.path.string(), first_row, rows);
  }

 private:
  // A head without a tensor of its own is the embedding.
  const weights::TensorView* ViewOf(std::string_view tensor) const {
    const weights::TensorView* view = store_.Find(tensor);
    return view == nullptr && tensor == "output.weight" ? store_.Find("token_embd.weight") : view;
  }

  const weights::TensorStore& store_;
  weights::AdapterFile file_;
  double scale_;
  ThreadPool pool_{ThreadPool::HardwareThreads()};
  std::string merged_;
  std::optional<model::RowMerger> merger_;
};

numerics::DType TypeNamed(const std::string& name) {
  if (name == "f16") return numerics::DType::kF16;
  return name == "bf16" ? numerics::DType::kBF16 : numerics::DType::kF32;
}

Result<std::unique_ptr<RowChanger>> MakeChanger(const ModelOptions& options,
                                                const weights::TensorStore& store) {
  if (options.adapter.empty()) {
    if (options.merge) {
      return Refuse("--merge and --requantise need an adapter; name one with --adapter");
    }
    return std::unique_ptr<RowChanger>();
  }
  if (!options.merge) {
    return Refuse("export: an adapter is exported merged only; say so with --merge");
  }
  TATARA_TRY(const generate::AdapterSpec spec, ParseAdapter(options));
  TATARA_TRY(weights::AdapterFile file, weights::OpenAdapter(spec.path, store.metadata()));
  auto changer = std::make_unique<RowChanger>(store, std::move(file), spec.scale);
  TATARA_RETURN_IF_ERROR(changer->Check());
  return changer;
}

}  // namespace

Result<int> Export(const ExportOptions& options) {
  TATARA_TRY(const std::string path, ResolveModelPath(options.model.model));
  TATARA_TRY(const auto store, weights::OpenTensorStore(path));
  TATARA_TRY(const auto changer, MakeChanger(options.model, *store));
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
