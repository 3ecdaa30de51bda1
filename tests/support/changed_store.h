// A model's file with other keys and tensors than it has.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "tatara/weights/tensor_store.h"

namespace tatara::test {

class ChangedStore final : public weights::TensorStore {
 public:
  explicit ChangedStore(std::shared_ptr<const weights::TensorStore> file)
      : file_(std::move(file)), metadata_(file_->metadata()), tensors_(file_->tensors()) {}
  const Metadata& metadata() const override { return metadata_; }
  const std::map<std::string, weights::TensorView, std::less<>>& tensors() const override {
    return tensors_;
  }
  const std::filesystem::path& path() const override { return file_->path(); }

  void Set(const std::string& key, Metadata::Value value) { metadata_.Set(key, std::move(value)); }
  void Remove(const std::string& name) { tensors_.erase(name); }
  weights::TensorView& At(const std::string& name) { return tensors_.at(name); }
  void Add(const std::string& name, const weights::TensorView& view) {
    const auto at = tensors_.insert_or_assign(name, view).first;
    at->second.name = at->first;
  }

 private:
  std::shared_ptr<const weights::TensorStore> file_;
  Metadata metadata_;
  std::map<std::string, weights::TensorView, std::less<>> tensors_;
};

}  // namespace tatara::test
