import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMarkdown, safeHref, type Node } from './tree.ts';

function texts(node: Node): string {
  return (node.text ?? '') + node.children.map(texts).join('');
}
function all(node: Node, kind: Node['kind']): Node[] {
  return [...(node.kind === kind ? [node] : []), ...node.children.flatMap((child) => all(child, kind))];
}

test('HTML stays text', () => {
  for (const source of ['<script>alert(1)</script>', 'a <img src=x onerror=alert(1)> b', '<svg/onload=alert(1)>', '<!-- x -->']) {
    const tree = parseMarkdown(source);
    assert.equal(texts(tree), source);
  }
});

test('links lead only to http, https and mailto', () => {
  for (const href of ['javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'data:text/html,x', 'vbscript:x', 'file:///etc/passwd',
    '/v1/session', '//evil.example/x', 'java\nscript:alert(1)', '\u0001javascript:alert(1)', '']) {
    assert.equal(safeHref(href), undefined, href);
  }
  assert.equal(safeHref('https://example.com/a?b=c'), 'https://example.com/a?b=c');
  for (const source of ['[x](javascript:alert%281%29)', '[x](  javascript:alert(1))', '<javascript:alert(1)>', '[x](data:text/html;base64,PHM+)']) {
    for (const link of all(parseMarkdown(source), 'link')) assert.equal(link.href, undefined, source);
  }
  assert.equal(all(parseMarkdown('see https://example.com/日本 now'), 'link').length, 1);
});

test('pictures become links, since loading one tells its host who reads', () => {
  const tree = parseMarkdown('![a chart](https://evil.example/x.png?secret)');
  assert.deepEqual(all(tree, 'link').map((link) => [link.href, texts(link)]), [['https://evil.example/x.png?secret', 'a chart']]);
});

test('bold works between Japanese marks', () => {
  assert.equal(all(parseMarkdown('これは**「重要」**です。'), 'strong').length, 1);
  assert.equal(all(parseMarkdown('**注意：**必ず停止する'), 'strong').length, 1);
});

test('tables, lists and code keep their structure', () => {
  const table = parseMarkdown('| a | b |\n|---|--:|\n| 1 | 2 |\n');
  assert.deepEqual(all(table, 'cell').map((cell) => [texts(cell), cell.align]), [['1', undefined], ['2', 'right']]);
  const list = parseMarkdown('3. x\n4. y\n   - z\n');
  assert.equal(all(list, 'list').length, 2);
  assert.equal(all(list, 'list')[0]?.start, 3);
  const code = all(parseMarkdown('```python title="x"\nprint(1)\n\n```'), 'code-block')[0];
  assert.deepEqual([code?.language, code?.text], ['python', 'print(1)\n']);
  assert.equal(all(parseMarkdown('```js\nlet unfinished'), 'code-block')[0]?.text, 'let unfinished');
});

test('deep nesting and long lines end in reasonable time', () => {
  const begun = Date.now();
  for (const source of ['>'.repeat(100_000), '['.repeat(20_000), '*a '.repeat(20_000), '`'.repeat(50_000), '- '.repeat(5_000) + 'x']) {
    parseMarkdown(source);
  }
  assert.ok(Date.now() - begun < 10_000);
});

test('headings step down one at a time, however they were written', () => {
  const tree = parseMarkdown('## a\n#### b\n### c\n# d\n> ###### e');
  assert.deepEqual(all(tree, 'heading').map((heading) => heading.depth), [1, 2, 2, 1, 2]);
});
