// The fields of /v1/embeddings and /v1/rerank.
#pragma once

#include "json_fields.h"

namespace tatara::server {

inline constexpr std::size_t kTextsMax = 2048;

inline constexpr std::string_view kEncodings[] = {"float", "base64"};
inline constexpr ChoiceField kEncodingFormat{"encoding_format", kEncodings,
                                             "base64: float32, little-endian."};
inline constexpr std::string_view kInputTypes[] = {"passage",  "query",           "plain",
                                                   "document", "search_document", "search_query"};
inline constexpr ChoiceField kInputType{"input_type", kInputTypes,
                                        "How the model's authors want the texts marked: what is "
                                        "searched, what is asked, or not at all."};
inline constexpr IntegerField kDimensions{
    "dimensions", 0, 1, 1 << 20,
    "How many values a vector has; the model's own number where this is absent. Fewer only of "
    "models "
    "that were trained to be cut (Matryoshka): those that /v1/models says. What is left is scaled "
    "to length 1 again."};

inline constexpr TextField kQuery{"query", "What is asked."};
inline constexpr TextField kDocumentText{"text", ""};
inline constexpr IntegerField kTopN{"top_n", kTextsMax, 1, 1 << 20, "The best only."};
inline constexpr FlagField kReturnDocuments{"return_documents", false,
                                            "The documents' texts come back."};

}  // namespace tatara::server
