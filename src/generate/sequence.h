// One request on its way: its tokens, how many of them the cache holds, what came out so far.
//
// A sequence that starts, one that decodes and one that was preempted differ in nothing but
// `computed`: a pass feeds tokens[computed ...), and when it reaches the last token the next one is
// sampled. Thread safety: one caller.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "fair_share.h"
#include "hot_adapter.h"
#include "page_cache.h"
#include "sampler.h"
#include "tatara/base/sha256.h"
#include "tatara/generate/engine.h"
#include "text_output.h"

namespace tatara::generate {

struct Sequence {
  Sequence(RequestId request_id, Request r, const text::Tokenizer& tokenizer)
      : id(request_id),
        request(std::move(r)),
        output(tokenizer, request.stop, request.shown_tokens) {}

  RequestId id;
  Request request;
  std::shared_ptr<const HotAdapter> adapter;  // null: none
  OnText on_text;
  std::function<void(Result<Completion>)> done;

  std::vector<std::int32_t> tokens;  // prompt, then what was generated
  std::int64_t computed = 0;         // positions whose keys and values are in `pages`
  std::vector<int> pages;            // page i holds positions 64 i ...; held once each
  std::vector<PageKey> keys;         // of the full pages of `tokens`, as far as they were needed
  std::size_t n_published = 0;       // pages[0 .. n_published) are known to the page cache
  bool was_preempted = false;
  Digest scope{};                  // whose its pages are
  bool leaves_no_pages = false;    // its scope was forgotten
  std::int64_t disk_since_ns = 0;  // when it began to wait for its next page from disk
  bool disk_gave_up = false;       // that took too long: it computes

  std::int64_t n_scored = 0;  // positions whose next token has its log-probability

  std::uint64_t seed = 0;
  TokenHistory history;
  TextOutput output;
  Completion completion;
  std::optional<Sha256> logits_digest;
  bool cancelled = false;
  std::int64_t submitted_ns = 0, started_ns = 0, first_token_ns = 0;

  FairAccount* account = nullptr;  // null: outside the batch
  std::int64_t tag = 0;            // place among the waiting requests of its key
  std::int64_t served = 0;         // prompt tokens computed for it, or what it was raised to
  int passed_over = 0;             // requests let in while it found no room

  // Of the step being built:
  bool found_no_room = false;
  bool waits_for_disk = false;
  std::int64_t pass_tokens = 0;

  // Positions of the prompt whose logits are wanted for the token that follows.
  std::int64_t n_to_score() const {
    return request.prompt_logprobs < 0 ? 0 : static_cast<std::int64_t>(request.prompt.size()) - 1;
  }
  // Whether a page from `computed` on has positions whose logits are still wanted, so that it has
  // to be computed here.
  bool ScoresPage(std::int64_t page_tokens) const {
    return n_scored < n_to_score() && computed + page_tokens > n_scored;
  }
  // Of the pass being built: the first of those positions, and how many.
  std::int64_t pass_score_begin() const { return std::max(computed, n_scored); }
  std::int64_t n_pass_scores() const {
    return std::max<std::int64_t>(
        0, std::min(computed + pass_tokens, n_to_score()) - pass_score_begin());
  }
  std::int64_t n_pending() const { return static_cast<std::int64_t>(tokens.size()) - computed; }
  std::int64_t n_generated() const {
    return static_cast<std::int64_t>(tokens.size() - request.prompt.size());
  }
};

}  // namespace tatara::generate
