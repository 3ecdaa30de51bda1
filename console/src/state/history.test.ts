import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ageOf } from './history.ts';

test('ages are counted in days of the calendar', () => {
  const noon = new Date(2026, 4, 20, 12).getTime();
  const at = (day: number, hour: number) => new Date(2026, 4, day, hour).getTime() / 1000;
  assert.equal(ageOf(at(20, 0), noon), 'today');
  assert.equal(ageOf(at(19, 23), noon), 'yesterday');
  assert.equal(ageOf(at(19, 1), noon), 'yesterday');
  assert.equal(ageOf(at(18, 23), noon), 'week');
  assert.equal(ageOf(at(10, 12), noon), 'older');
});
