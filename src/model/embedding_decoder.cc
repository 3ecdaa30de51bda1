// A decoder as an embedding model (Qwen3-Embedding and its like): the states that its head would
// read, after the last norm, are pooled, most often the last token's, which has seen all others.
// And as a reranker (Qwen3-Reranker): of the head only the rows of a few words are left, the
// classes, read off the last token. Source: Zhang et al. 2025 (arXiv:2506.05176).

#include <algorithm>
#include <array>
#include <utility>

#include "encoder_base.h"
#include "tatara/base/check.h"
#include "tatara/base/utf8.h"

namespace tatara::model {
namespace {

class EmbeddingDecoder final : public Encoder {
 public:
  EmbeddingDecoder(std::unique_ptr<Model> model, Pooling pooling) : model_(std::move(model)) {
    const ModelInfo& from = model_->info();
    activations_ = model_->activations();
    info_.architecture = from.architecture;
    info_.n_layers = from.n_layers;
    info_.n_embd = from.n_embd;
    info_.n_vocab = from.n_vocab;
    info_.n_ctx = from.n_ctx;
    info_.n_parameters = from.n_parameters;
    info_.weight_bytes = from.weight_bytes;
    info_.pooling = pooling;
    info_.is_decoder = true;
  }

  Result<> LoadClasses(const LoadContext& context) {
    const weights::TensorView* head = context.store->Find("cls.output.weight");
    const std::string labels = info_.architecture + ".classifier.output_labels";
    const std::vector<std::string>* names = context.store->metadata().Strings(labels);
    if (head == nullptr || names == nullptr || head->n_rows() != std::ssize(*names) ||
        names->size() > kClassesMax) {
      return Refuse(
          "{0}: a ranking '{1}' model needs a head '{2}' with a row for each name in '{3}'",
          context.store->path().string(), info_.architecture, "cls.output.weight", labels);
    }
    TensorLoader tensors(*context.store, context.pool, nullptr);
    TATARA_TRY(classes_, tensors.LoadLinear("cls.output", head->n_rows(), info_.n_embd));
    info_.n_classes = static_cast<int>(head->n_rows());
    info_.class_labels = *names;
    return Ok{};
  }

 private:
  static constexpr std::size_t kClassesMax = 65536;

  void Head(std::span<float> pooled, ThreadPool& pool, std::span<float> scores) override {
    const std::int64_t n_rows = static_cast<std::int64_t>(pooled.size()) / info_.n_embd;
    if (n_rows == 0) return;
    Pass pass(scratch_, {}, *kv_, pool, activations_);
    pass.Project(Rows{pooled.data(), n_rows, info_.n_embd},
                 {{&classes_, Rows{scores.data(), n_rows, info_.n_classes}}});
  }

  // Every layer's keys and values of all inputs stay in memory for the call.
  std::int64_t batch_pages() const override { return 32; }

  Result<std::span<const float>> States(std::span<const EncoderInput> inputs,
                                        ThreadPool& pool) override {
    std::size_t n_pages = 0, n_tokens = 0, longest = 0;
    for (const EncoderInput& input : inputs) {
      TATARA_CHECK(!input.tokens.empty() &&
                   static_cast<std::int64_t>(input.tokens.size()) <= info_.n_ctx);
      n_pages += static_cast<std::size_t>(PagesOf(input));
      n_tokens += input.tokens.size();
      longest = std::max(longest, input.tokens.size());
    }
    // What a long text took is given back with the next short one.
    const auto pages_kept = static_cast<std::size_t>(batch_pages());
    if (kv_ == nullptr || static_cast<std::size_t>(kv_->n_pages()) < n_pages ||
        (static_cast<std::size_t>(kv_->n_pages()) > pages_kept && n_pages <= pages_kept)) {
      kv_.reset();
      states_ = {};
      TATARA_TRY(
          kv_, KvPool::Make(model_->info().cache, model_->cache_type(), static_cast<int>(n_pages)));
    }
    for (int i = static_cast<int>(pages_.size()); i < kv_->n_pages(); ++i) pages_.push_back(i);
    longest = std::min(longest, static_cast<std::size_t>(kBatchTokens));
    for (auto i = static_cast<std::int32_t>(rows_.size()); rows_.size() < longest; ++i) {
      rows_.push_back(i);
    }
    states_.resize(n_tokens * static_cast<std::size_t>(info_.n_embd));
    if (inputs.size() == 1) {
      LongStates(inputs[0], pool);
      return std::span<const float>(states_);
    }
    slices_.clear();
    std::size_t first_page = 0;
    for (const EncoderInput& input : inputs) {
      const auto pages = static_cast<std::size_t>(PagesOf(input));
      slices_.push_back({.tokens = input.tokens,
                         .position = 0,
                         .pages = std::span(pages_).subspan(first_page, pages),
                         .logit_rows = std::span(rows_).first(input.tokens.size())});
      first_page += pages;
    }
    model_->ForwardStates(slices_, *kv_, pool, states_);
    return std::span<const float>(states_);
  }

  // In passes of kBatchTokens, so that a text of the whole context needs no more scratch memory
  // than a batch of short ones.
  void LongStates(const EncoderInput& input, ThreadPool& pool) {
    const std::span<float> states = states_;
    const auto n_embd = static_cast<std::size_t>(info_.n_embd);
    for (std::size_t done = 0; done < input.tokens.size();) {
      const std::size_t n =
          std::min(input.tokens.size() - done, static_cast<std::size_t>(kBatchTokens));
      const SequenceSlice slice{.tokens = input.tokens.subspan(done, n),
                                .position = static_cast<std::int64_t>(done),
                                .pages = pages_,
                                .logit_rows = std::span(rows_).first(n)};
      model_->ForwardStates({&slice, 1}, *kv_, pool, states.subspan(done * n_embd, n * n_embd));
      done += n;
    }
  }

  std::unique_ptr<Model> model_;
  Linear classes_;  // (n_classes, E)
  PassScratch scratch_;
  std::unique_ptr<KvPool> kv_;
  std::vector<int> pages_;
  std::vector<std::int32_t> rows_;  // 0, 1, 2 ...
  std::vector<SequenceSlice> slices_;
  std::vector<float> states_;
};

}  // namespace

Result<std::unique_ptr<Encoder>> LoadEmbeddingDecoder(const LoadContext& context) {
  const Metadata& metadata = context.store->metadata();
  TATARA_TRY(const std::string name, metadata.String("general.architecture"));
  const std::string key = Printable(name) + ".pooling_type";
  TATARA_TRY(const std::int64_t pooling, metadata.IntOr(name + ".pooling_type", 0));
  constexpr std::array kByNumber = {Pooling::kMean, Pooling::kFirst, Pooling::kLast,
                                    Pooling::kLast};
  constexpr std::int64_t kRank = 4;
  if (pooling < 1 || pooling > static_cast<std::int64_t>(kByNumber.size())) {
    return Refuse(
        "{0}: a '{1}' model without a pooling of its states (key '{2}') gives no embeddings; take "
        "a model made for them",
        metadata.origin(), Printable(name), key);
  }
  TATARA_TRY(auto model,
             Model::Load(context.store, context.options, context.pool, context.progress));
  auto encoder = std::make_unique<EmbeddingDecoder>(
      std::move(model), kByNumber[static_cast<std::size_t>(pooling - 1)]);
  if (pooling == kRank) TATARA_RETURN_IF_ERROR(encoder->LoadClasses(context));
  return std::unique_ptr<Encoder>(std::move(encoder));
}

}  // namespace tatara::model
