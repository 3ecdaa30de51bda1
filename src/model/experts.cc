#include "experts.h"

#include <algorithm>
#include <array>
#include <limits>

#include "tatara/base/check.h"
#include "tatara/numerics/functions.h"
#include "tatara/numerics/ops.h"

namespace tatara::model {
namespace {

// Gathered rows that are worked on together: they and what the experts make of them stay in
// memory of some ten megabytes, however long a prompt is. One expert's rows always go together.
constexpr std::int64_t kGatheredRowsMax = 2048;

// NaN is worse than everything, so that it is chosen only where too few numbers are left; its
// weight is NaN then.
bool Better(float a, float b) {
  return b != b ? a == a : a > b;
}

// Puts -inf over all experts of the groups that are not chosen from.
void CloseGroups(const RouterConfig& c, std::span<float> selection) {
  const std::size_t size = selection.size() / static_cast<std::size_t>(c.n_groups);
  std::array<float, kExpertGroupsMax> worth{};
  const auto n_groups = static_cast<std::size_t>(c.n_groups);
  TATARA_CHECK(n_groups <= worth.size());
  for (std::size_t g = 0; g < n_groups; ++g) {
    // Best first; groups are small.
    std::array<float, 2> best{-std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity()};
    for (const float value : selection.subspan(g * size, size)) {
      if (Better(value, best[0])) {
        best[1] = best[0];
        best[0] = value;
      } else if (Better(value, best[1])) {
        best[1] = value;
      }
    }
    worth[g] = c.group_best == 1 || size == 1 ? best[0] : best[0] + best[1];
  }
  std::array<bool, kExpertGroupsMax> open{};
  for (int taken = 0; taken < c.n_groups_used; ++taken) {
    std::size_t best = n_groups;
    for (std::size_t g = 0; g < n_groups; ++g) {
      if (!open[g] && (best == n_groups || Better(worth[g], worth[best]))) best = g;
    }
    open[best] = true;
  }
  for (std::size_t g = 0; g < n_groups; ++g) {
    if (open[g]) continue;
    std::ranges::fill(selection.subspan(g * size, size), -std::numeric_limits<float>::infinity());
  }
}

// The best n_used of `selection`, lower index first among equals, as ascending expert numbers.
// Overwrites `selection`.
void TakeBest(std::span<float> selection, std::span<ChosenExpert> chosen) {
  constexpr float kTaken = -std::numeric_limits<float>::infinity();
  std::size_t n_chosen = 0;
  const auto is_taken = [&](std::size_t e) {
    return std::ranges::any_of(chosen.first(n_chosen), [&](const ChosenExpert& c) {
      return c.expert == static_cast<std::int32_t>(e);
    });
  };
  while (n_chosen < chosen.size()) {
    std::size_t best = selection.size();
    for (std::size_t e = 0; e < selection.size(); ++e) {
      if (best != selection.size() && !Better(selection[e], selection[best])) continue;
      // What was taken has -inf, as others may have.
      if (selection[e] == kTaken && is_taken(e)) continue;
      best = e;
    }
    chosen[n_chosen++] = {static_cast<std::int32_t>(best), 0};
    selection[best] = kTaken;
  }
  std::ranges::sort(chosen, {}, &ChosenExpert::expert);
}

float Sigmoid(float x) {
  return 1.0F / (1.0F + numerics::Exp(-x));
}

// Weights of the chosen out of the scores: softmax over them, or the scores themselves; divided by
// their sum (ascending expert, from +0) where asked.
void Weigh(const RouterConfig& c, std::span<const float> scores, std::span<ChosenExpert> chosen) {
  float sum = 0;
  if (c.score == RouterScore::kSoftmaxOfChosen) {
    float max = -std::numeric_limits<float>::infinity();
    for (const ChosenExpert& e : chosen) {
      const float score = scores[static_cast<std::size_t>(e.expert)];
      if (score > max || score != score) max = score;
    }
    for (ChosenExpert& e : chosen) {
      e.weight = numerics::Exp(scores[static_cast<std::size_t>(e.expert)] - max);
      sum += e.weight;
    }
  } else {
    for (ChosenExpert& e : chosen) {
      e.weight = scores[static_cast<std::size_t>(e.expert)];
      sum += e.weight;
    }
    sum = sum < c.sum_min ? c.sum_min : sum;
  }
  const bool divide = c.renormalise || c.score == RouterScore::kSoftmaxOfChosen;
  for (ChosenExpert& e : chosen) {
    if (divide) e.weight = e.weight / sum;
    if (c.weight_scale != 1.0F) e.weight = e.weight * c.weight_scale;
  }
}

// Chooses experts for every row and orders the (row, expert) pairs by expert, then row:
// scratch.chosen (N, U), scratch.slot (N, U) where a pair stands in that order,
// scratch.row_of_slot, scratch.expert_end (X).
void Route(Pass& pass, const Experts& w, Rows router_in, MixtureScratch& s) {
  const RouterConfig& c = w.config;
  const auto n_used = static_cast<std::size_t>(c.n_used);
  const auto n_rows = static_cast<std::size_t>(router_in.n_rows);
  const Rows scores = s.scores.Make(router_in.n_rows, c.n_experts);        // (N, X)
  const Rows selection = s.selection.Make(router_in.n_rows, c.n_experts);  // (N, X)
  pass.Project(router_in, {{&w.router, scores}});
  s.chosen.resize(n_rows * n_used);
  ForRows(pass.pool(), router_in.n_rows, std::int64_t{c.n_experts} * (c.n_used + 8),
          [&](std::int64_t row) {
            ChooseExperts(
                c, w.selection_bias, scores.Row(row), selection.Row(row),
                std::span(s.chosen).subspan(static_cast<std::size_t>(row) * n_used, n_used));
          });
  s.expert_end.assign(static_cast<std::size_t>(c.n_experts), 0);
  for (const ChosenExpert& e : s.chosen) ++s.expert_end[static_cast<std::size_t>(e.expert)];
  std::int64_t before = 0;
  for (std::int64_t& end : s.expert_end) {  // now where an expert's slots begin
    const std::int64_t n = end;
    end = before;
    before += n;
  }
  const std::size_t n_working = std::min(s.expert_end.size(), s.chosen.size());  // at most
  s.segment_ends.reserve(n_working);
  s.experts_of_wave.reserve(n_working);
  s.jobs.reserve(2 * n_working);
  s.slot.resize(s.chosen.size());
  s.row_of_slot.resize(s.chosen.size());
  for (std::size_t i = 0; i < s.chosen.size(); ++i) {
    const std::int64_t slot = s.expert_end[static_cast<std::size_t>(s.chosen[i].expert)]++;
    s.slot[i] = slot;
    s.row_of_slot[static_cast<std::size_t>(slot)] = static_cast<std::int64_t>(i / n_used);
  }
}

// Experts [first, end) that have rows, and their slots.
struct Wave {
  int first = 0, end = 0;
  std::int64_t slot = 0, n_slots = 0;
};

Wave NextWave(const MixtureScratch& s, const Wave& before) {
  Wave wave{before.end, before.end, before.slot + before.n_slots, 0};
  while (wave.end < static_cast<int>(s.expert_end.size())) {
    const std::int64_t n_slots = s.expert_end[static_cast<std::size_t>(wave.end)] - wave.slot;
    if (wave.n_slots > 0 && n_slots > kGatheredRowsMax) break;
    wave.n_slots = n_slots;
    ++wave.end;
  }
  return wave;
}

// Products of every expert's own rows of x: y[j] = linears[j][e] x, (slots, outputs).
void ProjectWave(Pass& pass, MixtureScratch& s, const Wave& wave, Rows x,
                 std::initializer_list<std::pair<const std::vector<Linear>*, Rows>> products) {
  s.segment_ends.clear();
  s.experts_of_wave.clear();
  std::int64_t end_before = wave.slot;
  for (int e = wave.first; e < wave.end; ++e) {
    const std::int64_t end = s.expert_end[static_cast<std::size_t>(e)];
    if (end == end_before) continue;
    s.segment_ends.push_back(end - wave.slot);
    s.experts_of_wave.push_back(e);
    end_before = end;
  }
  s.jobs.clear();
  for (const auto& [linears, y] : products) {
    for (std::size_t i = 0; i < s.experts_of_wave.size(); ++i) {
      const Linear& linear = (*linears)[static_cast<std::size_t>(s.experts_of_wave[i])];
      s.jobs.push_back({&linear.w, y.data, y.n_cols, static_cast<int>(i)});
    }
  }
  pass.ProjectSegments(x, s.segment_ends, s.jobs);
  for (const auto& [linears, y] : products) {
    std::int64_t start = 0;
    for (std::size_t i = 0; i < s.experts_of_wave.size(); ++i) {
      const Linear& linear = (*linears)[static_cast<std::size_t>(s.experts_of_wave[i])];
      const std::int64_t end = s.segment_ends[i];
      if (!linear.bias.empty()) {
        AddBias(pass.pool(), linear.bias, {y.Row(start).data(), end - start, y.n_cols});
      }
      start = end;
    }
  }
}

// y[row] = fma(weight, out[slot], y[row]) for the pairs of the wave, ascending by expert.
void AddWeighted(Pass& pass, const Experts& w, const MixtureScratch& s, const Wave& wave, Rows out,
                 Rows y) {
  const auto n_used = static_cast<std::size_t>(w.config.n_used);
  ForRows(pass.pool(), y.n_rows, y.n_cols * w.config.n_used, [&](std::int64_t row) {
    for (std::size_t i = static_cast<std::size_t>(row) * n_used, end = i + n_used; i < end; ++i) {
      const std::int64_t slot = s.slot[i] - wave.slot;
      if (slot < 0 || slot >= wave.n_slots) continue;
      const auto expert = static_cast<std::size_t>(s.chosen[i].expert);
      const float scale = w.output_scale.empty() ? 1.0F : w.output_scale[expert];
      numerics::AddScaled(s.chosen[i].weight * scale, out.Row(slot), y.Row(row));
    }
  });
}

}  // namespace

void ChooseExperts(const RouterConfig& config, std::span<const float> selection_bias,
                   std::span<float> scores, std::span<float> scratch,
                   std::span<ChosenExpert> chosen) {
  if (config.score == RouterScore::kSoftmax) numerics::Softmax(scores);
  if (config.score == RouterScore::kSigmoid) {
    for (float& score : scores) score = Sigmoid(score);
  }
  std::ranges::copy(scores, scratch.begin());
  if (!selection_bias.empty()) numerics::Add(selection_bias, scratch);
  if (config.n_groups > 1) CloseGroups(config, scratch);
  TakeBest(scratch, chosen);
  Weigh(config, scores, chosen);
}

void RunExperts(Pass& pass, const Experts& w, Rows router_in, Rows x, Rows y) {
  TATARA_CHECK(router_in.n_rows == x.n_rows && y.n_rows == x.n_rows && y.n_cols == x.n_cols);
  if (x.n_rows == 0) return;
  MixtureScratch& s = pass.scratch().mixture;
  Route(pass, w, router_in, s);
  std::ranges::fill(std::span(y.data, static_cast<std::size_t>(y.size())), 0.0F);
  const std::int64_t n_slots = x.n_rows * w.config.n_used;
  for (Wave wave = NextWave(s, {}); wave.slot < n_slots; wave = NextWave(s, wave)) {
    const Rows in = s.gathered.Make(wave.n_slots, x.n_cols);  // (slots, E)
    ForRows(pass.pool(), wave.n_slots, x.n_cols, [&](std::int64_t slot) {
      const auto row = s.row_of_slot[static_cast<std::size_t>(wave.slot + slot)];
      std::ranges::copy(x.Row(row), in.Row(slot).begin());
    });
    const Rows up = pass.scratch().up.Make(wave.n_slots, w.up.front().w.n_rows());  // (slots, F)
    Rows inner = up;
    if (w.gate.empty()) {
      ProjectWave(pass, s, wave, in, {{&w.up, up}});
      w.activate(pass.pool(), up);
    } else {
      inner = pass.scratch().gate.Make(wave.n_slots, up.n_cols);
      ProjectWave(pass, s, wave, in, {{&w.gate, inner}, {&w.up, up}});
      w.gate_up(pass.pool(), inner, up);
    }
    ProjectWave(pass, s, wave, inner, {{&w.down, in}});
    AddWeighted(pass, w, s, wave, in, y);
  }
}

void MixtureFeedForward(Pass& pass, const Experts& w, const SharedExpert* shared, Rows h) {
  const Rows y = pass.scratch().mixture.out.Make(h.n_rows, h.n_cols);  // (N, E)
  RunExperts(pass, w, h, h, y);
  if (shared == nullptr) {
    std::ranges::copy(std::span(y.data, static_cast<std::size_t>(y.size())), h.data);
    return;
  }
  const bool gated = !shared->gate.w.empty();
  const Rows open = pass.scratch().mixture.scores.Make(h.n_rows, 1);
  if (gated) pass.Project(h, {{&shared->gate, open}});
  FeedForward(pass, shared->ffn, Gate::kSilu, h);
  ForRows(pass.pool(), h.n_rows, h.n_cols, [&](std::int64_t row) {
    if (gated) numerics::Scale(Sigmoid(open.Row(row)[0]), h.Row(row));
    numerics::Add(y.Row(row), h.Row(row));
  });
}

}  // namespace tatara::model
