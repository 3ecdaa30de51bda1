#include <algorithm>
#include <cmath>
#include <numeric>

#include "commands.h"
#include "json_output.h"
#include "models_access.h"
#include "tatara/base/sha256.h"
#include "tatara/numerics/digest.h"
#include "tatara/numerics/ops.h"
#include "tatara/text/tokenizer.h"

namespace tatara::cli {
namespace {

// Ids of the highest logits, ties to the lower id.
std::vector<std::int32_t> Highest(const std::vector<float>& logits, int n) {
  std::vector<std::int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto end = ids.begin() + std::min<std::ptrdiff_t>(n, std::ssize(ids));
  std::partial_sort(ids.begin(), end, ids.end(), [&](std::int32_t a, std::int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  ids.erase(end, ids.end());
  return ids;
}

}  // namespace

Result<int> Logits(const LogitsOptions& options) {
  generate::EngineOptions extra;
  extra.prefix_cache = false;
  extra.tokenizer_optional = true;
  TATARA_TRY(const auto engine, OpenEngine(options.model, extra));
  TATARA_TRY(const std::vector<float> logits,
             engine->LogitsWith(options.tokens, HotAdapterName(options.model, *engine)));
  const double log_sum = numerics::LogSumExp(logits);
  const std::string digest = numerics::F32Sha256(logits);
  const auto top = Highest(logits, options.top);
  if (options.json) {
    Json pairs = Json::array();
    for (const std::int32_t id : top) pairs.push_back({id, logits[id]});
    OutJson({{"top", pairs}, {"logsumexp", log_sum}, {"sha256", digest}});
    return 0;
  }
  for (const std::int32_t id : top) {
    Out(fmt::format("{:>7}  {:>12.6f}  {}\n", id, logits[id],
                    Json(engine->tokenizer().TokenText(id))
                        .dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
  Out(fmt::format("logsumexp {:.6f}\nsha256 {}\n", log_sum, digest));
  return 0;
}

}  // namespace tatara::cli
