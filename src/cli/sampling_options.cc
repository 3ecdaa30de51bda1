#include "sampling_options.h"

#include <charconv>

namespace tatara::cli {
namespace {

Result<std::pair<std::int32_t, double>> ParseBias(const std::string& text) {
  std::int32_t id = 0;
  double bias = 0;
  const char* end = text.data() + text.size();
  const auto [after_id, id_error] = std::from_chars(text.data(), end, id);
  if (id_error == std::errc() && after_id != end && *after_id == '=') {
    const auto [after, bias_error] = std::from_chars(after_id + 1, end, bias);
    if (bias_error == std::errc() && after == end) return std::pair(id, bias);
  }
  return Refuse("--logit-bias: found '{0}', expected ID=BIAS, for example 42=-5", text);
}

}  // namespace

Result<generate::SamplingParams> MakeSampling(const SamplingOptions& options) {
  generate::SamplingParams params;
  params.temperature = options.temperature;
  params.top_k = options.top_k;
  params.top_p = options.top_p;
  params.min_p = options.min_p;
  params.repetition_penalty = options.repetition_penalty;
  params.presence_penalty = options.presence_penalty;
  params.frequency_penalty = options.frequency_penalty;
  params.seed = options.seed;
  for (const std::string& text : options.logit_bias) {
    TATARA_TRY(auto bias, ParseBias(text));
    params.logit_bias.push_back(bias);
  }
  TATARA_RETURN_IF_ERROR(params.Check());
  return params;
}

}  // namespace tatara::cli
