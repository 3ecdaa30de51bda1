import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SentenceTeller } from './announcer.ts';

test('a growing text is told in whole sentences, with pauses, and wholly at the end', () => {
  let now = 0;
  const told: string[] = [];
  const teller = new SentenceTeller((text) => told.push(text), () => now, 1000);
  teller.grown('One');
  teller.grown('One. Tw');
  assert.deepEqual(told, ['One.']);
  teller.grown('One. Two. Three is 3.5 m');
  assert.deepEqual(told, ['One.']); // too soon
  now = 1000;
  teller.grown('One. Two. Three is 3.5 m');
  assert.deepEqual(told, ['One.', 'Two.']);
  teller.finished('One. Two. Three is 3.5 metres');
  assert.deepEqual(told, ['One.', 'Two.', 'Three is 3.5 metres']);
});

test('Japanese sentences end at their own marks', () => {
  const told: string[] = [];
  const teller = new SentenceTeller((text) => told.push(text), () => 0, 0);
  teller.grown('停止します。次に');
  assert.deepEqual(told, ['停止します。']);
});
