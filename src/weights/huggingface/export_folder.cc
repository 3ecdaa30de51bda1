// The folder: what is planned, checked, written shard after shard, and landed.

#include <algorithm>
#include <array>
#include <cmath>
#include <new>
#include <nlohmann/json.hpp>

#include "huggingface/config.h"
#include "huggingface/export_config.h"
#include "huggingface/export_files.h"
#include "huggingface/export_tensors.h"
#include "tatara/base/check.h"
#include "tatara/base/utf8.h"
#include "tatara/weights/hf_export.h"

namespace tatara::weights {
namespace {

using Json = nlohmann::ordered_json;
using numerics::DType;

constexpr std::int64_t kValuesAtOnce = 1 << 18;

struct TypeNames {
  std::string_view safetensors, torch;
};
TypeNames NamesOf(DType dtype) {
  if (dtype == DType::kF16) return {"F16", "float16"};
  if (dtype == DType::kBF16) return {"BF16", "bfloat16"};
  return {"F32", "float32"};
}

std::uint64_t BytesOf(const ExportTensor& tensor, DType dtype) {
  return static_cast<std::uint64_t>(numerics::StorageBytes(dtype, tensor.n_values()));
}

// Values as the file holds them. Refused where one does not fit.
Result<> Encode(DType dtype, std::span<const float> values, const std::string& path,
                const ExportTensor& tensor, std::vector<std::byte>& out) {
  const std::size_t size = dtype == DType::kF32 ? 4 : 2;
  out.resize(values.size() * size);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::byte* at = out.data() + i * size;
    float back = values[i];
    if (dtype == DType::kF32) {
      StoreLe(at, values[i]);
    } else if (dtype == DType::kF16) {
      StoreLe(at, numerics::F32ToF16(values[i]));
      back = numerics::F16ToF32(numerics::F32ToF16(values[i]));
    } else {
      StoreLe(at, numerics::F32ToBF16(values[i]));
      back = numerics::BF16ToF32(numerics::F32ToBF16(values[i]));
    }
    if (std::isfinite(values[i]) && !std::isfinite(back)) {
      return Refuse("{0}: tensor '{1}' holds {2}, which {3} can not hold", path,
                    Printable(tensor.parts[0].source), values[i], NamesOf(dtype).safetensors);
    }
  }
  return Ok{};
}

// Consecutive tensors of at most shard_bytes_max together, one at least.
std::vector<std::span<const ExportTensor>> CutShards(std::span<const ExportTensor> plan,
                                                     const HfExportOptions& options) {
  std::vector<std::span<const ExportTensor>> shards;
  for (std::size_t first = 0; first < plan.size();) {
    std::uint64_t bytes = BytesOf(plan[first], options.dtype);
    std::size_t end = first + 1;
    for (; end < plan.size(); ++end) {
      const std::uint64_t more = BytesOf(plan[end], options.dtype);
      if (bytes + more > options.shard_bytes_max) break;
      bytes += more;
    }
    shards.push_back(plan.subspan(first, end - first));
    first = end;
  }
  return shards;
}

class Exporter {
 public:
  Exporter(const TensorStore& store, const HfExportOptions& options)
      : store_(store), options_(options) {}
  Result<HfExportReport> Export(const std::filesystem::path& folder);

 private:
  Result<ReadBack> WriteSettings(const PartialFolder& folder, const ExportForm& form);
  Result<> WriteSentenceFiles(const PartialFolder& folder);
  Result<> WriteShard(const PartialFolder& folder, const std::string& name,
                      std::span<const ExportTensor> tensors);
  Result<> WriteTensor(const ExportTensor& tensor, NewFile& file);
  Result<> WriteIndex(const PartialFolder& folder,
                      std::span<const std::span<const ExportTensor>> shards);
  Result<> WriteSidecars(const PartialFolder& folder);
  Result<> WriteText(const PartialFolder& folder, const std::string& name, std::string_view text);
  std::string ShardName(std::size_t index, std::size_t count) const;

  const TensorStore& store_;
  const HfExportOptions& options_;
  HfExportReport report_;
  std::uint64_t bytes_done_ = 0;
  std::vector<float> values_;
  std::vector<std::byte> encoded_;
};

Result<> Exporter::WriteText(const PartialFolder& folder, const std::string& name,
                             std::string_view text) {
  report_.files.push_back(name);
  return folder.WriteText(name, text);
}

Result<ReadBack> Exporter::WriteSettings(const PartialFolder& folder, const ExportForm& form) {
  const bool tied = !options_.separate_head && store_.Find("output.weight") == nullptr;
  TATARA_TRY(
      const Json config,
      MakeConfig(store_, form, {.dtype_name = NamesOf(options_.dtype).torch, .tied_head = tied}));
  TATARA_RETURN_IF_ERROR(WriteText(folder, "config.json", config.dump(2) + "\n"));
  TATARA_RETURN_IF_ERROR(WriteSentenceFiles(folder));
  return CheckReadsBack(store_, form, folder.path());
}

// What sentence-transformers is told about vectors, where the model says how it pools them.
Result<> Exporter::WriteSentenceFiles(const PartialFolder& folder) {
  constexpr const char* kModes[] = {nullptr, "mean_tokens", "cls_token", "lasttoken"};
  const std::string folder_name = "1_Pooling", package = "sentence_transformers.models.";
  Json unused;
  const ExportKeys keys(store_, unused);
  const std::int64_t pooling = keys.Int("pooling_type");
  if (pooling < 1 || pooling > 3) return Ok{};
  Json modes = {{"word_embedding_dimension", keys.Int("embedding_length")}};
  for (const char* mode : kModes) {
    if (mode != nullptr) modes[std::string("pooling_mode_") + mode] = mode == kModes[pooling];
  }
  const Json modules = {
      {{"idx", 0}, {"name", "0"}, {"path", ""}, {"type", package + "Transformer"}},
      {{"idx", 1}, {"name", "1"}, {"path", folder_name}, {"type", package + "Pooling"}},
      {{"idx", 2}, {"name", "2"}, {"path", "2_Normalize"}, {"type", package + "Normalize"}}};
  TATARA_RETURN_IF_ERROR(folder.MakeFolder(folder_name));
  TATARA_RETURN_IF_ERROR(WriteText(folder, folder_name + "/config.json", modes.dump(2) + "\n"));
  TATARA_RETURN_IF_ERROR(WriteText(folder, "modules.json", modules.dump(2) + "\n"));
  const std::int64_t tokens = keys.Int("embedding.max_tokens");
  if (tokens < 1) return Ok{};
  const Json length = {{"max_seq_length", tokens}, {"do_lower_case", false}};
  return WriteText(folder, "sentence_bert_config.json", length.dump(2) + "\n");
}

Result<> Exporter::WriteTensor(const ExportTensor& tensor, NewFile& file) {
  const std::int64_t size = tensor.layout.block_values();
  const std::int64_t at_once = std::max<std::int64_t>(1, kValuesAtOnce / size);
  for (std::int64_t block = 0; block < tensor.layout.n_blocks(); block += at_once) {
    const std::int64_t n = std::min(at_once, tensor.layout.n_blocks() - block);
    values_.resize(static_cast<std::size_t>(n * size));
    TATARA_RETURN_IF_ERROR(ReadBlocks(tensor, block, store_, options_, values_));
    TATARA_RETURN_IF_ERROR(
        Encode(options_.dtype, values_, store_.path().string(), tensor, encoded_));
    TATARA_RETURN_IF_ERROR(file.Write(encoded_));
    bytes_done_ += encoded_.size();
    if (options_.progress != nullptr)
      options_.progress->Report("export", bytes_done_, report_.bytes);
  }
  return Ok{};
}

Result<> Exporter::WriteShard(const PartialFolder& folder, const std::string& name,
                              std::span<const ExportTensor> tensors) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t at = 0;
  for (const ExportTensor& tensor : tensors) {
    const std::uint64_t end = at + BytesOf(tensor, options_.dtype);
    header[tensor.name] = {{"dtype", NamesOf(options_.dtype).safetensors},
                           {"shape", tensor.layout.published()},
                           {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  TATARA_TRY(NewFile file, NewFile::Create(folder.path() / name));
  std::array<std::byte, 8> size{};
  StoreLe(size.data(), static_cast<std::uint64_t>(text.size()));
  TATARA_RETURN_IF_ERROR(file.Write(size));
  TATARA_RETURN_IF_ERROR(file.Write(AsBytes(text)));
  for (const ExportTensor& tensor : tensors) {
    TATARA_RETURN_IF_ERROR(WriteTensor(tensor, file));
  }
  report_.files.push_back(name);
  return file.Finish();
}

std::string Exporter::ShardName(std::size_t index, std::size_t count) const {
  if (count == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

Result<> Exporter::WriteIndex(const PartialFolder& folder,
                              std::span<const std::span<const ExportTensor>> shards) {
  if (shards.size() == 1) return Ok{};
  Json index = {{"metadata", {{"total_size", report_.bytes}}}, {"weight_map", Json::object()}};
  for (std::size_t i = 0; i < shards.size(); ++i) {
    for (const ExportTensor& tensor : shards[i]) {
      index["weight_map"][tensor.name] = ShardName(i, shards.size());
    }
  }
  return WriteText(folder, "model.safetensors.index.json", index.dump(2) + "\n");
}

Result<> Exporter::WriteSidecars(const PartialFolder& folder) {
  const Metadata& keys = store_.metadata();
  for (const auto& [key, name] : {std::pair{"tokenizer.huggingface.json", "tokenizer.json"},
                                  {"tokenizer.huggingface.config", "tokenizer_config.json"},
                                  {"tokenizer.huggingface.generation", "generation_config.json"},
                                  {"tokenizer.chat_template", "chat_template.jinja"}}) {
    const auto text = keys.String(key);
    if (!text.ok()) continue;
    TATARA_RETURN_IF_ERROR(WriteText(folder, name, *text));
    report_.has_tokenizer |= std::string_view(name) == "tokenizer.json";
  }
  if (!report_.has_tokenizer && !options_.tokenizer_json.empty()) {
    TATARA_RETURN_IF_ERROR(WriteText(folder, "tokenizer.json", options_.tokenizer_json));
    report_.has_tokenizer = true;
  }
  if (keys.Has("tokenizer.huggingface.generation")) return Ok{};
  Json generation = {{"_from_model_config", true}};
  for (const auto& [key, name] : {std::pair{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                  {"tokenizer.ggml.eos_token_id", "eos_token_id"},
                                  {"tokenizer.ggml.padding_token_id", "pad_token_id"}}) {
    if (const auto id = keys.Int(key); id.ok()) generation[name] = *id;
  }
  return WriteText(folder, "generation_config.json", generation.dump(2) + "\n");
}

Result<HfExportReport> Exporter::Export(const std::filesystem::path& final_folder) {
  TATARA_TRY(const ExportForm* form, FindExportForm(store_));
  TATARA_TRY(PartialFolder folder, PartialFolder::Create(final_folder));
  TATARA_TRY(const ReadBack read, WriteSettings(folder, *form));
  TATARA_TRY(
      const std::vector<ExportTensor> plan,
      PlanTensors(
          store_, *read.family,
          {.sizes = read.sizes, .prefix = form->prefix, .separate_head = options_.separate_head}));
  for (const ExportTensor& tensor : plan) report_.bytes += BytesOf(tensor, options_.dtype);
  const auto shards = CutShards(plan, options_);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    TATARA_RETURN_IF_ERROR(WriteShard(folder, ShardName(i, shards.size()), shards[i]));
  }
  TATARA_RETURN_IF_ERROR(WriteIndex(folder, shards));
  TATARA_RETURN_IF_ERROR(WriteSidecars(folder));
  TATARA_RETURN_IF_ERROR(folder.Land());
  report_.model_class = form->model_class;
  report_.n_tensors = std::ssize(plan);
  return std::move(report_);
}

}  // namespace

Result<HfExportReport> ExportHuggingFace(const TensorStore& store,
                                         const std::filesystem::path& folder,
                                         const HfExportOptions& options) {
  TATARA_CHECK(options.dtype == DType::kF32 || options.dtype == DType::kF16 ||
               options.dtype == DType::kBF16);
  try {
    return Exporter(store, options).Export(folder);
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorKind::kUnavailable, "{0}: not enough memory to export this model",
                     store.path().string());
  } catch (const nlohmann::json::exception&) {
    // A text of the model that is no UTF-8, which JSON can not hold.
    return Refuse("{0}: a key of the model can not be written as JSON", store.path().string());
  }
}

}  // namespace tatara::weights
