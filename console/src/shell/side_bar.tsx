import { signal } from '@preact/signals';
import { t } from '../i18n/index.ts';
import { pages } from '../pages/index.ts';
import { hashOf, place } from '../router.ts';
import { historyIsKept } from '../state/history.ts';
import { beginConversation } from '../state/threads.ts';
import { Brand } from '../ui/brand.tsx';
import { Icon } from '../ui/icon.tsx';
import { IconButton } from '../ui/icon_button.tsx';
import { HistoryList } from './history_list.tsx';
import { HistorySearch } from './history_search.tsx';
import { Settings } from './settings.tsx';

const settingsAreOpen = signal(false);

export function SideBar({ onClose }: { onClose: () => void }) {
  const begin = () => {
    beginConversation();
    onClose();
    requestAnimationFrame(() => document.getElementById('message')?.focus());
  };
  return (
    <>
      <div class="side-head">
        <Brand />
        <IconButton icon="close" class="drawer-only" label={t('app.close_menu')} onClick={onClose} />
      </div>
      {pages.length > 1 && (
        <nav aria-label={t('app.name')}>
          <ul class="page-links">
            {pages.map((row) => (
              <li key={row.name}>
                <a href={hashOf(row.name)} aria-current={place.value.page === row.name ? 'page' : undefined}>
                  <Icon name={row.icon} />
                  {t(row.title)}
                </a>
              </li>
            ))}
          </ul>
        </nav>
      )}
      <IconButton icon="plus" text kind="plain" class="new-conversation" label={t('chat.new')} onClick={begin} />
      {historyIsKept.value ? (
        <>
          <HistorySearch />
          <HistoryList onChosen={onClose} />
        </>
      ) : (
        <p class="side-remark">{t('history.off')}</p>
      )}
      <div class="side-foot">
        <IconButton
          icon="settings"
          text
          label={t('settings.title')}
          onClick={() => {
            settingsAreOpen.value = true;
          }}
        />
      </div>
      {settingsAreOpen.value && (
        <Settings
          onClose={() => {
            settingsAreOpen.value = false;
          }}
        />
      )}
    </>
  );
}
