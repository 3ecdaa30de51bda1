// A text box that grows with its text, and sends on the key that the person has chosen. Enter that ends a
// conversion of an input method (Japanese, Chinese, Korean) never sends.
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { SendKey } from '../state/preferences.ts';

interface Wish {
  id: string;
  label: string;
  value: string;
  placeholder?: string;
  describedBy?: string;
  sendKey: SendKey;
  onText: (text: string) => void;
  onSend: () => void;
  onEscape?: () => void;
  focusFirst?: boolean;
}

interface KeyPress {
  key: string;
  isComposing: boolean;
  keyCode: number;
  shiftKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
}

const keyCodeOfInputMethods = 229; // Safari ends the composition before it reports the key

export function wantsToSend(press: KeyPress, sendKey: SendKey): boolean {
  if (press.key !== 'Enter' || press.isComposing || press.keyCode === keyCodeOfInputMethods) return false;
  const command = press.ctrlKey || press.metaKey;
  return sendKey === 'enter' ? !press.shiftKey || command : command;
}

export function GrowingText(wish: Wish) {
  const box = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight + 2}px`;
  }, [wish.value]);
  useLayoutEffect(() => {
    if (wish.focusFirst) box.current?.focus();
  }, []);
  return (
    <textarea
      id={wish.id}
      ref={box}
      rows={1}
      value={wish.value}
      placeholder={wish.placeholder}
      aria-label={wish.label}
      aria-describedby={wish.describedBy}
      onInput={(event) => wish.onText(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (wantsToSend(event, wish.sendKey)) {
          event.preventDefault();
          wish.onSend();
        } else if (event.key === 'Escape' && !event.isComposing && wish.onEscape) {
          event.stopPropagation();
          wish.onEscape();
        }
      }}
    />
  );
}
