import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SseParser } from './sse.ts';

const stream = 'data: {"a":1}\n\n: a remark\nevent: x\ndata: two\r\ndata: lines\r\n\r\ndata:三\n\n';
const events = ['{"a":1}', 'two\nlines', '三'];

test('events are the same however the bytes are cut', () => {
  for (let size = 1; size <= stream.length; ++size) {
    const parser = new SseParser();
    const got: string[] = [];
    for (let at = 0; at < stream.length; at += size) got.push(...parser.push(stream.slice(at, at + size)));
    assert.deepEqual(got, events, `in pieces of ${size}`);
  }
});

test('an event without its end is not told', () => {
  assert.deepEqual(new SseParser().push('data: half\n'), []);
});
