// What screen readers are told, in a region of its own: the streamed text itself changes with every token and
// would be read over and over.
import { signal } from '@preact/signals';

export const announcement = signal('');

export function announce(text: string): void {
  // The same text twice is news only if it changes in between.
  announcement.value = announcement.value === text ? `${text}\u00a0` : text;
}

const sentenceEnd = /[。．！？!?]|[.:;](?=\s)|\n/g;

// Tells a growing text in whole sentences, not more often than a voice can follow.
export class SentenceTeller {
  private told = 0;
  private last = -Infinity;
  private readonly tell: (text: string) => void;
  private readonly now: () => number;
  private readonly everyMs: number;

  constructor(tell: (text: string) => void, now: () => number = () => performance.now(), everyMs = 1500) {
    this.tell = tell;
    this.now = now;
    this.everyMs = everyMs;
  }

  grown(text: string): void {
    if (this.now() - this.last < this.everyMs) return;
    const fresh = text.slice(this.told);
    let end = 0;
    for (const match of fresh.matchAll(sentenceEnd)) end = match.index + match[0].length;
    if (end > 0) this.say(fresh.slice(0, end));
  }

  finished(text: string): void {
    if (text.length > this.told) this.say(text.slice(this.told));
  }

  private say(text: string): void {
    this.told += text.length;
    this.last = this.now();
    if (text.trim()) this.tell(text.trim());
  }
}
