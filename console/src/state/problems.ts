// Short messages about what went wrong or was done, shown until dismissed or, for good news, for a while.
import { signal } from '@preact/signals';

export interface Notice {
  kind: 'problem' | 'news';
  text: string;
}

export const notice = signal<Notice | null>(null);
const newsMs = 5000;

export function showProblem(text: string): void {
  notice.value = { kind: 'problem', text };
}

export function showNews(text: string): void {
  const news: Notice = { kind: 'news', text };
  notice.value = news;
  setTimeout(() => {
    if (notice.value === news) notice.value = null;
  }, newsMs);
}
