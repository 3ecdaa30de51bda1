// Asking one's documents: sources, and what a document says never becomes markup. Most answers are given to the
// page; the last test asks the model.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { accessibilityProblems, answered, eventually, focusIs, leaveTidy, say, shot, start, tabTo } from './harness.mjs';

const samples = fileURLToPath(new URL('../../samples/machine-shop', import.meta.url));

let world;
let page;
before(async () => {
  world = await start();
  const added = spawnSync(process.env.TATARA_PROGRAM, ['documents', 'add', samples], {
    env: { ...process.env, TATARA_HOME: world.home },
  });
  assert.equal(added.status, 0, String(added.stderr));
});
leaveTidy(() => world, () => page);

const source = (number, quote, more = {}) => ({
  number, document: '保全手順書.md', heading: '旋盤 › 点検', line_first: 12, line_last: 14, quote, file_changed: false, ...more,
});

function answer(parts, whole) {
  const events = parts.map((text) => ({ object: 'ask.delta', text }));
  const usage = { prompt_tokens: 900, completion_tokens: 40 };
  events.push({ object: 'ask.answer', supported: true, citations: [], nearest: [], usage, ...whole });
  return `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}data: [DONE]\n\n`;
}

const answerWith = (body) =>
  page.route('**/v1/ask', (route) =>
    route.fulfill({ status: 200, contentType: 'text/event-stream', headers: { 'x-tatara-receipt': 'ask-1' }, body }),
  );

test('an answer from the documents shows its sources, after a reload too', async () => {
  page = await world.open({ locale: 'ja-JP', offers: ['/v1/ask'] });
  await answerWith(
    answer(['主軸の温度が', '80 ℃に達したら運転を止めます。[1][2]'], {
      answer: '主軸の温度が80 ℃に達したら運転を止め、保全課へ連絡します。[1][2]',
      citations: [
        source(1, '主軸の温度が80 ℃に達したときは、直ちに運転を止める。'),
        source(2, '停止後は保全課（内線4821）へ連絡する。', { heading: '', line_first: 30, line_last: 30, file_changed: true }),
      ],
    }),
  );
  await tabTo(page, '文書から回答');
  await page.keyboard.press('Space');
  await eventually(async () =>
    assert.equal(await page.getByRole('button', { name: '文書から回答' }).getAttribute('aria-pressed'), 'true'));
  const request = page.waitForRequest((each) => each.url().endsWith('/v1/ask'));
  await say(page, '主軸が熱いときはどうしますか？');
  assert.equal((await request).postDataJSON().question, '主軸が熱いときはどうしますか？');
  await answered(page);
  await page.locator('.sources').waitFor();
  const check = async () => {
    await eventually(async () => assert.match(await page.locator('.answer .markdown').innerText(), /止め、保全課へ連絡します。\[1\]\[2\]$/));
    const shown = await page.locator('.sources').innerText();
    assert.match(shown, /出典/);
    assert.match(shown, /\[1\]\s*保全手順書\.md › 旋盤 › 点検 › 12～14行目\s*主軸の温度が80 ℃に達したときは/);
    assert.match(shown, /保全手順書\.md › 30行目[\s\S]*このファイルは登録後に変更されています/);
  };
  await check();
  await shot(page, 'documents-ja');
  await eventually(async () => assert.deepEqual(await accessibilityProblems(page), []));
  await page.locator('.history a').waitFor();
  await page.waitForTimeout(200);
  await page.reload();
  await page.locator('.sources').waitFor();
  await check();
});

test('where the documents do not say it, that is said, with the nearest passages', async () => {
  page = await world.open({ offers: ['/v1/ask'] });
  await answerWith(answer([], { answer: '', supported: false, nearest: [source(0, '<img src=x onerror=globalThis.hit=1> a passage')] }));
  await page.getByRole('button', { name: 'From documents' }).click();
  await say(page, 'What is the price?');
  await answered(page);
  await page.getByText('The documents do not say this.').waitFor();
  await page.getByText('Nearest passages').waitFor();
  await page.getByText('<img src=x onerror').waitFor();
  assert.equal(await page.evaluate(() => globalThis.hit), undefined);
});

test('answering again asks the documents again', async () => {
  page = await world.open({ offers: ['/v1/ask'] });
  await answerWith(answer(['yes'], { answer: 'yes' }));
  await page.getByRole('button', { name: 'From documents' }).click();
  await say(page, 'Is it?');
  await answered(page);
  await page.getByRole('button', { name: 'From documents' }).click();
  const request = page.waitForRequest((each) => each.url().endsWith('/v1/ask'));
  await page.locator('.messages').focus();
  await tabTo(page, 'Answer again');
  await page.keyboard.press('Enter');
  await request;
  await answered(page);
  await focusIs(page, 'Message');
});

test('a server that offers no asking of documents shows no control for it', async () => {
  page = await world.open({ offers: [] });
  await page.locator('.composer-box').waitFor();
  assert.equal(await page.getByRole('button', { name: 'From documents' }).count(), 0);
});

// What the small model answers is its own affair; that the page shows what the server found is not.
for (const [locale, question, { ask, sources, nearest, receipt }] of [
  ['en-GB', 'Where is the assembly point?', { ask: 'From documents', sources: 'Sources', nearest: 'Nearest passages', receipt: 'Receipt' }],
  ['ja-JP', '主軸の温度は何度で異常ですか？', { ask: '文書から回答', sources: '出典', nearest: '関連する箇所', receipt: '受領書' }],
]) {
  test(`a real answer has its sources, or says that there is none (${locale})`, async () => {
    page = await world.open({ locale });
    const short = { max_tokens: 48 };
    await page.route('**/v1/ask', (route) =>
      route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), ...short }) }));
    await page.getByRole('button', { name: ask }).click();
    await say(page, question);
    await answered(page);
    await page.locator('.sources').waitFor();
    // The same question of the server itself has the same answer, to the bit.
    const asked = await fetch(`${world.url}/v1/ask`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ question, ...short }),
    });
    const whole = await asked.json();
    assert.equal(whole.object, 'ask.answer');

    const said = page.locator('.answer .markdown');
    const shown = whole.supported ? whole.citations : whole.nearest;
    const places = page.locator('.source-place');
    await eventually(async () => assert.equal(await places.count(), shown.length));
    assert.ok(shown.length > 0, 'words of the question are in the documents');
    await page.getByRole('heading', { name: whole.supported ? sources : nearest }).waitFor();
    for (const [index, citation] of shown.entries()) {
      await eventually(async () => assert.ok((await places.nth(index).innerText()).startsWith(citation.document)));
      const quote = await page.locator('.sources blockquote').nth(index).innerText();
      const lines = readFileSync(`${samples}/../${citation.document}`, 'utf8').split(/\r?\n/);
      const there = lines.slice(citation.line_first - 1, citation.line_last).join('\n');
      const bare = (text) => text.replace(/\s+/g, '');
      assert.ok(bare(there).includes(bare(citation.quote)), `'${citation.quote}' is not in lines ${there}`);
      assert.ok(bare(citation.quote).startsWith(bare(quote)));
    }
    if (whole.supported) {
      const marks = [...(await said.innerText()).matchAll(/\[(\d+)\]/g)].map((mark) => Number(mark[1]));
      const numbers = whole.citations.map((citation) => citation.number);
      assert.ok(marks.every((mark) => numbers.includes(mark)), `marks ${marks}, sources ${numbers}`);
    } else {
      assert.deepEqual(whole.citations, []);
      await eventually(async () => assert.equal((await said.innerText()).trim(), whole.answer.trim()));
    }
    await shot(page, `documents-real-${locale}`);

    // Its receipt is there to be opened.
    await page.getByRole('button', { name: receipt, exact: true }).click();
    await page.locator('dialog[open]').waitFor();
    await eventually(async () => assert.deepEqual(await accessibilityProblems(page), []));
    await page.keyboard.press('Escape');
  });
}
