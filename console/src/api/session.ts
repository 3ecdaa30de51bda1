// Signing in with a key: the server keeps the session in a cookie that scripts can not read.
import { send } from './http.ts';

export async function signIn(key: string): Promise<void> {
  await send('/v1/session', { method: 'POST', body: { key } });
}

export async function signOut(): Promise<void> {
  await send('/v1/session', { method: 'DELETE' });
}
