// The conversation, scrolled along with the answer unless the reader has scrolled away from its end.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { t } from '../../i18n/index.ts';
import type { Thread } from '../../state/threads.ts';
import { IconButton } from '../../ui/icon_button.tsx';
import { Answer } from './answer.tsx';
import { Question } from './question.tsx';

const nearEndPixels = 60;

export function Messages({ thread }: { thread: Thread }) {
  const box = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const [away, setAway] = useState(false);
  const path = thread.path.value;
  const last = path.at(-1);
  const toEnd = () => {
    const element = box.current;
    if (element) element.scrollTop = element.scrollHeight;
  };
  useLayoutEffect(() => {
    if (following.current) toEnd();
  }, [last?.content, last?.reasoning, last?.finish, path.length]);
  useEffect(() => {
    following.current = true;
    toEnd();
  }, [thread.answering.value !== null]);
  const scrolled = () => {
    const element = box.current;
    if (!element) return;
    following.current = element.scrollHeight - element.scrollTop - element.clientHeight < nearEndPixels;
    setAway(!following.current);
  };
  return (
    <div class="messages-frame">
      <div
        class="messages"
        ref={box}
        onScroll={scrolled}
        role="region"
        aria-label={t('chat.messages')}
        aria-busy={thread.answering.value !== null}
        tabIndex={0}
      >
        <ol>
          {path.map((message, index) => (
            // By place, not by message: the control that shows another version keeps the focus.
            <li key={index}>
              {message.role === 'user' ? (
                <Question thread={thread} message={message} />
              ) : (
                <Answer thread={thread} message={message} />
              )}
            </li>
          ))}
        </ol>
      </div>
      {away && <IconButton icon="down" class="to-end round" label={t('chat.to_end')} onClick={toEnd} />}
    </div>
  );
}
