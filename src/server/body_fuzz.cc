// Bodies of every POST, of arbitrary bytes and of JSON values made of them with the names that
// endpoints read: one answer, JSON, and never the server's fault. There is no model; all that a
// body says is read before one is looked for.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api.h"
#include "fake_exchange.h"

namespace tatara::server {
namespace {

std::vector<std::string> PostPaths() {
  std::vector<std::string> paths;
  for (const RouteFacts& route : Routes()) {
    if (route.method != "POST") continue;
    paths.emplace_back(route.path);
    if (route.path.ends_with('/')) {
      paths.back() += "conv_0";
      paths.push_back(paths.back() + "/messages");
    }
  }
  return paths;
}

// Fields, roles, types and forms of the APIs; as keys and as texts.
constexpr std::string_view kNames[] = {"model",
                                       "messages",
                                       "role",
                                       "content",
                                       "type",
                                       "text",
                                       "user",
                                       "assistant",
                                       "system",
                                       "tool",
                                       "function",
                                       "tools",
                                       "tool_calls",
                                       "tool_call_id",
                                       "tool_choice",
                                       "name",
                                       "parameters",
                                       "arguments",
                                       "{\"a\":1}",
                                       "stream",
                                       "stream_options",
                                       "include_usage",
                                       "n",
                                       "stop",
                                       "seed",
                                       "temperature",
                                       "top_p",
                                       "top_k",
                                       "min_p",
                                       "repetition_penalty",
                                       "presence_penalty",
                                       "frequency_penalty",
                                       "logit_bias",
                                       "7",
                                       "logprobs",
                                       "top_logprobs",
                                       "max_tokens",
                                       "max_completion_tokens",
                                       "ignore_eos",
                                       "response_format",
                                       "json_object",
                                       "modalities",
                                       "chat_template_kwargs",
                                       "reasoning_content",
                                       "image_url",
                                       "prompt",
                                       "suffix",
                                       "echo",
                                       "input",
                                       "input_type",
                                       "query",
                                       "passage",
                                       "encoding_format",
                                       "base64",
                                       "float",
                                       "dimensions",
                                       "documents",
                                       "top_n",
                                       "return_documents",
                                       "question",
                                       "collection",
                                       "tokens",
                                       "add_special",
                                       "with_pieces",
                                       "title",
                                       "active",
                                       "id",
                                       "parent",
                                       "message",
                                       "reasoning",
                                       "details",
                                       "receipt",
                                       "finish",
                                       "key",
                                       "limit",
                                       "after"};

// Reads values out of bytes; at their end everything is null.
class Maker {
 public:
  explicit Maker(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  Json Object(int depth) {
    Json object = Json::object();
    for (int i = Byte() % 12; i > 0; --i) object[Word()] = Value(depth - 1);
    return object;
  }

 private:
  std::uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const std::uint8_t byte = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return byte;
  }
  std::uint64_t Eight() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | Byte();
    return value;
  }
  std::string Word() {
    const std::uint8_t choice = Byte();
    if (choice < std::size(kNames)) return std::string(kNames[choice]);
    const std::size_t n = std::min<std::size_t>(choice % 16, bytes_.size());
    std::string text(reinterpret_cast<const char*>(bytes_.data()), n);
    bytes_ = bytes_.subspan(n);
    return text;
  }
  Json Value(int depth) {
    switch (Byte() % (depth > 0 ? 12 : 8)) {
      case 1:
        return true;
      case 2:
        return false;
      case 3:
        return Byte();
      case 4:
        return std::bit_cast<std::int64_t>(Eight());
      case 5:
        return std::bit_cast<double>(Eight());
      case 6:
      case 7:
        return Word();
      case 8:
      case 9:
        return Object(depth);
      case 10:
      case 11: {
        Json array = Json::array();
        for (int i = Byte() % 6; i > 0; --i) array.push_back(Value(depth - 1));
        return array;
      }
      default:
        return nullptr;
    }
  }
  std::span<const std::uint8_t> bytes_;
};

bool IsRight(const FakeExchange& exchange) {
  const int status = exchange.answer.status;
  if (exchange.n_answers != 1 || status < 200 || status >= 500) return false;
  const Json json = Json::parse(exchange.answer.body, nullptr, /*allow_exceptions=*/false);
  return status < 300 ? json.is_object() : json.contains("error") && json["error"].is_object();
}

}  // namespace
}  // namespace tatara::server

// The first byte chooses the path, and whether unknown names are refused; the second, whether the
// rest is the body or a value is made of it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tatara;
  static assistant::Service service{assistant::ServiceOptions{}};
  static const std::vector<std::string> paths = server::PostPaths();
  static const auto lenient =
      std::make_shared<const server::ApiContext>(server::ApiContext{.service = &service});
  static const auto strict = std::make_shared<const server::ApiContext>(
      server::ApiContext{.service = &service, .strict = true});
  if (size < 2) return 0;
  const std::span rest(data + 2, size - 2);
  std::string body = data[1] % 4 == 0 ? std::string(rest.begin(), rest.end())
                                      : server::Dump(server::Maker(rest).Object(/*depth=*/5));
  const auto exchange =
      server::FakeExchange::Of("POST", paths[data[0] % 128 % paths.size()], std::move(body));
  server::HandleRequest(data[0] < 128 ? lenient : strict, exchange);
  exchange->Run();
  if (!server::IsRight(*exchange)) std::abort();
  return 0;
}
