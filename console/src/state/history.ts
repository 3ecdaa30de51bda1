// The list of conversations that the server keeps, newest first, and the search in them.
import { computed, signal } from '@preact/signals';
import { ApiError } from '../api/http.ts';
import { conversationsApi, type ConversationSummary, type Match } from '../api/conversations.ts';

export const historyIsKept = signal(true);
export const summaries = signal<ConversationSummary[]>([]);
export const hasMore = signal(false);
export const query = signal('');
export const matches = signal<Match[] | null>(null); // null: no search

export async function loadHistory(): Promise<void> {
  try {
    const page = await conversationsApi.list();
    summaries.value = page.data;
    hasMore.value = page.has_more;
    historyIsKept.value = true;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    historyIsKept.value = false;
  }
}

export async function loadMore(): Promise<void> {
  const page = await conversationsApi.list(summaries.value.at(-1)?.id);
  const known = new Set(summaries.value.map((summary) => summary.id));
  summaries.value = [...summaries.value, ...page.data.filter((summary) => !known.has(summary.id))];
  hasMore.value = page.has_more;
}

export function noteSummary(news: Partial<ConversationSummary> & { id: string }): void {
  const old = summaries.value.find((summary) => summary.id === news.id);
  const summary = { title: '', created_at: 0, updated_at: 0, n_messages: 0, ...old, ...news };
  summaries.value = [summary, ...summaries.value.filter((each) => each.id !== news.id)].sort(
    (a, b) => b.updated_at - a.updated_at,
  );
}

export function forgetSummary(id: string): void {
  summaries.value = summaries.value.filter((summary) => summary.id !== id);
  if (matches.value) matches.value = matches.value.filter((match) => match.id !== id);
}

let latest = 0;
export async function search(text: string): Promise<void> {
  query.value = text;
  const turn = ++latest;
  if (text.trim() === '') {
    matches.value = null;
    return;
  }
  const found = await conversationsApi.search(text.trim());
  if (turn === latest) matches.value = found; // else a later search is under way
}

export type Age = 'today' | 'yesterday' | 'week' | 'older';

export function ageOf(seconds: number, nowMs: number): Age {
  const midnight = new Date(nowMs);
  midnight.setHours(0, 0, 0, 0);
  const days = (midnight.getTime() - seconds * 1000) / 86_400_000;
  if (days <= 0) return 'today';
  if (days <= 1) return 'yesterday';
  return days <= 6 ? 'week' : 'older';
}

export const groups = computed(() => {
  const ages: Age[] = ['today', 'yesterday', 'week', 'older'];
  const nowMs = Date.now();
  return ages
    .map((age) => ({ age, entries: summaries.value.filter((each) => ageOf(each.updated_at, nowMs) === age) }))
    .filter((group) => group.entries.length > 0);
});
