// Languages, themes, narrow windows, and the rules of accessibility that a program can check.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { accessibilityProblems, answered, eventually, focusIs, leaveTidy, say, shot, start, tabTo } from './harness.mjs';

let world;
let page;
before(async () => {
  world = await start();
  const post = (path, body) =>
    fetch(world.url + path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }).then((r) => r.json());
  for (const [title, question, answer] of stored) {
    const { id } = await post('/v1/conversations', { title });
    await post(`/v1/conversations/${id}/messages`, { id: 'q', role: 'user', content: question });
    await post(`/v1/conversations/${id}/messages`, {
      id: 'a', parent: 'q', role: 'assistant', content: answer, model: 'qwen2.5-coder-1.5b', receipt: 'chatcmpl-1', finish: 'stop',
      details: { completion_tokens: 212, seconds: 9.1, first_token_seconds: 0.6 },
    });
    world.last = id;
  }
});
leaveTidy(() => world, () => page);

const stored = [
  ['Lockout tags', 'How long are lockout tags kept?', 'They are kept for **12 months**.'],
  ['発注メールの下書き', '納期を問い合わせるメールの下書きを作ってください。', '承知しました。'],
  ['Inverter cabinet', 'How long must I wait?', 'At least *five minutes*.'],
  ['旋盤の主軸温度の点検手順',
    '旋盤TK-200の主軸温度を点検する手順と、温度を記録するPythonの例を示してください。',
    '## 点検の手順\n\n主軸の温度は、**暖機運転を10分行ったあと**に測ります。測定は次の順に行ってください。\n\n' +
      '1. 非常停止ボタンの位置を確認する。\n2. 表面温度計を主軸ハウジングの上面に当てる。\n3. 30秒待ち、表示が安定してから読み取る。\n\n' +
      '| 温度 | 判断 | 対応 |\n|---:|---|---|\n| 60 ℃以下 | 正常 | 記録のみ |\n| 61～79 ℃ | 注意 | 1時間後に再測定 |\n| 80 ℃以上 | 異常 | 運転を止めて保全課へ連絡 |\n\n' +
      '記録は次のように追記できます。\n\n```python\nfrom datetime import datetime\n\ndef record(path: str, celsius: float) -> None:\n    """Appends one reading."""\n    with open(path, "a", encoding="utf-8") as log:\n        log.write(f"{datetime.now():%Y-%m-%d %H:%M},{celsius:.1f}\\n")\n```\n\n' +
      '> 80 ℃を超えたまま運転を続けると、軸受が焼き付くおそれがあります。'],
];

test('the language is the browser’s, and can be changed for good', async () => {
  page = await world.open({ locale: 'ja-JP' });
  await eventually(async () => assert.equal(await page.locator('html').getAttribute('lang'), 'ja'));
  await page.getByRole('heading', { name: '何をお調べしますか？' }).waitFor();
  await shot(page, 'welcome-ja');
  await page.getByRole('button', { name: '設定', exact: true }).click();
  await shot(page, 'settings-ja');
  await eventually(async () => assert.deepEqual(await accessibilityProblems(page), []));
  await page.getByRole('radio', { name: 'English' }).focus();
  await page.keyboard.press('Space');
  await page.getByRole('heading', { name: 'Settings' }).waitFor();
  await eventually(async () => assert.equal(await page.locator('html').getAttribute('lang'), 'en'));
  await page.reload();
  await page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
  await shot(page, 'welcome-en');
});

for (const [name, options] of [
  ['ja', { locale: 'ja-JP' }],
  ['en', { locale: 'en-GB' }],
  ['ja-dark', { locale: 'ja-JP', dark: true }],
  ['ja-phone', { locale: 'ja-JP', width: 375, height: 740 }],
  ['en-phone-dark', { locale: 'en-GB', width: 375, height: 740, dark: true }],
]) {
  test(`a conversation in ${name} has no fault that axe finds, and fits the window`, async () => {
    page = await world.open({ ...options, path: `/#/chat/${world.last}` });
    await page.locator('.code-block .hl-keyword').first().waitFor();
    await page.locator('.messages').evaluate((box) => box.scrollTo(0, 0));
    await page.waitForTimeout(150);
    await shot(page, `conversation-${name}`);
    await eventually(async () => assert.deepEqual(await accessibilityProblems(page), []));
    await page.locator('.messages').evaluate((box) => box.scrollTo(0, box.scrollHeight));
    await page.waitForTimeout(150);
    await shot(page, `conversation-${name}-end`);
    await page.locator('#open-sampling').click();
    await eventually(async () => assert.deepEqual(await accessibilityProblems(page), []));
    await shot(page, `panel-${name}`);
    await eventually(async () => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)));
  });
}

test('on a phone the side bar is a drawer that takes and gives back the focus', async () => {
  page = await world.open({ locale: 'ja-JP', width: 375, height: 740 });
  await eventually(async () => assert.ok(!(await page.locator('.side').isVisible())));
  await page.getByRole('button', { name: 'メニューを開く' }).focus();
  await page.keyboard.press('Enter');
  await page.locator('.side').waitFor();
  await focusIs(page, 'メニューを閉じる');
  await shot(page, 'drawer-ja');
  await eventually(async () => assert.deepEqual(await accessibilityProblems(page), []));
  await page.keyboard.press('Escape');
  await page.locator('.side').waitFor({ state: 'hidden' });
  await page.waitForFunction(() => document.activeElement?.id === 'open-drawer');
  await page.keyboard.press('Enter');
  await page.locator('.history a', { hasText: 'Lockout tags' }).click();
  await page.locator('.answer').waitFor();
  await page.locator('.side').waitFor({ state: 'hidden' });
});

test('the first control leads past the side bar, and the streamed text is told in a region of its own', async () => {
  page = await world.open({ sampling: { temperature: 0, max_tokens: 40 } });
  await eventually(async () =>
    assert.equal(await page.locator('a, button, input, select, textarea').first().innerText(), 'Skip to the message box'));
  await tabTo(page, 'Skip to the message box', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await focusIs(page, 'Message');
  const told = page.evaluate(() => new Promise((done) => {
    const all = [];
    const region = document.querySelector('[aria-live]');
    new MutationObserver(() => {
      all.push(region.textContent.trim());
      if (region.textContent.includes('complete')) done(all);
    }).observe(region, { childList: true, characterData: true, subtree: true });
  }));
  await say(page, 'Say hello.');
  await answered(page);
  const all = await told;
  assert.equal(all[0], 'Answering');
  assert.ok(all.length >= 2);
  await eventually(async () => assert.deepEqual(await accessibilityProblems(page), []));
});

test('dark is taken from the system or chosen', async () => {
  page = await world.open({ dark: true });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await tabTo(page, 'Settings', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('radio', { name: 'Light' }).check();
  await eventually(async () => assert.notEqual(await ground(), dark));
});
