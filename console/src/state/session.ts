// Whether the server wants a key, and what is loaded once it is content.
import { signal } from '@preact/signals';
import * as api from '../api/session.ts';
import { ApiError, whenSignInIsWanted } from '../api/http.ts';
import { problemText } from '../i18n/index.ts';
import { loadAbilities } from './abilities.ts';
import { loadHistory } from './history.ts';
import { loadModels } from './models.ts';
import { showProblem } from './problems.ts';

export type SessionState = 'loading' | 'signed-out' | 'ready';
export const session = signal<SessionState>('loading');
export const signedInByKey = signal(false);

export async function enter(): Promise<void> {
  try {
    const { key_required, signed_in } = await api.getSession();
    if (key_required && !signed_in) {
      session.value = 'signed-out';
      return;
    }
    signedInByKey.value = key_required;
    await Promise.all([loadModels(), loadHistory(), loadAbilities()]);
    session.value = 'ready';
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return; // the sign-in page is shown
    session.value = 'ready';
    showProblem(problemText(error));
  }
}

export async function signIn(key: string): Promise<void> {
  await api.signIn(key);
  await enter();
}

export async function signOut(): Promise<void> {
  await api.signOut();
  location.reload();
}

whenSignInIsWanted(() => {
  session.value = 'signed-out';
});
