// The command line's fixed forms, exit statuses and languages, on the built program.
#include <gmock/gmock.h>

#include <csignal>
#include <fstream>
#include <set>
#include <sstream>

#include "adapter_files.h"
#include "program.h"
#include "tatara/weights/tensor_store.h"

namespace tatara {
namespace {

using test::Outcome;
using test::Program;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<std::string> kCommands = {
    "pull",     "rm",     "models",   "run",     "chat",   "ask",    "documents",
    "tokenize", "logits", "bench",    "verify",  "replay", "doctor", "version",
    "embed",    "rerank", "template", "inspect", "export", "serve",  "train"};

void WriteFile(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

TEST(CommandLine, EveryCommandExplainsItselfByExampleInBothLanguages) {
  Program tatara;
  for (const std::string& command : kCommands) {
    tatara.environment()["LC_ALL"] = "C.UTF-8";
    const Outcome english = tatara({command, "--help"});
    EXPECT_EQ(english.status, 0) << command;
    EXPECT_THAT(english.out, HasSubstr("Examples:")) << command;
    EXPECT_THAT(english.out, HasSubstr("tatara " + command)) << command;
    tatara.environment()["LC_ALL"] = "ja_JP.UTF-8";
    const Outcome japanese = tatara({command, "--help"});
    EXPECT_EQ(japanese.status, 0) << command;
    EXPECT_THAT(japanese.out, HasSubstr("例:")) << command;
  }
}

TEST(CommandLine, RefusedArgumentsExitWithTwoAndPrintNothingOnStandardOutput) {
  Program tatara;
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                    {"fly"},
                                                    {"run"},
                                                    {"run", "no-such-model", "--prompt", "x"},
                                                    {"logits", "m", "--tokens", "1,x"},
                                                    {"version", "--loud"},
                                                    {"documents"},
                                                    {"completion", "tcsh"},
                                                    {"run", "m", "--prompt", "x", "--merge"},
                                                    {"export", "m", "folder"},
                                                    {"export", "m", "folder", "--to", "onnx"},
                                                    {"bench", "m", "--batch", "0"}}) {
    const Outcome outcome = tatara(arguments);
    EXPECT_EQ(outcome.status, 2) << testing::PrintToString(arguments) << outcome.err;
    EXPECT_THAT(outcome.out, IsEmpty());
    EXPECT_FALSE(outcome.err.empty());
  }
}

TEST(CommandLine, AForcedInstructionSetThatDoesNotExistIsRefused) {
  Program tatara;
  tatara.environment()["TATARA_ISA"] = "sse9";
  const Outcome outcome = tatara({"version"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("sse9"));
}

TEST(CommandLine, WrongArgumentsAreNamedInTheUsersLanguage) {
  const struct {
    std::vector<std::string> arguments;
    const char *english, *japanese;
  } kCases[] = {
      {{"chta"}, "'chta' is no command of tatara", "コマンドではありません"},
      {{"documents", "ad", "x"}, "did you mean 'add'?", "'add' のことですか"},
      {{"run", "x", "--max-token", "3"}, "did you mean --max-tokens?", "オプションではありません"},
      {{"run", "x", "--max-tokens", "abc"}, "found 'abc', expected a number", "'abc' が指定"},
      {{"run", "x", "--activations", "f31"}, "expected one of int8,f32", "int8,f32 のいずれか"},
      {{"run"}, "'model' is missing", "'model' が指定されていません"},
      {{"documents"}, "a command is missing", "コマンドがありません"},
      {{"run", "x", "--prompt"}, "--prompt: a value is missing", "値が続いていません"},
      {{"logits", "x", "--tokens", "a,b"}, "--tokens: 'a,b'", "--tokens: 'a,b'"},
      {{"ask", "q", "extra"}, "'extra': one argument more", "引数が多すぎます"},
      {{"run", "x", "--prompt", "a", "--chat", "b"}, "given together", "同時に指定できません"},
  };
  for (const auto& c : kCases) {
    for (const bool japanese : {false, true}) {
      Program tatara;
      tatara.environment()["LC_ALL"] = japanese ? "ja_JP.UTF-8" : "C";
      const Outcome outcome = tatara(c.arguments);
      EXPECT_EQ(outcome.status, 2) << outcome.err;
      EXPECT_THAT(outcome.err, HasSubstr(japanese ? c.japanese : c.english));
    }
  }
}

TEST(CommandLine, DeeplyNestedJsonAndOverlongNamesAreRefusedNotCrashed) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Program tatara;
  WriteFile(tatara.folder() / "deep.json", std::string(300'000, '['));
  EXPECT_EQ(tatara({"tokenize", model, "--chat", (tatara.folder() / "deep.json").string()}).status,
            2);
  EXPECT_NE(tatara({"replay", std::string(252, 'b') + ".json"}).status, 134);
  tatara.environment()["TATARA_HOME"] = "/" + std::string(300, 'x');
  EXPECT_EQ(tatara({"doctor", "--json"}).status, 0);
}

TEST(CommandLine, DoctorListsInstructionSetsALineEach) {
  Program tatara;
  const Outcome outcome = tatara({"doctor", "--isa"});
  ASSERT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, testing::StartsWith("scalar\n"));
  const auto report = tatara({"doctor", "--json"}).json();
  EXPECT_GT(report["memory_bytes"].get<double>(), 1e8);
  EXPECT_GT(report["read_bytes_per_s"].get<double>(), 1e8);
  EXPECT_GT(report["largest_model_bytes"].get<double>(), 0);
}

TEST(CommandLine, CompletionNamesEveryCommand) {
  Program tatara;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Outcome outcome = tatara({"completion", shell});
    ASSERT_EQ(outcome.status, 0);
    for (const std::string& command : kCommands)
      EXPECT_THAT(outcome.out, HasSubstr(command)) << shell;
  }
}

TEST(CommandLine, AFullDiskBehindStandardOutputIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  EXPECT_EQ(WEXITSTATUS(std::system("'" TATARA_PROGRAM "' version > /dev/full 2>/dev/null")), 1);
}

TEST(CommandLine, TokenizeNeverMakesSpecialTokensOfUserTextUnlessAsked) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Program tatara;
  const std::string text = "<|im_start|>Hi";
  const auto plain = tatara({"tokenize", model, "--json"}, text).json()["token_ids"];
  const auto special = tatara({"tokenize", model, "--json", "--special"}, text).json()["token_ids"];
  EXPECT_GT(plain.size(), special.size());
  EXPECT_EQ(special[0], 1);
  EXPECT_THAT(plain, testing::Not(testing::Contains(1)));
}

TEST(CommandLine, TemplateRenderPrintsTheTextAndNothingElse) {
  Program tatara;
  const auto path = [&](const char* name) { return (tatara.folder() / name).string(); };
  WriteFile(path("t.jinja"),
            "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('No tools: ' ~ "
            "m.content) }}{% endif %}[{{ m.content }}]{% endfor %}");
  WriteFile(path("c.json"), R"({"messages": [{"role": "user", "content": "é\n"}]})");
  const Outcome rendered =
      tatara({"template", "render", path("t.jinja"), "--input", path("c.json")});
  EXPECT_EQ(rendered.status, 0);
  EXPECT_EQ(rendered.out, "[é\n]");
  const Outcome as_json =
      tatara({"template", "render", path("t.jinja"), "--input", path("c.json"), "--json"});
  EXPECT_EQ(as_json.json()["text"], "[é\n]");
  WriteFile(path("c.json"), R"({"messages": [{"role": "tool", "content": "7"}]})");
  const Outcome refused =
      tatara({"template", "render", path("t.jinja"), "--input", path("c.json")});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.out, IsEmpty());
  EXPECT_THAT(refused.err, HasSubstr("No tools: 7"));
  EXPECT_THAT(refused.err, HasSubstr(path("t.jinja") + ", with the input " + path("c.json")));
  WriteFile(path("t.jinja"), "{% nonsense %}");
  const Outcome unread = tatara({"template", "render", path("t.jinja"), "--input", path("c.json")});
  EXPECT_EQ(unread.status, 2);
  EXPECT_THAT(unread.err, HasSubstr(path("t.jinja") + ": chat template, line 1"));
  const std::string folder = tatara.folder().string();
  EXPECT_EQ(tatara({"template", "render", folder, "--input", path("c.json")}).status, 2);
  EXPECT_EQ(tatara({"template", "render", path("t.jinja"), "--input", folder}).status, 2);
}

TEST(CommandLine, TokenizeTakesVocabulariesWithoutWeights) {
  TATARA_REQUIRE_DATA(vocabulary, "tokenizer/ggml-vocab-bert-bge.gguf");
  Program tatara;
  const auto ids = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"tokenize", vocabulary.string(), "--json"});
    return tatara(arguments, "hello").json()["token_ids"].get<std::vector<int>>();
  };
  EXPECT_THAT(ids({}), testing::ElementsAre(101, 7592, 102));
  EXPECT_THAT(ids({"--bare"}), testing::ElementsAre(7592));
}

TEST(CommandLine, TokenizeRendersAConversation) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Program tatara;
  WriteFile(tatara.folder() / "m.json", R"([{"role": "user", "content": "名古屋?"}])");
  const auto out =
      tatara({"tokenize", model, "--json", "--chat", (tatara.folder() / "m.json").string()}).json();
  EXPECT_THAT(out["prompt"].get<std::string>(), HasSubstr("<|im_start|>user\n名古屋?<|im_end|>\n"));
  EXPECT_EQ(out["token_ids"][0], 1);
  WriteFile(tatara.folder() / "bad.json", R"([{"content": 3}])");
  const Outcome bad =
      tatara({"tokenize", model, "--json", "--chat", (tatara.folder() / "bad.json").string()});
  EXPECT_EQ(bad.status, 2);
  EXPECT_THAT(bad.err, HasSubstr("messages[0]"));
}

// The golden hash of these tokens (golden_hashes.inc): another one is a change of the numerics
// contract.
constexpr const char* kGoldenLogits =
    "aa6591547c45016dca6a6ca3e9b867bed030106afad75098fe4f1d05e0e37517";

TEST(CommandLine, LogitsHaveOneDigestOnEveryInstructionSetAndThreadCount) {
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-0.5b");
  Program tatara;
  std::set<std::string> digests;
  std::string isas = tatara({"doctor", "--isa"}).out;
  int threads = 1;
  for (std::size_t end; (end = isas.find('\n')) != std::string::npos; isas.erase(0, end + 1)) {
    tatara.environment()["TATARA_ISA"] = isas.substr(0, end);
    const auto out = tatara({"logits", model, "--tokens", "9707,11,1879", "--json", "--threads",
                             std::to_string(threads++)})
                         .json();
    EXPECT_EQ(out["top"].size(), 20u);
    EXPECT_GT(out["logsumexp"].get<double>(), out["top"][0][1].get<double>());
    digests.insert(out["sha256"].get<std::string>());
  }
  EXPECT_THAT(digests, testing::ElementsAre(kGoldenLogits));
}

TEST(CommandLine, RunAnswersInItsFixedFormAndItsReceiptReplays) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Program tatara;
  const std::string receipt = (tatara.folder() / "r.json").string();
  const std::vector<std::string> command = {
      "run",          model, "--prompt",      "The capital of France is",
      "--max-tokens", "8",   "--temperature", "0.8",
      "--seed",       "5",   "--receipt",     receipt,
      "--json"};
  const auto out = tatara(command).json();
  for (const char* field : {"text", "token_ids", "finish_reason", "usage"})
    EXPECT_TRUE(out.contains(field)) << field;
  EXPECT_EQ(out["usage"]["prompt_tokens"], 5);
  EXPECT_EQ(out["seed"], 5);

  EXPECT_EQ(tatara({"verify", receipt}).status, 0);
  for (const std::string isa : {"", "scalar"}) {
    if (!isa.empty()) tatara.environment()["TATARA_ISA"] = isa;
    const Outcome replay =
        tatara({"replay", receipt, "--model", model, "--threads", "1", "--json"});
    EXPECT_EQ(replay.status, 0) << replay.out << replay.err;
    EXPECT_TRUE(replay.json()["ok"].get<bool>());
  }

  std::string bytes = test::ReadFile(receipt);
  bytes[bytes.size() / 2] ^= 1;
  WriteFile(receipt, bytes);
  const Outcome tampered = tatara({"verify", receipt, "--json"});
  EXPECT_EQ(tampered.status, 1);
  EXPECT_FALSE(tampered.json()["ok"].get<bool>());
  EXPECT_FALSE(tampered.json()["first_difference"].is_null());
}

TEST(CommandLine, ARedactedReceiptHoldsNoTextAndReplaysWithTheOriginals) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Program tatara;
  const std::string receipt = (tatara.folder() / "r.json").string();
  const Outcome run = tatara({"run", model, "--prompt", "My secret plan is", "--max-tokens", "6",
                              "--receipt", receipt, "--redact", "--json"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(tatara({"verify", receipt}).status, 0);
  const std::vector<std::string> replay = {"replay", receipt, "--model", model, "--json"};
  EXPECT_EQ(tatara(replay).status, 0);

  // Without the private file that lies beside it, the texts are asked for; wrong ones are refused.
  const auto beside = tatara.folder() / "r.originals.json";
  EXPECT_EQ(static_cast<unsigned>(std::filesystem::status(beside).permissions()) & 0777u, 0600u);
  const std::string originals = test::ReadFile(beside);
  std::filesystem::remove(beside);
  const Outcome bare = tatara(replay);
  EXPECT_EQ(bare.status, 2) << bare.out;
  EXPECT_THAT(bare.err, testing::AllOf(HasSubstr("--originals"), HasSubstr("input.prompt")));
  std::string wrong = originals;
  wrong.replace(wrong.find("secret"), 6, "public");
  WriteFile(tatara.folder() / "wrong.json", wrong);
  EXPECT_EQ(tatara({"replay", receipt, "--model", model, "--originals",
                    (tatara.folder() / "wrong.json").string()})
                .status,
            2);
}

TEST(CommandLine, AContextThatIsTooSmallIsRefusedWithTheNumbers) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Program tatara;
  const Outcome outcome = tatara({"run", model, "--prompt", "one two three four five",
                                  "--max-tokens", "100", "--context", "64"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, testing::AllOf(HasSubstr("100"), HasSubstr("64")));
}

TEST(CommandLine, CtrlCEndsAnAnswerCleanly) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Program tatara;
  const pid_t child =
      tatara.Start({"run", model, "--prompt", "Once", "--max-tokens", "4000", "--ignore-end"});
  sleep(2);
  kill(child, SIGINT);
  const Outcome outcome = tatara.Finish(child);
  EXPECT_EQ(outcome.status, 130) << outcome.err;
}

TEST(CommandLine, DocumentsAreAddedListedUpdatedAndRemoved) {
  Program tatara;
  const auto folder = tatara.folder() / "docs with space";
  std::filesystem::create_directory(folder);
  WriteFile(folder / "a.md", "# Oil\n\nChange the oil every 500 hours.\n");
  WriteFile(folder / "b.txt", "The press stops when the door opens.\n");
  auto report = tatara({"documents", "add", folder.string(), "--json"}).json();
  EXPECT_EQ(report["added"], 2);
  WriteFile(folder / "a.md", "# Oil\n\nChange the oil every 400 hours.\n");
  std::filesystem::remove(folder / "b.txt");
  report = tatara({"documents", "add", folder.string(), "--json"}).json();
  EXPECT_EQ(report["updated"], 1);
  EXPECT_EQ(report["removed"], 1);
  EXPECT_EQ(tatara({"documents", "list", "--json"}).json()["documents"].size(), 1u);
  EXPECT_EQ(tatara({"documents", "remove", "--all", "--json"}).json()["removed"], 1);
  EXPECT_EQ(tatara({"documents", "list", "--collection", "none"}).status, 2);
}

TEST(CommandLine, EmbedAndRerankGiveOneJsonValueALine) {
  TATARA_REQUIRE_MODEL(model, "e5-small");
  Program tatara;
  const auto lines = [](const std::string& text) {
    std::vector<nlohmann::json> values;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) values.push_back(nlohmann::json::parse(line));
    return values;
  };
  const Outcome three = tatara({"embed", model, "--json"}, "one\n\nquery: 三\r\n");
  ASSERT_EQ(three.status, 0) << three.err;
  const auto vectors = lines(three.out);
  ASSERT_EQ(vectors.size(), 3u);
  for (const auto& value : vectors) {
    EXPECT_EQ(value.size(), 1u);
    EXPECT_EQ(value.at("embedding").size(), 384u);
  }
  const Outcome last = tatara({"embed", model, "--json", "--as", "query"}, "三");
  EXPECT_EQ(lines(last.out).at(0), vectors[2]) << "the prefix is put in front once";

  const Outcome raw = tatara(
      {"embed", model, "--tokens", "0,41,1294,2", "--raw", "--json", "--activations", "f32"});
  ASSERT_EQ(raw.status, 0) << raw.err;
  double squares = 0;
  const auto unscaled = lines(raw.out);
  for (const double value : unscaled.at(0).at("embedding")) squares += value * value;
  EXPECT_GT(squares, 1.1);
  EXPECT_EQ(tatara({"embed", model, "--tokens", "0,999999"}).status, 2);
  EXPECT_EQ(tatara({"embed", model, "--json"}).out, "");

  const Outcome scores = tatara({"rerank", model, "--query", "paper jam", "--json"},
                                "Open the cover and pull the stuck sheet out.\nTravel expenses.\n");
  ASSERT_EQ(scores.status, 0) << scores.err;
  const auto values = lines(scores.out);
  ASSERT_EQ(values.size(), 2u);
  EXPECT_GT(values[0].at("score"), values[1].at("score"));
}

TEST(CommandLine, AdaptersAreInReceiptsAndReplaysNameAChangedOne) {
  TATARA_REQUIRE_DATA(model, "golden/arch/llama_q8_0.gguf");
  Program tatara;
  const auto adapter = tatara.folder() / "lora.gguf";
  const auto write = [&](std::uint64_t seed) {
    ThreadPool pool(1);
    auto loaded = model::Model::Load(std::move(*weights::OpenTensorStore(model)), {}, pool);
    test::WriteGgufLora(adapter, (*loaded)->linears(), {.seed = seed});
  };
  write(1);
  const std::string receipt = (tatara.folder() / "r.json").string();
  const std::vector<std::string> plain = {"run",          model,  "--prompt",     "abc",
                                          "--max-tokens", "8",    "--ignore-end", "--json",
                                          "--receipt",    receipt};
  std::set<std::string> digests = {tatara(plain).json().at("logits_sha256")};
  for (const std::vector<std::string>& form : {std::vector<std::string>{}, {"--merge"}}) {
    std::vector<std::string> run = plain;
    run.insert(run.end(), {"--adapter", adapter.string() + ":0.5"});
    run.insert(run.end(), form.begin(), form.end());
    write(1);
    const Outcome outcome = tatara(run);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_TRUE(digests.insert(outcome.json().at("logits_sha256")).second);
    const std::vector<std::string> replay = {"replay", receipt, "--model", model, "--json"};
    EXPECT_EQ(tatara(replay).json().at("ok"), true);
    write(2);
    const Outcome changed = tatara(replay);
    EXPECT_EQ(changed.status, 2);
    EXPECT_THAT(changed.err,
                HasSubstr("made with the adapter '" + adapter.string() + "' of SHA-256"));
  }
}

TEST(CommandLine, ExportsAFolderThatRunsAlikeAndRefusesToReplaceOne) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Program tatara;
  const std::string folder = (tatara.folder() / "hf").string();
  const Outcome outcome = tatara({"export", model, "--to", "hf", folder, "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.json().at("model_class"), "LlamaForCausalLM");
  EXPECT_EQ(outcome.json().at("tokenizer"), true);
  const std::vector<std::string> tail = {"--tokens", "504,3575,282,4649", "--activations", "f32",
                                         "--json"};
  const auto digest = [&](const std::string& of) {
    std::vector<std::string> logits = {"logits", of};
    logits.insert(logits.end(), tail.begin(), tail.end());
    return tatara(logits).json().at("sha256").get<std::string>();
  };
  EXPECT_EQ(digest(folder), digest(model));
  const Outcome again = tatara({"export", model, "--to", "hf", folder});
  EXPECT_EQ(again.status, 2);
  EXPECT_THAT(again.err, HasSubstr("exists already"));
}

}  // namespace
}  // namespace tatara
