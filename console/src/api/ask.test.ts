import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askEventsOf } from './ask.ts';

const source = { number: 1, document: 'a.md', heading: 'A > B', line_first: 3, line_last: 4, quote: 'x'.repeat(5000), file_changed: false };

test('the whole answer takes the place of its parts, with sources cut to what is kept', () => {
  assert.deepEqual(askEventsOf({ object: 'ask.delta', text: 'a' }), [{ kind: 'text', text: 'a' }]);
  const [found, ended] = askEventsOf({
    object: 'ask.answer', answer: 'abc [1]', supported: true, citations: Array(50).fill({ ...source, path: '/secret' }), nearest: [],
  });
  assert.ok(found?.kind === 'found' && found.supported && found.text === 'abc [1]');
  assert.equal(found.citations.length, 12);
  assert.equal(found.citations[0]?.quote.length, 600);
  assert.ok(!('path' in found.citations[0]!));
  assert.deepEqual(ended, { kind: 'ended', finish: 'stop' });
});

test('an error within the stream is thrown', () => {
  assert.throws(() => askEventsOf({ error: { message: 'gone' } }), /gone/);
});
