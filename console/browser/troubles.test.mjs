// What the page says where a model or the server is missing.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { accessibilityProblems, eventually, leaveTidy, say, shot, start } from './harness.mjs';

let world;
let page;
before(async () => {
  world = await start();
});
// The browser itself reports connections that are lost.
leaveTidy(() => world, () => page, (problem) => !/Failed to load resource: net::ERR_/.test(problem));

for (const [locale, heading] of [
  ['en-GB', 'No model that can chat is being served'],
  ['ja-JP', '会話できるモデルが提供されていません'],
]) {
  test(`a server without a model that writes says so, and what to do (${locale})`, async () => {
    const tatara = { kind: 'embeds', architecture: 'bert', sha256: '0', n_parameters: 1, n_embd: 384 };
    page = await world.open({ locale, models: [{ id: 'e5-small', object: 'model', created: 1, owned_by: 'tatara', max_model_len: 512, tatara }] });
    await page.getByRole('heading', { name: heading }).waitFor();
    await page.getByText('tatara serve --model').waitFor();
    await page.locator('#message').fill('Is anybody there?');
    await page.locator('#message').press('Enter');
    await eventually(async () => assert.equal(await page.locator('#message').inputValue(), 'Is anybody there?'));
    await shot(page, `no-model-${locale}`);
    await eventually(async () => assert.deepEqual(await accessibilityProblems(page), []));
  });
}

// Last: the server is gone after it.
test('an answer that breaks off with the server is kept, and the box to write in stays free', async () => {
  page = await world.open({ sampling: { temperature: 0, max_tokens: 1500 } });
  await say(page, 'Write a long story about the sea.');
  await page.locator('.answer.growing .markdown').waitFor({ timeout: 60_000 });
  world.crash();
  await page.locator('.ending', { hasText: 'The answer broke off: The server can not be reached' }).waitFor();
  assert.notEqual(await page.locator('.answer .markdown').innerText(), '');
  await page.locator('.notice').waitFor();
  const [notice, box] = [await page.locator('.notice').boundingBox(), await page.locator('.composer-box').boundingBox()];
  assert.ok(notice.y + notice.height < box.y, 'the notice lies over the box');
  await eventually(async () => assert.deepEqual(await accessibilityProblems(page), []));
  await say(page, 'Are you there?');
  await page.locator('.ending', { hasText: 'No answer: The server can not be reached' }).waitFor();
  await shot(page, 'server-gone-en');
});
