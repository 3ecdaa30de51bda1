// The frame around every page: the side bar with pages and conversations, the notices. On a narrow window the
// side bar is a drawer over the page.
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import { place } from '../router.ts';
import { Notices } from './notices.tsx';
import { SideBar } from './side_bar.tsx';

export const drawerIsOpen = signal(false);
const narrow = globalThis.matchMedia?.('(max-width: 52rem)');

export function Shell({ children }: { children: ComponentChildren }) {
  const side = useRef<HTMLElement>(null);
  const open = drawerIsOpen.value;
  useEffect(() => {
    drawerIsOpen.value = false;
  }, [place.value]);
  useEffect(() => {
    if (open) side.current?.querySelector<HTMLElement>('button, a')?.focus();
  }, [open]);
  return (
    <div class={open ? 'shell drawer-open' : 'shell'}>
      <a class="skip" href="#message" onClick={skipTo('message')}>
        {t('app.skip')}
      </a>
      <aside
        id="side-bar"
        class="side"
        ref={side}
        aria-label={t('app.conversations')}
        onKeyDown={(event) => {
          if (event.key === 'Escape' && open) closeDrawer();
        }}
      >
        <SideBar onClose={closeDrawer} />
      </aside>
      {open && <div class="drawer-shade" onClick={closeDrawer} />}
      <div class="page" inert={open && narrow?.matches}>
        {children}
      </div>
      <Notices />
    </div>
  );
}

export function closeDrawer(): void {
  if (!drawerIsOpen.value) return;
  drawerIsOpen.value = false;
  requestAnimationFrame(() => document.getElementById('open-drawer')?.focus());
}

// The address behind '#' names the page, so a plain link would leave it.
function skipTo(id: string): (event: Event) => void {
  return (event) => {
    event.preventDefault();
    document.getElementById(id)?.focus();
  };
}
