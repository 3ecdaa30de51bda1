// Chatting, by keyboard alone.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { before, test } from 'node:test';
import { answered, eventually, focusIs, leaveTidy, say, shot, start, tabTo } from './harness.mjs';

let world;
let page;
before(async () => {
  world = await start();
});
leaveTidy(() => world, () => page);

const text = (selector) => page.locator(selector).innerText();

test('a question is answered as a stream, and kept', async () => {
  page = await world.open();
  await focusIs(page, 'Message');
  // A fast model is done between two looks, so the page itself notes how the answer grew.
  await page.evaluate(() => {
    globalThis.grown = new Set();
    new MutationObserver(() => {
      const growing = document.querySelector('.messages[aria-busy="true"] .answer.growing');
      if (growing) globalThis.grown.add(growing.textContent);
    }).observe(document.body, { attributes: true, characterData: true, childList: true, subtree: true });
  });
  await page.keyboard.type('Name two colours.');
  await page.keyboard.press('Enter');
  await answered(page);
  assert.ok((await page.evaluate(() => globalThis.grown.size)) > 0);
  await eventually(async () => assert.match(await text('.answer .markdown'), /\w{3}/));
  await eventually(async () => assert.equal(await text('.question-text'), 'Name two colours.'));
  await eventually(async () => assert.match(await text('.numbers'), /^\d+ tokens · [\d.,]+ tokens\/s$/));
  await focusIs(page, 'Message');
  await page.locator('.history a').first().waitFor();
  assert.match(page.url(), /#\/chat\/conv_[0-9a-f]{32}$/);
  const before = await text('.answer .markdown');
  await page.reload();
  await page.locator('.answer').waitFor();
  await eventually(async () => assert.equal(await text('.answer .markdown'), before));
  await eventually(async () => assert.equal(await page.title(), 'Name two colours. - Tatara'));
});

test('Escape stops an answer; what there is stays, after a reload too', async () => {
  page = await world.open({ sampling: { temperature: 0.8, max_tokens: 1500 } });
  await say(page, 'Write a very long story about a river, with many chapters.');
  await page.waitForFunction(() => (document.querySelector('.answer .markdown')?.textContent?.length ?? 0) > 40);
  await page.keyboard.press('Escape');
  await page.locator('.ending').waitFor();
  await eventually(async () => assert.equal(await text('.ending'), 'Stopped'));
  assert.equal(await page.locator('.answer .tools button', { hasText: 'Receipt' }).count(), 0);
  const before = await text('.answer .markdown');
  await page.waitForTimeout(300);
  await eventually(async () => assert.equal(await text('.answer .markdown'), before));
  await page.locator('.history a[aria-current]').waitFor();
  await page.reload();
  await page.locator('.ending').waitFor();
  await eventually(async () => assert.equal(await text('.answer .markdown'), before));
});

test('a conversation goes on, with what was said before', async () => {
  page = await world.open();
  await say(page, 'Hello');
  await answered(page);
  const request = page.waitForRequest((each) => each.url().endsWith('/v1/chat/completions'));
  await say(page, 'And now?');
  const { messages } = (await request).postDataJSON();
  assert.deepEqual(messages.map((message) => message.role), ['user', 'assistant', 'user']);
  await answered(page, 2);
});

test('answering again and editing make versions that one can walk through', async () => {
  page = await world.open({ sampling: { temperature: 1, max_tokens: 30 } });
  await say(page, 'Tell me something.');
  await answered(page);
  await page.locator('.messages').focus();
  await tabTo(page, 'Answer again');
  await page.keyboard.press('Enter');
  await page.locator('.answer .versions', { hasText: '2/2' }).waitFor({ timeout: 60_000 });
  await answered(page);
  await page.locator('.messages').focus();
  await tabTo(page, 'Edit');
  await page.keyboard.press('Enter');
  await focusIs(page, 'Edit your message');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('Tell me something else.');
  await page.keyboard.press('Enter');
  await page.locator('.question .versions', { hasText: '2/2' }).waitFor();
  await answered(page);
  await eventually(async () => assert.equal(await text('.question-text'), 'Tell me something else.'));
  await page.locator('.messages').focus();
  await tabTo(page, 'Previous version');
  await page.keyboard.press('Enter');
  await page.locator('.question .versions', { hasText: '1/2' }).waitFor();
  await eventually(async () => assert.equal(await text('.question-text'), 'Tell me something.'));
  await eventually(async () => assert.equal((await text('.answer .versions')).trim(), '2/2'));
  await eventually(async () =>
    assert.ok(await page.evaluate(() => document.activeElement?.closest('.question .versions') !== null)));
});

test('the Enter that ends a conversion does not send', async () => {
  page = await world.open();
  await page.locator('#message').focus();
  await page.keyboard.insertText('こんにちは');
  await page.locator('#message').dispatchEvent('keydown', { key: 'Enter', isComposing: true, keyCode: 229 });
  assert.equal(await page.locator('.question').count(), 0);
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('x');
  await eventually(async () => assert.equal(await page.locator('#message').inputValue(), 'こんにちは\nx'));
});

test('the receipt of an answer is shown, downloaded, and verified by the program', async () => {
  page = await world.open();
  await say(page, 'Name a fruit.');
  await answered(page);
  await page.locator('.messages').focus();
  await tabTo(page, 'Receipt');
  await page.keyboard.press('Enter');
  await page.locator('.facts').waitFor();
  await eventually(async () => assert.match(await text('.facts'), /smollm2-135m[\s\S]*[0-9a-f]{64}/));
  await shot(page, 'receipt-en');
  const download = page.waitForEvent('download');
  await tabTo(page, 'Download');
  await page.keyboard.press('Enter');
  const file = await (await download).path();
  const verified = spawnSync(process.env.TATARA_PROGRAM, ['verify', file], { env: { ...process.env, TATARA_HOME: world.home } });
  assert.equal(verified.status, 0, String(verified.stdout) + String(verified.stderr));
  await page.keyboard.press('Escape');
  await page.locator('dialog').waitFor({ state: 'detached' });
  await focusIs(page, 'Receipt');
});

test('how it answers is set in the panel and goes into the request', async () => {
  page = await world.open({ sampling: {} });
  await tabTo(page, 'How it answers', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await tabTo(page, 'instructions');
  await page.keyboard.type('Answer in one word.');
  await page.keyboard.press('Tab');
  await page.keyboard.type('9');
  await eventually(async () => assert.equal(await page.locator('.field-problem').innerText(), 'Expected a number from 0 to 2'));
  await page.keyboard.press('Backspace');
  await page.keyboard.type('0.5');
  await page.keyboard.press('Tab');
  await page.keyboard.type('12');
  await page.keyboard.press('Tab');
  await page.keyboard.type('7');
  await shot(page, 'panel-en');
  await page.keyboard.press('Escape');
  await eventually(async () => assert.equal(await page.locator('.panel').count(), 0));
  await focusIs(page, 'How it answers');
  const request = page.waitForRequest((each) => each.url().endsWith('/v1/chat/completions'));
  await say(page, 'Hello');
  const body = (await request).postDataJSON();
  assert.deepEqual([body.temperature, body.max_tokens, body.seed], [0.5, 12, 7]);
  assert.deepEqual(body.messages[0], { role: 'system', content: 'Answer in one word.' });
  assert.ok(!('top_p' in body));
  await answered(page);
});

test('a server that refuses is reported, and the question is not lost', async () => {
  page = await world.open();
  await page.route('**/v1/chat/completions', (route) =>
    route.fulfill({ status: 429, contentType: 'application/json', body: '{"error":{"message":"full"}}' }),
  );
  await say(page, 'Hello');
  await page.locator('.ending.problem').waitFor();
  await eventually(async () => assert.match(await text('.ending.problem'), /busy/));
  await page.unroute('**/v1/chat/completions');
  await page.locator('.messages').focus();
  await tabTo(page, 'Answer again');
  await page.keyboard.press('Enter');
  await page.locator('.answer .markdown').waitFor({ timeout: 60_000 });
  page.problems = page.problems.filter((problem) => !problem.includes('429'));
});
