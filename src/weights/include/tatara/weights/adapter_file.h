// An adapter as it was published: for some matrices of a model a low-rank change. With W (n_out x
// n_in) the model's matrix, A (rank x n_in), B (n_out x rank) and s = scale:
//   LoRA   W' = W + s B A                               Hu et al. 2021, arXiv:2106.09685
//   DoRA   W' = magnitude * (W + s B A) / |W + s B A|   row by row; Liu et al. 2024,
//   arXiv:2402.09353
//
// Read from a GGUF file (general.type "adapter", adapter.type "lora"), or from a folder that PEFT
// saved (adapter_config.json, adapter_model.safetensors). Matrices go by the model's GGUF tensor
// names, rows in the order of the model's tensors.
//
// Thread safety: immutable after opening. Ownership: holds its numbers; nothing stays mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/numerics/dtype.h"

namespace tatara::weights {

inline constexpr std::int64_t kAdapterRankMax = 8192;

// Rows as the file stores them: F32, F16 or BF16.
struct AdapterMatrix {
  numerics::DType dtype = numerics::DType::kF32;
  std::int64_t n_rows = 0;
  std::int64_t n_cols = 0;
  std::vector<std::byte> data;
};

// The change of one matrix. All numbers are finite.
struct AdapterPart {
  AdapterMatrix a;               // (rank, n_in)
  AdapterMatrix b;               // (n_out, rank)
  std::vector<float> magnitude;  // (n_out); empty where it is no DoRA
  double scale = 1;              // alpha / rank, or alpha / sqrt(rank) where the file says so

  std::int64_t rank() const { return a.n_rows; }
};

struct AdapterFile {
  std::filesystem::path path;
  // Of the GGUF file; of a folder as `sha256sum adapter_config.json adapter_model.safetensors |
  // sha256sum` gives it.
  std::string sha256;
  std::string architecture;  // of the models that it is for; empty where the file does not say
  std::map<std::string, AdapterPart, std::less<>> parts;  // by tensor, "blk.0.attn_q.weight"

  bool is_dora() const;
  std::int64_t rank_max() const;
};

// `model` is the metadata of the model that it will be used with. Refused, naming file and tensor
// or key: what is no adapter, an adapter of another architecture, shapes that do not fit each
// other, numbers that are not finite, and every key and tensor that asks for something else.
Result<AdapterFile> OpenAdapter(const std::filesystem::path& path, const Metadata& model);

}  // namespace tatara::weights
