import { signal } from '@preact/signals';
import { t } from '../../i18n/index.ts';
import { offers } from '../../state/abilities.ts';
import { model } from '../../state/models.ts';
import { askDocuments, sendKey } from '../../state/preferences.ts';
import type { Thread } from '../../state/threads.ts';
import { GrowingText } from '../../ui/growing_text.tsx';
import { Icon } from '../../ui/icon.tsx';
import { IconButton } from '../../ui/icon_button.tsx';

export const draft = signal('');

export function Composer({ thread }: { thread: Thread }) {
  const busy = thread.answering.value !== null;
  const documents = offers('/v1/ask') && askDocuments.value;
  const send = () => {
    const text = draft.value.trim();
    if (busy || text === '' || model.value === '') return;
    draft.value = '';
    void thread.ask(text, { documents });
  };
  return (
    <div class="composer">
      <div class="composer-box">
        <GrowingText
          id="message"
          label={t('chat.message_box')}
          placeholder={t('chat.placeholder')}
          describedBy="message-hint"
          value={draft.value}
          sendKey={sendKey.value}
          onText={(text) => {
            draft.value = text;
          }}
          onSend={send}
          onEscape={() => thread.stop()}
          focusFirst
        />
        {offers('/v1/ask') && (
          <button
            type="button"
            class="button plain with-text toggle"
            aria-pressed={askDocuments.value}
            onClick={() => {
              askDocuments.value = !askDocuments.value;
            }}
          >
            <Icon name="document" />
            <span>{t('ask.toggle')}</span>
          </button>
        )}
        {busy ? (
          <IconButton icon="stop" kind="main" class="round" label={t('chat.stop')} onClick={() => thread.stop()} />
        ) : (
          <IconButton
            icon="send"
            kind="main"
            class="round"
            label={t('chat.send')}
            onClick={send}
            disabled={draft.value.trim() === '' || model.value === ''}
          />
        )}
      </div>
      <p id="message-hint" class="hint">
        {documents
          ? t('ask.hint')
          : t(sendKey.value === 'enter' ? 'chat.message_hint_enter' : 'chat.message_hint_ctrl')}
      </p>
    </div>
  );
}
