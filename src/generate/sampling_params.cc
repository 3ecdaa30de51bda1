#include <algorithm>
#include <set>

#include "json_text.h"
#include "tatara/generate/engine.h"

namespace tatara::generate {
namespace {

// A parameter of type f64: its name, where it lies, and the range that is accepted.
struct NumberField {
  std::string_view name;
  double SamplingParams::* member;
  double min;
  double max;
  bool above_min = false;  // min itself is refused
  bool below_max = false;
};

constexpr NumberField kNumberFields[] = {
    {"temperature", &SamplingParams::temperature, 0, 100},
    {"top_p", &SamplingParams::top_p, 0, 1, true},
    {"min_p", &SamplingParams::min_p, 0, 1, false, true},
    {"repetition_penalty", &SamplingParams::repetition_penalty, 0.01, 100},
    {"presence_penalty", &SamplingParams::presence_penalty, -100, 100},
    {"frequency_penalty", &SamplingParams::frequency_penalty, -100, 100},
};
constexpr double kBiasMax = 1e6;
constexpr std::string_view kOutOfRange = "{0} is {1}, expected {2} to {3}";
constexpr std::string_view kNotANumber = "sampling: '{0}' is not a number";

Result<> CheckNumber(const NumberField& field, double value) {
  const bool inside = (field.above_min ? value > field.min : value >= field.min) &&
                      (field.below_max ? value < field.max : value <= field.max);
  if (inside) return Ok{};
  if (field.above_min) {
    return Refuse("{0} is {1}, expected more than {2} and at most {3}", field.name, value,
                  field.min, field.max);
  }
  if (field.below_max) {
    return Refuse("{0} is {1}, expected at least {2} and less than {3}", field.name, value,
                  field.min, field.max);
  }
  return Refuse(kOutOfRange, field.name, value, field.min, field.max);
}

Result<> ReadBias(const Json& value, SamplingParams& out) {
  constexpr std::string_view kBadBias = "sampling: 'logit_bias' is not an array of [id, number]";
  if (!value.is_array() || value.size() > kLogitBiasMax) return Refuse(kBadBias);
  for (const Json& pair : value) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_integer() ||
        !pair[1].is_number()) {
      return Refuse(kBadBias);
    }
    const auto id = pair[0].get<std::int64_t>();
    if (id < 0 || id > INT32_MAX) return Refuse(kBadBias);
    out.logit_bias.emplace_back(static_cast<std::int32_t>(id), pair[1].get<double>());
  }
  return Ok{};
}

Result<> ReadField(std::string_view key, const Json& value, SamplingParams& out) {
  for (const NumberField& field : kNumberFields) {
    if (key != field.name) continue;
    if (!value.is_number()) return Refuse(kNotANumber, key);
    out.*field.member = value.get<double>();
    return Ok{};
  }
  if (key == "top_k") {
    if (!value.is_number_integer() || value.get<std::int64_t>() < 0 ||
        value.get<std::int64_t>() > INT32_MAX) {
      return Refuse("sampling: '{0}' is not a whole number from 0 to {1}", key, INT32_MAX);
    }
    out.top_k = value.get<int>();
    return Ok{};
  }
  if (key == "seed") {
    if (value.is_null()) return Ok{};
    if (!value.is_number_integer() ||
        (!value.is_number_unsigned() && value.get<std::int64_t>() < 0)) {
      return Refuse("sampling: '{0}' is neither null nor a whole number from 0", key);
    }
    out.seed = value.get<std::uint64_t>();
    return Ok{};
  }
  if (key == "logit_bias") return ReadBias(value, out);
  return Refuse("sampling: the field '{0}' is not known", key);
}

}  // namespace

Result<> SamplingParams::Check() const {
  for (const NumberField& field : kNumberFields) {
    TATARA_RETURN_IF_ERROR(CheckNumber(field, this->*field.member));
  }
  if (top_k < 0) return Refuse(kOutOfRange, "top_k", top_k, 0, INT32_MAX);
  if (logit_bias.size() > kLogitBiasMax) {
    return Refuse("logit_bias has {0} entries, at most {1} are accepted", logit_bias.size(),
                  kLogitBiasMax);
  }
  std::set<std::int32_t> seen;
  for (const auto& [id, bias] : logit_bias) {
    if (id < 0) return Refuse("logit_bias: the token id {0} is negative", id);
    if (!(bias >= -kBiasMax && bias <= kBiasMax)) {
      return Refuse("logit_bias of token {0} is {1}, expected {2} to {3}", id, bias, -kBiasMax,
                    kBiasMax);
    }
    if (!seen.insert(id).second) return Refuse("logit_bias: the token id {0} occurs twice", id);
  }
  return Ok{};
}

std::string SamplingToJson(const SamplingParams& sampling) {
  // Keys in the order of their names, as canonical JSON has them.
  std::vector<std::pair<std::int32_t, double>> bias = sampling.logit_bias;
  std::sort(bias.begin(), bias.end());
  std::string bias_text;
  for (const auto& [id, value] : bias) {
    bias_text += (bias_text.empty() ? "" : ",") + fmt::format("[{},{}]", id, NumberText(value));
  }
  return fmt::format(
      R"({{"frequency_penalty":{},"logit_bias":[{}],"min_p":{},"presence_penalty":{},)"
      R"("repetition_penalty":{},"seed":{},"temperature":{},"top_k":{},"top_p":{}}})",
      NumberText(sampling.frequency_penalty), bias_text, NumberText(sampling.min_p),
      NumberText(sampling.presence_penalty), NumberText(sampling.repetition_penalty),
      sampling.seed ? std::to_string(*sampling.seed) : "null", NumberText(sampling.temperature),
      sampling.top_k, NumberText(sampling.top_p));
}

Result<SamplingParams> SamplingFromJson(std::string_view json) {
  TATARA_TRY(const Json value, ParseJson(json, "sampling"));
  if (!value.is_object()) return Refuse("sampling: not a JSON object");
  SamplingParams out;
  for (const auto& [key, field] : value.items()) {
    TATARA_RETURN_IF_ERROR(ReadField(key, field, out));
  }
  TATARA_RETURN_IF_ERROR(out.Check());
  return out;
}

}  // namespace tatara::generate
