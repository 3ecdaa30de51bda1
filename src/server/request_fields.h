// Fields that several endpoints share, read into native requests.
#pragma once

#include "generate_fields.h"
#include "json_fields.h"
#include "tatara/assistant/service.h"

namespace tatara::server {

// temperature, top_p, top_k, min_p, the penalties, logit_bias, seed, n, stop, user; and what other
// servers know beyond them is refused by name.
void ReadSampling(Fields& fields, assistant::GenerateCall& call);
// messages, tools, tool_choice, chat_template_kwargs, reasoning_effort.
assistant::Conversation ReadConversation(Fields& fields);

struct StreamWish {
  bool stream = false;
  bool usage = false;
};
StreamWish ReadStream(Fields& fields);

// A list of token ids at `path`; the first that is none is refused.
std::vector<std::int32_t> ReadIds(Fields& fields, const std::string& path, const Json& list);
// A text, up to `entries_max` texts, ids, or as many lists of ids, as `prompt` and `input` are;
// into `texts` or `id_lists`.
void ReadTextsOrIds(Fields& fields, const std::string& name, std::size_t entries_max,
                    std::vector<std::string>& texts,
                    std::vector<std::vector<std::int32_t>>& id_lists);

}  // namespace tatara::server
