import type { ChatEvent } from '../api/chat.ts';
import { t } from '../i18n/index.ts';
import { announce, SentenceTeller } from './announcer.ts';
import type { Details, Message } from './tree.ts';

// An answer while it comes in; drawn at most once a frame.
export class GrowingAnswer {
  message: Message;
  private readonly show: (message: Message) => void;
  private readonly begun = performance.now();
  private readonly teller = new SentenceTeller(announce);
  private drawing = 0;

  constructor(message: Message, show: (message: Message) => void) {
    this.message = message;
    this.show = show;
  }

  take(event: ChatEvent): void {
    this.apply(event);
    if (this.drawing === 0) {
      this.drawing = requestAnimationFrame(() => {
        this.drawing = 0;
        this.show(this.message);
      });
    }
  }

  private apply(event: ChatEvent): void {
    switch (event.kind) {
      case 'begun':
        return this.set({ receipt: event.receipt });
      case 'text':
        if (!this.message.content) this.detail({ first_token_seconds: this.seconds() });
        this.set({ content: this.message.content + event.text });
        return this.teller.grown(this.message.content);
      case 'reasoning':
        return this.set({ reasoning: (this.message.reasoning ?? '') + event.text });
      case 'found':
        this.set({ content: event.text });
        this.detail({ from: 'documents', supported: event.supported, citations: event.citations });
        return event.supported ? undefined : this.detail({ nearest: event.nearest });
      case 'ended':
        return this.set({ finish: event.finish });
      case 'usage':
        this.detail({ prompt_tokens: event.promptTokens, completion_tokens: event.completionTokens });
        if (event.seed !== undefined) this.detail({ seed: event.seed });
    }
  }

  done(): string {
    this.detail({ seconds: this.seconds() });
    this.settle();
    this.teller.finished(this.message.content);
    return t('chat.says_done');
  }

  // Nothing to say where the user stopped it. An answer that did not end has no receipt.
  failed(problem: string | null): string {
    const { receipt: _, ...rest } = this.message;
    this.message = { ...rest, finish: problem === null ? 'stopped' : 'failed' };
    this.detail({ seconds: this.seconds(), ...(problem === null ? {} : { error: problem }) });
    this.settle();
    if (problem === null) return t('chat.says_stopped');
    return t(this.message.content === '' ? 'chat.failed' : 'chat.broken', { message: problem });
  }

  private settle(): void {
    cancelAnimationFrame(this.drawing);
    this.show(this.message);
  }
  private set(what: Partial<Message>): void {
    this.message = { ...this.message, ...what };
  }
  private detail(what: Details): void {
    this.set({ details: { ...this.message.details, ...what } });
  }
  private seconds(): number {
    return Math.round(performance.now() - this.begun) / 1000;
  }
}
