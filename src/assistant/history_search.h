// Words of a search, and where in a text they stand. Free functions, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tatara::assistant {

// The query folded (search/fold.h) and split at blanks, at most kSearchWordsMax words.
std::vector<std::string> SearchWords(std::string_view query);

// An expression for FTS5's trigram index, of the words that have three characters or more, each as
// a phrase; empty where none has. Shorter ones must be looked for in the texts themselves.
std::string TrigramExpression(const std::vector<std::string>& words);

// A piece of the text around the first place with one of the words, on one line.
std::string SnippetOf(std::string_view text, const std::vector<std::string>& words);

}  // namespace tatara::assistant
