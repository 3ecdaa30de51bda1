#include "model_keys.h"

namespace tatara::learn {
namespace {

constexpr const char* kTemplateKey = "tokenizer.chat_template";
constexpr const char* kPlainTemplate =
    "{% for message in messages %}{{ message['content'] }}\n{% endfor %}";

}  // namespace

Metadata ModelKeys(const std::string& name, const model::Trainable& trainable,
                   const corpus::TrainingSet& data) {
  Metadata keys = trainable.Keys();
  keys.Set("general.type", std::string("model"));
  keys.Set("general.name", name);
  const Metadata tokenizer = data.TokenizerKeys();
  for (const auto& [key, value] : tokenizer.values()) keys.Set(key, value);
  if (!keys.Has(kTemplateKey)) keys.Set(kTemplateKey, std::string(kPlainTemplate));
  return keys;
}

}  // namespace tatara::learn
