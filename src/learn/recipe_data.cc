// [data], [data.vocabulary], [[data.sources]], [[data.phases]].
#include <algorithm>
#include <cmath>

#include "recipe_sections.h"
#include "tatara/corpus/reading.h"

namespace tatara::learn {
namespace {

constexpr std::size_t kSourcesMax = 256;

// The tables of an array in [data], each as a section of its own.
template <typename Take>
Result<> ForTables(const toml::table& data, std::string_view path, std::string_view key,
                   const Take& take) {
  const toml::node* node = data.get(key);
  if (node == nullptr) return Ok{};
  const toml::array* tables = node->as_array();
  if (tables == nullptr || tables->size() > kSourcesMax) {
    return Refuse("{0}: data.{1} must be at most {2} tables, [[data.{1}]]", path, key, kSourcesMax);
  }
  for (std::size_t i = 0; i < tables->size(); ++i) {
    const std::string name = fmt::format("data.{}[{}]", key, i);
    toml::table holder;
    holder.insert(name, *tables->get(i));
    TATARA_RETURN_IF_ERROR(take(holder, name));
  }
  return Ok{};
}

Result<DataSource> TakeSource(const toml::table& holder, std::string_view path,
                              const std::string& name) {
  DataSource source;
  Section s(holder, path, name);
  s.Take("name", source.name);
  s.Take("path", source.path);
  s.Take("weight", source.weight, 0, 1e9);
  s.Take("format", source.format);
  s.Take("unit", source.unit);
  s.Take("field", source.field);
  s.Take("question", source.question);
  s.Take("answer", source.answer);
  s.Take("sheet", source.sheet);
  s.Take("sha256", source.sha256);
  s.Take("source", source.source);
  TATARA_RETURN_IF_ERROR(s.Finish());
  TATARA_RETURN_IF_ERROR(corpus::RowFormOf(source.format));
  TATARA_RETURN_IF_ERROR(corpus::TextUnitOf(source.unit));
  if (source.name.empty()) source.name = std::filesystem::path(source.path).stem().string();
  return source;
}

Result<DataPhase> TakePhase(const toml::table& holder, std::string_view path,
                            const std::string& name) {
  DataPhase phase;
  const toml::table* table = holder.get(name)->as_table();
  toml::table rest = table == nullptr ? toml::table{} : *table;
  const toml::array* weights = rest["weights"].as_array();
  bool valid = table != nullptr && weights != nullptr;
  for (std::size_t i = 0; valid && i < weights->size(); ++i) {
    const auto weight = weights->get(i)->value<double>();
    valid = weight && weights->get(i)->is_number() && *weight >= 0 && *weight <= 1e9;
    if (valid) phase.weights.push_back(*weight);
  }
  if (!valid) return Refuse("{0}: {1}.weights must be numbers from 0 on, one a source", path, name);
  rest.erase("weights");
  toml::table inner;
  inner.insert(name, std::move(rest));
  Section s(inner, path, name);
  s.Take("from_step", phase.from_step, 1, kStepsMax);
  TATARA_RETURN_IF_ERROR(s.Finish());
  return phase;
}

Result<> TakeVocabulary(const toml::table& data, std::string_view path, VocabularyRecipe& v) {
  const toml::node* node = data.get("vocabulary");
  if (node == nullptr) return Ok{};
  toml::table holder;
  holder.insert("data.vocabulary", *node);
  Section s(holder, path, "data.vocabulary");
  s.Take("size", v.size, 1, 1 << 21);
  s.Take("kind", v.kind);
  s.Take("pre", v.pre);
  s.Take("min_frequency", v.min_frequency, 1, 1 << 30);
  TATARA_RETURN_IF_ERROR(s.Finish());
  if (v.kind != "bpe" && v.kind != "unigram") {
    return Refuse("{0}: data.vocabulary.kind '{1}' is unknown; there are bpe, unigram", path,
                  v.kind);
  }
  if (v.size == 0) return Refuse("{0}: data.vocabulary.size is missing", path);
  return Ok{};
}

Result<> CheckKind(std::string_view path, const DataRecipe& d) {
  if (d.kind == "stated") return Ok{};
  if (d.kind == "char") {
    if (d.text.empty()) return Refuse("{0}: data.text is missing", path);
    return Ok{};
  }
  if (d.kind == "prepared") {
    if (d.set.empty()) return Refuse("{0}: data.set is missing", path);
  } else if (d.kind == "text" || d.kind == "chat") {
    if (d.sources.empty()) return Refuse("{0}: [[data.sources]] is missing", path);
    for (const DataSource& source : d.sources) {
      if (source.path.empty()) return Refuse("{0}: a path is missing in [[data.sources]]", path);
    }
  } else {
    return Refuse("{0}: data.kind '{1}' is unknown; there are char, text, chat, prepared, stated",
                  path, d.kind);
  }
  for (std::size_t i = 0; i < d.sources.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (d.sources[i].name == d.sources[k].name) {
        return Refuse("{0}: two of [[data.sources]] are called '{1}'", path, d.sources[i].name);
      }
    }
  }
  if (d.vocabulary.size > 0 && (d.kind != "text" || !d.tokenizer.empty())) {
    return Refuse("{0}: data.vocabulary is for data of kind text without data.tokenizer", path);
  }
  if (!d.packing.empty() && d.packing != "stream" && d.packing != "whole") {
    return Refuse("{0}: data.packing '{1}' is unknown; there are stream, whole", path, d.packing);
  }
  return Ok{};
}

}  // namespace

Result<> TakeData(const toml::table& root, std::string_view path, DataRecipe& d) {
  toml::table holder;
  if (const toml::node* node = root.get("data")) holder.insert("data", *node);
  toml::table none;
  toml::table& data = holder["data"].as_table() == nullptr ? none : *holder["data"].as_table();
  TATARA_RETURN_IF_ERROR(
      ForTables(data, path, "sources", [&](const toml::table& table, const std::string& name) {
        auto source = TakeSource(table, path, name);
        if (!source.ok()) return Result<>(source.error());
        d.sources.push_back(std::move(source).value());
        return Result<>(Ok{});
      }));
  TATARA_RETURN_IF_ERROR(
      ForTables(data, path, "phases", [&](const toml::table& table, const std::string& name) {
        auto phase = TakePhase(table, path, name);
        if (!phase.ok()) return Result<>(phase.error());
        d.phases.push_back(std::move(phase).value());
        return Result<>(Ok{});
      }));
  TATARA_RETURN_IF_ERROR(TakeVocabulary(data, path, d.vocabulary));
  data.erase("vocabulary");
  data.erase("sources");
  data.erase("phases");
  Section s(holder, path, "data");
  s.Take("kind", d.kind);
  s.Take("text", d.text);
  s.Take("sha256", d.sha256);
  s.Take("source", d.source);
  s.Take("validation", d.validation, 0, 0.99);
  s.Take("tokenizer", d.tokenizer);
  s.Take("chat_template", d.chat_template);
  s.Take("set", d.set);
  s.Take("packing", d.packing);
  TATARA_RETURN_IF_ERROR(s.Finish());
  return CheckKind(path, d);
}

}  // namespace tatara::learn
