#include "logprobs.h"

namespace tatara::server {
namespace {

Json Entry(const assistant::Logprob& from) {
  Json bytes = Json::array();
  for (const char c : from.token) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", from.token}, {"logprob", from.logprob}, {"bytes", std::move(bytes)}};
}

std::size_t Characters(const std::string& text) {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

}  // namespace

Json ChatLogprobs(const std::vector<assistant::Logprob>& logprobs) {
  Json content = Json::array();
  for (const assistant::Logprob& one : logprobs) {
    Json entry = Entry(one);
    entry["top_logprobs"] = Json::array();
    for (const assistant::Logprob& other : one.top) entry["top_logprobs"].push_back(Entry(other));
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json CompletionLogprobs(const std::vector<assistant::Logprob>& logprobs, std::size_t offset) {
  Json tokens = Json::array(), values = Json::array(), tops = Json::array(),
       offsets = Json::array();
  for (const assistant::Logprob& one : logprobs) {
    tokens.push_back(one.token);
    values.push_back(one.logprob);
    offsets.push_back(offset);
    offset += Characters(one.token);
    Json top = Json::object();
    for (const assistant::Logprob& other : one.top) {
      if (!top.contains(other.token)) top[other.token] = other.logprob;
    }
    tops.push_back(std::move(top));
  }
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(values)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

}  // namespace tatara::server
