// A conversation is a tree: asking again or changing a question adds a sibling, so nothing that was said is
// lost. What is shown is the path from the root to one message.

// A passage of a document.
export interface Source {
  number: number; // as the answer's [1]
  document: string;
  heading: string; // "A > B > C"
  line_first: number;
  line_last: number;
  quote: string;
  file_changed: boolean;
}

export interface Message {
  id: string;
  parent: string | null;
  role: 'user' | 'assistant';
  content: string;
  reasoning?: string;
  model?: string;
  receipt?: string;
  finish?: string; // "stop", "length", "stopped" (by the user), "failed"
  details?: Details;
  created_at?: number; // seconds
}

export interface Details {
  error?: string;
  prompt_tokens?: number;
  completion_tokens?: number;
  seed?: number;
  seconds?: number;
  first_token_seconds?: number;
  from?: 'documents'; // a question to the documents, or its answer
  supported?: boolean;
  citations?: Source[];
  nearest?: Source[]; // where the documents do not say it
}

export function pathTo(messages: readonly Message[], leaf: string | null): Message[] {
  const byId = new Map(messages.map((message) => [message.id, message]));
  const path: Message[] = [];
  for (let at = leaf; at !== null && path.length <= messages.length; ) {
    const message = byId.get(at);
    if (!message) break;
    path.unshift(message);
    at = message.parent;
  }
  return path;
}

// The versions of one place in the conversation, oldest first.
export function siblingsOf(messages: readonly Message[], message: Message): Message[] {
  return messages.filter((other) => other.parent === message.parent && other.role === message.role);
}

// Where one arrives by always taking the newest.
export function newestLeafUnder(messages: readonly Message[], id: string): string {
  let at = id;
  for (let steps = 0; steps < messages.length; ++steps) {
    const child = messages.filter((message) => message.parent === at).at(-1);
    if (!child) break;
    at = child.id;
  }
  return at;
}

// The first line of what was asked, cut at a length that a list can show.
export function titleOf(text: string, charactersMax = 60): string {
  const line = text.trim().split(/\r?\n/, 1)[0]?.replace(/\s+/g, ' ') ?? '';
  const characters = [...line];
  return characters.length > charactersMax ? `${characters.slice(0, charactersMax - 1).join('')}…` : line;
}

export function freshId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
