// prepare.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "parse.h"
#include "parse_shared.h"
#include "tatara/base/localise.h"

namespace tatara::cli {

void AddPrepareCommands(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<PrepareOptions>();
  CLI::App* command = AddCommand(
      app, "prepare",
      MarkText("make a training set of texts and conversations: checked, without duplicates, as "
               "tokens, with a manifest"),
      {{"tatara prepare manuals/ notes.jsonl --tokenizer tokenizer.json --out set",
        MarkText("texts of a folder and of JSON Lines")},
       {"tatara prepare pairs.xlsx --tokenizer smollm2-135m --out set",
        MarkText("questions and answers, written as the model's chat template says")},
       {"tatara prepare recipe.toml --out set",
        MarkText("what the section [data] of a recipe names")}});
  command
      ->add_option("inputs", options->inputs,
                   Tr("files and folders (.txt .md .jsonl .json .csv .tsv .xlsx, also .gz), or one "
                      "recipe (.toml)"))
      ->required();
  command->add_option("--tokenizer", options->tokenizer,
                      Tr("a model's name or file, or a tokenizer.json; a recipe names its own"));
  command->add_option("--chat-template", options->chat_template,
                      Tr("a file with the chat template; absent: that of the model"));
  command->add_option("--out", options->out, Tr("folder of the set, which is not there yet"))
      ->required();
  command
      ->add_option("--format", options->format,
                   Tr("what rows are: auto, text, openai, sharegpt, alpaca, pairs"))
      ->check(CLI::IsMember({"auto", "text", "openai", "sharegpt", "alpaca", "pairs"}));
  command
      ->add_option("--each", options->unit,
                   Tr("what is one document in a text file: file, paragraph or line"))
      ->check(CLI::IsMember({"file", "paragraph", "line"}));
  command->add_option("--field", options->field, Tr("the field or column with the text"));
  command->add_option("--question", options->question, Tr("the column with the questions"));
  command->add_option("--answer", options->answer, Tr("the column with the answers"));
  command->add_option("--sheet", options->sheet, Tr("of a workbook; absent: the first"));
  command
      ->add_option("--threads", options->n_threads, Tr("threads; 0: all that this process may use"))
      ->check(CLI::Range(0, 256));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Prepare(*options); }; });
}

}  // namespace tatara::cli
