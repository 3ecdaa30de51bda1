// pull, rm, models, inspect, tokenize, template, logits, bench.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>

#include "commands.h"
#include "parse.h"
#include "parse_shared.h"
#include "tatara/base/localise.h"
#include "tatara/weights/hf_export.h"

namespace tatara::cli {
namespace {

void AddPull(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<PullOptions>();
  CLI::App* command =
      AddCommand(app, "pull", MarkText("fetch a model, check its SHA-256 and keep it"),
                 {{"tatara pull qwen2.5-coder-1.5b",
                   MarkText("from the publisher, or the mirror where that can not be reached")},
                  {"tatara pull smollm2-135m --from /mnt/usb",
                   MarkText("offline, from a folder of files brought by hand")},
                  {"tatara pull gemma3-270m --accept-licence",
                   MarkText("a model whose licence has terms of its own")}});
  command->add_option("models", options->models, Tr("names of the catalogue, or sources"))
      ->required();
  command->add_option("--from", options->from, Tr("folder to install from, without a network"));
  command->add_option("--link-into", options->link_into,
                      Tr("folder that gets a link to each file"));
  command->add_flag("--accept-licence,--accept-license", options->accept_licence,
                    Tr("accept the licence's own terms (recorded)"));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Pull(*options); }; });
}

void AddRemove(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<RemoveOptions>();
  CLI::App* command = AddCommand(app, "rm", MarkText("remove models from this machine"),
                                 {{"tatara rm smollm2-135m", MarkText("frees its disk space")}});
  command->add_option("models", options->models, Tr("local names"))->required();
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Remove(*options); }; });
}

void AddModels(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<ModelsOptions>();
  CLI::App* command = AddCommand(
      app, "models", MarkText("list the models of the catalogue and of this machine"),
      {{"tatara models", MarkText("name, size, licence, languages, and whether it is here")}});
  command->add_flag("--names", options->names, Tr("only the names, a line each"));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Models(*options); }; });
}

void AddInspect(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = AddCommand(
      app, "inspect", MarkText("what a model file is, and what is unusual in it"),
      {{"tatara inspect model.gguf", MarkText("tensors, tokenizer, chat template, remarks")},
       {"tatara inspect ./a-hugging-face-folder --json", MarkText("for programs")}});
  command->add_option("model", options->model, Tr("model name or path"))->required();
  command->add_flag("--digest", options->digest, Tr("with the SHA-256 of the file"));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Inspect(*options); }; });
}

void AddTokenize(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = AddCommand(app, "tokenize", MarkText("turn text into token ids"),
                                 {{"echo -n 'Hello' | tatara tokenize smollm2-135m --json",
                                   MarkText("text from standard input")},
                                  {"tatara tokenize smollm2-135m --chat messages.json --json",
                                   MarkText("a conversation, through the model's chat template")}});
  command->add_option("model", options->model, Tr("model name or path"))->required();
  command->add_option("--chat", options->chat_file, Tr("file with messages as JSON"));
  command->add_flag("--special", options->special,
                    Tr("recognise special tokens written in the text"));
  command->add_flag("--bare", options->bare,
                    Tr("without the start and end tokens that the model asks for"));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Tokenize(*options); }; });
}

void AddTemplate(CLI::App& app, Action& chosen) {
  CLI::App* group = AddCommand(
      app, "template", MarkText("try out a chat template"),
      {{"tatara template render chat_template.jinja --input case.json",
        MarkText("exactly the rendered text; exit status 2 and the message where it refuses")}});
  group->require_subcommand(1);
  auto options = std::make_shared<TemplateOptions>();
  CLI::App* command =
      group->add_subcommand("render", Tr("print what a chat template makes of its variables"));
  command->group(Tr("Commands"));
  command->get_help_ptr()->description(Tr("print this help and exit"))->group(Tr("Options"));
  command->add_option("file", options->file, Tr("file with the template, or - for standard input"))
      ->required();
  command
      ->add_option("--input", options->input,
                   Tr("file with the variables as one JSON object, or - for standard input"))
      ->required();
  AddJson(command, options->json);
  command->callback(
      [options, &chosen] { chosen = [options] { return TemplateRender(*options); }; });
}

void AddLogits(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<LogitsOptions>();
  CLI::App* command = AddCommand(
      app, "logits", MarkText("the model's logits after these tokens, with their digest"),
      {{"tatara logits qwen2.5-coder-0.5b --tokens 9707,11,1879 --json",
        MarkText("the same SHA-256 on every machine, instruction set and thread count")},
       {"tatara logits m.gguf --tokens 1,2,3 --activations f32",
        MarkText("the exact path, to compare with other implementations")}});
  AddModelOptions(command, options->model, /*required=*/true);
  AddAdapterOptions(command, options->model);
  AddTokens(command, options->tokens, Tr("token ids, separated by commas"))->required();
  command->add_option("--top", options->top, Tr("how many of the highest logits to print"))
      ->check(CLI::Range(0, 1'000'000));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Logits(*options); }; });
}

void AddExport(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* command =
      AddCommand(app, "export", MarkText("write a model as others publish it"),
                 {{"tatara export qwen2.5-coder-0.5b --to hf ./folder",
                   MarkText("a Hugging Face folder: config.json and dequantised safetensors")},
                  {"tatara export runs/shakespeare-char --to gguf --out play.gguf",
                   MarkText("what was trained here, as a GGUF file with its vocabulary")},
                  {"tatara export m.gguf --to hf ./folder --adapter ./lora --merge --dtype bf16",
                   MarkText("with an adapter in the weights, in 16 bits")}});
  std::string names;
  for (const std::string_view name : weights::ExportableArchitectures()) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  command->footer(command->get_footer() + "\n" +
                  Tr("Architectures that can be written: {0}", names));
  command->add_option("model", options->model.model, Tr("model name or path"))->required();
  command->add_option("folder", options->folder, Tr("a file or folder that does not exist yet"));
  command->add_option("--out", options->out, Tr("the same, as an option"));
  command->add_option("--to", options->to, Tr("hf: a Hugging Face folder; gguf: a GGUF file"))
      ->check(CLI::IsMember({"hf", "gguf"}))
      ->required();
  command->add_option("--dtype", options->dtype, Tr("f32 (exact), f16 or bf16"))
      ->check(CLI::IsMember({"f32", "f16", "bf16"}));
  command->add_option("--adapter", options->model.adapter,
                      Tr("PATH[:SCALE] of a LoRA or DoRA adapter: a PEFT folder or a GGUF file"));
  command->add_flag("--merge", options->model.merge,
                    Tr("add the adapter to the weights (those matrices in f32)"));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Export(*options); }; });
}

void AddBench(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = AddCommand(
      app, "bench", MarkText("measure the speed of a model on this machine"),
      {{"tatara bench smollm2-135m --prompt-tokens 512 --generate-tokens 64 --batch 1 --threads 2",
        MarkText("tokens per second of prefill and of generation, medians of the rounds")},
       {"tatara bench smollm2-135m --long-prompt 8000",
        MarkText("how long others wait beside a long prompt, with fair shares and without")}});
  AddModelOptions(command, options->model, /*required=*/true);
  command->add_option("--prompt-tokens", options->prompt_tokens, Tr("length of each prompt"))
      ->check(CLI::Range(1, 1'000'000));
  command
      ->add_option("--generate-tokens", options->generate_tokens,
                   Tr("tokens generated by each sequence"))
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--batch", options->batch, Tr("sequences side by side"))
      ->check(CLI::Range(1, 256));
  command->add_option("--rounds", options->rounds, Tr("rounds to take the median of"))
      ->check(CLI::Range(1, 1000));
  CLI::Option* const long_prompt =
      command
          ->add_option("--long-prompt", options->long_prompt_tokens,
                       Tr("instead: four chats and short requests beside a prompt of this length"))
          ->check(CLI::Range(1, 1'000'000));
  command
      ->add_option("--step-ms", options->step_ms_max,
                   Tr("with --long-prompt: milliseconds that a pass should take; 0: any"))
      ->check(CLI::Range(0, 60'000))
      ->needs(long_prompt);
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Bench(*options); }; });
}

// "1,2" appended to `ids`; false where an item is no id, or empty.
bool AppendIds(std::string_view text, std::vector<std::int32_t>& ids) {
  for (;;) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const char* const end = text.data() + comma;
    std::int32_t id = 0;
    const auto [stop, error] = std::from_chars(text.data(), end, id);
    if (comma == 0 || error != std::errc() || stop != end) return false;
    ids.push_back(id);
    if (comma == text.size()) return true;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

CLI::Option* AddTokens(CLI::App* command, std::vector<std::int32_t>& tokens,
                       const std::string& description) {
  const auto read = [&tokens](const CLI::results_t& given) {
    tokens.clear();
    return std::ranges::all_of(given, [&](const auto& text) { return AppendIds(text, tokens); });
  };
  return command->add_option("--tokens", read, description)->expected(-1)->type_name("INT");
}

void AddJson(CLI::App* command, bool& json) {
  command->add_flag("--json", json, Tr("print one JSON value for programs"));
}

void AddModelOptions(CLI::App* command, ModelOptions& options, bool required) {
  if (required) {
    command->add_option("model", options.model, Tr("model name or path"))->required();
  } else {
    command->add_option("--model", options.model, Tr("model name or path"));
  }
  command
      ->add_option("--threads", options.n_threads, Tr("threads; 0: all that this process may use"))
      ->check(CLI::Range(0, 256));
  command
      ->add_option("--activations", options.activations,
                   Tr("int8, or f32: exact and slower, as other implementations compute"))
      ->check(CLI::IsMember({"int8", "f32"}));
  command
      ->add_option(
          "--context", options.context_tokens,
          Tr("most tokens of prompt and answer together; 0: the model's own, at most 8192"))
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 24));
}

void AddAdapterOptions(CLI::App* command, ModelOptions& options) {
  command->add_option("--adapter", options.adapter,
                      Tr("PATH[:SCALE] of a LoRA or DoRA adapter: a PEFT folder or a GGUF file"));
  command->add_flag("--merge", options.merge,
                    Tr("add the adapter to the weights (those matrices in f32)"));
  command->add_flag("--requantise", options.requantise,
                    Tr("merged matrices back to 16 bits or Q8_0, as they were stored"));
}

void AddModelCommands(CLI::App& app, Action& chosen) {
  AddPull(app, chosen);
  AddRemove(app, chosen);
  AddModels(app, chosen);
  AddInspect(app, chosen);
  AddTokenize(app, chosen);
  AddTemplate(app, chosen);
  AddLogits(app, chosen);
  AddExport(app, chosen);
  AddBench(app, chosen);
}

}  // namespace tatara::cli
