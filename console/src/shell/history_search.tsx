import { useRef } from 'preact/hooks';
import { problemText, t } from '../i18n/index.ts';
import { announce } from '../state/announcer.ts';
import { matches, query, search } from '../state/history.ts';
import { showProblem } from '../state/problems.ts';
import { Icon } from '../ui/icon.tsx';

const pauseMs = 200; // between keys, before the server is asked

export function HistorySearch() {
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const ask = async (text: string) => {
    try {
      await search(text);
      if (matches.value) announce(t('history.found', { n: matches.value.length }));
    } catch (error) {
      showProblem(problemText(error));
    }
  };
  return (
    <search class="history-search">
      <Icon name="search" />
      <input
        type="search"
        aria-label={t('history.search')}
        placeholder={t('history.search')}
        value={query.value}
        maxLength={200}
        onInput={(event) => {
          const text = event.currentTarget.value;
          query.value = text;
          clearTimeout(timer.current);
          timer.current = setTimeout(() => void ask(text), pauseMs);
        }}
      />
    </search>
  );
}
