import { t } from '../../i18n/index.ts';
import type { Thread } from '../../state/threads.ts';
import { siblingsOf, type Message } from '../../state/tree.ts';
import { IconButton } from '../../ui/icon_button.tsx';

export function Versions({ thread, message }: { thread: Thread; message: Message }) {
  const versions = siblingsOf(thread.messages.value, message);
  if (versions.length < 2) return null;
  const index = versions.findIndex((version) => version.id === message.id);
  const busy = thread.answering.value !== null;
  const show = (at: number) => {
    const version = versions[at];
    if (version) thread.show(version);
  };
  return (
    <span class="versions" role="group" aria-label={t('chat.version', { n: index + 1, total: versions.length })}>
      <IconButton icon="left" label={t('chat.version_previous')} inactive={busy || index === 0} onClick={() => show(index - 1)} />
      <span aria-hidden="true">
        {index + 1}/{versions.length}
      </span>
      <IconButton
        icon="right"
        label={t('chat.version_next')}
        inactive={busy || index === versions.length - 1}
        onClick={() => show(index + 1)}
      />
    </span>
  );
}
