import { useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import { announce } from '../state/announcer.ts';
import { IconButton } from './icon_button.tsx';

const shownMs = 2000;

// Pages that came without TLS from another machine have no clipboard interface.
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'off-screen';
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    if (!(await copyText(text))) return;
    setDone(true);
    announce(t('chat.copied'));
    setTimeout(() => setDone(false), shownMs);
  };
  return <IconButton icon={done ? 'check' : 'copy'} label={done ? t('chat.copied') : label} onClick={copy} />;
}
