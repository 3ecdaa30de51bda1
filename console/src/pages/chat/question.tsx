import { useEffect, useState } from 'preact/hooks';
import { t } from '../../i18n/index.ts';
import { sendKey } from '../../state/preferences.ts';
import type { Thread } from '../../state/threads.ts';
import type { Message } from '../../state/tree.ts';
import { CopyButton } from '../../ui/copy_button.tsx';
import { GrowingText } from '../../ui/growing_text.tsx';
import { Icon } from '../../ui/icon.tsx';
import { IconButton } from '../../ui/icon_button.tsx';
import { Versions } from './versions.tsx';

function Editor({ thread, message, onEnd }: { thread: Thread; message: Message; onEnd: () => void }) {
  const [text, setText] = useState(message.content);
  const send = () => {
    if (text.trim() === '') return;
    onEnd();
    void thread.change(message, text.trim());
    requestAnimationFrame(() => document.getElementById('message')?.focus());
  };
  return (
    <div class="question-editor">
      <GrowingText
        id={`edit-${message.id}`}
        label={t('chat.edit_label')}
        value={text}
        sendKey={sendKey.value}
        onText={setText}
        onSend={send}
        onEscape={onEnd}
        focusFirst
      />
      <div class="button-row end">
        <button type="button" class="button plain" onClick={onEnd}>
          {t('dialog.cancel')}
        </button>
        <button type="button" class="button main" onClick={send} disabled={text.trim() === ''}>
          {t('chat.edit_send')}
        </button>
      </div>
    </div>
  );
}

export function Question({ thread, message }: { thread: Thread; message: Message }) {
  const [editing, setEditing] = useState(false);
  const busy = thread.answering.value !== null;
  useEffect(() => setEditing(false), [message.id]);
  return (
    <article class="question" aria-label={t('chat.you')}>
      {message.details?.from === 'documents' && (
        <p class="question-kind">
          <Icon name="document" />
          {t('ask.toggle')}
        </p>
      )}
      {editing ? (
        <Editor thread={thread} message={message} onEnd={() => setEditing(false)} />
      ) : (
        <div class="question-text">{message.content}</div>
      )}
      <div class="tools">
        <Versions thread={thread} message={message} />
        {!editing && (
          <>
            <CopyButton text={message.content} label={t('chat.copy')} />
            <IconButton icon="edit" label={t('chat.edit')} disabled={busy} onClick={() => setEditing(true)} />
          </>
        )}
      </div>
    </article>
  );
}
