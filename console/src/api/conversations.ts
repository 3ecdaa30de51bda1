// The history that the server keeps: /v1/conversations.
import { send, sendForJson } from './http.ts';
import type { Message } from '../state/tree.ts';

export interface ConversationSummary {
  id: string;
  title: string;
  created_at: number; // seconds
  updated_at: number;
  n_messages: number;
}

export interface StoredConversation extends ConversationSummary {
  active: string | null; // the message that the conversation was left at
  messages: Message[];
}

export interface Match extends ConversationSummary {
  snippet: string;
}

export interface Page {
  data: ConversationSummary[];
  has_more: boolean;
}

const root = '/v1/conversations';
const at = (id: string, more = '') => `${root}/${encodeURIComponent(id)}${more}`;

export const conversationsApi = {
  list: (after = '') =>
    sendForJson<Page>(`${root}/search`, { method: 'POST', body: { query: '', after, limit: 50 } }),
  search: async (query: string) =>
    (await sendForJson<{ data: Match[] }>(`${root}/search`, { method: 'POST', body: { query, limit: 50 } })).data,
  create: (title: string) => sendForJson<ConversationSummary>(root, { method: 'POST', body: { title } }),
  get: (id: string) => sendForJson<StoredConversation>(at(id)),
  change: (id: string, what: { title?: string; active?: string }) =>
    sendForJson<ConversationSummary>(at(id), { method: 'POST', body: what }),
  put: (id: string, message: Message, keepalive = false) =>
    send(at(id, '/messages'), { method: 'POST', body: message, keepalive }),
  remove: (id: string) => send(at(id), { method: 'DELETE' }),
  removeAll: () => send(root, { method: 'DELETE' }),
  exportAddress: (id: string, format: 'md' | 'json') => at(id, `/export.${format}`),
};
