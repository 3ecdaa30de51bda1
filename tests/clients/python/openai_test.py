"""The openai package of PyPI against a running server: OPENAI_BASE_URL, models "tiny" and "vectors"."""
import asyncio
import base64
import concurrent.futures
import os
import struct
import unittest

import openai

CLIENT = openai.OpenAI(max_retries=0, timeout=120)
TALK = [{"role": "user", "content": "Say three words about the sea."}]
SEEDED = dict(model="tiny", messages=TALK, max_tokens=12, seed=7)


class Models(unittest.TestCase):
    def test_are_listed_and_found_by_name(self):
        names = {model.id for model in CLIENT.models.list()}
        self.assertEqual(names, {"tiny", "vectors"})
        self.assertEqual(CLIENT.models.retrieve("tiny").id, "tiny")

    def test_an_unknown_one_is_not_found(self):
        with self.assertRaises(openai.NotFoundError):
            CLIENT.models.retrieve("nothing")
        with self.assertRaises(openai.NotFoundError) as caught:
            CLIENT.chat.completions.create(model="nothing", messages=TALK)
        self.assertIn("tiny", str(caught.exception))


class Chat(unittest.TestCase):
    def test_an_answer_has_all_parts(self):
        answer = CLIENT.chat.completions.create(**SEEDED)
        choice = answer.choices[0]
        self.assertEqual(choice.message.role, "assistant")
        self.assertTrue(choice.message.content)
        self.assertIn(choice.finish_reason, ("stop", "length"))
        self.assertEqual(answer.usage.total_tokens,
                         answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertEqual(answer.object, "chat.completion")

    def test_the_same_seed_gives_the_same_answer_alone_and_at_once(self):
        alone = CLIENT.chat.completions.create(**SEEDED).choices[0].message.content
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            together = list(pool.map(
                lambda _: CLIENT.chat.completions.create(**SEEDED).choices[0].message.content, range(4)))
        self.assertEqual(together, [alone] * 4)

    def test_a_stream_joined_is_the_answer(self):
        wish = dict(SEEDED, n=2, logprobs=True, top_logprobs=2)
        whole = CLIENT.chat.completions.create(**wish)
        texts, reasons, tokens = ["", ""], [None, None], [[], []]
        usage = None
        stream = CLIENT.chat.completions.create(**wish, stream=True, stream_options={"include_usage": True})
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                reasons[choice.index] = choice.finish_reason or reasons[choice.index]
                if choice.logprobs:
                    tokens[choice.index] += choice.logprobs.content
        for choice in whole.choices:
            self.assertEqual(texts[choice.index], choice.message.content)
            self.assertEqual(reasons[choice.index], choice.finish_reason)
            self.assertEqual(tokens[choice.index], choice.logprobs.content)
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)

    def test_the_streaming_helper_gathers_the_answer(self):
        whole = CLIENT.chat.completions.create(**SEEDED).choices[0].message.content
        with CLIENT.chat.completions.stream(**SEEDED) as stream:
            for _ in stream:
                pass
            try:
                final = stream.get_final_completion()
            except openai.LengthFinishReasonError as short:
                final = short.completion
        self.assertEqual(final.choices[0].message.content, whole)

    def test_a_stream_may_be_left(self):
        stream = CLIENT.chat.completions.create(model="tiny", messages=TALK, max_tokens=400, stream=True)
        next(iter(stream))
        stream.close()

    def test_limits_stops_and_biases_are_kept(self):
        short = CLIENT.chat.completions.create(model="tiny", messages=TALK, max_completion_tokens=3,
                                               temperature=0)
        self.assertEqual(short.usage.completion_tokens, 3)
        self.assertEqual(short.choices[0].finish_reason, "length")
        first = short.choices[0].message.content
        stopped = CLIENT.chat.completions.create(model="tiny", messages=TALK, max_completion_tokens=3,
                                                 temperature=0, stop=[first[:2]])
        self.assertEqual(stopped.choices[0].finish_reason, "stop")
        self.assertEqual(stopped.choices[0].message.content, "")
        banned = CLIENT.chat.completions.create(
            model="tiny", messages=TALK, max_completion_tokens=3, temperature=0, logprobs=True)
        ids = CLIENT.post("/../tokenize", cast_to=object, body={
            "model": "tiny", "content": banned.choices[0].logprobs.content[0].token,
            "add_special": False})["tokens"]
        other = CLIENT.chat.completions.create(model="tiny", messages=TALK, max_completion_tokens=3,
                                               temperature=0, logit_bias={str(ids[0]): -100})
        self.assertNotEqual(other.choices[0].message.content, first)

    def test_parts_tools_and_further_fields_are_taken(self):
        tool = {"type": "function", "function": {"name": "look", "description": "Looks.",
                                                 "parameters": {"type": "object", "properties": {}}}}
        answer = CLIENT.chat.completions.create(
            model="tiny", max_tokens=4, user="me", tools=[tool],
            messages=[{"role": "developer", "content": "Be brief."},
                      {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                      {"role": "assistant", "content": None, "tool_calls": [
                          {"id": "c1", "type": "function",
                           "function": {"name": "look", "arguments": "{\"at\": 1}"}}]},
                      {"role": "tool", "tool_call_id": "c1", "content": "the sea"}],
            extra_body={"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1})
        self.assertEqual(len(answer.choices), 1)

    def test_wrong_values_name_their_field(self):
        for field, value in (("temperature", 3), ("top_p", -1), ("n", 0), ("max_tokens", 0),
                             ("response_format", {"type": "json_object"}), ("tool_choice", "required")):
            with self.assertRaises(openai.BadRequestError) as caught:
                CLIENT.chat.completions.create(model="tiny", messages=TALK, **{field: value})
            self.assertEqual(caught.exception.param, field)

    def test_unknown_fields_are_named_in_a_header(self):
        answer = CLIENT.chat.completions.with_raw_response.create(
            model="tiny", messages=TALK, max_tokens=1, extra_body={"wibble": 1})
        self.assertEqual(answer.headers["x-tatara-ignored"], "wibble")
        self.assertEqual(answer.headers["x-tatara-receipt"], answer.parse().id)


class Completions(unittest.TestCase):
    def test_prompts_of_every_form(self):
        ids = CLIENT.post("/../tokenize", cast_to=object,
                          body={"model": "tiny", "content": "The sea", "add_special": False})["tokens"]
        wish = dict(model="tiny", max_tokens=4, temperature=0)
        by_text = CLIENT.completions.create(prompt="The sea", **wish).choices[0].text
        self.assertEqual(CLIENT.completions.create(prompt=ids, **wish).choices[0].text, by_text)
        several = CLIENT.completions.create(prompt=["The sea", "The sky"], **wish)
        self.assertEqual([choice.index for choice in several.choices], [0, 1])
        self.assertEqual(several.choices[0].text, by_text)
        self.assertEqual(CLIENT.completions.create(prompt=[ids, ids], **wish).choices[1].text, by_text)

    def test_echo_logprobs_and_n(self):
        answer = CLIENT.completions.create(model="tiny", prompt="The sea", max_tokens=4, n=2, seed=3,
                                           logprobs=2)
        for choice in answer.choices:
            self.assertEqual("".join(choice.logprobs.tokens)[:len(choice.text)], choice.text)
            self.assertTrue(all(value <= 0 for value in choice.logprobs.token_logprobs))
        echo = CLIENT.completions.create(model="tiny", prompt="The sea", max_tokens=4, echo=True)
        self.assertTrue(echo.choices[0].text.startswith("The sea"))

    def test_a_stream_joined_is_the_answer(self):
        wish = dict(model="tiny", prompt="The sea", max_tokens=8, seed=5)
        whole = CLIENT.completions.create(**wish).choices[0].text
        stream = CLIENT.completions.create(**wish, stream=True)
        self.assertEqual("".join(chunk.choices[0].text for chunk in stream), whole)


class Embeddings(unittest.TestCase):
    def test_floats_and_base64_are_the_same_vectors(self):
        floats = CLIENT.embeddings.create(model="vectors", input=["a", "b"], encoding_format="float")
        packed = CLIENT.embeddings.create(model="vectors", input=["a", "b"], encoding_format="base64")
        usual = CLIENT.embeddings.create(model="vectors", input=["a", "b"])
        for i in range(2):
            raw = base64.b64decode(packed.data[i].embedding)
            unpacked = list(struct.unpack(f"<{len(raw) // 4}f", raw))
            as_f32 = struct.unpack(f"<{len(unpacked)}f", struct.pack(f"<{len(unpacked)}f", *floats.data[i].embedding))
            self.assertEqual(list(as_f32), unpacked)
            self.assertEqual(len(usual.data[i].embedding), len(unpacked))
            self.assertAlmostEqual(sum(x * x for x in unpacked), 1, places=4)
        self.assertGreater(floats.usage.prompt_tokens, 0)

    def test_a_batch_gives_what_single_texts_give(self):
        batch = CLIENT.embeddings.create(model="vectors", input=["one", "two words", "three"],
                                         encoding_format="float")
        for i, text in enumerate(["one", "two words", "three"]):
            alone = CLIENT.embeddings.create(model="vectors", input=text, encoding_format="float")
            self.assertEqual(batch.data[i].embedding, alone.data[0].embedding)

    def test_wrong_dimensions_and_models_are_refused(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            CLIENT.embeddings.create(model="vectors", input="a", dimensions=7)
        self.assertEqual(caught.exception.param, "dimensions")
        with self.assertRaises(openai.BadRequestError):
            CLIENT.embeddings.create(model="tiny", input="a")


class Others(unittest.TestCase):
    """Endpoints that the package has no names for, through its raw requests."""

    def test_rerank(self):
        answer = CLIENT.post("/rerank", cast_to=object, body={
            "model": "vectors", "query": "What do cats eat?", "top_n": 2, "return_documents": True,
            "documents": ["The sky is blue.", "Cats eat mice and fish.", "Cars need fuel."]})
        self.assertEqual(len(answer["results"]), 2)
        self.assertEqual(answer["results"][0]["index"], 1)
        self.assertEqual(answer["results"][0]["document"]["text"], "Cats eat mice and fish.")

    def test_a_question_to_the_documents_streamed_and_whole(self):
        wish = {"model": "tiny", "question": "ヒヤリハット用紙は何時間以内に出しますか？", "max_tokens": 24}
        whole = CLIENT.post("/ask", cast_to=object, body=wish)
        self.assertEqual(whole["object"], "ask.answer")
        self.assertEqual(whole["supported"], bool(whole["citations"]))
        self.assertTrue(whole["citations"] or whole["nearest"])
        for citation in whole["citations"] + whole["nearest"]:
            self.assertLessEqual(citation["line_first"], citation["line_last"])
        self.assertIn("payload", CLIENT.get(f"/receipts/{whole['id']}", cast_to=object))
        events = list(CLIENT.post("/ask", cast_to=object, body=dict(wish, stream=True), stream=True,
                                  stream_cls=openai.Stream[object]))
        self.assertEqual("".join(event["text"] for event in events[:-1]), whole["answer"])
        for name in ("answer", "supported", "reason", "citations", "nearest"):
            self.assertEqual(events[-1][name], whole[name])

    def test_a_question_that_can_not_be_asked_is_refused(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            CLIENT.post("/ask", cast_to=object, body={"model": "tiny", "question": ""})
        self.assertEqual(caught.exception.param, "question")
        with self.assertRaises(openai.NotFoundError):
            CLIENT.post("/ask", cast_to=object, body={"model": "tiny", "question": "a", "collection": "other"})

    def test_receipts_are_of_the_answer(self):
        answer = CLIENT.chat.completions.create(**SEEDED)
        receipt = CLIENT.get(f"/receipts/{answer.id}", cast_to=object)
        self.assertIn("payload", receipt)

    def test_templates_and_tokens(self):
        rendered = CLIENT.post("/../apply-template", cast_to=object,
                               body={"model": "tiny", "messages": TALK})["prompt"]
        self.assertIn(TALK[0]["content"], rendered)
        ids = CLIENT.post("/../tokenize", cast_to=object, body={"model": "tiny", "messages": TALK})["tokens"]
        text = CLIENT.post("/../detokenize", cast_to=object, body={"model": "tiny", "tokens": ids})["content"]
        self.assertEqual(text, rendered)


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    async def test_streams(self):
        asyncio.get_running_loop().set_debug(False)  # it tells of every slow step
        async with openai.AsyncOpenAI(max_retries=0) as client:
            whole = (await client.chat.completions.create(**SEEDED)).choices[0].message.content
            text = ""
            async for chunk in await client.chat.completions.create(**SEEDED, stream=True):
                text += chunk.choices[0].delta.content or ""
        self.assertEqual(text, whole)


if __name__ == "__main__":
    assert os.environ.get("OPENAI_BASE_URL"), "OPENAI_BASE_URL names no server"
    unittest.main()
