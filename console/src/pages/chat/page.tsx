import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { ApiError } from '../../api/http.ts';
import { problemText, t } from '../../i18n/index.ts';
import { go, place } from '../../router.ts';
import { showProblem } from '../../state/problems.ts';
import { current, showConversation } from '../../state/threads.ts';
import { Composer } from './composer.tsx';
import { ChatHeader } from './header.tsx';
import { Messages } from './messages.tsx';
import { ReceiptDialog, shownReceipt } from './receipt.tsx';
import { SamplingPanel } from './sampling_panel.tsx';
import { Welcome } from './welcome.tsx';

export const samplingIsOpen = signal(false);

async function follow(id: string): Promise<void> {
  try {
    await showConversation(id);
  } catch (error) {
    const missing = error instanceof ApiError && (error.status === 404 || error.status === 400);
    showProblem(missing ? t('conversation.missing') : problemText(error));
    go('chat', '', { replace: true });
  }
}

export function ChatPage() {
  const id = place.value.rest;
  const thread = current.value;
  const title = thread.title.value;
  useEffect(() => {
    void follow(id);
  }, [id]);
  useEffect(() => {
    document.title = title ? `${title} - ${t('app.name')}` : t('app.name');
  }, [title]);
  const closePanel = () => {
    samplingIsOpen.value = false;
    requestAnimationFrame(() => document.getElementById('open-sampling')?.focus());
  };
  return (
    <div class={samplingIsOpen.value ? 'chat with-panel' : 'chat'}>
      <main class="chat-main">
        <ChatHeader thread={thread} />
        {thread.path.value.length === 0 ? <Welcome /> : <Messages key={thread} thread={thread} />}
        <Composer thread={thread} />
      </main>
      {samplingIsOpen.value && <SamplingPanel onClose={closePanel} />}
      {shownReceipt.value && (
        <ReceiptDialog
          id={shownReceipt.value}
          onClose={() => {
            shownReceipt.value = null;
          }}
        />
      )}
    </div>
  );
}
