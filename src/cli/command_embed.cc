#include "commands.h"
#include "json_output.h"
#include "models_access.h"

namespace tatara::cli {
namespace {

void Print(std::span<const float> vector, bool json) {
  if (json) {
    OutJson({{"embedding", vector}});
    return;
  }
  std::string line;
  for (const float value : vector) line += fmt::format("{}{:.9g}", line.empty() ? "" : " ", value);
  Out(line + "\n");
}

generate::TextRole RoleOf(const std::string& role) {
  if (role == "query") return generate::TextRole::kQuery;
  return role == "plain" ? generate::TextRole::kPlain : generate::TextRole::kPassage;
}

}  // namespace

Result<int> Embed(const EmbedOptions& options) {
  TATARA_TRY(const auto embedder, OpenEmbedder(options.model, !options.tokens.empty()));
  generate::Embedder::Wish wish{.role = RoleOf(options.role),
                                .normalise = !options.raw,
                                .parse_special = options.special,
                                .dimensions = options.dimensions};
  if (!options.tokens.empty()) {
    TATARA_TRY(const auto vector, embedder->EmbedTokens(options.tokens, wish));
    Print(vector, options.json);
    return 0;
  }
  const auto n_embd = static_cast<std::size_t>(options.dimensions == 0 ? embedder->facts().n_embd
                                                                       : options.dimensions);
  TATARA_RETURN_IF_ERROR(ForLinesOfInput([&](std::span<const std::string> lines) -> Result<> {
    TATARA_TRY(const auto vectors, embedder->Embed(lines, wish));
    for (std::size_t i = 0; i < lines.size(); ++i) {
      Print(std::span(vectors).subspan(i * n_embd, n_embd), options.json);
    }
    wish.first += lines.size();
    return Ok{};
  }));
  return 0;
}

}  // namespace tatara::cli
