#include <algorithm>

#include "huggingface/families/list.h"
#include "tatara/base/nearest.h"

namespace tatara::weights {
namespace {

const Family* const kFamilies[] = {
    &kLlamaFamily,      &kMistral3Family,   &kMistralFamily,    &kMixtralFamily,
    &kSmolLM3Family,    &kGraniteFamily,    &kGraniteMoeFamily, &kQwen2Family,
    &kQwen2MoeFamily,   &kQwen3Family,      &kQwen3MoeFamily,   &kQwen3NextFamily,
    &kQwen35Family,     &kQwen35MoeFamily,  &kGemma2Family,     &kGemma3Family,
    &kGemma4Family,     &kPhi3Family,       &kOlmo2Family,      &kOlmo3Family,
    &kCohereFamily,     &kCohere2Family,    &kGlm4Family,       &kGlm4MoeFamily,
    &kDeepseekV2Family, &kDeepseekV3Family, &kGptOssFamily,     &kGpt2Family,
    &kBertFamily,       &kRobertaFamily,    &kBertRankerFamily, &kRobertaRankerFamily,
    &kNomicFamily,      &kModernBertFamily, &kJinaFamily,
};

}  // namespace

const Family* FindFamily(std::string_view name, const Config& text) {
  for (const Family* family : kFamilies) {
    const bool named = std::ranges::find(family->names, name) != family->names.end();
    if (named && (family->is_meant == nullptr || family->is_meant(text))) return family;
  }
  return nullptr;
}

std::vector<const Family*> FamiliesOfArchitecture(std::string_view architecture) {
  std::vector<const Family*> found;
  for (const Family* family : kFamilies) {
    if (family->architecture == architecture) found.push_back(family);
  }
  return found;
}

std::string NearestFamilyName(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Family* family : kFamilies) {
    names.insert(names.end(), family->names.begin(), family->names.end());
  }
  return Nearest(name.substr(0, 64), names);
}

}  // namespace tatara::weights
