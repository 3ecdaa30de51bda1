import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readField, samplingFields } from './sampling.ts';

const field = (name: string) => samplingFields.find((each) => each.name === name)!;

test('values are read within their range, full-width digits too', () => {
  assert.equal(readField(field('temperature'), '0.7'), 0.7);
  assert.equal(readField(field('temperature'), '０．７'), 0.7);
  assert.equal(readField(field('temperature'), ' '), undefined);
  for (const wrong of ['-1', '2.1', 'x', 'NaN', 'Infinity', '1e999']) assert.equal(readField(field('temperature'), wrong), 'wrong');
  assert.equal(readField(field('top_k'), '1.5'), 'wrong');
  assert.equal(readField(field('presence_penalty'), '-2'), -2);
});
