import type { ConversationSummary, Match } from '../api/conversations.ts';
import { problemText, t, type Key } from '../i18n/index.ts';
import { hashOf, place } from '../router.ts';
import { groups, hasMore, loadMore, matches, type Age } from '../state/history.ts';
import { showProblem } from '../state/problems.ts';

const ageTitles: Record<Age, Key> = {
  today: 'history.today',
  yesterday: 'history.yesterday',
  week: 'history.week',
  older: 'history.older',
};

function Entry({ entry, onChosen }: { entry: ConversationSummary | Match; onChosen: () => void }) {
  const shown = place.value.page === 'chat' && place.value.rest === entry.id;
  return (
    <li>
      <a href={hashOf('chat', entry.id)} aria-current={shown ? 'page' : undefined} onClick={onChosen}>
        <span class="entry-title">{entry.title || t('chat.untitled')}</span>
        {'snippet' in entry && entry.snippet && <span class="entry-snippet">{entry.snippet}</span>}
      </a>
    </li>
  );
}

export function HistoryList({ onChosen }: { onChosen: () => void }) {
  const found = matches.value;
  return (
    <nav class="history" aria-label={t('app.conversations')}>
      {found ? (
        <>
          <p class="history-count">{found.length > 0 ? t('history.found', { n: found.length }) : t('history.nothing_found')}</p>
          <ul>
            {found.map((entry) => (
              <Entry key={entry.id} entry={entry} onChosen={onChosen} />
            ))}
          </ul>
        </>
      ) : (
        <>
          {groups.value.length === 0 && <p class="side-remark">{t('history.none')}</p>}
          {groups.value.map((group) => (
            <section key={group.age}>
              <h2>{t(ageTitles[group.age])}</h2>
              <ul>
                {group.entries.map((entry) => (
                  <Entry key={entry.id} entry={entry} onChosen={onChosen} />
                ))}
              </ul>
            </section>
          ))}
          {hasMore.value && (
            <button
              type="button"
              class="button plain"
              onClick={() => loadMore().catch((error: unknown) => showProblem(problemText(error)))}
            >
              {t('history.more')}
            </button>
          )}
        </>
      )}
    </nav>
  );
}
