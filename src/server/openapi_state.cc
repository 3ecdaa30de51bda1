// What the document says of /health, /ready, /metrics, /openapi.json, /v1/models and /v1/receipts.
#include "openapi.h"

namespace tatara::server {

void DescribeState(OpenApi& api) {
  api.AddSchema(
      "Model",
      ObjectSchema()
          .Needed("id", TextSchema())
          .Needed("object", ConstSchema("model"))
          .Needed("created", WholeSchema("Seconds since 1970."))
          .Needed("owned_by", TextSchema())
          .Needed("max_model_len", WholeSchema("Tokens of prompt and answer."))
          .Needed("tatara",
                  ObjectSchema()
                      .Needed("kind", EnumSchema({"generates", "embeds", "ranks"}))
                      .Needed("architecture", TextSchema())
                      .Needed("sha256", TextSchema("Of the model's file."))
                      .Needed("n_parameters", WholeSchema())
                      .Needed("n_embd", WholeSchema("Of vectors; 0: none."))
                      .Optional("dimensions", ListSchema(WholeSchema()))
                      .Optional("dimensions_least", WholeSchema("Vectors may be cut to any number "
                                                                "from this to n_embd."))
                      .Done())
          .Done());
  api.Add({.method = "GET",
           .path = "/health",
           .id = "health",
           .tag = "state",
           .says = "Whether the program runs.",
           .answer = ObjectSchema().Needed("status", ConstSchema("ok")).Done()});
  api.Add({.method = "GET",
           .path = "/ready",
           .id = "ready",
           .tag = "state",
           .says = "Whether requests are taken.",
           .answer = ObjectSchema()
                         .Needed("status", ConstSchema("ready"))
                         .Needed("version", TextSchema())
                         .Done()});
  api.Add({.method = "GET",
           .path = "/metrics",
           .id = "metrics",
           .tag = "state",
           .says = "Counts and times, as Prometheus reads them.",
           .answer_type = "text/plain"});
  api.Add({.method = "GET",
           .path = "/openapi.json",
           .id = "openapi",
           .tag = "state",
           .says = "This document.",
           .answer = {{"type", "object"}}});
  api.Add({.method = "GET",
           .path = "/v1/models",
           .id = "listModels",
           .tag = "state",
           .says = "The models that are served.",
           .answer = ObjectSchema()
                         .Needed("object", ConstSchema("list"))
                         .Needed("data", ListSchema(Ref("Model")))
                         .Done()});
  api.Add({.method = "GET",
           .path = "/v1/models/{model}",
           .id = "getModel",
           .tag = "state",
           .says = "One of them.",
           .answer = Ref("Model")});
  api.Add({.method = "GET",
           .path = "/v1/receipts/{id}",
           .id = "getReceipt",
           .tag = "state",
           .says = "The signed receipt of an answer: tatara verify, tatara replay.",
           .answer = {{"type", "object"}}});
  api.Add({.method = "DELETE",
           .path = "/v1/receipts/{id}",
           .id = "deleteReceipt",
           .tag = "state",
           .says = "Removes the receipt of an answer.",
           .answer = ObjectSchema()
                         .Needed("deleted", Json{{"const", true}})
                         .Needed("id", TextSchema())
                         .Done()});
  api.Add({.method = "DELETE",
           .path = "/v1/receipts",
           .id = "forgetAll",
           .tag = "state",
           .says = "Removes all that answers have left here of this tenant: receipts, and pages of "
                   "its prompts in memory and on disk. Conversations have a route of their own.",
           .answer = ObjectSchema().Needed("deleted", Json{{"const", true}}).Done()});
}

}  // namespace tatara::server
