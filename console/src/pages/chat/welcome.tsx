import { t, type Key } from '../../i18n/index.ts';
import { noModel } from '../../state/models.ts';
import { draft } from './composer.tsx';

const starters: readonly [Key, Key][] = [
  ['chat.starter_1', 'chat.starter_1_text'],
  ['chat.starter_2', 'chat.starter_2_text'],
  ['chat.starter_3', 'chat.starter_3_text'],
];

function NoModel() {
  return (
    <div class="welcome">
      <h2>{t('chat.no_model')}</h2>
      <p>{t('chat.no_model_more')}</p>
      <pre class="command">tatara serve --model qwen2.5-coder-1.5b</pre>
    </div>
  );
}

export function Welcome() {
  if (noModel.value) return <NoModel />;
  const begin = (text: string) => {
    draft.value = text;
    requestAnimationFrame(() => {
      const box = document.getElementById('message');
      box?.focus();
      if (box instanceof HTMLTextAreaElement) box.setSelectionRange(text.length, text.length);
    });
  };
  return (
    <div class="welcome">
      <h2>{t('chat.welcome')}</h2>
      <p>{t('chat.welcome_more')}</p>
      <ul>
        {starters.map(([title, text]) => (
          <li key={title}>
            <button type="button" onClick={() => begin(t(text))}>
              {t(title)}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
