#include <curl/curl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "http.h"
#include "http_client.h"
#include "test_support.h"

namespace tatara::server {
namespace {

// A certificate for localhost that signs itself.
struct Pair {
  std::string certificate, key;
};
Pair MakePair(const std::filesystem::path& folder, const std::string& name) {
  Pair pair{(folder / (name + ".crt")).string(), (folder / (name + ".key")).string()};
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
      "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout '" +
      pair.key + "' -out '" + pair.certificate + "' 2>/dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0);
  chmod(pair.key.c_str(), 0600);
  return pair;
}

class TlsTest : public testing::Test {
 protected:
  void Start(ServerOptions options) {
    options.port = 0;
    options.drain_seconds = 1;
    auto started = HttpServer::Start(
        options,
        [this](std::shared_ptr<Exchange> exchange) {
          if (exchange->request().path == "/stream") {
            exchange->OnGone([this] { ++gone_; });
            exchange->BeginStream("text/event-stream", {});
            exchange->Write("data: 1\n\n");
            held_ = exchange;
            return;
          }
          exchange->Send({.body = exchange->request().path + "|" + exchange->request().body});
        },
        [](int status, std::string_view message) {
          return HttpResponse{.status = status, .body = std::string(message)};
        });
    ASSERT_TRUE(started.ok()) << started.error().text();
    server_ = std::move(started).value();
  }
  ServerOptions With(const Pair& pair) const {
    return {.tls_certificate = pair.certificate, .tls_key = pair.key};
  }
  std::string Url(const std::string& path) const {
    return "https://localhost:" + std::to_string(server_->port()) + path;
  }
  test::ScratchDir scratch_;
  std::atomic<int> gone_{0};
  std::shared_ptr<Exchange> held_;
  std::unique_ptr<HttpServer> server_;
};

// A client that trusts one certificate.
class Client {
 public:
  explicit Client(const std::string& trusted) : curl_(curl_easy_init()) {
    curl_easy_setopt(curl_, CURLOPT_CAINFO, trusted.c_str());
    curl_easy_setopt(curl_, CURLOPT_TIMEOUT, 20L);
    curl_easy_setopt(curl_, CURLOPT_PROXY, "");
    curl_easy_setopt(curl_, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, Take);
  }
  ~Client() { curl_easy_cleanup(curl_); }
  CURLcode Get(const std::string& url) {
    body.clear();
    curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
    return curl_easy_perform(curl_);
  }
  CURLcode Post(const std::string& url, const std::string& text) {
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE, static_cast<long>(text.size()));
    curl_easy_setopt(curl_, CURLOPT_COPYPOSTFIELDS, text.c_str());
    return Get(url);
  }
  long Connections() {
    long n = 0;
    curl_easy_getinfo(curl_, CURLINFO_NUM_CONNECTS, &n);
    return n;
  }
  CURL* curl() { return curl_; }
  std::string body;
  bool leave_at_first_byte = false;

 private:
  static std::size_t Take(char* data, std::size_t size, std::size_t count, void* self) {
    auto* client = static_cast<Client*>(self);
    client->body.append(data, size * count);
    return client->leave_at_first_byte ? 0 : size * count;
  }
  CURL* curl_;
};

TEST_F(TlsTest, AConnectionServesRequestAfterRequest) {
  const Pair pair = MakePair(scratch_.path(), "a");
  Start(With(pair));
  Client client(pair.certificate);
  EXPECT_EQ(client.Get(Url("/a")), CURLE_OK);
  EXPECT_EQ(client.body, "/a|");
  const std::string large(300'000, 'x');
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.Post(Url("/b"), large), CURLE_OK);
    EXPECT_EQ(client.body, "/b|" + large);
    EXPECT_EQ(client.Connections(), 0);  // no new one
  }
  EXPECT_EQ(Client(scratch_.path() / "none.crt").Get(Url("/")) == CURLE_OK, false);
}

TEST_F(TlsTest, OlderProtocolsAndPlainHttpAreNotSpoken) {
  const Pair pair = MakePair(scratch_.path(), "a");
  Start(With(pair));
  Client old(pair.certificate);
  curl_easy_setopt(old.curl(), CURLOPT_SSLVERSION,
                   static_cast<long>(CURL_SSLVERSION_TLSv1) | CURL_SSLVERSION_MAX_TLSv1_1);
  EXPECT_NE(old.Get(Url("/")), CURLE_OK);
  Client twelve(pair.certificate);
  curl_easy_setopt(twelve.curl(), CURLOPT_SSLVERSION,
                   static_cast<long>(CURL_SSLVERSION_TLSv1_2) | CURL_SSLVERSION_MAX_TLSv1_2);
  EXPECT_EQ(twelve.Get(Url("/")), CURLE_OK);
  test::HttpClient plain(server_->port());
  EXPECT_EQ(plain.AskGet("/").status, 0);
}

TEST_F(TlsTest, TellsWhenTheReaderOfAStreamHasGone) {
  const Pair pair = MakePair(scratch_.path(), "a");
  Start(With(pair));
  Client client(pair.certificate);
  client.leave_at_first_byte = true;
  EXPECT_EQ(client.Get(Url("/stream")), CURLE_WRITE_ERROR);
  for (int i = 0; i < 500 && gone_ == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(gone_, 1);
  held_.reset();
}

TEST_F(TlsTest, AConnectionThatWaitsTooLongIsClosed) {
  const Pair pair = MakePair(scratch_.path(), "a");
  ServerOptions options = With(pair);
  options.idle_seconds = 0.2;
  options.header_seconds = 0.2;
  Start(options);
  Client client(pair.certificate);
  EXPECT_EQ(client.Get(Url("/a")), CURLE_OK);
  test::HttpClient silent(server_->port());  // says nothing, so no handshake
  for (int i = 0; i < 500 && server_->connections() > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(server_->connections(), 0);
}

TEST_F(TlsTest, AReloadServesTheNewCertificateAndABrokenOneChangesNothing) {
  const Pair first = MakePair(scratch_.path(), "a"), second = MakePair(scratch_.path(), "b");
  Start(With(first));
  std::filesystem::copy_file(second.key, first.key,
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_FALSE(server_->Reload(With(first)).ok());  // the key is another certificate's
  const std::string trusted_before = (scratch_.path() / "before.crt").string();
  std::filesystem::copy_file(first.certificate, trusted_before);
  EXPECT_EQ(Client(trusted_before).Get(Url("/")), CURLE_OK);
  std::filesystem::copy_file(second.certificate, first.certificate,
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(server_->Reload(With(first)).ok());
  EXPECT_EQ(Client(second.certificate).Get(Url("/")), CURLE_OK);
  EXPECT_NE(Client(trusted_before).Get(Url("/")), CURLE_OK);
}

TEST_F(TlsTest, FilesThatCanNotBeUsedAreNamed) {
  const Pair a = MakePair(scratch_.path(), "a"), b = MakePair(scratch_.path(), "b");
  const auto problem = [](const std::string& certificate, const std::string& key) {
    const auto checked = CheckTlsFiles({.tls_certificate = certificate, .tls_key = key});
    return checked.ok() ? std::string() : checked.error().text();
  };
  EXPECT_EQ(problem(a.certificate, a.key), "");
  EXPECT_TRUE(problem(a.key, a.key).starts_with(a.key)) << problem(a.key, a.key);
  EXPECT_TRUE(problem(a.certificate, a.certificate).starts_with(a.certificate));
  EXPECT_NE(problem(a.certificate, b.key).find("does not belong"), std::string::npos);
  EXPECT_TRUE(problem(a.certificate, "/none").starts_with("/none"));
  chmod(a.key.c_str(), 0644);
  EXPECT_NE(problem(a.certificate, a.key).find("others can read"), std::string::npos);
}

}  // namespace
}  // namespace tatara::server
