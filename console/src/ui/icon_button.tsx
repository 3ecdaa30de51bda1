import type { Ref } from 'preact';
import { Icon, type IconName } from './icon.tsx';

interface Wish {
  icon: IconName;
  label: string; // said by screen readers and shown on hover
  onClick: () => void;
  text?: boolean; // show the label too
  kind?: 'plain' | 'main' | 'danger';
  disabled?: boolean;
  inactive?: boolean; // does nothing now, but keeps the focus that it has
  expanded?: boolean;
  controls?: string;
  class?: string;
  buttonRef?: Ref<HTMLButtonElement>;
}

export function IconButton(wish: Wish) {
  return (
    <button
      type="button"
      ref={wish.buttonRef}
      class={`button ${wish.kind ?? 'plain'} ${wish.text ? 'with-text' : 'icon-only'} ${wish.class ?? ''}`}
      aria-label={wish.text ? undefined : wish.label}
      title={wish.text ? undefined : wish.label}
      aria-expanded={wish.expanded}
      aria-controls={wish.controls}
      disabled={wish.disabled}
      aria-disabled={wish.inactive || undefined}
      onClick={wish.inactive ? undefined : wish.onClick}
    >
      <Icon name={wish.icon} />
      {wish.text && <span>{wish.label}</span>}
    </button>
  );
}
