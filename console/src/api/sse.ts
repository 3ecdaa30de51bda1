// Server-sent events (WHATWG HTML, section 9.2): the data of each event of a stream of bytes.
import { ApiError } from './http.ts';

export class SseParser {
  private rest = '';
  private data: string[] = [];

  // The texts of the events that these characters complete.
  push(text: string): string[] {
    const events: string[] = [];
    this.rest += text;
    for (;;) {
      const match = /\r\n|\n|\r(?=[^\n])/.exec(this.rest);
      if (!match) return events;
      const line = this.rest.slice(0, match.index);
      this.rest = this.rest.slice(match.index + match[0].length);
      if (line === '') {
        if (this.data.length > 0) events.push(this.data.join('\n'));
        this.data = [];
      } else if (line === 'data' || line.startsWith('data:')) {
        this.data.push(line.slice(5).replace(/^ /, ''));
      }
    }
  }
}

// Browsers have words of their own for a connection that is lost.
function brokenOff(error: unknown): never {
  if (error instanceof DOMException && error.name === 'AbortError') throw error;
  throw new ApiError(0, String(error));
}

export async function* sseEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const parser = new SseParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(brokenOff);
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
