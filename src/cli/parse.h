// The parser of the command line, in three groups of commands. Each adds its commands to the
// application and leaves what was asked for in `chosen`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tatara/base/error.h"

namespace CLI {
class App;
}

namespace tatara::cli {

using Action = std::function<Result<int>()>;

void AddModelCommands(CLI::App& app, Action& chosen);    // pull rm models tokenize logits bench
void AddVectorCommands(CLI::App& app, Action& chosen);   // embed rerank
void AddAnswerCommands(CLI::App& app, Action& chosen);   // run chat ask documents
void AddPrepareCommands(CLI::App& app, Action& chosen);  // prepare
void AddLearnCommands(CLI::App& app, Action& chosen);    // train runs checkpoints estimate
void AddTuneCommand(CLI::App& app, Action& chosen);
void AddTokenizerCommands(CLI::App& app, Action& chosen);  // tokenizer
void AddServerCommands(CLI::App& app, Action& chosen);     // serve keys
void AddLedgerCommands(CLI::App& app, Action& chosen);     // verify replay diff lineage ledger
void AddMachineCommands(CLI::App& app, Action& chosen);    // doctor version completion

// A subcommand with its one-line description and examples in the user's language; examples are
// pairs of (command line, what it does).
struct Example {
  const char* line;
  const char* english;
};
CLI::App* AddCommand(CLI::App& app, const std::string& name, const char* description,
                     const std::vector<Example>& examples);

}  // namespace tatara::cli
