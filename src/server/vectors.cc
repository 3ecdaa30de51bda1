// POST /v1/embeddings, /v1/rerank
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "api.h"
#include "request_fields.h"
#include "vector_fields.h"

namespace tatara::server {
namespace {

std::string Base64(const char* bytes, std::size_t n) {
  static constexpr char kAlphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < n; i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < n ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (int j = 0; j < 4; ++j) {
      const bool there = i + static_cast<std::size_t>(j) <= n;
      out += there ? kAlphabet[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

Json EmbeddingsJson(const assistant::EmbedAnswer& answer, const std::string& model, bool base64) {
  const auto n_embd = static_cast<std::size_t>(answer.n_embd);
  Json data = Json::array();
  for (std::size_t at = 0, i = 0; at + n_embd <= answer.vectors.size(); at += n_embd, ++i) {
    const float* vector = answer.vectors.data() + at;
    Json entry = {{"object", "embedding"}, {"index", i}};
    if (base64) {
      static_assert(std::endian::native == std::endian::little);
      entry["embedding"] = Base64(reinterpret_cast<const char*>(vector), n_embd * sizeof(float));
    } else {
      entry["embedding"] = std::vector<float>(vector, vector + n_embd);
    }
    data.push_back(std::move(entry));
  }
  return {
      {"object", "list"},
      {"data", std::move(data)},
      {"model", model},
      {"usage", {{"prompt_tokens", answer.prompt_tokens}, {"total_tokens", answer.prompt_tokens}}}};
}

bool Allows(const assistant::ModelInfo& info, int n) {
  const bool from_least =
      info.dimensions_least > 0 && n >= info.dimensions_least && n < info.n_embd;
  return n == 0 || n == info.n_embd || from_least ||
         std::ranges::find(info.dimensions, n) != info.dimensions.end();
}

std::string OfferedDimensions(const assistant::ModelInfo& info) {
  const std::string own = fmt::format("this model's vectors have {}; ", info.n_embd);
  if (info.dimensions_least > 0) {
    return own + fmt::format("it can cut them to {} and more", info.dimensions_least);
  }
  if (info.dimensions.empty()) return own + "others are not offered";
  return own + fmt::format("it can cut them to {}", fmt::join(info.dimensions, ", "));
}

// The texts of documents: strings, or objects with "text".
void ReadDocuments(Fields& fields, std::vector<std::string>& passages) {
  const Json* documents = fields.Get("documents");
  if (documents == nullptr) return fields.Wrong("documents", "is missing");
  if (!documents->is_array() || documents->empty() || documents->size() > kTextsMax) {
    return fields.Wrong("documents", fmt::format("expected an array of 1 to {} texts", kTextsMax));
  }
  for (std::size_t i = 0; i < documents->size(); ++i) {
    const Json& one = (*documents)[i];
    const std::string path = fmt::format("documents[{}]", i);
    if (one.is_string()) {
      passages.push_back(one.get<std::string>());
    } else if (one.is_object()) {
      Fields inner(one, path);
      if (!inner.Has(kDocumentText.name)) inner.Wrong(path + ".text", "is missing");
      passages.push_back(inner.Text(kDocumentText));
      fields.TakeError(inner);
    } else {
      return fields.Wrong(path, "expected a string");
    }
  }
}

struct RerankWish {
  std::string model;
  std::size_t top = 0;
  std::vector<std::string> documents;  // to be returned; none where not asked for
};

Json RerankJson(const assistant::RerankAnswer& answer, const RerankWish& wish) {
  std::vector<std::size_t> order(answer.scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return answer.scores[a] > answer.scores[b];
  });
  order.resize(std::min(order.size(), wish.top));
  Json results = Json::array();
  for (const std::size_t i : order) {
    Json entry = {{"index", i}, {"relevance_score", answer.scores[i]}};
    if (!wish.documents.empty()) entry["document"] = {{"text", wish.documents[i]}};
    results.push_back(std::move(entry));
  }
  return {
      {"id", "rerank-" + FreshId()},
      {"model", wish.model},
      {"results", std::move(results)},
      {"usage", {{"prompt_tokens", answer.prompt_tokens}, {"total_tokens", answer.prompt_tokens}}}};
}

}  // namespace

void Embeddings(ApiCall call) {
  Fields fields(call.body);
  assistant::EmbedCall request{.caller = call.caller, .model = fields.Text(kModel)};
  ReadTextsOrIds(fields, "input", kTextsMax, request.texts, request.id_lists);
  const bool base64 = fields.OneOf(kEncodingFormat) == "base64";
  // As the model's authors want texts marked: what is searched, or what is asked.
  const std::string role = fields.OneOf(kInputType);
  request.role = role.ends_with("query") ? assistant::EmbedRole::kQuery
                 : role == "plain"       ? assistant::EmbedRole::kPlain
                                         : assistant::EmbedRole::kPassage;
  request.dimensions = static_cast<int>(fields.Integer(kDimensions));
  fields.Text(kUser);
  const auto info = call.context->service->Find(request.model, assistant::ModelKind::kEmbeds);
  if (fields.ok() && info.ok() && !Allows(*info, request.dimensions)) {
    fields.Wrong(std::string(kDimensions.name), OfferedDimensions(*info));
  }
  if (!call.Check(fields)) return;
  if (!info.ok()) return call.Fail(ApiErrorOf(info.error()));
  call.facts->model = info->name;
  auto running = call.context->service->Embed(
      std::move(request),
      [call, base64, model = info->name](Result<assistant::EmbedAnswer> answer) {
        call.exchange->Post([call, base64, model, answer = std::move(answer)] {
          if (!answer.ok()) return call.Fail(ApiErrorOf(answer.error()));
          call.facts->prompt_tokens = answer->prompt_tokens;
          call.Answer(EmbeddingsJson(*answer, model, base64));
        });
      });
  if (!running.ok()) return call.Fail(ApiErrorOf(running.error()));
  call.exchange->OnGone([running = *running] { running->Cancel(); });
}

void Rerank(ApiCall call) {
  Fields fields(call.body);
  assistant::RerankCall request{
      .caller = call.caller, .model = fields.Text(kModel), .query = fields.Text(kQuery)};
  if (fields.ok() && request.query.empty()) fields.Wrong("query", "is missing or empty");
  ReadDocuments(fields, request.passages);
  RerankWish wish;
  wish.top = static_cast<std::size_t>(fields.Integer(kTopN));
  if (fields.Flag(kReturnDocuments)) wish.documents = request.passages;
  fields.Text(kUser);
  if (!call.Check(fields)) return;
  const auto info = call.context->service->Find(request.model, assistant::ModelKind::kRanks);
  if (!info.ok()) return call.Fail(ApiErrorOf(info.error()));
  call.facts->model = wish.model = info->name;
  auto running = call.context->service->Rerank(
      std::move(request), [call, wish](Result<assistant::RerankAnswer> answer) {
        call.exchange->Post([call, wish, answer = std::move(answer)] {
          if (!answer.ok()) return call.Fail(ApiErrorOf(answer.error()));
          call.facts->prompt_tokens = answer->prompt_tokens;
          call.Answer(RerankJson(*answer, wish));
        });
      });
  if (!running.ok()) return call.Fail(ApiErrorOf(running.error()));
  call.exchange->OnGone([running = *running] { running->Cancel(); });
}

}  // namespace tatara::server
