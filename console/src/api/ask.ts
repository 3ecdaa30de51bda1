// POST /v1/ask: an answer from the documents, with citations, as the events of a chat.
import { ApiError, send } from './http.ts';
import { sseEvents } from './sse.ts';
import type { ChatEvent } from './chat.ts';
import type { Source } from '../state/tree.ts';

interface AskEvent {
  object?: string;
  error?: { message?: string };
  text?: string;
  answer?: string;
  supported?: boolean;
  citations?: Source[];
  nearest?: Source[];
  usage?: { prompt_tokens: number; completion_tokens: number };
}

const quoteCharactersMax = 600; // of what is kept with the message
const sourcesMax = 12;

const shortened = (sources: Source[] = []): Source[] =>
  sources.slice(0, sourcesMax).map(({ number, document, heading, line_first, line_last, quote, file_changed }) => ({
    number, document, heading, line_first, line_last, quote: quote.slice(0, quoteCharactersMax), file_changed,
  }));

export function askEventsOf(event: AskEvent): ChatEvent[] {
  if (event.error) throw new ApiError(500, event.error.message ?? '');
  if (event.object === 'ask.delta') return [{ kind: 'text', text: event.text ?? '' }];
  const events: ChatEvent[] = [
    {
      kind: 'found',
      text: event.answer ?? '',
      supported: event.supported === true,
      citations: shortened(event.citations),
      nearest: shortened(event.nearest),
    },
    { kind: 'ended', finish: 'stop' },
  ];
  if (event.usage) {
    events.push({
      kind: 'usage',
      promptTokens: event.usage.prompt_tokens,
      completionTokens: event.usage.completion_tokens,
      seed: undefined,
    });
  }
  return events;
}

export async function* streamAsk(model: string, question: string, signal: AbortSignal): AsyncGenerator<ChatEvent> {
  const response = await send('/v1/ask', { method: 'POST', body: { model, question, stream: true }, signal });
  yield { kind: 'begun', receipt: response.headers.get('x-tatara-receipt') ?? '' };
  if (!response.body) return;
  for await (const event of sseEvents(response.body)) {
    if (event === '[DONE]') return;
    yield* askEventsOf(JSON.parse(event) as AskEvent);
  }
  throw new ApiError(0, 'the stream ended early');
}
