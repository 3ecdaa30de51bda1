// One pass over the weights for several sequences together: the rows of all slices stand one below
// the other (T of them), so that every matrix is read once. Attention alone looks at the slices one
// by one.
//
// An architecture's Forward reads as its published equations, a call a line:
//   Project(x, {{&w.q, q}, ...})  matrix products and biases       Attend(...)  store k and v, then
//   attend
// Thread safety: one pass at a time per PassScratch.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "rope.h"
#include "rows.h"
#include "tatara/base/fp_environment.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/adapter.h"
#include "tatara/model/kv_pool.h"
#include "tatara/model/model.h"
#include "tatara/numerics/attention.h"
#include "tatara/numerics/matrix.h"
#include "tensors.h"

namespace tatara::model {

// Up to kPageTokens consecutive tokens of one slice that fall into one tile of a page.
struct PageRun {
  std::int64_t row = 0;       // of the first token
  std::int64_t position = 0;  // of the first token
  std::int64_t n_tokens = 0;
  int page = 0;  // of the pool
  int tile = 0;  // of the page
  // The page whose state the run starts from: its own, or where it is the first of its page the one
  // before; kNoPage where the sequence begins.
  int state_page = 0;
};
inline constexpr int kNoPage = -1;

// One of the experts that work on a row.
struct ChosenExpert {
  std::int32_t expert = 0;
  float weight = 0;
};

// Memory of mixtures of experts (experts.h).
struct MixtureScratch {
  RowBuffer scores, selection, gathered, out;
  std::vector<ChosenExpert> chosen;        // (rows, experts used)
  std::vector<std::int64_t> slot;          // (rows, experts used): place among all, by expert
  std::vector<std::int64_t> row_of_slot;   // the way back
  std::vector<std::int64_t> expert_end;    // (experts): end of its slots
  std::vector<std::int64_t> segment_ends;  // of the experts that have rows
  std::vector<std::int32_t> experts_of_wave;
  std::vector<numerics::MatMulJob> jobs;
};

// Memory of adapters (pass_adapters.cc).
struct AdapterScratch {
  std::vector<std::int64_t> ends;           // of the slices' rows in what is multiplied
  std::vector<const Adapter::Part*> parts;  // of the slices
  std::vector<numerics::MatMulJob> jobs;
  numerics::ActivationRows rows;
  RowBuffer low, change;
};

// Memory that passes keep for the next one.
struct PassScratch {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> positions;
  std::vector<std::int64_t> wanted;     // rows whose logits are asked for, ascending
  std::vector<PageRun> runs;            // slice after slice
  std::vector<std::size_t> slice_runs;  // where each slice's runs begin, and the end
  std::vector<numerics::AttentionSequence> sequences;
  std::vector<const std::byte*> k_pages, v_pages;  // of all slices, one after the other
  numerics::AttentionScratch attention;
  numerics::ActivationRows activations;
  RowBuffer gate, up;  // of a feed-forward
  MixtureScratch mixture;
  std::vector<std::int64_t> row_ends, wanted_ends;  // by slice, of rows and of wanted rows
  AdapterScratch adapters;
};

struct Projection {
  const Linear* linear;
  Rows y;
};

class Pass {
 public:
  // Sets the contract's floating-point environment for its life and checks it.
  Pass(PassScratch& scratch, std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
       numerics::Activations activations);
  ~Pass();
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  std::int64_t n_tokens() const { return static_cast<std::int64_t>(scratch_.tokens.size()); }
  std::int64_t n_wanted() const { return static_cast<std::int64_t>(scratch_.wanted.size()); }
  std::int64_t position(std::int64_t row) const {
    return scratch_.positions[static_cast<std::size_t>(row)];
  }
  ThreadPool& pool() { return pool_; }
  PassScratch& scratch() { return scratch_; }

  // x[t] = row of token t: (T, E).
  void Embed(const Embedding& embedding, Rows x);
  // y = W x (+ bias) for several W in one parallel loop, each slice's rows with its adapter. x has
  // rows of all tokens, or the wanted ones after KeepWanted, or the same number for each of them.
  void Project(Rows x, std::initializer_list<Projection> projections);
  // Products of segments of x's rows, each job of its own segment (numerics/matrix.h).
  void ProjectSegments(Rows x, std::span<const std::int64_t> segment_ends,
                       std::span<const numerics::MatMulJob> jobs);
  // Turns every head of every row by its position; x: (T, heads x head_dim).
  void Rotate(RotaryTable& table, int head_dim, Rows x);
  // Stores k (T, K*D) and v (T, K*Dv) of the layer in the pages, then out (T, H*Dv) = attention of
  // q (T, H*D).
  void Attend(int layer, const numerics::AttentionShape& shape, Rows q, Rows k, Rows v, Rows out);
  // The same over the keys and values that an earlier layer of this pass stored.
  void AttendStored(int layer, const numerics::AttentionShape& shape, Rows q, Rows out);
  // Of slice i: its runs in ascending order, for recurrent layers.
  std::span<const PageRun> RunsOf(std::size_t slice) const {
    return std::span(scratch_.runs)
        .subspan(scratch_.slice_runs[slice],
                 scratch_.slice_runs[slice + 1] - scratch_.slice_runs[slice]);
  }
  std::size_t n_slices() const { return slices_.size(); }
  KvPool& kv() { return kv_; }
  // Keeps only the rows whose logits are wanted, in place: what comes after the last layer's
  // attention concerns no other row.
  void KeepWanted(std::initializer_list<Rows*> all);

 private:
  void ApplyAdapters(Rows x, const Projection& projection);
  void AddLowRank(Rows x, Rows y, std::int64_t rank);
  void Store(int layer, const numerics::AttentionShape& shape, Rows k, Rows v);
  void FollowStates();

  const ScopedFpEnvironment environment_;
  PassScratch& scratch_;
  std::span<const SequenceSlice> slices_;
  KvPool& kv_;
  ThreadPool& pool_;
  numerics::Activations activations_;
  std::int64_t n_positions_ = 0;  // 1 + the largest position
  bool has_adapters_ = false;
  bool kept_wanted_ = false;
};

}  // namespace tatara::model
