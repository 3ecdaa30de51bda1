// What the document says of /v1/embeddings and /v1/rerank.
#include "generate_fields.h"
#include "openapi.h"
#include "vector_fields.h"

namespace tatara::server {
namespace {

Json VectorUsage() {
  return ObjectSchema()
      .Needed("prompt_tokens", WholeSchema())
      .Needed("total_tokens", WholeSchema())
      .Done();
}

Json EmbeddingsAnswer() {
  const Json vector = {{"anyOf", Json::array({ListSchema(NumberSchema()),
                                              TextSchema("Base64 of float32, little-endian.")})}};
  return ObjectSchema()
      .Needed("object", ConstSchema("list"))
      .Needed("data", ListSchema(ObjectSchema()
                                     .Needed("object", ConstSchema("embedding"))
                                     .Needed("index", WholeSchema())
                                     .Needed("embedding", vector)
                                     .Done()))
      .Needed("model", TextSchema())
      .Needed("usage", VectorUsage())
      .Done();
}

Json RerankRequest() {
  Json document = {
      {"anyOf", Json::array({TextSchema(),
                             ObjectSchema().Needed(kDocumentText.name, TextSchema()).Done()})}};
  Json documents = ListSchema(std::move(document));
  documents["minItems"] = 1;
  documents["maxItems"] = kTextsMax;
  return ObjectSchema()
      .Take(kModel)
      .Needed(kQuery.name, {{"type", "string"}, {"minLength", 1}, {"description", kQuery.says}})
      .Needed("documents", std::move(documents))
      .Take(kTopN)
      .Take(kReturnDocuments)
      .Take(kUser)
      .Done();
}

constexpr const char* kScoreSays =
    "More is better; comparable within one model only. A cross-encoder: its logit, or of several "
    "classes the log odds of the one that says the passage answers. A model that answers yes or no "
    "(Qwen3-Reranker): the share of yes, 0 to 1. An embedding model: the cosine, -1 to 1.";

Json RerankAnswer() {
  return ObjectSchema()
      .Needed("id", TextSchema())
      .Needed("model", TextSchema())
      .Needed(
          "results",
          ListSchema(ObjectSchema()
                         .Needed("index", WholeSchema("In the request."))
                         .Needed("relevance_score", NumberSchema(kScoreSays))
                         .Optional("document", ObjectSchema().Needed("text", TextSchema()).Done())
                         .Done()))
      .Needed("usage", VectorUsage())
      .Done();
}

}  // namespace

void DescribeVectors(OpenApi& api) {
  api.Add({.method = "POST",
           .path = "/v1/embeddings",
           .id = "createEmbeddings",
           .tag = "vectors",
           .says = "A vector for each text.",
           .request = ObjectSchema()
                          .Take(kModel)
                          .Needed("input", Ref("Prompt"))
                          .Take(kEncodingFormat)
                          .Take(kInputType)
                          .Take(kDimensions)
                          .Take(kUser)
                          .Done(),
           .answer = EmbeddingsAnswer()});
  api.Add({.method = "POST",
           .path = "/v1/rerank",
           .id = "rerank",
           .tag = "vectors",
           .says = "Documents in the order of how well they answer a query.",
           .request = RerankRequest(),
           .answer = RerankAnswer()});
}

}  // namespace tatara::server
