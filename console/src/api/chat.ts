// POST /v1/chat/completions as a stream of what is new.
import { ApiError, send } from './http.ts';
import { sseEvents } from './sse.ts';
import type { Sampling } from '../state/sampling.ts';
import type { Source } from '../state/tree.ts';

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface ChatRequest {
  model: string;
  messages: ChatMessage[];
  sampling: Sampling;
}

export type ChatEvent =
  | { kind: 'begun'; receipt: string }
  | { kind: 'text'; text: string }
  | { kind: 'reasoning'; text: string }
  | { kind: 'found'; text: string; supported: boolean; citations: Source[]; nearest: Source[] } // from documents
  | { kind: 'ended'; finish: string }
  | { kind: 'usage'; promptTokens: number; completionTokens: number; seed: number | undefined };

interface Chunk {
  error?: { message?: string };
  choices?: {
    delta?: { content?: string | null; reasoning_content?: string | null };
    finish_reason?: string | null;
  }[];
  usage?: { prompt_tokens: number; completion_tokens: number } | null;
  tatara?: { seed?: number };
}

// Absent values are the model's or the server's own.
export function chatBody(request: ChatRequest): Record<string, unknown> {
  const body: Record<string, unknown> = {
    model: request.model,
    messages: request.messages,
    stream: true,
    stream_options: { include_usage: true },
  };
  for (const [name, value] of Object.entries(request.sampling)) {
    if (value !== undefined) body[name] = value;
  }
  return body;
}

export function eventsOf(chunk: Chunk): ChatEvent[] {
  if (chunk.error) throw new ApiError(500, chunk.error.message ?? '');
  const events: ChatEvent[] = [];
  const choice = chunk.choices?.[0];
  if (choice?.delta?.reasoning_content) events.push({ kind: 'reasoning', text: choice.delta.reasoning_content });
  if (choice?.delta?.content) events.push({ kind: 'text', text: choice.delta.content });
  if (choice?.finish_reason) events.push({ kind: 'ended', finish: choice.finish_reason });
  if (chunk.usage) {
    events.push({
      kind: 'usage',
      promptTokens: chunk.usage.prompt_tokens,
      completionTokens: chunk.usage.completion_tokens,
      seed: chunk.tatara?.seed,
    });
  }
  return events;
}

export async function* streamChat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<ChatEvent> {
  const response = await send('/v1/chat/completions', { method: 'POST', body: chatBody(request), signal });
  yield { kind: 'begun', receipt: response.headers.get('x-tatara-receipt') ?? '' };
  if (!response.body) return;
  for await (const event of sseEvents(response.body)) {
    if (event === '[DONE]') return;
    yield* eventsOf(JSON.parse(event) as Chunk);
  }
  throw new ApiError(0, 'the stream ended early');
}
