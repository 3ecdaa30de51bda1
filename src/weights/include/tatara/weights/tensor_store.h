// The tensors and metadata of one model, whatever container they came in. Everything was checked
// against the file's size and the limits below before this object exists; reading it can not go out
// of bounds. Thread safety: immutable, reading from any thread. Ownership: holds the mapped file;
// TensorView borrows.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "tatara/base/bytes.h"
#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/numerics/dtype.h"

namespace tatara::weights {

// A matrix has n_rows x n_cols = outputs x inputs (GGUF's ne[1] x ne[0]); a vector has n_rows 1.
struct TensorView {
  std::string_view name;
  numerics::DType dtype = numerics::DType::kF32;
  int n_dims = 0;
  std::array<std::int64_t, 4> shape{1, 1, 1, 1};  // fastest dimension first, as GGUF writes them
  ByteSpan data;  // aligned as the file says; safetensors need not be

  std::int64_t n_cols() const { return shape[0]; }
  std::int64_t n_rows() const { return shape[1] * shape[2] * shape[3]; }
};

class TensorStore {
 public:
  virtual ~TensorStore() = default;
  virtual const Metadata& metadata() const = 0;
  virtual const std::map<std::string, TensorView, std::less<>>& tensors() const = 0;
  virtual const std::filesystem::path& path() const = 0;

  // Null where absent.
  const TensorView* Find(std::string_view name) const;
  // Refused, naming file and tensor, where absent or of another shape (n_rows, n_cols).
  Result<TensorView> Get(std::string_view name, std::int64_t n_rows, std::int64_t n_cols) const;
};

// By content, not by name: a GGUF file (v2, v3; of a model in parts, any part), an E5S1 container,
// a Hugging Face folder (config.json with model.safetensors, single or sharded), or one of these
// two files. A folder's tensors and keys get the names and the layout that GGUF has for its
// architecture; what has to be re-ordered for that is made in memory at opening. The texts of its
// tokenizer files become the keys "tokenizer.huggingface.json", "tokenizer.huggingface.config",
// "tokenizer.huggingface.generation" and "tokenizer.chat_template". "tatara.container" is "gguf",
// "e5s1" or "safetensors".
Result<std::unique_ptr<TensorStore>> OpenTensorStore(const std::filesystem::path& path);

}  // namespace tatara::weights
