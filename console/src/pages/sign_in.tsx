import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from '../api/http.ts';
import { problemText, t } from '../i18n/index.ts';
import { signIn } from '../state/session.ts';
import { Brand } from '../ui/brand.tsx';
import { LanguageChoice } from '../ui/language_choice.tsx';

export function SignInPage() {
  const [key, setKey] = useState('');
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = `${t('sign_in.title')} - ${t('app.name')}`;
    input.current?.focus();
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy || key.trim() === '') return;
    setBusy(true);
    try {
      await signIn(key.trim());
    } catch (error) {
      const wrong = error instanceof ApiError && (error.status === 401 || error.status === 403);
      setProblem(wrong ? t('sign_in.wrong') : problemText(error));
      setBusy(false);
      input.current?.focus();
    }
  };
  return (
    <main class="sign-in">
      <form onSubmit={submit}>
        <Brand />
        <h1>{t('sign_in.title')}</h1>
        <p>{t('sign_in.about')}</p>
        <label for="sign-in-key">{t('sign_in.key')}</label>
        <input
          id="sign-in-key"
          ref={input}
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          value={key}
          aria-invalid={problem !== ''}
          aria-describedby={problem ? 'sign-in-problem' : undefined}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        {problem && (
          <p id="sign-in-problem" class="field-problem" role="alert">
            {problem}
          </p>
        )}
        <button type="submit" class="button main" disabled={busy}>
          {t('sign_in.submit')}
        </button>
        <LanguageChoice />
      </form>
    </main>
  );
}
