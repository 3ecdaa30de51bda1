// The store that every container fills: mapped files, tensors made at opening, metadata. Thread
// safety: filling by one thread; then immutable.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tatara/base/files.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::weights {

class HeldStore final : public TensorStore {
 public:
  HeldStore(std::filesystem::path path, Metadata metadata)
      : path_(std::move(path)), metadata_(std::move(metadata)) {}

  const Metadata& metadata() const override { return metadata_; }
  const std::map<std::string, TensorView, std::less<>>& tensors() const override {
    return tensors_;
  }
  const std::filesystem::path& path() const override { return path_; }

  Metadata& mutable_metadata() { return metadata_; }
  // The file's bytes, kept mapped as long as the store lives.
  ByteSpan Keep(MappedFile file) {
    files_.push_back(std::move(file));
    return files_.back().bytes();
  }
  // Room for a tensor that no file has as such; throws std::bad_alloc.
  std::span<std::byte> Allocate(std::size_t n_bytes);

  // `view.name` is ignored. Refused where the name is there already.
  Result<> Add(std::string name, TensorView view);

 private:
  std::filesystem::path path_;
  Metadata metadata_;
  std::vector<MappedFile> files_;
  std::vector<std::unique_ptr<std::byte[]>> made_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

// Bytes of that many values of a type; nothing where the product does not fit or the row is no
// whole number of blocks.
std::optional<std::uint64_t> CountedBytes(numerics::DType dtype, std::uint64_t n_cols,
                                          std::uint64_t n_rows);

// The containers; tensor_store.cc chooses among them. All may throw std::bad_alloc.
Result<std::unique_ptr<TensorStore>> OpenGguf(MappedFile file);
Result<std::unique_ptr<TensorStore>> OpenE5(MappedFile file);
// One file without its folder: tensors under the names that it has, no architecture.
Result<std::unique_ptr<TensorStore>> OpenSafetensors(MappedFile file);
Result<std::unique_ptr<TensorStore>> OpenHuggingFaceFolder(const std::filesystem::path& folder);

// What tells the containers apart, set in every store's metadata.
inline constexpr std::string_view kContainerKey = "tatara.container";

}  // namespace tatara::weights
