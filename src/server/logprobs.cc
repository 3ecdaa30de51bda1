#include "logprobs.h"

namespace tatara::server {
namespace {

Json Entry(const assistant::Logprob& from) {
  Json bytes = Json::array();
  for (const char c : from.token) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", from.token}, {"logprob", from.logprob}, {"bytes", std::move(bytes)}};
}

}  // namespace

std::size_t Length(std::string_view text) {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

std::size_t Length(std::span<const assistant::Logprob> logprobs) {
  std::size_t n = 0;
  for (const assistant::Logprob& one : logprobs) n += Length(one.token);
  return n;
}

std::span<const assistant::Logprob> Uncarried(const assistant::Choice& choice) {
  return std::span(choice.logprobs).subspan(choice.n_logprobs_carried);
}

Json ChatLogprobs(std::span<const assistant::Logprob> logprobs) {
  Json content = Json::array();
  for (const assistant::Logprob& one : logprobs) {
    Json entry = Entry(one);
    entry["top_logprobs"] = Json::array();
    for (const assistant::Logprob& other : one.top) entry["top_logprobs"].push_back(Entry(other));
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json CompletionLogprobs(std::span<const assistant::Logprob> logprobs, std::size_t offset) {
  Json tokens = Json::array(), values = Json::array(), tops = Json::array(),
       offsets = Json::array();
  for (const assistant::Logprob& one : logprobs) {
    tokens.push_back(one.token);
    values.push_back(one.logprob);
    offsets.push_back(offset);
    offset += Length(one.token);
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

Json EchoLogprobs(std::span<const assistant::Logprob> prompt,
                  std::span<const assistant::Logprob> answer, std::string_view echo) {
  Json json = CompletionLogprobs(prompt, 0);
  if (!prompt.empty()) json["token_logprobs"][0] = json["top_logprobs"][0] = nullptr;
  // A start token, and the space that some vocabularies put before a text, are not in it.
  std::size_t offset = 0;
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    json["text_offset"][i] = offset;
    const std::string_view token = prompt[i].token;
    if (offset > 0 || echo.starts_with(token)) {
      offset += Length(token);
    } else if (token.starts_with(' ') && echo.starts_with(token.substr(1))) {
      offset += Length(token) - 1;
    }
  }
  const Json rest = CompletionLogprobs(answer, Length(echo));
  for (auto& [name, list] : json.items()) {
    for (const Json& one : rest[name]) list.push_back(one);
  }
  return json;
}

}  // namespace tatara::server
