// tokenizer train.
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <vector>

#include "commands.h"
#include "parse.h"
#include "parse_shared.h"
#include "tatara/base/localise.h"
#include "tatara/corpus/tokenizer_training.h"

namespace tatara::cli {
namespace {

const std::vector<const char*> kBpeOptions = {"--pre", "--min-frequency"};
const std::vector<const char*> kUnigramOptions = {"--unknown", "--normal-form", "--characters",
                                                  "--byte-fallback"};

// In the words of CLI::IsMember, whose description would put all names into the help.
std::string IsPreName(const std::string& value) {
  const std::vector<std::string> names = corpus::BpePreNames();
  if (std::ranges::find(names, value) != names.end()) return {};
  return fmt::format("{} not in {{{}}}", value, fmt::join(names, ", "));
}

}  // namespace

void AddTokenizerCommands(CLI::App& app, Action& chosen) {
  CLI::App* tokenizer = AddCommand(
      app, "tokenizer", MarkText("make vocabularies of your own"),
      {{"tatara tokenizer train --vocab 4096 --end '<|endoftext|>' --out tokenizer.json book.txt",
        MarkText("byte pairs, as GPT-2 and most models since")},
       {"tatara tokenizer train --kind unigram --vocab 8000 --out tokenizer.json lines.jsonl",
        MarkText("a unigram model, as T5; the texts are in the field 'text'")}});
  tokenizer->require_subcommand(1);
  auto options = std::make_shared<TokenizerTrainOptions>();
  CLI::App* command = tokenizer->add_subcommand(
      "train", Tr("learn a vocabulary from texts; the same texts always give the same file"));
  command->group(Tr("Commands"));
  command->get_help_ptr()->description(Tr("print this help and exit"))->group(Tr("Options"));
  command
      ->add_option("texts", options->texts,
                   Tr("files and folders: text, JSON, JSON Lines, CSV, XLSX, also gzip"))
      ->required();
  command->add_option("--kind", options->kind, Tr("bpe (byte pairs) or unigram"))
      ->check(CLI::IsMember({"bpe", "unigram"}))
      ->capture_default_str();
  command->add_option("--vocab", options->vocabulary, Tr("tokens, special ones included"))
      ->check(CLI::Range(1, 1 << 21))
      ->capture_default_str();
  command
      ->add_option("--out", options->out,
                   Tr("the file to write, in the form of tokenizer.json; there must be none yet"))
      ->capture_default_str();
  command
      ->add_option("--pre", options->pre,
                   Tr("bpe: how texts are cut first: gpt-2, llama3, qwen2, gpt-4o, ..."))
      ->check(IsPreName)
      ->capture_default_str();
  command
      ->add_option("--min-frequency", options->min_frequency,
                   Tr("bpe: pairs that are rarer become no token"))
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  command
      ->add_option("--unknown", options->unknown,
                   Tr("unigram: the token of characters that the texts do not have"))
      ->capture_default_str();
  command
      ->add_option("--normal-form", options->normal_form,
                   Tr("unigram: bring texts to this form of Unicode first: nfc, nfd, nfkc or nfkd; "
                      "the vocabulary keeps doing so"))
      ->check(CLI::IsMember({"nfc", "nfd", "nfkc", "nfkd"}));
  command
      ->add_option("--characters", options->characters,
                   Tr("unigram: at most so many characters, the most frequent; 0: all"))
      ->check(CLI::Range(0, 1 << 21))
      ->capture_default_str();
  command->add_flag("--byte-fallback", options->byte_fallback,
                    Tr("unigram: 256 tokens for bytes, so that unknown characters are not lost"));
  command->add_option("--special", options->special,
                      Tr("a control token, may be repeated; ids from 0 in this order"));
  command->add_option("--start", options->start, Tr("the control token put before texts"));
  command->add_option("--end", options->end, Tr("the control token that ends a text"));
  command->add_option(
      "--field", options->field,
      Tr("the column or key with the text; absent: text, else as tatara prepare takes a row"));
  command
      ->add_option(
          "--each", options->each,
          Tr("what is one text in a text file: file (usual for bpe) or line (for unigram)"))
      ->check(CLI::IsMember({"file", "line"}));
  command
      ->add_option("--memory", options->memory_mib,
                   Tr("most memory for counts of distinct pieces, in MiB"))
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command
      ->add_option("--threads", options->n_threads, Tr("threads; 0: all that this process may use"))
      ->check(CLI::Range(0, 256));
  AddJson(command, options->json);
  command->callback([options, command, &chosen] {
    const bool bpe = options->kind == "bpe";
    for (const char* name : bpe ? kUnigramOptions : kBpeOptions) {
      if (command->count(name) > 0) options->misplaced = name;
    }
    chosen = [options] { return TokenizerTrain(*options); };
  });
}

}  // namespace tatara::cli
