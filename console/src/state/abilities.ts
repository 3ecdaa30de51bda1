// What this server offers, as its own OpenAPI document says: controls for the rest are not shown.
import { signal } from '@preact/signals';
import { sendForJson } from '../api/http.ts';

const paths = signal<ReadonlySet<string>>(new Set());

export async function loadAbilities(): Promise<void> {
  const document = await sendForJson<{ paths: Record<string, unknown> }>('/openapi.json');
  paths.value = new Set(Object.keys(document.paths));
}

export const offers = (path: string): boolean => paths.value.has(path);
