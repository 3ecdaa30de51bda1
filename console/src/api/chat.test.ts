import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatBody, eventsOf } from './chat.ts';

test('only what was set goes into the request', () => {
  const body = chatBody({ model: 'm', messages: [], sampling: { temperature: 0, seed: undefined } });
  assert.equal(body['temperature'], 0);
  assert.ok(!('seed' in body) && !('top_p' in body));
});

test('a chunk yields its text, its end and its counts', () => {
  assert.deepEqual(eventsOf({ choices: [{ delta: { content: '' }, finish_reason: null }] }), []);
  assert.deepEqual(eventsOf({ choices: [{ delta: { reasoning_content: 'r', content: 'c' }, finish_reason: 'length' }] }), [
    { kind: 'reasoning', text: 'r' },
    { kind: 'text', text: 'c' },
    { kind: 'ended', finish: 'length' },
  ]);
  assert.deepEqual(eventsOf({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 }, tatara: { seed: 5 } }), [
    { kind: 'usage', promptTokens: 3, completionTokens: 4, seed: 5 },
  ]);
});

test('an error within the stream is thrown', () => {
  assert.throws(() => eventsOf({ error: { message: 'the deadline passed' } }), /deadline/);
});
