// What a person has set, kept in this browser.
import { effect, signal, type Signal } from '@preact/signals';
import type { Sampling } from './sampling.ts';

export type Theme = 'system' | 'light' | 'dark';
export type SendKey = 'enter' | 'ctrl-enter';

function stored<T>(name: string, otherwise: T, valid: (value: unknown) => boolean): Signal<T> {
  const key = `tatara.${name}`;
  let first = otherwise;
  try {
    const text = localStorage.getItem(key);
    const value: unknown = text === null ? undefined : JSON.parse(text);
    if (value !== undefined && valid(value)) first = value as T;
  } catch {
    // storage that is switched off or broken: nothing is kept then
  }
  const kept = signal(first);
  effect(() => {
    const text = JSON.stringify(kept.value);
    try {
      localStorage.setItem(key, text);
    } catch {
      // as above
    }
  });
  return kept;
}

const oneOf =
  (...values: unknown[]) =>
  (value: unknown) =>
    values.includes(value);
const isText = (value: unknown) => typeof value === 'string';
const isSampling = (value: unknown) =>
  typeof value === 'object' &&
  value !== null &&
  Object.values(value).every((each) => typeof each === 'number' && Number.isFinite(each));

export const theme = stored<Theme>('theme', 'system', oneOf('system', 'light', 'dark'));
export const sendKey = stored<SendKey>('send-key', 'enter', oneOf('enter', 'ctrl-enter'));
export const chosenModel = stored<string>('model', '', isText);
export const askDocuments = stored<boolean>('ask-documents', false, oneOf(true, false));
export const instructions = stored<string>('instructions', '', isText);
export const sampling = stored<Sampling>('sampling', {}, isSampling);
export const chosenLanguage = stored<'' | 'en' | 'ja'>('language', '', oneOf('', 'en', 'ja'));
