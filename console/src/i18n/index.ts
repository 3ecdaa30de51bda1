// Texts in the reader's language. A component that calls t() is drawn again when the language changes.
import { computed } from '@preact/signals';
import { ApiError } from '../api/http.ts';
import { chosenLanguage } from '../state/preferences.ts';
import { en } from './en.ts';
import { ja } from './ja.ts';

export type Language = 'en' | 'ja';
export type Key = keyof typeof en;
export const tables: Record<Language, Record<Key, string>> = { en, ja };

// The first of the browser's languages that there is a table for.
export function languageFor(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split('-')[0];
    if (primary === 'ja' || primary === 'en') return primary;
  }
  return 'en';
}

export const language = computed<Language>(
  () => chosenLanguage.value || languageFor(globalThis.navigator?.languages ?? []),
);

export function fill(text: string, fields: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => (name in fields ? String(fields[name]) : whole));
}

export function t(key: Key, fields: Record<string, string | number> = {}): string {
  return fill(tables[language.value][key], fields);
}

export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(language.value, { maximumFractionDigits: digits }).format(value);
}

export function dateTime(seconds: number): string {
  return new Intl.DateTimeFormat(language.value, { dateStyle: 'medium', timeStyle: 'short' }).format(seconds * 1000);
}

export function problemText(error: unknown): string {
  if (error instanceof ApiError) {
    if (error.status === 0) return t('problem.offline');
    if (error.status === 429 || error.status === 503) return t('problem.busy');
    return error.message;
  }
  return error instanceof Error ? error.message : String(error);
}
