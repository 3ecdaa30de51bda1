#include "inspect_report.h"

#include <algorithm>
#include <map>

#include "tatara/base/localise.h"
#include "tatara/base/nearest.h"
#include "tatara/model/encoder.h"
#include "tatara/model/known.h"
#include "tatara/text/chat_template.h"
#include "tatara/text/tokenizer.h"

namespace tatara::cli {
namespace {

constexpr std::int64_t kUsualTemplateBytesMax = 64 << 10;
constexpr std::size_t kWarningsMax = 20;  // of one kind

std::string TextOf(const Metadata& metadata, std::string_view key) {
  return metadata.StringOr(key, "").ok() ? *metadata.StringOr(key, "") : std::string();
}
std::int64_t IntOf(const Metadata& metadata, std::string_view key, std::int64_t otherwise) {
  const auto value = metadata.IntOr(key, otherwise);
  return value.ok() ? *value : otherwise;
}
double FloatOf(const Metadata& metadata, std::string_view key, double otherwise) {
  const auto value = metadata.FloatOr(key, otherwise);
  return value.ok() ? *value : otherwise;
}

void CountTypes(const weights::TensorStore& store, InspectReport& report) {
  std::map<numerics::DType, TypeCount> types;
  for (const auto& [name, view] : store.tensors()) {
    const numerics::DTypeTraits& traits = numerics::TraitsOf(view.dtype);
    TypeCount& count = types[view.dtype];
    count.type = traits.name;
    count.int8_activations = traits.quantised;
    count.n_tensors += 1;
    count.n_values += view.n_rows() * view.n_cols();
    count.n_bytes += static_cast<std::int64_t>(view.data.size());
  }
  for (const auto& [dtype, count] : types) {
    report.n_tensors += count.n_tensors;
    report.n_parameters += count.n_values;
    report.n_bytes += count.n_bytes;
    report.types.push_back(count);
  }
  std::ranges::sort(report.types, std::greater{}, &TypeCount::n_bytes);
}

void CheckArchitecture(const Metadata& metadata, InspectReport& report) {
  report.architecture = TextOf(metadata, "general.architecture");
  if (report.architecture.empty()) {
    report.warnings.push_back(Tr("no architecture is named, so it can not be run by itself"));
    return;
  }
  const auto known = model::KnownArchitectures();
  report.architecture_known = std::ranges::find(known, report.architecture) != known.end();
  if (!report.architecture_known) report.nearest_architecture = Nearest(report.architecture, known);
  report.is_encoder = model::Encoder::IsEncoder(metadata);
  const std::string prefix = report.architecture + ".";
  report.context_tokens = IntOf(metadata, prefix + "context_length", 0);
  report.rope_base = FloatOf(metadata, prefix + "rope.freq_base", 0);
  report.rope_scaling = TextOf(metadata, prefix + "rope.scaling.type");
  report.rope_factor = FloatOf(metadata, prefix + "rope.scaling.factor", 1);
  if (report.rope_scaling.empty() && report.rope_factor != 1) report.rope_scaling = "linear";
  if (report.rope_scaling == "none") report.rope_scaling.clear();
  const std::string type = TextOf(metadata, "general.type");
  if (!type.empty() && type != "model") {
    report.warnings.push_back(Tr("it is no model by itself but of the kind '{0}'", type));
  }
}

void CheckKeys(const Metadata& metadata, InspectReport& report) {
  std::size_t n_unknown = 0;
  for (const auto& [key, value] : metadata.values()) {
    bool usual = !report.architecture.empty() && key.starts_with(report.architecture + ".");
    for (const char* prefix : {"general.", "tokenizer.", "split.", "quantize.", "tatara.",
                               "safetensors.", "imatrix.", "mradermacher."}) {
      usual |= key.starts_with(prefix);
    }
    if (usual || ++n_unknown > kWarningsMax) continue;
    report.warnings.push_back(Tr("the key '{0}' belongs to nothing that is known here", key));
  }
}

void CheckTokenizer(const Metadata& metadata, InspectReport& report) {
  report.tokenizer = metadata.Has("tokenizer.huggingface.json")
                         ? "tokenizer.json"
                         : TextOf(metadata, "tokenizer.ggml.model");
  const std::string pre = TextOf(metadata, "tokenizer.ggml.pre");
  if (report.tokenizer.empty()) {
    report.warnings.push_back(Tr("there is no tokenizer: token ids go in and out"));
    return;
  }
  if (!pre.empty()) report.tokenizer += " (" + pre + ")";
  const auto tokenizer = text::Tokenizer::FromMetadata(metadata);
  if (tokenizer.ok()) {
    report.vocabulary = (*tokenizer)->vocabulary_size();
  } else {
    report.tokenizer_problem = tokenizer.error().text(CurrentLanguage());
  }
}

void CheckTemplate(const Metadata& metadata, InspectReport& report) {
  const std::string source = TextOf(metadata, "tokenizer.chat_template");
  report.has_template = !source.empty();
  if (!report.has_template) return;
  report.template_bytes = static_cast<std::int64_t>(source.size());
  const auto parsed = text::ChatTemplate::Parse(source);
  if (!parsed.ok()) report.template_problem = parsed.error().text(CurrentLanguage());
  for (std::string& warning : TemplateWarnings(source)) report.warnings.push_back(warning);
}

// A value that is not finite spoils every answer; single values are looked at only in the small
// tensors, where such damage was seen.
void CheckNorms(const weights::TensorStore& store, InspectReport& report) {
  constexpr std::int64_t kValuesMax = 1 << 16;
  std::size_t n_found = 0;
  for (const auto& [name, view] : store.tensors()) {
    if (view.n_rows() != 1 || view.n_cols() > kValuesMax) continue;
    std::vector<float> values(static_cast<std::size_t>(view.n_cols()));
    numerics::Dequantize(view.dtype, view.data, values);
    const bool finite = std::ranges::all_of(values, [](float v) { return v - v == 0; });
    if (finite || ++n_found > kWarningsMax) continue;
    report.warnings.push_back(Tr("the tensor '{0}' has values that are not finite", name));
  }
}

}  // namespace

std::vector<std::string> TemplateWarnings(const std::string& source) {
  std::vector<std::string> warnings;
  if (static_cast<std::int64_t>(source.size()) > kUsualTemplateBytesMax) {
    warnings.push_back(Tr("the chat template is unusually long: {0} bytes", source.size()));
  }
  if (source.find("http://") != std::string::npos || source.find("https://") != std::string::npos) {
    warnings.push_back(Tr("the chat template has an address of the web in it"));
  }
  // U+200B to U+200F, U+202A to U+202E, U+2060 to U+2069, U+FEFF: they can hide text from readers.
  for (std::size_t i = 0; i + 2 < source.size(); ++i) {
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(source[i + k]); };
    const bool format =
        byte(0) == 0xE2 && ((byte(1) == 0x80 && ((byte(2) >= 0x8B && byte(2) <= 0x8F) ||
                                                 (byte(2) >= 0xAA && byte(2) <= 0xAE))) ||
                            (byte(1) == 0x81 && byte(2) >= 0xA0 && byte(2) <= 0xA9));
    const bool mark = byte(0) == 0xEF && byte(1) == 0xBB && byte(2) == 0xBF;
    if (!format && !mark) continue;
    warnings.push_back(Tr("the chat template has invisible characters (at byte {0})", i));
    break;
  }
  if (source.find("strftime_now") != std::string::npos) {
    warnings.push_back(Tr("the chat template puts the date into the prompt"));
  }
  return warnings;
}

InspectReport Inspected(const weights::TensorStore& store) {
  const Metadata& metadata = store.metadata();
  InspectReport report;
  report.path = store.path().string();
  report.container = TextOf(metadata, "tatara.container");
  report.n_parts = IntOf(metadata, "split.count", 1);
  report.name = TextOf(metadata, "general.name");
  report.licence = TextOf(metadata, "general.license");
  CheckArchitecture(metadata, report);
  CountTypes(store, report);
  CheckTokenizer(metadata, report);
  CheckTemplate(metadata, report);
  CheckKeys(metadata, report);
  CheckNorms(store, report);
  if (report.n_tensors == 0) {
    report.warnings.push_back(Tr("it has no tensors: a vocabulary only"));
  }
  return report;
}

}  // namespace tatara::cli
