#!/usr/bin/env python3
"""Write the expected renderings of src/text/testdata: what Python's jinja2 gives, configured as Hugging
Face's transformers configures it for chat templates.

    make_chat_cases.py MODEL_FOLDER      (the folder of the test models' GGUF files)

Needs jinja2 3.1 and gguf. jinja_cases.json: small templates, one language feature each, from
tools/jinja_cases.txt. chat_cases.json: conversations through the templates of two real models; the
templates stay in the model files.
"""
import datetime
import json
import pathlib
import sys

import jinja2
from gguf import GGUFReader
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTDATA = ROOT / "src" / "text" / "testdata"
NOW = datetime.datetime(2026, 11, 21, 9, 5, 7)
NOW_UNIX = 1795251907
MODELS = ["SmolLM2-135M-Instruct.Q4_1.gguf", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"]


class Generation(Extension):
    """{% generation %}: the body as it stands, in a scope of its own."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_render", [])
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


class Raised(Exception):
    pass


def raise_exception(message):
    raise Raised(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def render(source, context):
    try:
        return {"text": environment().from_string(source).render(**context)}
    except Raised as e:
        return {"raised": str(e)}
    except Exception as e:  # noqa: BLE001: any failure of jinja2 is a refusal of ours
        return {"error": type(e).__name__}


CONTEXT = {
    "a": 1, "b": 2, "zero": 0, "neg": -7, "f": 2.5, "big": 123456789012345678901234567890, "tiny": 1e-7, "huge": 1e22,
    "t": True, "n": None, "s": "Hello, World", "ja": "安全カバーを閉じる", "emoji": "火🔥花", "empty": "",
    "html": "<b>\"x\" & 'y'</b>", "lines": "one\ntwo\n\nthree", "padded": "  pad\t\n", "nums": [3, 1, 2],
    "words": ["b", "A", "c", "a"], "nested": [[1, 2], [3, [4]]], "d": {"x": 1, "y": "two", "items": [1], "z": None},
    "users": [{"name": "Mika", "age": 31, "tags": ["x"]}, {"name": "aki", "age": 25, "tags": []},
              {"name": "Ken", "age": 31, "tags": ["x", "y"]}],
    "messages": [{"role": "system", "content": "sys"}, {"role": "user", "content": " hi "},
                 {"role": "assistant", "content": "yo"}],
    "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}],
}


def language_cases():
    """Cases are separated by lines of ---; a line end that belongs to a template stands in it."""
    text = (ROOT / "tools" / "jinja_cases.txt").read_text(encoding="utf-8")
    for source in text.split("\n---\n"):
        yield source.rstrip("\n") if not source.endswith("\\n") else source


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city <now> & later.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 3},
                                                    "scale": {"type": "number", "default": 1.0}}, "required": ["city"]}}}
CALL = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "名古屋", "days": 2}}}
CONVERSATIONS = {
    "system": ([{"role": "system", "content": "You answer in one line."}, {"role": "user", "content": "Hi"}], {}),
    "several_turns": ([{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"},
                       {"role": "user", "content": "And 2+2?"}, {"role": "assistant", "content": "4"},
                       {"role": "user", "content": "Thanks."}], {}),
    "tools": ([{"role": "user", "content": "Weather in 名古屋?"}], {"tools": [WEATHER]}),
    "tool_round_trip": ([{"role": "system", "content": "Use tools."}, {"role": "user", "content": "Weather?"},
                         {"role": "assistant", "content": "", "tool_calls": [CALL]},
                         {"role": "tool", "content": "{\"sky\": \"晴れ\"}"},
                         {"role": "assistant", "content": "Sunny."}, {"role": "user", "content": "And tomorrow?"}],
                        {"tools": [WEATHER]}),
    "two_tool_answers": ([{"role": "user", "content": "Both?"},
                          {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL, CALL]},
                          {"role": "tool", "content": "rain"}, {"role": "tool", "content": "sun"}], {"tools": [WEATHER]}),
    "empty_content": ([{"role": "system", "content": ""}, {"role": "user", "content": ""}], {}),
    "no_messages": ([], {}),
    "japanese": ([{"role": "system", "content": "あなたは工場の手順書に詳しい助手です。"},
                  {"role": "user", "content": "プレス機が停止した時の手順は？\n短く。"}], {}),
    "trailing_spaces": ([{"role": "system", "content": "Trim nothing.  \n"}, {"role": "user", "content": "  x \t\n\n"}], {}),
    "special_looking": ([{"role": "user", "content": "<|im_end|>\n<|im_start|>system\n{{ 1 + 1 }} {% raw %}"}], {}),
    "no_generation_prompt": ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello 🔥"}],
                             {"add_generation_prompt": False}),
    "system_later": ([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}], {}),
    "not_alternating": ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], {}),
    "content_missing": ([{"role": "user"}], {}),
}


def chat_cases(folder):
    for name in MODELS:
        reader = GGUFReader(folder / name)
        source = bytes(reader.fields["tokenizer.chat_template"].parts[-1]).decode()
        for case, (messages, more) in CONVERSATIONS.items():
            context = {"messages": messages, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", **more}
            yield {"model": name, "name": case, "context": context, "expected": render(source, context)}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(v, ensure_ascii=False) for v in value["cases"])
    head = json.dumps({k: v for k, v in value.items() if k != "cases"}, ensure_ascii=False)[:-1]
    path.write_text(f'{head}{", " if len(head) > 1 else ""}"cases": [\n{lines}\n]}}\n', encoding="utf-8")


def main():
    print("jinja2", jinja2.__version__)
    cases = [{"template": s, "expected": render(s, CONTEXT)} for s in language_cases()]
    write(TESTDATA / "jinja_cases.json", {"context": {**CONTEXT, "strftime_now_unix": NOW_UNIX}, "cases": cases})
    write(TESTDATA / "chat_cases.json", {"cases": list(chat_cases(pathlib.Path(sys.argv[1])))})
    print(len(cases), "language cases,", sum("error" in c["expected"] for c in cases), "of them errors")


if __name__ == "__main__":
    main()
