// The conversations that are open in this page: what is shown, what is being answered, what is kept on the server.
import { computed, signal, type Signal } from '@preact/signals';
import { streamAsk } from '../api/ask.ts';
import { streamChat, type ChatEvent, type ChatMessage } from '../api/chat.ts';
import { conversationsApi } from '../api/conversations.ts';
import { problemText, t } from '../i18n/index.ts';
import { go, place } from '../router.ts';
import { announce } from './announcer.ts';
import { GrowingAnswer } from './growing_answer.ts';
import { forgetSummary, historyIsKept, noteSummary } from './history.ts';
import { model } from './models.ts';
import { instructions, sampling } from './preferences.ts';
import { showProblem } from './problems.ts';
import { freshId, newestLeafUnder, pathTo, titleOf, type Message } from './tree.ts';

export class Thread {
  readonly id: Signal<string | null> = signal(null); // null: not kept on the server
  readonly title = signal('');
  readonly messages = signal<Message[]>([]);
  readonly active = signal<string | null>(null);
  readonly answering = signal<string | null>(null); // the answer that grows
  readonly path = computed(() => pathTo(this.messages.value, this.active.value));
  private abort: AbortController | null = null;
  private saving: Promise<void> = Promise.resolve();
  private forgotten = false;

  async ask(text: string, wish: { documents: boolean; parent?: string | null }): Promise<void> {
    const parent = wish.parent === undefined ? this.active.value : wish.parent;
    const question: Message = { id: freshId(), parent, role: 'user', content: text, created_at: now() };
    if (wish.documents) question.details = { from: 'documents' };
    if (this.title.value === '') this.title.value = titleOf(text) || t('chat.untitled');
    this.add(question);
    this.keep(question);
    await this.answer(question.id);
  }

  // A changed question is a new version beside the old one.
  change(question: Message, text: string): Promise<void> {
    return this.ask(text, { documents: question.details?.from === 'documents', parent: question.parent });
  }

  retry(answer: Message): Promise<void> {
    return answer.parent === null ? Promise.resolve() : this.answer(answer.parent);
  }

  stop(): void {
    this.abort?.abort();
  }

  // Deleted: what is still under way must not bring it back.
  forget(): void {
    this.forgotten = true;
    this.stop();
  }

  show(message: Message): void {
    this.active.value = newestLeafUnder(this.messages.value, message.id);
    const id = this.id.value;
    if (id !== null && this.active.value !== null) {
      conversationsApi.change(id, { active: this.active.value }).catch(() => {}); // where one was; no loss
    }
  }

  async rename(title: string): Promise<void> {
    this.title.value = title;
    if (this.id.value !== null) noteSummary(await conversationsApi.change(this.id.value, { title }));
  }

  // What is there of a growing answer is kept although the page goes away.
  keepUnfinished(): void {
    const message = this.messages.value.find((each) => each.id === this.answering.value);
    if (message && this.id.value !== null && message.content && !this.forgotten) {
      conversationsApi.put(this.id.value, { ...message, finish: 'stopped' }, true).catch(() => {});
    }
  }

  private async answer(parent: string): Promise<void> {
    if (this.answering.value !== null) return;
    const question = pathTo(this.messages.value, parent);
    const answer: Message = {
      id: freshId(), parent, role: 'assistant', content: '', model: model.value, created_at: now(),
    };
    this.add(answer);
    this.answering.value = answer.id;
    this.abort = new AbortController();
    announce(t('chat.says_begun'));
    const grown = new GrowingAnswer(answer, (message) => this.replace(message));
    try {
      for await (const event of eventsFor(question, this.abort.signal)) grown.take(event);
      announce(grown.done());
    } catch (error) {
      announce(grown.failed(this.abort.signal.aborted ? null : problemText(error)));
    } finally {
      this.answering.value = null;
      this.abort = null;
      this.keep(grown.message);
    }
  }

  private add(message: Message): void {
    this.messages.value = [...this.messages.value, message];
    this.active.value = message.id;
  }

  private replace(message: Message): void {
    this.messages.value = this.messages.value.map((each) => (each.id === message.id ? message : each));
  }

  // One after the other: a conversation before its messages, a question before its answer.
  private keep(message: Message): void {
    if (!historyIsKept.value) return;
    this.saving = this.saving.then(async () => {
      if (this.forgotten) return;
      try {
        if (this.id.value === null) {
          const made = await conversationsApi.create(this.title.value);
          this.id.value = made.id;
          open.set(made.id, this);
          noteSummary(made);
          if (current.value === this) go('chat', made.id, { replace: true });
        }
        await conversationsApi.put(this.id.value, message);
        noteSummary({ id: this.id.value, updated_at: now(), title: this.title.value });
      } catch (error) {
        showProblem(t('problem.not_kept', { message: problemText(error) }));
      }
    });
  }
}

const now = () => Math.floor(Date.now() / 1000);

// Documents are asked the question alone; a model is told what was said before.
function eventsFor(path: readonly Message[], signal: AbortSignal): AsyncGenerator<ChatEvent> {
  const question = path.at(-1);
  if (question?.details?.from === 'documents') return streamAsk(model.value, question.content, signal);
  return streamChat({ model: model.value, messages: conversationOf(path), sampling: sampling.value }, signal);
}

function conversationOf(path: readonly Message[]): ChatMessage[] {
  const messages: ChatMessage[] = path.map(({ role, content }) => ({ role, content }));
  const text = instructions.value.trim();
  return text ? [{ role: 'system', content: text }, ...messages] : messages;
}

const open = new Map<string, Thread>();
export const current = signal(new Thread());

export function beginConversation(): void {
  current.value = new Thread();
  go('chat');
}

// Follows the address.
export async function showConversation(id: string): Promise<void> {
  if (id === '') {
    if (current.value.id.value !== null) current.value = new Thread();
    return;
  }
  if (current.value.id.value === id) return;
  let thread = open.get(id);
  if (!thread) {
    const stored = await conversationsApi.get(id);
    thread = new Thread();
    thread.id.value = stored.id;
    thread.title.value = stored.title;
    thread.messages.value = stored.messages;
    thread.active.value = stored.active ?? stored.messages.at(-1)?.id ?? null;
    forgetIdle();
    open.set(id, thread);
  }
  if (place.value.page === 'chat' && place.value.rest === id) current.value = thread;
}

export async function deleteConversation(id: string): Promise<void> {
  await conversationsApi.remove(id);
  forgetThread(id);
  forgetSummary(id);
}

function forgetThread(id: string): void {
  open.get(id)?.forget();
  open.delete(id);
  if (current.value.id.value === id) beginConversation();
}

export function forgetAllThreads(): void {
  current.value.forget();
  for (const id of [...open.keys()]) forgetThread(id);
  beginConversation();
}

const idleMax = 20;
function forgetIdle(): void {
  for (const [id, thread] of open) {
    if (open.size < idleMax) return;
    if (thread.answering.value === null && thread !== current.value) open.delete(id);
  }
}

export function keepUnfinishedAnswers(): void {
  for (const thread of new Set([...open.values(), current.value])) thread.keepUnfinished();
}
