#include "tatara/model/training_flops.h"

#include <algorithm>
#include <vector>

#include "tatara/base/check.h"

namespace tatara::model {
namespace {

constexpr std::int64_t kQueries = 64;  // of a block of the attention's backward pass

// Multiply-adds of one row, by what multiplies; of an adapter over frozen matrices
// (trainable_base.h) its factors as well.
struct Products {
  double layers = 0, head = 0;  // forward
  double layers_backward = 0, head_backward = 0;
  // Of those in the layers that a recomputed forward pass leaves out: what the last product of a
  // layer gives is only read where a norm follows it.
  double not_again = 0;
  double of_call = 0;  // of each call, however many rows it has: DoRA's norms
};

bool IsAdapter(const Trainable& trainable) {
  return std::ranges::any_of(trainable.parameters(),
                             [](const Parameter& p) { return p.name.ends_with(".lora_a"); });
}

// Of the matrices; a matrix that trains is multiplied twice on the way back, a frozen one once.
Products ProductsOf(const std::vector<Parameter>& parameters, bool tied, double backward) {
  Products products;
  bool norm_follows = false;
  for (const Parameter& p : parameters) {
    const auto size = static_cast<double>(p.size());
    norm_follows = norm_follows || p.name.ends_with(".post_ffw_norm.weight");
    if (p.name.ends_with(".ffn_down.weight")) products.not_again += size;
    if (p.n_rows <= 1 || p.name == "position_embd.weight") continue;
    if (p.name == "token_embd.weight") {
      if (tied) products.head += size;
    } else if (p.name == "output.weight") {
      products.head += size;
    } else {
      products.layers += size;
    }
  }
  if (norm_follows) products.not_again = 0;
  products.layers_backward = backward * products.layers;
  products.head_backward = backward * products.head;
  return products;
}

// The products with the factors A and B as trainable_base.h states them: twice forward; five times
// backward, three with A and two with B. DoRA needs the whole forward product again on the way
// back, and B A for its norms.
void AddAdapter(const std::vector<Parameter>& parameters, Products& products) {
  const bool down_again = products.not_again == 0;
  double a = 0, b = 0, n_in = 0, n_out = 0, rank = 0;
  for (const Parameter& p : parameters) {
    const auto size = static_cast<double>(p.size());
    if (p.name.ends_with(".lora_a")) {
      a = size, n_in = static_cast<double>(p.n_cols), rank = static_cast<double>(p.n_rows);
    } else if (p.name.ends_with(".lora_b")) {
      b = size, n_out = static_cast<double>(p.n_rows);
      products.layers += a + b;
      products.layers_backward += 3 * a + 2 * b;
      if (!down_again && p.name.find(".ffn_down.") != p.name.npos) products.not_again += a + b;
    } else if (p.name.ends_with(".lora_magnitude")) {
      products.layers_backward += n_in * n_out + a + b;
      products.of_call += n_in * n_out * rank;
    }
  }
}

Result<Products> ProductsOf(const Trainable& trainable) {
  const bool tied = trainable.shape().tied;
  if (!IsAdapter(trainable)) return ProductsOf(trainable.parameters(), tied, 2);
  TATARA_TRY(const auto base, Trainable::Make(trainable.shape()));
  Products products = ProductsOf(base->parameters(), tied, 1);
  AddAdapter(trainable.parameters(), products);
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
  const Result<Products> counted = ProductsOf(trainable);
  TATARA_CHECK(counted.ok());  // the shape is that of a trainable
  const Products& products = *counted;
  const double n_rows = static_cast<double>(pass.n_sequences) * static_cast<double>(pass.n_tokens);
  const int head_dim = s.head_dim == 0 ? s.n_embd / s.n_heads : s.head_dim;
  const double width = static_cast<double>(pass.n_sequences) * s.n_heads * head_dim;
  const Pairs all = PairsOf(pass.n_tokens, 0), windowed = PairsOf(pass.n_tokens, s.window);
  double forward = 2 * n_rows * products.layers, backward = 2 * n_rows * products.layers_backward;
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
  const bool of_targets = pass.n_targets >= 0 && (!pass.backward || IsAdapter(trainable));
  const double n_heads = of_targets ? pass.n_targets : n_rows;
  const double head = 2 * n_heads * products.head + 2 * products.of_call;
  if (!pass.backward) return forward + head;
  const double ends = head + 2 * n_heads * products.head_backward;
  if (!pass.recompute) return forward + backward + ends;
  const double share = static_cast<double>(s.n_layers - 1) / s.n_layers;
  return 2 * forward - last - 2 * n_rows * products.not_again * share + backward + ends;
}

}  // namespace tatara::model
