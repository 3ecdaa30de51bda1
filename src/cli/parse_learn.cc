// train.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "parse.h"
#include "parse_shared.h"
#include "tatara/base/localise.h"

namespace tatara::cli {

void AddLearnCommands(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command = AddCommand(
      app, "train",
      MarkText("train a model by a recipe, so that anyone can run it again to the same bits"),
      {{"tatara train recipes/shakespeare-char.toml",
        MarkText("about a minute; weights, metrics and samples in runs/shakespeare-char")},
       {"tatara train recipes/shakespeare-char.toml --resume",
        MarkText("goes on from the last checkpoint")},
       {"tatara train recipes/shakespeare-char.toml --set training.steps=20 --out try",
        MarkText("20 steps only")}});
  command->add_option("recipe", options->recipe, Tr("the recipe, a TOML file"))->required();
  command->add_option("--out", options->out, Tr("folder of the run; absent: runs/NAME"));
  command
      ->add_option("--threads", options->n_threads, Tr("threads; 0: all that this process may use"))
      ->check(CLI::Range(0, 256));
  command->add_option("--set", options->overrides,
                      Tr("change one value of the recipe, section.key=value; may be repeated"));
  command->add_flag("--resume", options->resume,
                    Tr("go on from the last checkpoint in the folder"));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Train(*options); }; });
}

}  // namespace tatara::cli
