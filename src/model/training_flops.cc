#include "tatara/model/training_flops.h"

#include <algorithm>

namespace tatara::model {
namespace {

constexpr std::int64_t kQueries = 64;  // of a block of the attention's backward pass

struct Products {
  double layers = 0, head = 0;  // values of their matrices
  // Of those in the layers that a recomputed forward pass leaves out: what the last product of a
  // layer gives is only read where a norm follows it.
  double not_again = 0;
};

Products ProductsOf(const Trainable& trainable) {
  Products products;
  bool norm_follows = false;
  for (const Parameter& p : trainable.parameters()) {
    norm_follows = norm_follows || p.name.ends_with(".post_ffw_norm.weight");
    if (p.name.ends_with(".ffn_down.weight")) products.not_again += static_cast<double>(p.size());
    if (p.n_rows <= 1 || p.name == "position_embd.weight") continue;
    if (p.name == "token_embd.weight") {
      if (trainable.shape().tied) products.head += static_cast<double>(p.size());
    } else if (p.name == "output.weight") {
      products.head += static_cast<double>(p.size());
    } else {
      products.layers += static_cast<double>(p.size());
    }
  }
  if (norm_follows) products.not_again = 0;
  return products;
}

// Pairs of a query and a key: those that are seen, and those of whole blocks of queries.
struct Pairs {
  double seen = 0, of_blocks = 0;
};

Pairs PairsOf(std::int64_t n_tokens, std::int64_t window) {
  Pairs pairs;
  for (std::int64_t query = 0; query < n_tokens; query += kQueries) {
    const std::int64_t n = std::min(kQueries, n_tokens - query);
    const std::int64_t first = window == 0 ? 0 : std::max<std::int64_t>(0, query - window + 1);
    pairs.of_blocks += static_cast<double>(n) * static_cast<double>(query + n - first);
    for (std::int64_t i = query; i < query + n; ++i) {
      pairs.seen += static_cast<double>(window == 0 ? i + 1 : std::min(i + 1, window));
    }
  }
  return pairs;
}

}  // namespace

double TrainingFlops(const Trainable& trainable, const CountedPass& pass) {
  const TrainableShape& s = trainable.shape();
  const Products products = ProductsOf(trainable);
  const double n_rows = static_cast<double>(pass.n_sequences) * static_cast<double>(pass.n_tokens);
  const int head_dim = s.head_dim == 0 ? s.n_embd / s.n_heads : s.head_dim;
  const double width = static_cast<double>(pass.n_sequences) * s.n_heads * head_dim;
  const Pairs all = PairsOf(pass.n_tokens, 0), windowed = PairsOf(pass.n_tokens, s.window);
  double forward = 2 * n_rows * products.layers, backward = 2 * forward;
  double last = 0;  // the last layer's forward pass, which is not run again
  for (int i = 0; i < s.n_layers; ++i) {
    const bool has_window =
        s.window > 0 && (s.window_period == 0 || i % s.window_period < s.window_period - 1);
    const Pairs& pairs = has_window ? windowed : all;
    last = (4 * pairs.seen + (pass.attention_drops ? 4 * pairs.of_blocks : 0)) * width;
    forward += last;
    backward += 10 * pairs.of_blocks * width;
  }
  last += 2 * n_rows * products.layers / s.n_layers;
  const double head = 2 * n_rows * products.head;
  if (!pass.backward) return forward + head;
  if (!pass.recompute) return forward + backward + 3 * head;
  const double share = static_cast<double>(s.n_layers - 1) / s.n_layers;
  return 2 * forward - last - 2 * n_rows * products.not_again * share + backward + 3 * head;
}

}  // namespace tatara::model
