import { useState } from 'preact/hooks';
import { conversationsApi } from '../../api/conversations.ts';
import { problemText, t } from '../../i18n/index.ts';
import { drawerIsOpen } from '../../shell/shell.tsx';
import { chatModels, model } from '../../state/models.ts';
import { chosenModel } from '../../state/preferences.ts';
import { showNews, showProblem } from '../../state/problems.ts';
import { deleteConversation, type Thread } from '../../state/threads.ts';
import { Actions } from '../../ui/actions.tsx';
import { Confirm } from '../../ui/confirm.tsx';
import { Icon } from '../../ui/icon.tsx';
import { samplingIsOpen } from './page.tsx';
import { RenameDialog } from './rename.tsx';

function ModelChoice() {
  if (chatModels.value.length === 0) return <span class="model-choice">{t('chat.no_model')}</span>;
  return (
    <label class="model-choice">
      <span class="off-screen">{t('chat.model')}</span>
      <select
        value={model.value}
        onChange={(event) => {
          chosenModel.value = event.currentTarget.value;
        }}
      >
        {chatModels.value.map((each) => (
          <option key={each.id} value={each.id}>
            {each.id}
          </option>
        ))}
      </select>
    </label>
  );
}

export function ChatHeader({ thread }: { thread: Thread }) {
  const [asking, setAsking] = useState<'' | 'rename' | 'delete'>('');
  const id = thread.id.value;
  const title = thread.title.value;
  const remove = async () => {
    setAsking('');
    if (id === null) return;
    try {
      await deleteConversation(id);
      showNews(t('conversation.deleted'));
    } catch (error) {
      showProblem(problemText(error));
    }
  };
  return (
    <header class="chat-header">
      <button
        type="button"
        id="open-drawer"
        class="button plain icon-only drawer-only"
        aria-label={t('app.open_menu')}
        aria-expanded={drawerIsOpen.value}
        aria-controls="side-bar"
        onClick={() => {
          drawerIsOpen.value = true;
        }}
      >
        <Icon name="menu" />
      </button>
      <h1>{title || t('chat.untitled')}</h1>
      <ModelChoice />
      <button
        type="button"
        id="open-sampling"
        class="button plain icon-only"
        aria-label={t('sampling.title')}
        title={t('sampling.title')}
        aria-expanded={samplingIsOpen.value}
        aria-controls="sampling-panel"
        onClick={() => {
          samplingIsOpen.value = !samplingIsOpen.value;
        }}
      >
        <Icon name="tune" />
      </button>
      {id !== null && (
        <Actions
          label={t('conversation.actions')}
          actions={[
            { icon: 'edit', label: t('conversation.rename'), act: () => setAsking('rename') },
            { icon: 'download', label: t('conversation.export_md'), href: conversationsApi.exportAddress(id, 'md') },
            { icon: 'download', label: t('conversation.export_json'), href: conversationsApi.exportAddress(id, 'json') },
            { icon: 'trash', label: t('conversation.delete'), act: () => setAsking('delete'), danger: true },
          ]}
        />
      )}
      {asking === 'rename' && <RenameDialog thread={thread} onClose={() => setAsking('')} />}
      {asking === 'delete' && (
        <Confirm
          title={t('conversation.delete_question', { title })}
          more={t('conversation.delete_more')}
          action={t('conversation.delete')}
          onYes={remove}
          onNo={() => setAsking('')}
        />
      )}
    </header>
  );
}
