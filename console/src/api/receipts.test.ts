import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readReceipt } from './receipts.ts';

test('a receipt is read with its Japanese texts and what was left out', () => {
  const payload = { receipt: 1, root: 'r', fields: { kind: { sha256: 'a', value: 'run' }, 'output.text': { sha256: 'b', value: '停止' }, 'input.prompt': { sha256: 'c' } } };
  const envelope = { payload: Buffer.from(JSON.stringify(payload)).toString('base64'), signatures: [{ keyid: 'k' }] };
  const receipt = readReceipt(JSON.stringify(envelope));
  assert.equal(receipt.signedBy, 'k');
  assert.equal(receipt.fields[1]?.value, '停止');
  assert.deepEqual(receipt.fields.map((field) => field.redacted), [false, false, true]);
});
