// The passages that an answer cites or, where the documents do not say it, those nearest to the question.
import { t } from '../../i18n/index.ts';
import type { Details, Source } from '../../state/tree.ts';

function placeOf(source: Source): string {
  const lines =
    source.line_first === source.line_last
      ? t('ask.line', { first: source.line_first })
      : t('ask.lines', { first: source.line_first, last: source.line_last });
  return [source.document, String(source.heading ?? '').replaceAll(' > ', ' › '), lines].filter((part) => part).join(' › ');
}

function List({ title, sources }: { title: string; sources: readonly Source[] }) {
  return (
    <section class="sources">
      <h3>{title}</h3>
      <ol>
        {sources.map((source, index) => (
          <li key={index}>
            {source.number > 0 && <span class="source-number">[{source.number}]</span>}
            <div>
              <p class="source-place">{placeOf(source)}</p>
              <blockquote>{source.quote}</blockquote>
              {source.file_changed && <p class="field-problem">{t('ask.changed')}</p>}
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}

// What was stored may be anything.
const listOf = (value: unknown): Source[] =>
  Array.isArray(value) ? value.filter((each): each is Source => typeof each?.quote === 'string') : [];

export function Sources({ details, said }: { details: Details; said: boolean }) {
  const citations = listOf(details.citations);
  const nearest = listOf(details.nearest);
  return (
    <>
      {details.supported === false && !said && <p class="ending">{t('ask.unsupported')}</p>}
      {citations.length > 0 && <List title={t('ask.sources')} sources={citations} />}
      {citations.length === 0 && nearest.length > 0 && <List title={t('ask.nearest')} sources={nearest} />}
    </>
  );
}
