// Signing in with a key: the server keeps the session in a cookie that scripts can not read.
import { send, sendForJson } from './http.ts';

export interface SessionInfo {
  key_required: boolean;
  signed_in: boolean;
}

export const getSession = () => sendForJson<SessionInfo>('/v1/session');

export async function signIn(key: string): Promise<void> {
  await send('/v1/session', { method: 'POST', body: { key } });
}

export async function signOut(): Promise<void> {
  await send('/v1/session', { method: 'DELETE' });
}
