import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wantsToSend } from './growing_text.tsx';

const enter = { key: 'Enter', isComposing: false, keyCode: 13, shiftKey: false, ctrlKey: false, metaKey: false };

test('Enter sends, but never the Enter that ends a conversion', () => {
  assert.ok(wantsToSend(enter, 'enter'));
  assert.ok(!wantsToSend({ ...enter, shiftKey: true }, 'enter'));
  assert.ok(!wantsToSend({ ...enter, isComposing: true }, 'enter'));
  assert.ok(!wantsToSend({ ...enter, keyCode: 229 }, 'enter'));
  assert.ok(!wantsToSend({ ...enter, key: 'a' }, 'enter'));
});

test('where Ctrl+Enter sends, Enter alone does not', () => {
  assert.ok(!wantsToSend(enter, 'ctrl-enter'));
  assert.ok(wantsToSend({ ...enter, ctrlKey: true }, 'ctrl-enter'));
  assert.ok(wantsToSend({ ...enter, metaKey: true }, 'ctrl-enter'));
  assert.ok(!wantsToSend({ ...enter, ctrlKey: true, isComposing: true }, 'ctrl-enter'));
});
