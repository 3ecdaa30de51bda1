// The openai package of npm against a running server: OPENAI_BASE_URL, models "tiny" and "vectors".
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';

const client = new OpenAI({ maxRetries: 0, timeout: 120_000 });
const talk = [{ role: 'user', content: 'Say three words about the sea.' }];
const seeded = { model: 'tiny', messages: talk, max_tokens: 12, seed: 7 };

test('models are listed and found by name', async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.deepEqual(names.sort(), ['tiny', 'vectors']);
  assert.equal((await client.models.retrieve('tiny')).id, 'tiny');
  await assert.rejects(client.models.retrieve('nothing'), OpenAI.NotFoundError);
});

test('a stream joined is the answer', async () => {
  const wish = { ...seeded, n: 2, logprobs: true, top_logprobs: 2 };
  const whole = await client.chat.completions.create(wish);
  const texts = ['', ''];
  const tokens = [[], []];
  let usage = null;
  const stream = await client.chat.completions.create({
    ...wish,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      texts[choice.index] += choice.delta.content ?? '';
      if (choice.logprobs) tokens[choice.index].push(...choice.logprobs.content);
    }
  }
  for (const choice of whole.choices) {
    assert.equal(texts[choice.index], choice.message.content);
    assert.deepEqual(tokens[choice.index], choice.logprobs.content);
  }
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

test('the streaming helper gathers the answer', async () => {
  const whole = await client.chat.completions.create(seeded);
  const final = await client.chat.completions.stream(seeded).finalChatCompletion();
  assert.equal(final.choices[0].message.content, whole.choices[0].message.content);
});

test('a stream may be left', async () => {
  const stream = await client.chat.completions.create({
    model: 'tiny',
    messages: talk,
    max_tokens: 400,
    stream: true,
  });
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    break;
  }
});

test('texts go on, in one piece and in a stream', async () => {
  const wish = { model: 'tiny', prompt: ['The sea', 'The sky'], max_tokens: 6, temperature: 0 };
  const whole = await client.completions.create({ ...wish, echo: true });
  assert.ok(whole.choices[1].text.startsWith('The sky'));
  const texts = ['', ''];
  for await (const chunk of await client.completions.create({ ...wish, echo: true, stream: true })) {
    for (const choice of chunk.choices) texts[choice.index] += choice.text;
  }
  assert.deepEqual(texts, whole.choices.map((choice) => choice.text));
});

test('vectors come as floats and as base64', async () => {
  const floats = await client.embeddings.create({
    model: 'vectors',
    input: ['a', 'b'],
    encoding_format: 'float',
  });
  const usual = await client.embeddings.create({ model: 'vectors', input: ['a', 'b'] });
  for (let i = 0; i < 2; ++i) {
    assert.deepEqual(
      Array.from(Float32Array.from(floats.data[i].embedding)),
      Array.from(Float32Array.from(usual.data[i].embedding)),
    );
  }
});

test('wrong values name their field', async () => {
  for (const [field, value] of [['temperature', 3], ['n', 0], ['logit_bias', { x: 1 }]]) {
    await assert.rejects(
      client.chat.completions.create({ ...seeded, [field]: value }),
      (error) => error instanceof OpenAI.BadRequestError && error.param === field,
    );
  }
});

test('a question to the documents, streamed and whole', async () => {
  const body = { model: 'tiny', question: 'ヒヤリハット用紙は何時間以内に出しますか？', max_tokens: 24 };
  const whole = await client.post('/ask', { body });
  assert.equal(whole.object, 'ask.answer');
  assert.equal(whole.supported, whole.citations.length > 0);
  assert.ok((await client.get(`/receipts/${whole.id}`)).payload);
  const events = [];
  for await (const event of await client.post('/ask', { body: { ...body, stream: true }, stream: true })) {
    events.push(event);
  }
  const last = events.pop();
  assert.equal(events.map((event) => event.text).join(''), whole.answer);
  assert.deepEqual(last.citations, whole.citations);
  assert.deepEqual(last.nearest, whole.nearest);
});

test('rerank and receipts by raw requests', async () => {
  const ranked = await client.post('/rerank', {
    body: { model: 'vectors', query: 'What do cats eat?', documents: ['Blue sky.', 'Cats eat fish.'] },
  });
  assert.equal(ranked.results[0].index, 1);
  const answer = await client.chat.completions.create(seeded);
  assert.ok((await client.get(`/receipts/${answer.id}`)).payload);
});
