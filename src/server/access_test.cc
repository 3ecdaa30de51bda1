#include "access.h"

#include <gtest/gtest.h>

#include <atomic>

#include "http_client.h"
#include "tatara/server/server.h"

namespace tatara::server {
namespace {

using test::HttpAnswer;
using test::HttpClient;

class FakeClock final : public Clock {
 public:
  std::int64_t UnixSeconds() const override { return seconds; }
  std::int64_t MonotonicNanoseconds() const override { return seconds * 1'000'000'000; }
  std::int64_t seconds = 1000;
};

class OneKey final : public KeyCheck {
 public:
  std::optional<assistant::Caller> Check(std::string_view secret) override {
    return valid && secret == "tatara-secret"
               ? std::optional(assistant::Caller{.tenant = "factory", .key = "k1"})
               : std::nullopt;
  }
  bool StillValid(std::string_view id) override { return valid && id == "k1"; }
  std::atomic<bool> valid{true};
};

TEST(Sessions, EndByThemselvesAfterIdlenessAndAfterAWeek) {
  FakeClock clock;
  Sessions sessions(clock);
  const std::string id = sessions.Begin({.tenant = "t", .key = "k"});
  EXPECT_EQ(id.size(), 64u);
  clock.seconds += 99;
  EXPECT_TRUE(sessions.Find(id, 100));
  clock.seconds += 99;
  EXPECT_EQ(sessions.Find(id, 100)->key, "k");
  clock.seconds += 100;
  EXPECT_FALSE(sessions.Find(id, 100));
  EXPECT_EQ(sessions.size(), 0u);
  const std::string used = sessions.Begin({});
  for (int day = 0; day < 6; ++day) {
    clock.seconds += 24 * 3600;
    EXPECT_TRUE(sessions.Find(used, 1e6));
  }
  clock.seconds += 24 * 3600;
  EXPECT_FALSE(sessions.Find(used, 1e6));
}

TEST(Sessions, AreBoundedAndTheLeastUsedMakesRoom) {
  FakeClock clock;
  Sessions sessions(clock);
  const std::string first = sessions.Begin({});
  clock.seconds += 1;
  for (std::size_t i = 0; i < Sessions::kSessionsMax; ++i) sessions.Begin({});
  EXPECT_EQ(sessions.size(), Sessions::kSessionsMax);
  EXPECT_FALSE(sessions.Find(first, 1e6));
}

TEST(Cookies, AreFoundByTheirWholeName) {
  EXPECT_EQ(CookieValue("a=1; tatara_session_8080=x; b=2", "tatara_session_8080"), "x");
  EXPECT_EQ(CookieValue("tatara_session_80=y;tatara_session_8080=x", "tatara_session_80"), "y");
  EXPECT_EQ(CookieValue("xtatara=1", "tatara"), "");
  EXPECT_EQ(CookieValue("tatara", "tatara"), "");
  EXPECT_EQ(CookieValue(";;; =;", "tatara"), "");
  EXPECT_EQ((CookieForm{.port = 1, .secure = true}.Set("i")),
            "__Host-tatara_session_1=i; Path=/; HttpOnly; SameSite=Strict; Secure");
}

TEST(Hosts, NamesThatWereMadeToPointHereAreTurnedAway) {
  ServerOptions local;
  for (const char* ours : {"", "localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080"}) {
    EXPECT_TRUE(HostIsOurs(local, ours)) << ours;
  }
  for (const char* foreign : {"evil.example", "127.0.0.1.evil.example:8080", "10.0.0.1",
                              "[fe80::1]", "localhost.evil.example", ":8080"}) {
    EXPECT_FALSE(HostIsOurs(local, foreign)) << foreign;
  }
  ServerOptions open{.host = "0.0.0.0", .hosts = {"Tatara.Example"}};
  for (const char* ours :
       {"10.0.0.1:8080", "[fe80::1]:8080", "tatara.example", "tatara.example.:1", "localhost"}) {
    EXPECT_TRUE(HostIsOurs(open, ours)) << ours;
  }
  EXPECT_FALSE(HostIsOurs(open, "evil.example"));
  EXPECT_FALSE(HostIsOurs(open, "x.tatara.example"));
}

// A server without any model.
class Access : public testing::Test {
 protected:
  void Start(ServerOptions options = {}) {
    options.port = 0;
    options.keys = keys_;
    auto started = Server::Start(service_, options);
    ASSERT_TRUE(started.ok()) << started.error().text();
    server_ = std::move(started).value();
  }
  HttpClient Client() const { return HttpClient(server_->port()); }
  int Status(std::string_view path, std::string_view headers) const {
    return Client().AskGet(path, headers).status;
  }
  // "tatara_session_0=ID" as a browser would send it back.
  std::string SignIn() const {
    const HttpAnswer answer = Client().AskPost("/v1/session", R"({"key":"tatara-secret"})");
    EXPECT_EQ(answer.status, 200) << answer.body;
    const std::string cookie = answer.headers.at("set-cookie");
    EXPECT_NE(cookie.find("; HttpOnly; SameSite=Strict"), std::string::npos);
    return "Cookie: " + cookie.substr(0, cookie.find(';')) + "\r\n";
  }
  std::shared_ptr<OneKey> keys_ = std::make_shared<OneKey>();
  assistant::Service service_{assistant::ServiceOptions{}};
  std::unique_ptr<Server> server_;
};

TEST_F(Access, OnThisMachineKeysAreOptionalButAWrongKeyOfOursIsRefused) {
  Start();
  EXPECT_EQ(Status("/v1/models", ""), 200);
  EXPECT_EQ(Status("/v1/models", "Authorization: Bearer none\r\n"), 200);
  EXPECT_EQ(Status("/v1/models", "Authorization: Bearer tatara-secret\r\n"), 200);
  EXPECT_EQ(Status("/v1/models", "Authorization: Bearer tatara-revoked\r\n"), 401);
}

TEST_F(Access, AKeySignsInAndTheCookieServesUntilSignOut) {
  Start({.require_key = true});
  EXPECT_EQ(Client().AskPost("/v1/session", R"({"key":"tatara-secre"})").status, 401);
  EXPECT_EQ(Client().AskPost("/v1/session", "{}").status, 400);
  const std::string cookie = SignIn();
  EXPECT_EQ(Status("/v1/models", cookie), 200);
  EXPECT_EQ(Status("/v1/models", ""), 401);
  EXPECT_EQ(Status("/v1/models", "Cookie: tatara_session_0=" + std::string(64, '0') + "\r\n"), 401);
  const Json state = Json::parse(Client().AskGet("/v1/session", cookie).body, nullptr, false);
  EXPECT_EQ(state["signed_in"], true);
  EXPECT_EQ(state["caller"]["tenant"], "factory");
  HttpClient client = Client();
  client.Send("DELETE /v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\n" + cookie + "\r\n");
  EXPECT_EQ(client.Read().status, 200);
  EXPECT_EQ(Status("/v1/models", cookie), 401);
}

TEST_F(Access, ASessionEndsWithItsKey) {
  Start({.require_key = true});
  const std::string cookie = SignIn();
  keys_->valid = false;
  EXPECT_EQ(Status("/v1/models", cookie), 401);
  keys_->valid = true;
  EXPECT_EQ(Status("/v1/models", cookie), 401);
}

TEST_F(Access, ACookieServesOnlyThisServersOwnPage) {
  Start({.require_key = true, .cors_origins = {"https://app.example"}});
  const std::string cookie = SignIn();
  const auto post = [&](const std::string& headers) {
    return Client().AskPost("/tokenize", R"({"content":"x"})", cookie + headers).status;
  };
  EXPECT_EQ(post(""), 404);  // it came in: there is no model
  EXPECT_EQ(post("Origin: http://127.0.0.1\r\n"), 404);
  EXPECT_EQ(post("Origin: http://evil.example\r\n"), 403);
  EXPECT_EQ(post("Origin: null\r\n"), 403);
  EXPECT_EQ(post("Origin: https://app.example\r\n"), 401);
  EXPECT_EQ(post("Sec-Fetch-Site: cross-site\r\n"), 401);
  EXPECT_EQ(post("Sec-Fetch-Site: same-origin\r\n"), 404);
}

TEST(AccessHeaders, BrowsersAreToldToComeByTlsWhereAName) {
  ServerOptions options{.tls_certificate = "a.pem", .hsts_seconds = 60};
  const auto headers = [&](std::string host) {
    return HstsHeaders(options, {.headers = {{"host", std::move(host)}}});
  };
  EXPECT_EQ(headers("tatara.factory.example:8443"),
            (Headers{{"Strict-Transport-Security", "max-age=60"}}));
  for (const char* host :
       {"localhost:8080", "127.0.0.1:8080", "192.0.2.7", "[2001:db8::1]:8080", ""}) {
    EXPECT_TRUE(headers(host).empty()) << host;
  }
  options.hsts_seconds = 0;
  EXPECT_TRUE(headers("tatara.factory.example").empty());
  options = {};
  EXPECT_TRUE(headers("tatara.factory.example").empty()) << "without TLS";
}

TEST_F(Access, PagesOfAllowedOriginsMayCallWithAKeyAndNobodyElses) {
  Start({.require_key = true, .cors_origins = {"https://app.example"}});
  const auto preflight = [&](const std::string& origin) {
    HttpClient client = Client();
    client.Send("OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: " + origin +
                "\r\nAccess-Control-Request-Method: POST\r\n"
                "Access-Control-Request-Headers: authorization, x-stainless-os<>\r\n\r\n");
    return client.Read();
  };
  const HttpAnswer allowed = preflight("https://app.example");
  EXPECT_EQ(allowed.status, 204);
  EXPECT_EQ(allowed.headers.at("access-control-allow-origin"), "https://app.example");
  EXPECT_EQ(allowed.headers.at("access-control-allow-headers"), "authorization, x-stainless-os");
  EXPECT_FALSE(allowed.headers.contains("access-control-allow-credentials"));
  const HttpAnswer foreign = preflight("https://app.example.evil");
  EXPECT_EQ(foreign.status, 403);
  EXPECT_FALSE(foreign.headers.contains("access-control-allow-origin"));
  const HttpAnswer call = Client().AskGet(
      "/v1/models", "Origin: https://app.example\r\nAuthorization: Bearer tatara-secret\r\n");
  EXPECT_EQ(call.status, 200);
  EXPECT_EQ(call.headers.at("access-control-allow-origin"), "https://app.example");
  // Without a key the page may read why.
  const HttpAnswer none = Client().AskGet("/v1/models", "Origin: https://app.example\r\n");
  EXPECT_EQ(none.status, 401);
  EXPECT_TRUE(none.headers.contains("access-control-allow-origin"));
  EXPECT_FALSE(Client().AskGet("/health").headers.contains("access-control-allow-origin"));
}

}  // namespace
}  // namespace tatara::server
