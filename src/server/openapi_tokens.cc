// What the document says of /tokenize, /detokenize and /apply-template.
#include "generate_fields.h"
#include "openapi.h"
#include "token_fields.h"

namespace tatara::server {

void DescribeTokens(OpenApi& api) {
  ObjectSchema tokenize;
  tokenize.Take(kModel)
      .Take(kContent)
      .Take(kPrompt)
      .Take(kAddSpecial)
      .Take(kAddSpecialTokens)
      .Take(kParseSpecial)
      .Take(kWithPieces)
      .Take(kReturnTokenStrs);
  api.Add({.method = "POST",
           .path = "/tokenize",
           .id = "tokenize",
           .tag = "tokens",
           .says = "Token ids of a text, or of a conversation as the model sees it.",
           .request = ConversationFields(std::move(tokenize), /*needed=*/false),
           .answer = ObjectSchema()
                         .Needed("tokens", ListSchema(Ref("TokenId")))
                         .Needed("count", WholeSchema())
                         .Optional("token_strs", ListSchema(TextSchema()))
                         .Done()});
  api.Add(
      {.method = "POST",
       .path = "/detokenize",
       .id = "detokenize",
       .tag = "tokens",
       .says = "The text of token ids.",
       .request = ObjectSchema().Take(kModel).Needed("tokens", ListSchema(Ref("TokenId"))).Done(),
       .answer = ObjectSchema()
                     .Needed("prompt", TextSchema("The text."))
                     .Needed("content", TextSchema("The text, by its other name."))
                     .Done()});
  ObjectSchema apply;
  apply.Take(kModel);
  api.Add({.method = "POST",
           .path = "/apply-template",
           .id = "applyTemplate",
           .tag = "tokens",
           .says = "A conversation as the text that the model sees.",
           .request = ConversationFields(std::move(apply), /*needed=*/true),
           .answer = ObjectSchema().Needed("prompt", TextSchema()).Done()});
}

}  // namespace tatara::server
