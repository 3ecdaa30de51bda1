import { useState } from 'preact/hooks';
import { problemText, t } from '../../i18n/index.ts';
import { showProblem } from '../../state/problems.ts';
import type { Thread } from '../../state/threads.ts';
import { Dialog } from '../../ui/dialog.tsx';

const titleCharactersMax = 200;

export function RenameDialog({ thread, onClose }: { thread: Thread; onClose: () => void }) {
  const [title, setTitle] = useState(thread.title.value);
  const save = async (event: Event) => {
    event.preventDefault();
    if (title.trim() === '') return;
    onClose();
    try {
      await thread.rename(title.trim());
    } catch (error) {
      showProblem(problemText(error));
    }
  };
  return (
    <Dialog title={t('conversation.rename')} onClose={onClose}>
      <form class="stack" onSubmit={save}>
        <label for="conversation-title">{t('conversation.rename_label')}</label>
        <input
          id="conversation-title"
          autofocus
          value={title}
          maxLength={titleCharactersMax}
          onInput={(event) => setTitle(event.currentTarget.value)}
        />
        <div class="button-row end">
          <button type="button" class="button plain" onClick={onClose}>
            {t('dialog.cancel')}
          </button>
          <button type="submit" class="button main" disabled={title.trim() === ''}>
            {t('dialog.save')}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
