import { number, t } from '../../i18n/index.ts';
import { Markdown } from '../../markdown/view.tsx';
import type { Thread } from '../../state/threads.ts';
import type { Message } from '../../state/tree.ts';
import { CopyButton } from '../../ui/copy_button.tsx';
import { IconButton } from '../../ui/icon_button.tsx';
import { shownReceipt } from './receipt.tsx';
import { Sources } from './sources.tsx';
import { Versions } from './versions.tsx';

function Ending({ message }: { message: Message }) {
  const { finish, details } = message;
  if (finish === 'stopped') return <p class="ending">{t('chat.stopped')}</p>;
  if (finish === 'length') return <p class="ending">{t('chat.cut')}</p>;
  if (finish === 'failed') {
    const said = message.content === '' ? 'chat.failed' : 'chat.broken';
    return <p class="ending problem">{t(said, { message: details?.error ?? '' })}</p>;
  }
  return null;
}

function Numbers({ message }: { message: Message }) {
  const { completion_tokens: tokens, seconds, first_token_seconds: first } = message.details ?? {};
  if (!tokens || !seconds) return null;
  // What passes checks before it is shown comes in pieces that say nothing of the model's speed.
  const steady = message.details?.from !== 'documents' && tokens > 1 && first !== undefined && seconds > first;
  const rate = steady ? (tokens - 1) / (seconds - first) : tokens / seconds;
  return <span class="numbers">{t('chat.numbers', { tokens: number(tokens), rate: number(rate, 1) })}</span>;
}

export function Answer({ thread, message }: { thread: Thread; message: Message }) {
  const growing = thread.answering.value === message.id;
  const busy = thread.answering.value !== null;
  const receipt = message.receipt;
  const retry = () => {
    void thread.retry(message);
    document.getElementById('message')?.focus(); // these controls go; Escape there stops
  };
  return (
    <article class={growing ? 'answer growing' : 'answer'} aria-label={t('chat.answer')}>
      <h2 class="answer-model">{message.model || t('chat.answer')}</h2>
      {message.reasoning && (
        <details class="reasoning" open={growing && message.content === ''}>
          <summary>{t('chat.reasoning')}</summary>
          <div class="reasoning-text">{message.reasoning}</div>
        </details>
      )}
      {message.content !== '' && <Markdown source={message.content} settled={!growing} />}
      {growing && message.content === '' && !message.reasoning && <p class="waiting">{t('chat.waiting')}</p>}
      {!growing && message.details?.from === 'documents' && (
        <Sources details={message.details} said={message.content !== ''} />
      )}
      <Ending message={message} />
      {!growing && (
        <div class="tools">
          <Versions thread={thread} message={message} />
          {message.content !== '' && <CopyButton text={message.content} label={t('chat.copy')} />}
          <IconButton icon="retry" label={t('chat.retry')} disabled={busy} onClick={retry} />
          {receipt && (
            <IconButton
              icon="receipt"
              text
              label={t('receipt.open')}
              onClick={() => {
                shownReceipt.value = receipt;
              }}
            />
          )}
          <Numbers message={message} />
        </div>
      )}
    </article>
  );
}
