// Texts to vectors, and passages to scores for a query, with an embedding model or a cross-encoder.
//
// What becomes of a text:
// 1. The model's prefix for its role is put in front (e5: "query: ", "passage: "; Nomic:
//    "search_query: ", "search_document: "; Qwen3-Embedding: its instruction before queries). A
//    text that begins with one of the model's prefixes, or with an instruction of the caller's own
//    ("Instruct: " of Qwen3-Embedding), stays as it is.
// 2. It is encoded as a whole; special tokens written in it stay text, unless asked otherwise.
// 3. Where it is longer than the model takes: a file that says to how many tokens its authors cut
//    (sentence_bert_config.json) cuts there, so MiniLM at 256. All others are cut into consecutive
//    windows of as many ids as the model takes with its start and end token, without overlap; the
//    windows' vectors are averaged, weighted by their number of ids: v = sum of fma(n_i, v_i, .)
//    from +0, divided by the sum of n_i. So nothing of a long text is lost.
// 4. Pooled as the file says (model/encoder.h); cut to fewer dimensions where that is wished and
//    the model allows it (VectorSizes); then divided by its length, sqrt(sum of squares); a vector
//    of zeros stays.
//
// The vector of a text depends on nothing but the text and the model, bit for bit.
//
// This header needs no header of a lower module. Thread safety: one thread at a time per Embedder.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/progress.h"

namespace tatara::text {
class Tokenizer;
}

namespace tatara::generate {

struct EmbedderOptions {
  int n_threads = 0;                // 0: all this process may use
  bool f32_activations = false;     // the exact path
  bool tokenizer_optional = false;  // for EmbedTokens alone: a model without one is no error
  ProgressSink* progress = nullptr;
};

// What a text is to the model: kPlain puts nothing in front.
enum class TextRole { kPlain, kQuery, kPassage };

// Lengths that a model's vectors may be cut to, where it was trained for it (Kusupati et al. 2022,
// arXiv:2205.13147): its file says so, or its authors do. Its own length is always allowed.
struct VectorSizes {
  std::vector<int> listed;  // ascending, below n_embd
  int least = 0;            // any from here on; 0: those listed
  // The mean of all values is taken off before: what a LayerNorm without weights comes to, since
  // the division by the length takes its scale away.
  bool centred = false;

  bool Allow(int n, int n_embd) const;
  std::string Text(int n_embd) const;  // "32–1024" or "64, 128, 768"
};

struct EmbedderFacts {
  std::string path;
  std::string name;  // general.name
  std::string architecture;
  int n_embd = 0;
  int n_vocab = 0;
  std::int64_t n_ctx = 0;        // most tokens of one pass
  std::int64_t text_tokens = 0;  // of a window or of a cut text, start and end token included
  bool cuts_texts = false;       // else windows
  int n_classes = 0;             // of a reranker, which gives scores alone; 0: it embeds
  VectorSizes sizes;
  std::string query_prefix, passage_prefix;
  std::string instruction_prefix;  // how a caller's own instruction begins
  std::int64_t n_parameters = 0;
  std::int64_t weight_bytes = 0;
};

class Embedder {
 public:
  // Whether a file is meant for this class: an encoder, a decoder that says how its states are
  // pooled, or a reranker. Reads keys only.
  static Result<bool> IsMeantFor(const std::string& path);
  // Refused where the file is no embedding model, naming what it is.
  static Result<std::unique_ptr<Embedder>> Open(const std::string& path,
                                                const EmbedderOptions& options);
  virtual ~Embedder() = default;

  virtual const EmbedderFacts& facts() const = 0;
  virtual const text::Tokenizer& tokenizer() const = 0;

  struct Wish {
    TextRole role = TextRole::kPassage;
    bool normalise = true;  // to length 1
    bool parse_special =
        false;              // special tokens written in a text are meant; never of users' texts
    int dimensions = 0;     // 0: all; else one that facts().sizes allows
    std::size_t first = 1;  // the number of the first text, as refusals count
  };
  // n_texts x dimensions, computed together. Refused: a number of dimensions that the model does
  // not allow; by the number of the text from Wish::first, one that gives no token at all; outputs
  // of the model that are no finite numbers; a reranker, whose states were made for its scores.
  virtual Result<std::vector<float>> Embed(std::span<const std::string> texts,
                                           const Wish& wish) = 0;
  // The pooled vector of exactly these ids, nothing added: 1 .. n_ctx ids below n_vocab, else
  // refused.
  virtual Result<std::vector<float>> EmbedTokens(std::span<const std::int32_t> ids,
                                                 const Wish& wish) = 0;

  // A score for each passage, higher is better. A cross-encoder reads query and passage together
  // and gives its one class's output (a logit); of several the log odds of the one whose name says
  // that the passage answers ("yes", "relevant", "entailment"), or of two without such a name the
  // second's less the first's. A passage too long for it is cut at its end. A language model that
  // answers "yes" or "no" (Qwen3-Reranker) gives the share of "yes", 0 to 1, by the prompt that its
  // authors document. An embedding model gives the cosine of the query's and the passage's vectors,
  // each with the prefix of its role.
  virtual Result<std::vector<double>> Rerank(const std::string& query,
                                             std::span<const std::string> passages) = 0;
};

}  // namespace tatara::generate
