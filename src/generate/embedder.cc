#include "tatara/generate/embedder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "class_scores.h"
#include "tatara/base/check.h"
#include "tatara/base/fp_environment.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/encoder.h"
#include "tatara/numerics/ops.h"
#include "tatara/text/tokenizer.h"
#include "tatara/weights/tensor_store.h"
#include "vector_sizes.h"
#include "yes_no_judge.h"

namespace tatara::generate {
namespace {

using model::Encoder;
using model::EncoderInput;

// The ids that the model wants around a text.
struct Frame {
  std::vector<std::int32_t> start, end;
  std::size_t size() const { return start.size() + end.size(); }
};

// Found by a text of one letter, with the frame and without.
Frame FrameOf(const text::Tokenizer& tokenizer) {
  const std::vector<std::int32_t> bare = tokenizer.Encode("a", {.add_start = false});
  const std::vector<std::int32_t> whole =
      tokenizer.Encode("a", {.add_start = true, .add_end = true});
  const auto found = std::ranges::search(whole, bare);
  if (found.empty()) return {};
  return {{whole.begin(), found.begin()}, {found.end(), whole.end()}};
}

struct Prefixes {
  std::string query, passage, instruction;
};

// The model cards' own words for retrieval.
Result<Prefixes> PrefixesOf(const Metadata& metadata) {
  TATARA_TRY(const std::string architecture, metadata.String("general.architecture"));
  TATARA_TRY(const std::string container, metadata.StringOr("tatara.container", ""));
  TATARA_TRY(std::string name, metadata.StringOr("general.name", ""));
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  const bool e5 = name.find("e5-") != std::string::npos && name.find("instruct") == name.npos;
  if (container == "e5s1" || e5) return Prefixes{"query: ", "passage: ", ""};
  if (architecture == "nomic-bert" || architecture == "nomic-bert-moe") {
    return Prefixes{"search_query: ", "search_document: ", ""};
  }
  if (architecture == "qwen3") {
    return Prefixes{
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\n"
        "Query:",
        "", "Instruct: "};
  }
  return Prefixes{};
}

void Normalise(std::span<float> v) {
  const float length = std::sqrt(numerics::SumOfSquares(v));
  if (length == 0) return;
  for (float& value : v) value = value / length;
}

double Dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum = std::fma(static_cast<double>(a[i]), static_cast<double>(b[i]), sum);
  }
  return sum;
}

// A vector or score that is no number would look like one to who compares it.
Result<> CheckOutputs(std::span<const float> outputs) {
  for (const float value : outputs) {
    if (std::isfinite(value)) continue;
    return Refuse("the model's outputs hold {0}: the weights or the computation are broken",
                  value != value ? "NaN" : "inf");
  }
  return Ok{};
}

class EncoderEmbedder final : public Embedder {
 public:
  EncoderEmbedder(std::unique_ptr<ThreadPool> pool, std::unique_ptr<Encoder> encoder,
                  std::unique_ptr<text::Tokenizer> tokenizer, EmbedderFacts facts)
      : pool_(std::move(pool)),
        encoder_(std::move(encoder)),
        tokenizer_(std::move(tokenizer)),
        frame_(FrameOf(*tokenizer_)),
        facts_(std::move(facts)) {}

  const EmbedderFacts& facts() const override { return facts_; }
  const text::Tokenizer& tokenizer() const override { return *tokenizer_; }
  std::size_t frame_size() const { return frame_.size(); }

  Result<std::vector<float>> Embed(std::span<const std::string> texts, const Wish& wish) override;
  Result<std::vector<float>> EmbedTokens(std::span<const std::int32_t> ids,
                                         const Wish& wish) override;
  Result<std::vector<double>> Rerank(const std::string& query,
                                     std::span<const std::string> passages) override;

 private:
  // One window of a text: its ids with the frame, and how many of them are the text's own.
  struct Window {
    std::vector<std::int32_t> ids;
    std::size_t n_own = 0;
  };
  std::string WithPrefix(const std::string& text, TextRole role) const;
  void AddWindows(const std::string& text, bool parse_special, std::vector<Window>& windows) const;
  Result<> CheckIds(std::span<const std::int32_t> ids) const;
  Result<> CheckWish(const Wish& wish) const;
  // The front of v becomes the vector as it was wished for.
  void Shape(std::span<float> v, const Wish& wish) const;
  std::size_t Length(const Wish& wish) const {
    return static_cast<std::size_t>(wish.dimensions == 0 ? facts_.n_embd : wish.dimensions);
  }
  Result<std::vector<double>> Judge(const std::string& query,
                                    std::span<const std::string> passages);
  Result<text::PairIds> Pair(const std::string& query, const std::string& passage) const;
  // p("yes") of a language model's answer, for each passage.
  Result<std::vector<double>> Ask(const std::string& query, std::span<const std::string> passages);

  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Encoder> encoder_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  Frame frame_;
  EmbedderFacts facts_;
};

std::string EncoderEmbedder::WithPrefix(const std::string& text, TextRole role) const {
  const auto begins = [&](const std::string& prefix) {
    return !prefix.empty() && text.starts_with(prefix);
  };
  if (role == TextRole::kPlain || begins(facts_.query_prefix) || begins(facts_.passage_prefix) ||
      begins(facts_.instruction_prefix)) {
    return text;
  }
  return (role == TextRole::kQuery ? facts_.query_prefix : facts_.passage_prefix) + text;
}

void EncoderEmbedder::AddWindows(const std::string& text, bool parse_special,
                                 std::vector<Window>& windows) const {
  const std::vector<std::int32_t> own =
      tokenizer_->Encode(text, {.add_start = false, .parse_special = parse_special});
  const std::size_t room = static_cast<std::size_t>(facts_.text_tokens) - frame_.size();
  std::size_t done = 0;
  do {
    const std::size_t n = std::min(room, own.size() - done);
    Window& window = windows.emplace_back();
    window.n_own = n;
    window.ids = frame_.start;
    window.ids.insert(window.ids.end(), own.begin() + static_cast<std::ptrdiff_t>(done),
                      own.begin() + static_cast<std::ptrdiff_t>(done + n));
    window.ids.insert(window.ids.end(), frame_.end.begin(), frame_.end.end());
    done += n;
  } while (done < own.size() && !facts_.cuts_texts);
}

Result<> EncoderEmbedder::CheckIds(std::span<const std::int32_t> ids) const {
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= facts_.n_vocab) {
      return Refuse("token id {0} is outside the vocabulary of {1} tokens", id, facts_.n_vocab);
    }
  }
  return Ok{};
}

Result<> EncoderEmbedder::CheckWish(const Wish& wish) const {
  if (facts_.n_classes > 0) {
    return Refuse("{0}: a reranker scores passages for a query; it gives no vectors", facts_.path);
  }
  if (wish.dimensions == 0 || facts_.sizes.Allow(wish.dimensions, facts_.n_embd)) return Ok{};
  return Refuse("{0}: vectors of {1} dimensions are not what this model was made for; it gives {2}",
                facts_.path, wish.dimensions, facts_.sizes.Text(facts_.n_embd));
}

void EncoderEmbedder::Shape(std::span<float> v, const Wish& wish) const {
  const std::size_t length = Length(wish);
  CutVector(v, static_cast<int>(length), facts_.sizes);
  if (wish.normalise) Normalise(v.first(length));
}

Result<std::vector<float>> EncoderEmbedder::Embed(std::span<const std::string> texts,
                                                  const Wish& wish) {
  TATARA_RETURN_IF_ERROR(CheckWish(wish));
  std::vector<Window> windows;
  std::vector<std::size_t> ends;  // of each text's windows
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::size_t begin = windows.size();
    AddWindows(WithPrefix(texts[i], wish.role), wish.parse_special, windows);
    if (windows.back().ids.empty()) {
      return Refuse("text {0} gives no token; the model has nothing to read", wish.first + i);
    }
    for (const Window& window : std::span(windows).subspan(begin)) {
      TATARA_RETURN_IF_ERROR(CheckIds(window.ids));
    }
    ends.push_back(windows.size());
  }
  std::vector<EncoderInput> inputs;
  for (const Window& window : windows) inputs.push_back({.tokens = window.ids});
  const auto n_embd = static_cast<std::size_t>(facts_.n_embd);
  std::vector<float> pooled(windows.size() * n_embd);
  TATARA_RETURN_IF_ERROR(encoder_->Encode(inputs, encoder_->info().pooling, *pool_, pooled));
  TATARA_RETURN_IF_ERROR(CheckOutputs(pooled));

  const ScopedFpEnvironment environment;
  std::vector<float> out;
  out.reserve(texts.size() * Length(wish));
  std::vector<float> v(n_embd);
  std::size_t first = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto row = [&](std::size_t w) {
      return std::span<const float>(pooled).subspan(w * n_embd, n_embd);
    };
    if (ends[i] - first == 1) {
      std::ranges::copy(row(first), v.begin());
    } else {
      std::ranges::fill(v, 0.0F);
      float total = 0;
      for (std::size_t w = first; w < ends[i]; ++w) {
        const auto n = static_cast<float>(windows[w].n_own);
        total += n;
        for (std::size_t d = 0; d < n_embd; ++d) v[d] = std::fma(n, row(w)[d], v[d]);
      }
      for (float& value : v) value = value / total;
    }
    Shape(v, wish);
    out.insert(out.end(), v.begin(), v.begin() + static_cast<std::ptrdiff_t>(Length(wish)));
    first = ends[i];
  }
  return out;
}

Result<std::vector<float>> EncoderEmbedder::EmbedTokens(std::span<const std::int32_t> ids,
                                                        const Wish& wish) {
  TATARA_RETURN_IF_ERROR(CheckWish(wish));
  TATARA_RETURN_IF_ERROR(CheckIds(ids));
  if (ids.empty() || static_cast<std::int64_t>(ids.size()) > facts_.n_ctx) {
    return Refuse("{0} token ids; the model takes {1} to {2}", ids.size(), 1, facts_.n_ctx);
  }
  const EncoderInput input{.tokens = ids};
  std::vector<float> out(static_cast<std::size_t>(facts_.n_embd));
  TATARA_RETURN_IF_ERROR(encoder_->Encode({&input, 1}, encoder_->info().pooling, *pool_, out));
  TATARA_RETURN_IF_ERROR(CheckOutputs(out));
  const ScopedFpEnvironment environment;
  Shape(out, wish);
  out.resize(Length(wish));
  return out;
}

Result<text::PairIds> EncoderEmbedder::Pair(const std::string& query,
                                            const std::string& passage) const {
  text::PairIds pair = tokenizer_->EncodePair(query, passage);
  if (pair.ids.empty()) {
    return Refuse("{0}: the tokenizer has no form for a pair of texts, which a cross-encoder reads",
                  facts_.path);
  }
  TATARA_RETURN_IF_ERROR(CheckIds(pair.ids));
  const auto most = static_cast<std::size_t>(facts_.text_tokens);
  if (pair.ids.size() <= most) return pair;
  // What is too much goes from the passage's end, before the closing token.
  const std::size_t n_over = pair.ids.size() - most;
  const std::size_t n_query = tokenizer_->EncodePair(query, "").ids.size();
  if (n_query + 1 > most) {
    return Refuse("the query takes {0} of the {1} tokens that the model reads at once", n_query,
                  most);
  }
  const auto cut = [&](std::vector<std::int32_t>& ids) {
    ids.erase(ids.end() - static_cast<std::ptrdiff_t>(n_over + 1), ids.end() - 1);
  };
  cut(pair.ids);
  cut(pair.segments);
  return pair;
}

Result<std::vector<double>> EncoderEmbedder::Ask(const std::string& query,
                                                 std::span<const std::string> passages) {
  const YesNo classes = YesNoOf(encoder_->info().class_labels);
  if (classes.yes < 0) {
    return Refuse("{0}: a head of {1} classes is no reranker's; one or two are expected",
                  facts_.path, facts_.n_classes);
  }
  std::vector<std::vector<std::int32_t>> prompts;
  for (const std::string& passage : passages) {
    TATARA_TRY(auto ids, YesNoPrompt(*tokenizer_, query, passage,
                                     static_cast<std::size_t>(facts_.text_tokens)));
    TATARA_RETURN_IF_ERROR(CheckIds(ids));
    prompts.push_back(std::move(ids));
  }
  std::vector<EncoderInput> inputs;
  for (const auto& ids : prompts) inputs.push_back({.tokens = ids});
  std::vector<float> outputs(2 * passages.size());
  TATARA_RETURN_IF_ERROR(encoder_->Classify(inputs, *pool_, outputs));
  TATARA_RETURN_IF_ERROR(CheckOutputs(outputs));
  const ScopedFpEnvironment environment;
  std::vector<double> scores;
  for (std::size_t i = 0; i < outputs.size(); i += 2) {
    scores.push_back(YesShare(outputs[i + static_cast<std::size_t>(classes.yes)],
                              outputs[i + static_cast<std::size_t>(classes.no)]));
  }
  return scores;
}

// Scores of a cross-encoder.
Result<std::vector<double>> EncoderEmbedder::Judge(const std::string& query,
                                                   std::span<const std::string> passages) {
  const int relevant = RelevantClass(encoder_->info().class_labels, facts_.n_classes);
  if (relevant < 0) {
    return Refuse(
        "{0}: a head of {1} classes is no reranker's; one or two are expected, or one whose name "
        "says that a passage answers",
        facts_.path, facts_.n_classes);
  }
  std::vector<text::PairIds> pairs;
  std::vector<EncoderInput> inputs;
  for (const std::string& passage : passages) {
    TATARA_TRY(text::PairIds pair, Pair(query, passage));
    pairs.push_back(std::move(pair));
  }
  for (const text::PairIds& pair : pairs) {
    const auto second = std::ranges::find(pair.segments, 1);
    inputs.push_back(
        {.tokens = pair.ids,
         .second_segment = second == pair.segments.end() ? 0 : second - pair.segments.begin()});
  }
  const auto n_classes = static_cast<std::size_t>(facts_.n_classes);
  std::vector<float> outputs(passages.size() * n_classes);
  TATARA_RETURN_IF_ERROR(encoder_->Classify(inputs, *pool_, outputs));
  TATARA_RETURN_IF_ERROR(CheckOutputs(outputs));
  const ScopedFpEnvironment environment;
  std::vector<double> scores;
  for (std::size_t i = 0; i < outputs.size(); i += n_classes) {
    scores.push_back(LogOdds(std::span(outputs).subspan(i, n_classes), relevant));
  }
  return scores;
}

Result<std::vector<double>> EncoderEmbedder::Rerank(const std::string& query,
                                                    std::span<const std::string> passages) {
  if (encoder_->info().is_decoder && facts_.n_classes > 0) return Ask(query, passages);
  if (facts_.n_classes > 0) return Judge(query, passages);
  TATARA_TRY(const auto of_query, Embed({&query, 1}, {.role = TextRole::kQuery}));
  TATARA_TRY(const auto of_passages, Embed(passages, {.role = TextRole::kPassage}));
  std::vector<double> scores;
  const ScopedFpEnvironment environment;
  for (std::size_t i = 0; i < passages.size(); ++i) {
    scores.push_back(
        Dot(of_query, std::span(of_passages).subspan(i * of_query.size(), of_query.size())));
  }
  return scores;
}

Result<EmbedderFacts> FactsOf(const std::string& path, const Metadata& metadata,
                              const model::EncoderInfo& info) {
  EmbedderFacts facts;
  facts.path = path;
  TATARA_TRY(facts.name, metadata.StringOr("general.name", ""));
  facts.architecture = info.architecture;
  facts.n_embd = info.n_embd;
  facts.n_vocab = info.n_vocab;
  facts.n_ctx = info.n_ctx;
  facts.n_classes = info.n_classes;
  facts.n_parameters = info.n_parameters;
  facts.weight_bytes = info.weight_bytes;
  TATARA_TRY(Prefixes prefixes, PrefixesOf(metadata));
  facts.query_prefix = std::move(prefixes.query);
  facts.passage_prefix = std::move(prefixes.passage);
  facts.instruction_prefix = std::move(prefixes.instruction);
  TATARA_TRY(facts.sizes, VectorSizesOf(metadata, info.n_embd));
  const std::string key = info.architecture + ".embedding.max_tokens";
  TATARA_TRY(const std::int64_t tokens_max, metadata.IntOr(key, info.n_ctx));
  if (tokens_max < 1) return Refuse("{0}: the key '{1}' is {2}", path, key, tokens_max);
  facts.cuts_texts = metadata.Has(key);
  facts.text_tokens = std::min(tokens_max, info.n_ctx);
  return facts;
}

}  // namespace

Result<bool> Embedder::IsMeantFor(const std::string& path) {
  TATARA_TRY(const auto store, weights::OpenTensorStore(path));
  return Encoder::IsEncoder(store->metadata()) || IsYesNoJudge(store->metadata());
}

Result<std::unique_ptr<Embedder>> Embedder::Open(const std::string& path,
                                                 const EmbedderOptions& options) {
  if (options.n_threads < 0 || options.n_threads > ThreadPool::kThreadsMax) {
    return Refuse("{0} is {1}, expected {2} to {3}", "n_threads", options.n_threads, 0,
                  ThreadPool::kThreadsMax);
  }
  TATARA_TRY(auto opened, weights::OpenTensorStore(path));
  std::shared_ptr<const weights::TensorStore> store = std::move(opened);
  TATARA_TRY(auto tokenizer, text::Tokenizer::FromMetadata(
                                 store->metadata(), options.tokenizer_optional
                                                        ? text::Tokenizer::Absence::kAllowed
                                                        : text::Tokenizer::Absence::kRefused));
  TATARA_TRY(store, WithYesNoHead(std::move(store), *tokenizer));
  auto pool = std::make_unique<ThreadPool>(options.n_threads == 0 ? ThreadPool::HardwareThreads()
                                                                  : options.n_threads);
  const model::LoadOptions load{.activations = options.f32_activations
                                                   ? numerics::Activations::kF32
                                                   : numerics::Activations::kInt8};
  TATARA_TRY(auto encoder, Encoder::Load(store, load, *pool, options.progress));
  TATARA_TRY(EmbedderFacts facts, FactsOf(path, store->metadata(), encoder->info()));
  auto embedder = std::make_unique<EncoderEmbedder>(std::move(pool), std::move(encoder),
                                                    std::move(tokenizer), std::move(facts));
  if (static_cast<std::int64_t>(embedder->frame_size()) >= embedder->facts().text_tokens) {
    return Refuse("{0}: windows of {1} tokens have no room beside the {2} that stand around a text",
                  path, embedder->facts().text_tokens, embedder->frame_size());
  }
  return std::unique_ptr<Embedder>(std::move(embedder));
}

}  // namespace tatara::generate
