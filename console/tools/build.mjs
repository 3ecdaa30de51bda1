// node tools/build.mjs --out FOLDER [--dev]: bundles src/ and writes the files, and FOLDER/console_files.cc
// that holds them as constants. The same sources give the same files; their gzip form is as Node.js packs it.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as esbuild from 'esbuild';
import { embed } from './embed.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const { values: options } = parseArgs({ options: { out: { type: 'string' }, dev: { type: 'boolean' } } });
if (!options.out) throw new Error('build.mjs: --out FOLDER is missing');

const bundle = await esbuild.build({
  absWorkingDir: root,
  entryPoints: { app: 'src/main.tsx', style: 'src/styles/main.css' },
  outdir: 'assets',
  entryNames: '[name]-[hash]',
  chunkNames: 'part-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  target: ['es2021', 'chrome100', 'firefox100', 'safari15'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  minify: !options.dev,
  legalComments: 'none',
  metafile: true,
  write: false,
  logLevel: 'warning',
});

// "/assets/app-XXXXXXXX.js" of the entry "src/main.tsx".
const outputOf = (entry) => {
  const found = Object.entries(bundle.metafile.outputs).find(([, output]) => output.entryPoint === entry);
  return `/${found[0]}`;
};
const icon = readFileSync(join(root, 'src/icon.svg'));
const iconPath = `/assets/icon-${createHash('sha256').update(icon).digest('hex').slice(0, 8)}.svg`;
const page = readFileSync(join(root, 'src/index.html'), 'utf8')
  .replace('{script}', outputOf('src/main.tsx'))
  .replace('{style}', outputOf('src/styles/main.css'))
  .replace('{icon}', iconPath);

const files = [
  { path: '/', bytes: Buffer.from(page), type: '.html' },
  { path: iconPath, bytes: icon, type: '.svg' },
  ...bundle.outputFiles
    .map((file) => ({ path: file.path.slice(root.length), bytes: Buffer.from(file.contents), type: extname(file.path) }))
    .sort((a, b) => (a.path < b.path ? -1 : 1)),
];

mkdirSync(options.out, { recursive: true });
writeFileSync(join(options.out, 'console_files.cc'), embed(files));
