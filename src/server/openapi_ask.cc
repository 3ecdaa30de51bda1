// What the document says of /v1/ask.
#include "ask_fields.h"
#include "generate_fields.h"
#include "openapi.h"

namespace tatara::server {
namespace {

Json CitationSchema() {
  return ObjectSchema("A quote that was found in its document, letter for letter.")
      .Needed("number", WholeSchema("As the answer's [1]; 0: of nearest passages."))
      .Needed("document", TextSchema("Its name."))
      .Needed("document_sha256", TextSchema("Of the file when it was added."))
      .Needed("heading", TextSchema("A > B > C"))
      .Needed("line_first", WholeSchema("Of the quote, from 1."))
      .Needed("line_last", WholeSchema())
      .Needed("quote", TextSchema())
      .Needed("quote_checked", FlagSchema())
      .Needed("file_changed", FlagSchema("The file is no longer what was added."))
      .Needed("quote_in_file", FlagSchema("The quote is in the file as it is now."))
      .Done();
}

Json AnswerSchema() {
  return AnswerFrame("ask.answer")
      .Needed("answer", TextSchema("Numbers in brackets are those of citations."))
      .Needed("supported", FlagSchema("The documents say so."))
      .Needed("reason", OrNull(EnumSchema({"nothing_found", "model_says_no", "number_invented",
                                           "not_in_passages", "no_answer"})))
      .Needed("citations", ListSchema(Ref("Citation")))
      .Needed("nearest", ListSchema(Ref("Citation")))
      .Needed("usage", Ref("Usage"))
      .Needed("tatara", ObjectSchema().Needed("receipt", TextSchema()).Done())
      .Done();
}

}  // namespace

void DescribeAsk(OpenApi& api) {
  api.AddSchema("Citation", CitationSchema());
  api.AddSchema("AskAnswer", AnswerSchema());
  api.Add({.method = "POST",
           .path = "/v1/ask",
           .id = "ask",
           .tag = "ask",
           .says = "An answer from the documents, with citations, or that they do not say.",
           .request = ObjectSchema()
                          .Take(kModel)
                          .Needed(kQuestion.name,
                                  {{"type", "string"}, {"minLength", 1}, {"maxLength", 4096}})
                          .Take(kCollection)
                          .Take(kAskMaxTokens)
                          .Take(kStream)
                          .Take(kUser)
                          .Refused(kAskRefused)
                          .Done(),
           .answer = Ref("AskAnswer"),
           .event = {
               {"anyOf", Json::array({AnswerFrame("ask.delta").Needed("text", TextSchema()).Done(),
                                      Ref("AskAnswer"), Ref("Error")})}}});
}

}  // namespace tatara::server
