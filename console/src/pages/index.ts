// The pages of the console by the name in the address. A new page: a folder beside this file, a row here.
import type { ComponentType } from 'preact';
import type { Key } from '../i18n/index.ts';
import type { IconName } from '../ui/icon.tsx';
import { ChatPage } from './chat/page.tsx';

export interface PageRow {
  name: string;
  title: Key;
  icon: IconName;
  page: ComponentType;
}

export const pages: readonly PageRow[] = [{ name: 'chat', title: 'chat.title', icon: 'chat', page: ChatPage }];

export function pageAt(name: string): ComponentType {
  return pages.find((row) => row.name === name)?.page ?? ChatPage;
}
