// A button that opens a short list of actions. Tab walks through them; Escape closes and goes back.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Icon, type IconName } from './icon.tsx';
import { IconButton } from './icon_button.tsx';

export interface Action {
  icon: IconName;
  label: string;
  act?: () => void;
  href?: string; // a download
  danger?: boolean;
}

export function Actions({ label, actions }: { label: string; actions: Action[] }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  useEffect(() => {
    if (!open) return undefined;
    const away = (event: Event) => {
      if (event.target instanceof Node && !box.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener('pointerdown', away);
    document.addEventListener('focusin', away);
    return () => {
      document.removeEventListener('pointerdown', away);
      document.removeEventListener('focusin', away);
    };
  }, [open]);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  return (
    <div
      class="actions"
      ref={box}
      onKeyDown={(event) => {
        if (event.key === 'Escape' && open) {
          event.stopPropagation();
          close();
        }
      }}
    >
      <IconButton icon="more" label={label} onClick={() => setOpen(!open)} expanded={open} controls={id} buttonRef={button} />
      <ul id={id} hidden={!open}>
        {actions.map((action) => (
          <li key={action.label} class={action.danger ? 'danger' : undefined}>
            {action.href !== undefined ? (
              <a href={action.href} download onClick={close}>
                <Icon name={action.icon} />
                {action.label}
              </a>
            ) : (
              <button
                type="button"
                onClick={() => {
                  close();
                  action.act?.();
                }}
              >
                <Icon name={action.icon} />
                {action.label}
              </button>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
