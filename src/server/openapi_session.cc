// What the document says of /v1/session.
#include "openapi.h"
#include "session_fields.h"

namespace tatara::server {

void DescribeSession(OpenApi& api) {
  const Json caller = OrNull(ObjectSchema()
                                 .Needed("key_id", TextSchema("Of the key, never the key itself."))
                                 .Needed("tenant", TextSchema("Whose data the calls see."))
                                 .Done());
  api.AddSchema("Session", ObjectSchema()
                               .Needed("object", ConstSchema("session"))
                               .Needed("key_required", FlagSchema())
                               .Needed("signed_in", FlagSchema())
                               .Needed("caller", caller)
                               .Done());
  api.Add({.method = "GET",
           .path = "/v1/session",
           .id = "getSession",
           .tag = "session",
           .says = "Whether a key is needed here, and who calls.",
           .answer = Ref("Session")});
  api.Add({.method = "POST",
           .path = "/v1/session",
           .id = "beginSession",
           .tag = "session",
           .says = "Signs a browser in: the answer sets an HttpOnly cookie.",
           .request = ObjectSchema().Require(kSessionKey).Done(),
           .answer = Ref("Session")});
  api.Add({.method = "DELETE",
           .path = "/v1/session",
           .id = "endSession",
           .tag = "session",
           .says = "Signs it out.",
           .answer = Ref("Session")});
}

}  // namespace tatara::server
