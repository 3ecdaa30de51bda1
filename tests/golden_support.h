// Shared by the golden tests: cases as the data folder holds them, and a model with pages to run
// them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tatara/base/thread_pool.h"
#include "tatara/model/model.h"
#include "tatara/weights/tensor_store.h"
#include "test_support.h"

namespace tatara::test {

struct GoldenCase {
  std::string name;
  std::vector<std::int32_t> token_ids;
  std::vector<std::pair<std::int32_t, double>> top;
  double logsumexp = 0;
  double nll_mean = 0;
  std::vector<std::pair<std::int32_t, double>> greedy;  // id, margin to the second
};

inline std::vector<GoldenCase> ReadGoldenCases(const std::filesystem::path& path) {
  std::vector<GoldenCase> cases;
  const auto json = nlohmann::json::parse(ReadFile(path));
  for (const auto& c : json.at("cases")) {
    GoldenCase& out = cases.emplace_back();
    c.at("name").get_to(out.name);
    c.at("token_ids").get_to(out.token_ids);
    c.at("top").get_to(out.top);
    c.at("logsumexp").get_to(out.logsumexp);
    c.at("nll_mean").get_to(out.nll_mean);
    if (c.contains("greedy")) c.at("greedy").get_to(out.greedy);
  }
  return cases;
}

// A loaded model with enough pages for one sequence.
class ModelRunner {
 public:
  ModelRunner(const std::filesystem::path& path, numerics::Activations activations, int n_threads,
              std::int64_t n_positions)
      : pool_(n_threads) {
    auto store = weights::OpenTensorStore(path);
    if (!store.ok()) throw std::runtime_error(store.error().text());
    Load(std::move(*store), activations, n_positions);
  }
  ModelRunner(std::shared_ptr<const weights::TensorStore> store, numerics::Activations activations,
              int n_threads, std::int64_t n_positions)
      : pool_(n_threads) {
    Load(std::move(store), activations, n_positions);
  }

  int n_vocab() const { return model_->info().n_vocab; }
  const std::string& architecture() const { return model_->info().architecture; }

  // on_logits(position, logits) for every position from `first` on, `chunk` tokens a pass.
  void Run(std::span<const std::int32_t> tokens, std::size_t chunk, std::size_t first,
           const std::function<void(std::size_t, std::span<const float>)>& on_logits) {
    const auto n_vocab_size = static_cast<std::size_t>(n_vocab());
    for (std::size_t start = 0; start < tokens.size(); start += chunk) {
      const std::size_t end = std::min(tokens.size(), start + chunk);
      std::vector<std::int32_t> rows;
      for (std::size_t t = std::max(start, first); t < end; ++t) {
        rows.push_back(static_cast<std::int32_t>(t - start));
      }
      std::vector<float> logits(rows.size() * n_vocab_size);
      const model::SequenceSlice slice{tokens.subspan(start, end - start),
                                       static_cast<std::int64_t>(start), pages_, rows};
      model_->Forward({&slice, 1}, *kv_, pool_, logits);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        on_logits(start + static_cast<std::size_t>(rows[i]),
                  std::span<const float>(logits).subspan(i * n_vocab_size, n_vocab_size));
      }
    }
  }

  std::vector<float> LastLogits(std::span<const std::int32_t> tokens, std::size_t chunk = 512) {
    std::vector<float> last;
    Run(tokens, chunk, tokens.size() - 1, [&](std::size_t, std::span<const float> logits) {
      last.assign(logits.begin(), logits.end());
    });
    return last;
  }

 private:
  void Load(std::shared_ptr<const weights::TensorStore> store, numerics::Activations activations,
            std::int64_t n_positions) {
    auto loaded = model::Model::Load(std::move(store), {.activations = activations}, pool_);
    if (!loaded.ok()) throw std::runtime_error(loaded.error().text());
    model_ = std::move(*loaded);
    const int n_pages = static_cast<int>((n_positions + 63) / 64);
    auto cache = model::KvPool::Make(model_->info().cache, model_->cache_type(), n_pages);
    if (!cache.ok()) throw std::runtime_error(cache.error().text());
    kv_ = std::move(*cache);
    for (int page = n_pages - 1; page >= 0; --page) pages_.push_back(page);
  }

  ThreadPool pool_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<model::KvPool> kv_;
  std::vector<int> pages_;
};

}  // namespace tatara::test
