// embed, rerank.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "parse.h"
#include "parse_shared.h"
#include "tatara/base/localise.h"

namespace tatara::cli {
namespace {

void AddEmbedderModelOptions(CLI::App* command, EmbedderModelOptions& options) {
  command->add_option("model", options.model, Tr("model name or path"))->required();
  command
      ->add_option("--threads", options.n_threads, Tr("threads; 0: all that this process may use"))
      ->check(CLI::Range(0, 256));
  command
      ->add_option("--activations", options.activations,
                   Tr("int8, or f32: exact and slower, as other implementations compute"))
      ->check(CLI::IsMember({"int8", "f32"}));
}

void AddEmbed(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<EmbedOptions>();
  CLI::App* command = AddCommand(
      app, "embed", MarkText("a vector for each line of standard input"),
      {{"tatara embed e5-small --json < lines.txt",
        MarkText("the lines as passages, with the prefix that the model wants for them")},
       {"echo '有給休暇は何日ですか' | tatara embed e5-small --as query --json",
        MarkText("a question, to be compared with passages")},
       {"tatara embed e5-small --tokens 0,41,1294,2 --raw --activations f32 --json",
        MarkText("the pooled vector of exactly these ids, not scaled to length 1")}});
  AddEmbedderModelOptions(command, options->model);
  command
      ->add_option("--as", options->role,
                   Tr("passage, query, or plain: which of the model's prefixes goes in front of a "
                      "line that does not begin with one"))
      ->check(CLI::IsMember({"passage", "query", "plain"}))
      ->capture_default_str();
  AddTokens(command, options->tokens,
            Tr("token ids, separated by commas, instead of standard input"));
  command->add_flag("--special", options->special,
                    Tr("recognise special tokens written in the text"));
  command->add_flag("--raw", options->raw, Tr("leave the vector's length as it is"));
  command
      ->add_option("--dimensions", options->dimensions,
                   Tr("how many values of each vector to give; fewer than all only of models that "
                      "were trained for it"))
      ->check(CLI::Range(1, 1 << 20));
  command->add_flag("--json", options->json, Tr("print one JSON value a line for programs"));
  command->callback([options, &chosen] { chosen = [options] { return Embed(*options); }; });
}

void AddRerank(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<RerankOptions>();
  CLI::App* command = AddCommand(
      app, "rerank", MarkText("how well each line of standard input answers a query"),
      {{"tatara rerank e5-small --query '紙詰まりの直し方' --json < passages.txt",
        MarkText("a score a line, higher is better: a cross-encoder's own, or with an embedding "
                 "model the cosine")}});
  AddEmbedderModelOptions(command, options->model);
  command->add_option("--query", options->query, Tr("what is asked"))->required();
  command->add_flag("--json", options->json, Tr("print one JSON value a line for programs"));
  command->callback([options, &chosen] { chosen = [options] { return Rerank(*options); }; });
}

}  // namespace

void AddVectorCommands(CLI::App& app, Action& chosen) {
  AddEmbed(app, chosen);
  AddRerank(app, chosen);
}

}  // namespace tatara::cli
