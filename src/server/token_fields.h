// The fields of /tokenize, /detokenize and /apply-template.
#pragma once

#include "json_fields.h"

namespace tatara::server {

inline constexpr TextField kContent{"content", "The text."};
inline constexpr TextField kPrompt{"prompt", "The text, by its other name."};
inline constexpr FlagField kAddSpecial{"add_special", true,
                                       "Start and end tokens, where the model asks for them."};
inline constexpr FlagField kAddSpecialTokens{"add_special_tokens", true,
                                             "Another name of add_special."};
inline constexpr FlagField kParseSpecial{"parse_special", true,
                                         "Special tokens written in the text are tokens."};
inline constexpr FlagField kWithPieces{"with_pieces", false, "Every token's text too."};
inline constexpr FlagField kReturnTokenStrs{"return_token_strs", false,
                                            "Another name of with_pieces."};

}  // namespace tatara::server
