#include <algorithm>

#include "huggingface/families/list.h"
#include "tatara/base/nearest.h"

namespace tatara::weights {
namespace {

const Family* const kFamilies[] = {
    &kLlamaFamily,   &kMistralFamily,    &kMixtralFamily,    &kSmolLM3Family,
    &kGraniteFamily, &kGraniteMoeFamily, &kQwen2Family,      &kQwen2MoeFamily,
    &kQwen3Family,   &kQwen3MoeFamily,   &kGemma2Family,     &kGemma3Family,
    &kPhi3Family,    &kOlmo2Family,      &kOlmo3Family,      &kCohereFamily,
    &kCohere2Family, &kGlm4Family,       &kGlm4MoeFamily,    &kGpt2Family,
    &kBertFamily,    &kRobertaFamily,    &kBertRankerFamily, &kRobertaRankerFamily,
    &kNomicFamily,   &kModernBertFamily,
};

}  // namespace

const Family* FindFamily(std::string_view name) {
  for (const Family* family : kFamilies) {
    if (std::ranges::find(family->names, name) != family->names.end()) return family;
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
