// The engine over one loaded model: admission, one pass after another, sampling, finishing.
//
// Order: running_ and waiting_ are sorted by request id. An older running request gets pages before
// younger ones and, where memory is short, takes them from younger ones, which wait and are
// computed again later; the oldest never gives way. It can therefore always go on, and no mix of
// requests can block. Who is let in and whose prompt gets how many tokens is a matter of fair
// shares (fair_share.h). None of this changes a bit of any result. Thread safety: one caller at a
// time.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fair_share.h"
#include "hot_adapter.h"
#include "page_cache.h"
#include "sequence.h"
#include "spill_store.h"
#include "tatara/base/thread_pool.h"
#include "tatara/generate/engine.h"
#include "tatara/generate/prompt_format.h"
#include "tatara/model/kv_pool.h"
#include "tatara/model/model.h"
#include "tatara/text/tokenizer.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::generate {

struct EngineParts {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<model::Model> model;
  std::unique_ptr<PromptFormat> format;
  std::string path;
  std::string name;
  std::shared_ptr<const weights::TensorStore> store;  // null: takes no adapters
  std::optional<AdapterFacts> merged;
};

class BatchEngine final : public Engine {
 public:
  static Result<std::unique_ptr<BatchEngine>> Make(EngineParts parts, const EngineOptions& options);
  ~BatchEngine() override;  // what the memory keeps of prefixes goes to disk

  const ModelFacts& facts() const override { return facts_; }
  const text::Tokenizer& tokenizer() const override { return parts_.format->tokenizer(); }
  const text::ChatTemplate* chat_template() const override {
    return parts_.format->chat_template();
  }
  std::string_view chat_template_source() const override {
    return parts_.format->template_source();
  }
  bool f32_activations() const override {
    return parts_.model->activations() == numerics::Activations::kF32;
  }
  const EngineCounters& counters() const override;

  Result<std::string> RenderChat(std::string_view messages_json,
                                 std::string_view extra_json) const override {
    return parts_.format->RenderChat(messages_json, extra_json);
  }
  std::vector<std::int32_t> EncodeRendered(std::string_view rendered) const override {
    return parts_.format->EncodeRendered(rendered);
  }

  Result<RequestId> Submit(Request request, OnText on_text,
                           std::function<void(Result<Completion>)> done) override;
  void Cancel(RequestId id) override;
  bool Step() override;

  void ForgetScope(std::string_view cache_scope) override;
  // For tests: until the disk has what was spilled.
  void WaitForSpill() {
    if (spill_ != nullptr) spill_->WaitIdle();
  }

  Result<AdapterFacts> AddAdapter(const AdapterSpec& spec) override;
  Result<> RemoveAdapter(std::string_view name) override;
  std::vector<AdapterFacts> adapters() const override;

  Result<std::vector<float>> LogitsWith(std::span<const std::int32_t> tokens,
                                        std::string_view adapter) override;
  Result<std::vector<float>> Logits(std::span<const std::int32_t> tokens) override {
    return LogitsWith(tokens, {});
  }
  Result<std::vector<float>> AllLogits(std::span<const std::int32_t> tokens) override;

 private:
  using SequencePtr = std::unique_ptr<Sequence>;
  // A sequence that left, and what its caller is told once the pass is over.
  struct Ended {
    SequencePtr sequence;
    Result<Completion> result;
  };

  BatchEngine(EngineParts parts, const EngineOptions& options, std::unique_ptr<model::KvPool> kv);

  Result<> CheckRequest(const Request& request) const;
  Result<> CheckTokens(std::span<const std::int32_t> tokens) const;
  std::shared_ptr<const HotAdapter> FindAdapter(std::string_view name) const;  // null: none

  // admit.cc: who runs.
  void Enter(SequencePtr sequence);
  void Admit();
  void LetIn(std::size_t waiting_index);
  std::size_t NextWaiting() const;
  std::int64_t PromisedPages() const;
  std::int64_t PagesToLetIn(Sequence& sequence);
  bool TakePlaceFor(Sequence& next);
  std::size_t WhoGivesPages(std::size_t from) const;
  void Preempt(std::size_t running_index);

  // schedule.cc: what the next pass computes, with how many tokens each, in which pages.
  bool PlanPass();
  std::int64_t PromptBudget(std::int64_t n_decoding) const;
  void LearnFromPass(std::int64_t n_prompt_tokens, std::int64_t pass_ns);
  void AdoptPrefix(Sequence& sequence);
  bool WaitsForTwin(std::size_t index);
  void BoundScores();
  void ShareOutPrompts(std::int64_t n_tokens);
  std::int64_t GivePages(std::size_t index);
  bool GrowPages(Sequence& sequence, std::int64_t n_positions);
  void RunPass();
  void Advance(Sequence& sequence, std::int64_t n_tokens);
  const PageKey& KeyOfPage(Sequence& sequence, std::size_t page);
  void PublishPages(Sequence& sequence);
  void ReleasePages(Sequence& sequence);

  // spilled_pages.cc: what disk keeps of prefixes.
  Result<> OpenSpill();
  int RestorePage(Sequence& sequence, const PageKey& key);

  // batch_engine.cc: from logits to tokens, text and endings.
  struct Draw {
    Sequence* sequence;
    std::span<const float> logits;
    Result<std::int32_t> id = 0;
    TokenLogprob logprob;
  };
  // A token of a prompt, after those before it.
  struct PromptScore {
    Sequence* sequence;
    std::span<const float> logits;
    std::int32_t next;
    Result<> checked = Ok{};
    TokenLogprob logprob;
  };
  static constexpr std::int64_t kScoresMax = 64;  // in a pass
  Result<> MakeRoomForScores();
  void ScorePrompts();
  void EndCancelled();
  void SampleAll();
  void ChooseToken(Draw& draw, int thread);
  void Accept(Draw& draw);
  void EmitText(Sequence& sequence, std::string text);
  void Finish(Sequence& sequence, FinishReason reason);
  void Fail(Sequence& sequence, Error error);
  void End(Sequence& sequence, Result<Completion> result);
  void ReportEnded();

  // scoring.cc
  struct ScoreOptions {
    bool every_position = false;
    std::shared_ptr<const HotAdapter> adapter;
  };
  Result<> Score(std::span<const std::int32_t> tokens, const ScoreOptions& options,
                 std::vector<float>& out);

  std::int64_t PagesFor(std::int64_t n_positions) const {
    return (n_positions + page_tokens_ - 1) / page_tokens_;
  }
  std::int64_t cache_tokens() const { return kv_->n_pages() * page_tokens_; }
  std::size_t vocabulary() const { return static_cast<std::size_t>(facts_.n_vocab); }
  std::int64_t Now() const { return clock_.MonotonicNanoseconds(); }

  EngineParts parts_;
  EngineOptions options_;
  const Clock& clock_;
  std::unique_ptr<model::KvPool> kv_;
  std::int64_t page_tokens_;
  PageCache page_cache_;
  std::unique_ptr<SpillStore> spill_;  // null: none
  ModelFacts facts_;
  mutable EngineCounters counters_;

  std::vector<std::shared_ptr<const HotAdapter>> adapters_;
  std::vector<SequencePtr> running_;
  std::deque<SequencePtr> waiting_;
  std::vector<Ended> ended_;
  RequestId next_id_ = 1;
  FairAccounts accounts_;
  double prompt_tokens_limit_ = 0;  // of a pass that others wait for
  bool in_step_ = false;

  // Memory of a pass, kept between passes.
  std::vector<model::SequenceSlice> slices_;
  std::vector<std::int32_t> logit_rows_;
  std::vector<float> logits_;
  std::vector<Draw> draws_;
  std::vector<PromptScore> scores_;
  std::vector<Sequence*> prompts_;
  std::vector<FairShare> key_shares_, prompt_shares_;
  std::vector<SampleScratch> scratch_;                     // one per thread
  std::vector<std::vector<std::uint64_t>> allowed_words_;  // one per thread
};

}  // namespace tatara::generate
