import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newestLeafUnder, pathTo, siblingsOf, titleOf, type Message } from './tree.ts';

const message = (id: string, parent: string | null, role: 'user' | 'assistant'): Message => ({ id, parent, role, content: id });
const messages = [
  message('q1', null, 'user'), message('a1', 'q1', 'assistant'), message('a1b', 'q1', 'assistant'),
  message('q2', 'a1b', 'user'), message('a2', 'q2', 'assistant'), message('q1x', null, 'user'),
];
const ids = (list: readonly Message[]) => list.map((each) => each.id);

test('what is shown is the path to the active message', () => {
  assert.deepEqual(ids(pathTo(messages, 'a2')), ['q1', 'a1b', 'q2', 'a2']);
  assert.deepEqual(ids(pathTo(messages, null)), []);
  assert.deepEqual(ids(pathTo(messages, 'missing')), []);
});

test('versions are the siblings, and the newest leaf is where one arrives', () => {
  assert.deepEqual(ids(siblingsOf(messages, messages[1]!)), ['a1', 'a1b']);
  assert.deepEqual(ids(siblingsOf(messages, messages[0]!)), ['q1', 'q1x']);
  assert.equal(newestLeafUnder(messages, 'q1'), 'a2');
  assert.equal(newestLeafUnder(messages, 'a1'), 'a1');
});

test('a ring in what was stored does not hang the page', () => {
  const ring = [message('a', 'b', 'user'), message('b', 'a', 'assistant')];
  assert.ok(pathTo(ring, 'a').length <= 3);
  assert.ok(['a', 'b'].includes(newestLeafUnder(ring, 'a')));
});

test('a title is the first line, cut between characters', () => {
  assert.equal(titleOf('  What  is\tthis?\nmore'), 'What is this?');
  assert.equal(titleOf('𠮷'.repeat(80), 10), `${'𠮷'.repeat(9)}…`);
  assert.equal(titleOf('\n\n'), '');
});
