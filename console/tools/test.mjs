// node tools/test.mjs: every src/**/*.test.ts(x), bundled as the console is, run by node:test.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

function* filesUnder(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesUnder(path);
    else if (/\.test\.tsx?$/.test(entry.name)) yield path;
  }
}

const tests = [...filesUnder(join(root, 'src'))].sort();
const folder = mkdtempSync(join(tmpdir(), 'tatara-console-'));
let status = 1;
try {
  await esbuild.build({
    absWorkingDir: root,
    entryPoints: tests,
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node18',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    logLevel: 'warning',
  });
  const files = [...filesUnderOut(folder)];
  if (files.length !== tests.length) throw new Error(`${tests.length} tests, ${files.length} bundles`);
  status = spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit' }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(status);

function* filesUnderOut(where) {
  for (const entry of readdirSync(where, { withFileTypes: true })) {
    const path = join(where, entry.name);
    if (entry.isDirectory()) yield* filesUnderOut(path);
    else if (entry.name.endsWith('.test.mjs')) yield path;
  }
}
