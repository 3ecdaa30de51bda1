// inspect: what a model file is, what is unusual in it, what this program will do with it.
#include <fmt/format.h>

#include "commands.h"
#include "inspect_report.h"
#include "json_output.h"
#include "models_access.h"
#include "tatara/base/localise.h"
#include "tatara/weights/adapter_file.h"

namespace tatara::cli {
namespace {

// File names and keys come from strangers: nothing of them steers the terminal.
std::string Shown(const std::string& text) {
  std::string out;
  for (const char c : text.substr(0, 500)) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return out;
}

void Row(const std::string& label, const std::string& text) {
  // Labels are padded by the columns they take: a Japanese character takes two.
  std::size_t columns = 0;
  for (std::size_t i = 0; i < label.size();) {
    const auto lead = static_cast<unsigned char>(label[i]);
    columns += lead < 0x80 ? 1 : 2;
    i += lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  }
  const std::size_t width = 16;
  Out(label + std::string(columns < width ? width - columns : 1, ' ') + Shown(text) + "\n");
}

std::string Count(std::int64_t n) {
  const auto value = static_cast<double>(n);
  if (n >= 1'000'000'000) return fmt::format("{:.2f} G", value / 1e9);
  if (n >= 1'000'000) return fmt::format("{:.1f} M", value / 1e6);
  return std::to_string(n);
}

std::string ContainerText(const InspectReport& r) {
  const std::string name = r.container == "gguf"          ? "GGUF"
                           : r.container == "safetensors" ? "safetensors"
                           : r.container == "e5s1"        ? "E5S1"
                                                          : r.container;
  return r.n_parts > 1 ? Tr("{0}, {1} parts", name, r.n_parts) : name;
}

std::string ArchitectureText(const InspectReport& r) {
  if (r.architecture.empty()) return Tr("none");
  if (r.architecture_known) {
    return r.architecture +
           (r.is_encoder ? ", " + Tr("embeds texts") : ", " + Tr("generates text"));
  }
  return r.nearest_architecture.empty() ? Tr("{0}, not known here", r.architecture)
                                        : Tr("{0}, not known here; the nearest known one is '{1}'",
                                             r.architecture, r.nearest_architecture);
}

std::string ContextText(const InspectReport& r) {
  std::string text = r.context_tokens > 0 ? Tr("{0} tokens", r.context_tokens) : Tr("unknown");
  if (r.rope_base > 0) text += "; " + Tr("rotary base {0}", r.rope_base);
  if (!r.rope_scaling.empty()) {
    text += "; " + Tr("positions scaled: {0}, factor {1}", r.rope_scaling, r.rope_factor);
  }
  return text;
}

std::string TokenizerText(const InspectReport& r) {
  if (r.tokenizer.empty()) return Tr("none");
  if (!r.tokenizer_problem.empty()) {
    return r.tokenizer + "; " + Tr("can not be used: {0}", r.tokenizer_problem);
  }
  return r.tokenizer + ", " + Tr("{0} tokens", r.vocabulary);
}

std::string TemplateText(const InspectReport& r) {
  if (!r.has_template) return Tr("none");
  const std::string size = FormatBytes(static_cast<double>(r.template_bytes));
  if (!r.template_problem.empty())
    return size + "; " + Tr("can not be used: {0}", r.template_problem);
  return size;
}

// Of a tuned model, what lies beside the file.
struct TunedBy {
  std::string path;
  bool dora = false;
  std::int64_t rank = 0, n_matrices = 0, n_parameters = 0;
};

Result<std::optional<TunedBy>> AdapterOf(const weights::ResolvedModel& model,
                                         const weights::TensorStore& store) {
  if (model.adapter.empty()) return std::optional<TunedBy>();
  TATARA_TRY(const weights::AdapterFile file,
             weights::OpenAdapter(model.adapter, store.metadata()));
  TunedBy tuned{.path = model.adapter.string(),
                .dora = file.is_dora(),
                .rank = file.rank_max(),
                .n_matrices = static_cast<std::int64_t>(file.parts.size())};
  for (const auto& [name, part] : file.parts) {
    tuned.n_parameters += part.a.n_rows * part.a.n_cols + part.b.n_rows * part.b.n_cols +
                          static_cast<std::int64_t>(part.magnitude.size());
  }
  return std::optional(std::move(tuned));
}

void Print(const InspectReport& r, const std::optional<TunedBy>& tuned, const std::string& digest) {
  Row(Tr("File"), r.path);
  Row(Tr("Container"), ContainerText(r));
  if (!r.name.empty()) Row(Tr("Name"), r.name);
  Row(Tr("Architecture"), ArchitectureText(r));
  Row(Tr("Parameters"), Tr("{0} in {1} tensors, {2}", Count(r.n_parameters), r.n_tensors,
                           FormatBytes(static_cast<double>(r.n_bytes))));
  for (const TypeCount& type : r.types) {
    Row("", fmt::format("{:<8} {:>6}  {:>9}  {:>9}  {}", type.type, type.n_tensors,
                        Count(type.n_values), FormatBytes(static_cast<double>(type.n_bytes)),
                        type.int8_activations ? Tr("8-bit activations") : Tr("f32 activations")));
  }
  if (tuned) {
    Row(Tr("Adapter"),
        Tr("{0} of rank {1} on {2} matrices, {3} parameters: {4}", tuned->dora ? "DoRA" : "LoRA",
           tuned->rank, tuned->n_matrices, Count(tuned->n_parameters), tuned->path));
  }
  Row(Tr("Context"), ContextText(r));
  Row(Tr("Tokenizer"), TokenizerText(r));
  Row(Tr("Chat template"), TemplateText(r));
  if (!r.licence.empty()) Row(Tr("Licence"), r.licence);
  if (!digest.empty()) Row("SHA-256", digest);
  for (const std::string& warning : r.warnings) Row(Tr("Note"), warning);
}

Json AsJson(const InspectReport& r, const std::string& digest) {
  Json types = Json::array();
  for (const TypeCount& t : r.types) {
    types.push_back({{"type", t.type},
                     {"tensors", t.n_tensors},
                     {"values", t.n_values},
                     {"bytes", t.n_bytes},
                     {"int8_activations", t.int8_activations}});
  }
  Json out = {
      {"path", r.path},
      {"container", r.container},
      {"parts", r.n_parts},
      {"name", r.name},
      {"architecture", r.architecture},
      {"architecture_known", r.architecture_known},
      {"encoder", r.is_encoder},
      {"parameters", r.n_parameters},
      {"tensors", r.n_tensors},
      {"bytes", r.n_bytes},
      {"types", types},
      {"context_tokens", r.context_tokens},
      {"rope", {{"base", r.rope_base}, {"scaling", r.rope_scaling}, {"factor", r.rope_factor}}},
      {"tokenizer",
       {{"kind", r.tokenizer}, {"tokens", r.vocabulary}, {"problem", r.tokenizer_problem}}},
      {"chat_template",
       {{"there", r.has_template}, {"bytes", r.template_bytes}, {"problem", r.template_problem}}},
      {"licence", r.licence},
      {"warnings", r.warnings}};
  if (!r.nearest_architecture.empty()) out["nearest_architecture"] = r.nearest_architecture;
  if (!digest.empty()) out["sha256"] = digest;
  return out;
}

}  // namespace

Result<int> Inspect(const InspectOptions& options) {
  TATARA_TRY(const weights::ResolvedModel model, ResolveModel(options.model));
  TATARA_TRY(const auto store, weights::OpenTensorStore(model.path));
  TATARA_TRY(const auto tuned, AdapterOf(model, *store));
  const InspectReport report = Inspected(*store);
  std::string digest;
  if (options.digest) {
    TATARA_TRY(digest, ModelDigest(options.model));
  }
  if (options.json) {
    Json out = AsJson(report, digest);
    if (tuned) {
      out["adapter"] = {{"path", tuned->path},
                        {"kind", tuned->dora ? "dora" : "lora"},
                        {"rank", tuned->rank},
                        {"matrices", tuned->n_matrices},
                        {"parameters", tuned->n_parameters}};
    }
    OutJson(out);
  } else {
    Print(report, tuned, digest);
  }
  return 0;
}

}  // namespace tatara::cli
