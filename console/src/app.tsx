// The console: signing in, or the shell with the page that the address names.
import { effect } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { language, t } from './i18n/index.ts';
import { SignInPage } from './pages/sign_in.tsx';
import { place, watchAddress } from './router.ts';
import { Shell } from './shell/shell.tsx';
import { announcement } from './state/announcer.ts';
import { theme } from './state/preferences.ts';
import { enter, session } from './state/session.ts';
import { keepUnfinishedAnswers } from './state/threads.ts';
import { pageAt } from './pages/index.ts';

function followPreferences(): () => void {
  return effect(() => {
    document.documentElement.lang = language.value;
    if (theme.value === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme.value;
  });
}

export function App() {
  useEffect(() => {
    const stop = followPreferences();
    watchAddress();
    addEventListener('pagehide', keepUnfinishedAnswers);
    void enter();
    return stop;
  }, []);
  const Page = pageAt(place.value.page);
  return (
    <>
      {session.value === 'signed-out' && <SignInPage />}
      {session.value === 'loading' && (
        <p class="loading" role="status">
          {t('app.loading')}
        </p>
      )}
      {session.value === 'ready' && (
        <Shell>
          <Page />
        </Shell>
      )}
      <p class="off-screen" role="status" aria-live="polite">
        {announcement.value}
      </p>
    </>
  );
}
