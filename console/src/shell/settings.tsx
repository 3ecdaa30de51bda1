import { useState } from 'preact/hooks';
import { conversationsApi } from '../api/conversations.ts';
import { problemText, t } from '../i18n/index.ts';
import { historyIsKept, matches, query, summaries } from '../state/history.ts';
import { sendKey, theme } from '../state/preferences.ts';
import { showNews, showProblem } from '../state/problems.ts';
import { signedInByKey, signOut } from '../state/session.ts';
import { forgetAllThreads } from '../state/threads.ts';
import { Choice } from '../ui/choice.tsx';
import { Confirm } from '../ui/confirm.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Icon } from '../ui/icon.tsx';
import { LanguageChoice } from '../ui/language_choice.tsx';
import { exportAll } from './export_all.ts';

function HistorySettings() {
  const [exported, setExported] = useState<number | null>(null);
  const [asking, setAsking] = useState(false);
  const exportThem = async () => {
    setExported(0);
    try {
      await exportAll(setExported);
    } catch (error) {
      showProblem(problemText(error));
    }
    setExported(null);
  };
  const removeThem = async () => {
    setAsking(false);
    try {
      await conversationsApi.removeAll();
      summaries.value = [];
      matches.value = null;
      query.value = '';
      forgetAllThreads();
      showNews(t('settings.deleted_all'));
    } catch (error) {
      showProblem(problemText(error));
    }
  };
  return (
    <fieldset class="choice">
      <legend>{t('settings.history')}</legend>
      <div class="button-row">
        <button type="button" class="button plain with-text bordered" disabled={exported !== null} onClick={exportThem}>
          <Icon name="download" />
          <span>{exported === null ? t('settings.export_all') : t('settings.exporting', { n: exported })}</span>
        </button>
        <button type="button" class="button plain with-text bordered danger-text" onClick={() => setAsking(true)}>
          <Icon name="trash" />
          <span>{t('settings.delete_all')}</span>
        </button>
      </div>
      {asking && (
        <Confirm
          title={t('settings.delete_all_question')}
          more={t('settings.delete_all_more')}
          action={t('settings.delete_all')}
          onYes={removeThem}
          onNo={() => setAsking(false)}
        />
      )}
    </fieldset>
  );
}

export function Settings({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title={t('settings.title')} onClose={onClose}>
      <LanguageChoice />
      <Choice
        legend={t('settings.theme')}
        value={theme.value}
        options={[
          { value: 'system', label: t('settings.theme_system') },
          { value: 'light', label: t('settings.theme_light') },
          { value: 'dark', label: t('settings.theme_dark') },
        ]}
        onChange={(value) => {
          theme.value = value;
        }}
      />
      <Choice
        legend={t('settings.send_key')}
        value={sendKey.value}
        options={[
          { value: 'enter', label: t('settings.send_enter') },
          { value: 'ctrl-enter', label: t('settings.send_ctrl') },
        ]}
        onChange={(value) => {
          sendKey.value = value;
        }}
      />
      {historyIsKept.value && <HistorySettings />}
      {signedInByKey.value && (
        <button type="button" class="button plain bordered" onClick={() => void signOut()}>
          {t('settings.sign_out')}
        </button>
      )}
    </Dialog>
  );
}
