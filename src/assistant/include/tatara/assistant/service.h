// The one governed path to models for everything that serves several callers at once: models by
// name, each engine owned by one inference thread, calls that run batched together, their receipts.
//
// Nothing here blocks on a model: Generate, Embed and Rerank hand the work over and answer through
// callbacks. What a caller gets for a request depends on nothing but the request and the model, bit
// for bit, whoever else calls. Plain types only, so that a door needs no header of a lower module.
//
// Thread safety: AddEngine and AddEmbedder before the first call; everything else from any thread.
// Callbacks run on a model's thread, must not block, and may call Cancel.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tatara/base/clock.h"
#include "tatara/base/error.h"

namespace tatara::generate {
class Engine;
class Embedder;
}  // namespace tatara::generate

namespace tatara::assistant {

class EngineThread;
class TaskThread;

inline constexpr int kCallChoicesMax = 128;  // prompts x choices of one call

struct ServiceOptions {
  int sequences_max = 16;  // of the engines: how many run together
  // Waiting for one model, over that many; then kUnavailable. No key fills it for the others: see
  // queue_shares.h.
  int queue_max = 256;
  double deadline_seconds = 600;  // from the call to its end
  int asks_together = 4;          // questions to documents that are worked on at once
  std::filesystem::path home;     // of receipts, their signing key, and the collections
  // Receipts older than this go (by folders of an hour); 0: none are kept. Over the bound those of
  // the tenant that has most go first, the oldest before others.
  std::int64_t receipts_keep_seconds = 30 * 24 * 3600;
  std::int64_t receipts_bytes_max = std::int64_t{1} << 30;
  const Clock* clock = nullptr;  // null: the system's
};

// kRanks: scores for a query alone. Models that embed rank too, by cosines.
enum class ModelKind { kGenerates, kEmbeds, kRanks };

struct ModelInfo {
  std::string name;  // as callers say it
  std::string sha256;
  ModelKind kind = ModelKind::kGenerates;
  std::string architecture;
  std::int64_t created_unix = 0;
  std::int64_t context_tokens = 0;
  std::int64_t n_parameters = 0;
  int n_vocab = 0;
  int n_embd = 0;  // of vectors; 0 where it gives none
  // Lengths that vectors may be cut to: these, ascending, and any from `dimensions_least` on (0:
  // none but those).
  std::vector<int> dimensions;
  int dimensions_least = 0;
  bool has_chat_template = false;
  bool fills_holes = false;  // GenerateCall::suffix
};

// Ranges are checked by the engine; a seed that is absent is drawn once for all choices.
struct SamplingWish {
  double temperature = 1;
  int top_k = 0;
  double top_p = 1;
  double min_p = 0;
  double repetition_penalty = 1;
  double presence_penalty = 0;
  double frequency_penalty = 0;
  std::vector<std::pair<std::int32_t, double>> logit_bias;
  std::optional<std::uint64_t> seed;
};

// Who calls. What a tenant's calls leave behind (shared prefixes, receipts, history) is its own;
// the key is for fair shares and for logs: its id, never the secret.
struct Caller {
  std::string tenant = "local";
  std::string key = "local";
};

// A conversation as chat templates take it, as JSON texts: an array of messages, an array of tools
// (or empty), an object of further variables (or empty).
struct Conversation {
  std::string messages_json;
  std::string tools_json;
  std::string variables_json;
};

struct GenerateCall {
  Caller caller;
  std::string model;
  std::string id;  // of the receipts: choice 0 has this, choice k has "ID.k"
  // One of the three.
  std::optional<Conversation> chat;
  std::vector<std::string> texts;
  std::vector<std::vector<std::int32_t>> id_lists;
  // What follows the answer, with `texts`: they and the answer go before it. Only where the model
  // fills holes. Empty: none.
  std::string suffix;
  SamplingWish sampling;
  int n = 1;           // choices for each prompt; choice p * n + k is the k-th of prompt p
  int tokens_max = 0;  // 0: what the context has left
  std::vector<std::string> stop;
  bool ignore_end = false;         // go on after the model's end token
  int top_logprobs = -1;           // -1: none
  bool prompt_logprobs = false;    // with top_logprobs: of the prompt's tokens too
  bool generates_nothing = false;  // with prompt_logprobs: instead of tokens_max
};

struct Logprob {
  std::int32_t id = 0;
  std::string token;  // its bytes, perhaps a part of a UTF-8 sequence
  double logprob = 0;
  std::vector<Logprob> top;
};

struct CalledTool {
  std::string id;  // as the model wrote it; mostly empty
  std::string name;
  std::string arguments;  // one JSON object
};

struct AnswerDelta {
  std::string content, thinking;
  std::vector<CalledTool> calls;
  std::vector<Logprob> logprobs;  // of the tokens since the delta before
};

struct Choice {
  int index = 0;
  std::string content, thinking;
  std::vector<CalledTool> calls;
  std::string finish_reason;  // "stop", "length", "tool_calls", "cancelled"
  int completion_tokens = 0;
  std::vector<Logprob> logprobs;
  std::size_t n_logprobs_carried = 0;  // of them, by deltas
  // Of the prompt's tokens, where they were asked for; the first has none, only its token.
  std::vector<Logprob> prompt_logprobs;
};

struct Usage {
  int prompt_tokens = 0;
  int cached_tokens = 0;
  int completion_tokens = 0;
};

class GenerateSink {
 public:
  virtual ~GenerateSink() = default;
  // What is new of a choice; all deltas joined are the choice.
  virtual void OnDelta(int choice, const AnswerDelta& delta) = 0;
  virtual void OnChoice(Choice choice) = 0;      // it ended
  virtual void OnDone(Result<Usage> usage) = 0;  // last, once
};

// A call that runs. Cancel from any thread: its sequences are freed before the model's next step,
// and OnDone gets kCancelled.
class RunningCall {
 public:
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const {
    return cancelled_.load(std::memory_order_relaxed) || (part_of && part_of->cancelled());
  }
  std::shared_ptr<const RunningCall> part_of;  // cancelled with it; set before it runs
  std::uint64_t seed = 0;                      // what is used

 private:
  std::atomic<bool> cancelled_{false};
};

struct AskAnswer;  // ask.h

struct AskCall {
  Caller caller;
  std::string model;
  std::string id;  // of the receipt
  std::string question;
  std::string collection = "default";
  int answer_tokens_max = 300;
};

enum class EmbedRole { kPlain, kQuery, kPassage };

struct EmbedCall {
  Caller caller;
  std::string model;
  EmbedRole role = EmbedRole::kPassage;
  int dimensions = 0;              // 0: all
  std::vector<std::string> texts;  // or
  std::vector<std::vector<std::int32_t>> id_lists;
};
struct EmbedAnswer {
  int n_embd = 0;              // of each vector
  std::vector<float> vectors;  // one after the other
  int prompt_tokens = 0;
};

struct RerankCall {
  Caller caller;
  std::string model;
  std::string query;
  std::vector<std::string> passages;
};
struct RerankAnswer {
  std::vector<double> scores;
  int prompt_tokens = 0;
};

// Counts of values up to each bound, and beyond the last.
struct Histogram {
  static constexpr std::array<double, 14> kBounds = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                     0.5,   1,     2.5,  5,     10,   30,  120};
  std::array<std::uint64_t, kBounds.size() + 1> counts{};
  double sum = 0;
  void Add(double value);
};

struct ModelState {
  std::string name;
  // As of the model's last step.
  int running = 0, waiting = 0, pages_total = 0, pages_in_use = 0, pages_cached = 0;
  std::int64_t steps = 0, preemptions = 0, prefix_tokens_reused = 0, pages_evicted = 0;
  std::int64_t pages_spilled = 0, pages_restored = 0, spill_bytes = 0;
  std::int64_t prompt_tokens = 0, generated_tokens = 0;
  std::int64_t finished = 0, cancelled = 0, failed = 0, turned_away = 0;
  Histogram time_to_first_token, time_per_output_token, queue_time, whole_time;  // seconds
  Histogram inter_token;  // between pieces of text, which mostly are tokens
};

struct ReceiptState {
  std::int64_t kept = 0;         // since the start
  std::int64_t durable = 0;      // of them, on the disk for sure
  std::int64_t lost = 0;         // could not be written
  std::int64_t not_durable = 0;  // the disk did not confirm them
  std::int64_t bytes = 0;
};

struct RunReceipt;
class ReceiptStore;

class Service {
 public:
  explicit Service(ServiceOptions options);
  ~Service();  // as Stop
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Refused where the name is taken. `sha256` of the model's file, for receipts.
  Result<> AddEngine(std::string name, std::string sha256,
                     std::unique_ptr<generate::Engine> engine);
  Result<> AddEmbedder(std::string name, std::string sha256,
                       std::unique_ptr<generate::Embedder> embedder);

  std::vector<ModelInfo> Models() const;
  // An empty name means the only model of that kind. kNotFound names those that there are. For
  // kRanks a model that embeds serves too; without a name one that only ranks goes first.
  Result<ModelInfo> Find(std::string_view name, ModelKind kind) const;

  // Refused before anything runs: an unknown model, a conversation that the template refuses, a
  // prompt without tokens or longer than the context; kUnavailable where the queue is full.
  Result<std::shared_ptr<RunningCall>> Generate(GenerateCall call,
                                                std::shared_ptr<GenerateSink> sink);
  // `call` is not run where its RunningCall was cancelled before its turn.
  Result<std::shared_ptr<RunningCall>> Embed(EmbedCall call,
                                             std::function<void(Result<EmbedAnswer>)> done);
  Result<std::shared_ptr<RunningCall>> Rerank(RerankCall call,
                                              std::function<void(Result<RerankAnswer>)> done);

  // An answer from a collection of this home's documents: the bits that assistant::Ask gives.
  // Refused as it refuses; kNotFound where there is no such collection. `on_text` gets what has
  // passed the checks, `done` the whole, both from other threads. Documents are the machine's, not
  // yet a tenant's.
  Result<std::shared_ptr<RunningCall>> Ask(AskCall call,
                                           std::function<void(std::string_view)> on_text,
                                           std::function<void(Result<AskAnswer>)> done);

  // Runs `work` on one of the service's threads: what takes long without a model, such as a prompt
  // to be rendered. kUnavailable where too much waits, of this caller or of all. What waits when
  // the service stops is run first.
  Result<> Post(const Caller& caller, std::function<void()> work);

  struct TokenizeWish {
    bool add_special = true;  // the start token where the model asks for one
    bool parse_special = true;
  };
  Result<std::vector<std::int32_t>> Tokenize(std::string_view model, std::string_view text,
                                             const TokenizeWish& wish) const;
  Result<std::vector<std::int32_t>> TokenizeChat(std::string_view model,
                                                 const Conversation& chat) const;
  // Ids outside the vocabulary are refused by their place.
  Result<std::string> Detokenize(std::string_view model,
                                 const std::vector<std::int32_t>& ids) const;
  Result<std::string> ApplyTemplate(std::string_view model, const Conversation& chat) const;

  // The signed receipt of a choice that ended by itself, for the tenant it was made for; kNotFound
  // where it has none of that id (any more). It is there before the choice is told of.
  Result<std::string> Receipt(const Caller& caller, std::string_view id) const;
  Result<> DeleteReceipt(const Caller& caller, std::string_view id);
  void DeleteReceipts(const Caller& caller);  // all of the tenant
  ReceiptState Receipts() const;

  // Removes what calls of the tenant left: receipts, shared prefixes in memory and on disk. Waits
  // for the models' current steps; what runs goes on and leaves no prefix behind.
  void ForgetTenant(const Caller& caller);
  // The same on another thread, which then calls `done`; kUnavailable where too much waits there.
  Result<> ForgetTenant(Caller caller, std::function<void()> done);

  std::vector<ModelState> States() const;
  // Until the counts of what was answered so far are in States.
  void WaitForStep() const;

  // Calls that still run are cancelled; those to come are answered with kUnavailable. Returns when
  // all model threads have ended.
  void Stop();

 private:
  struct Model;
  using StartModel = std::function<void(Model& model)>;
  Result<> Add(ModelInfo info, std::string sha256, const StartModel& start);
  void KeepReceipt(const Model& model, const Caller& caller, const std::string& id,
                   const RunReceipt& receipt);
  Result<Model*> FindModel(std::string_view name) const;
  Result<EngineThread*> EngineOf(std::string_view name) const;
  void KeepAskReceipt(const AskCall& call, const AskAnswer& answer);
  ServiceOptions options_;
  // Models write receipts until they end.
  std::unique_ptr<ReceiptStore> receipts_;
  std::vector<std::unique_ptr<Model>> models_;
  std::unique_ptr<TaskThread> asking_;
  std::unique_ptr<TaskThread> working_;
};

}  // namespace tatara::assistant
