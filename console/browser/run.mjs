// node browser/run.mjs: the suites of this folder. 77 where something to test with is missing, on CI 1.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { missing } from './harness.mjs';

const lacks = missing();
if (lacks !== undefined) {
  const ci = process.env.CI === 'true';
  console.error(`${ci ? 'missing on CI' : 'skipped'}: no ${lacks}`);
  process.exit(ci ? 1 : 77);
}
const folder = dirname(fileURLToPath(import.meta.url));
const suites = readdirSync(folder).filter((name) => name.endsWith('.test.mjs')).sort();
// One after the other: each has a server and a browser of its own.
for (const suite of suites) {
  const { status } = spawnSync(process.execPath, ['--test', join(folder, suite)], { stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}
