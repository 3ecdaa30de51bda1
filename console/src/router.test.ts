import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashOf, placeOf } from './router.ts';

test('an address says the page and the rest, whatever stands there', () => {
  assert.deepEqual(placeOf(''), { page: 'chat', rest: '' });
  assert.deepEqual(placeOf('#/chat/abc'), { page: 'chat', rest: 'abc' });
  assert.deepEqual(placeOf('#/chat/%E0%A4%A'), { page: 'chat', rest: '' });
  assert.deepEqual(placeOf(hashOf('documents', 'a/b 日本')), { page: 'documents', rest: 'a/b 日本' });
});
