#include "completion.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace tatara::cli {
namespace {

// Words that may follow a command: its long options and its sub-commands.
std::string WordsOf(const CLI::App& app) {
  std::string words;
  for (const CLI::App* command : app.get_subcommands({})) words += command->get_name() + " ";
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
  }
  if (!words.empty()) words.pop_back();
  return words;
}

// Model names complete from `tatara models`.
constexpr const char* kTakesModel = "pull|rm|run|chat|tokenize|logits|bench";

std::string Bash(const CLI::App& app) {
  std::string cases;
  for (const CLI::App* command : app.get_subcommands({})) {
    cases += fmt::format("    {}) words='{}' ;;\n", command->get_name(), WordsOf(*command));
  }
  return fmt::format(
      R"sh(_tatara() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} words
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '{}' -- "$current"))
    return
  fi
  case $command in
{}    *) words= ;;
  esac
  case $command in
    {})
      [[ $current == -* ]] || words="$words $(tatara models --names 2>/dev/null)" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ $current == -* ]] || COMPREPLY+=($(compgen -f -- "$current"))
}}
complete -o filenames -F _tatara tatara
)sh",
      WordsOf(app), cases, kTakesModel);
}

std::string Fish(const CLI::App& app) {
  std::string script;
  for (const CLI::App* command : app.get_subcommands({})) {
    script += fmt::format("complete -c tatara -n __fish_use_subcommand -a {} -d '{}'\n",
                          command->get_name(), command->get_description());
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        script += fmt::format("complete -c tatara -n '__fish_seen_subcommand_from {}' -l {}\n",
                              command->get_name(), name);
      }
    }
  }
  return script;
}

}  // namespace

std::string CompletionScript(const CLI::App& app, const std::string& shell) {
  if (shell == "fish") return Fish(app);
  if (shell == "zsh") return "autoload -Uz bashcompinit && bashcompinit\n" + Bash(app);
  return Bash(app);
}

}  // namespace tatara::cli
