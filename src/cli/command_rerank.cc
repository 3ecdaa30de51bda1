#include "commands.h"
#include "json_output.h"
#include "models_access.h"

namespace tatara::cli {

Result<int> Rerank(const RerankOptions& options) {
  TATARA_TRY(const auto embedder, OpenEmbedder(options.model));
  RemarkBrokenText(options.query);
  TATARA_RETURN_IF_ERROR(ForLinesOfInput([&](std::span<const std::string> passages) -> Result<> {
    TATARA_TRY(const auto scores, embedder->Rerank(options.query, passages));
    for (const double score : scores) {
      if (options.json) {
        OutJson({{"score", score}});
      } else {
        Out(fmt::format("{:.6f}\n", score));
      }
    }
    return Ok{};
  }));
  return 0;
}

}  // namespace tatara::cli
