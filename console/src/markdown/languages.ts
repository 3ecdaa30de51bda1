// The languages that code is coloured in.
import bash from 'highlight.js/lib/languages/bash';
import c from 'highlight.js/lib/languages/c';
import cpp from 'highlight.js/lib/languages/cpp';
import csharp from 'highlight.js/lib/languages/csharp';
import css from 'highlight.js/lib/languages/css';
import diff from 'highlight.js/lib/languages/diff';
import go from 'highlight.js/lib/languages/go';
import ini from 'highlight.js/lib/languages/ini';
import java from 'highlight.js/lib/languages/java';
import javascript from 'highlight.js/lib/languages/javascript';
import json from 'highlight.js/lib/languages/json';
import python from 'highlight.js/lib/languages/python';
import rust from 'highlight.js/lib/languages/rust';
import sql from 'highlight.js/lib/languages/sql';
import typescript from 'highlight.js/lib/languages/typescript';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';
import { createLowlight } from 'lowlight';
import type { Piece } from './highlight.ts';

const lowlight = createLowlight({
  bash, c, cpp, csharp, css, diff, go, ini, java, javascript, json, python, rust, sql, typescript, xml, yaml,
});

interface Hast {
  type: string;
  value?: string;
  properties?: { className?: unknown };
  children?: Hast[];
}

function pieceOf(node: Hast): Piece {
  if (node.type === 'text') return { kinds: '', text: node.value ?? '', children: [] };
  const names = node.properties?.className;
  const kinds = Array.isArray(names) ? names.map((name) => String(name).replace(/^hljs-/, 'hl-')).join(' ') : '';
  return { kinds, children: (node.children ?? []).map(pieceOf) };
}

export function highlight(code: string, language: string): Piece[] | undefined {
  if (!lowlight.registered(language)) return undefined;
  return (lowlight.highlight(language, code) as Hast).children?.map(pieceOf);
}
