import { t } from '../i18n/index.ts';
import { chosenLanguage } from '../state/preferences.ts';
import { Choice } from './choice.tsx';

export function LanguageChoice() {
  return (
    <Choice
      legend={t('settings.language')}
      value={chosenLanguage.value}
      options={[
        { value: '', label: t('settings.language_browser') },
        { value: 'ja', label: '日本語', lang: 'ja' },
        { value: 'en', label: 'English', lang: 'en' },
      ]}
      onChange={(value) => {
        chosenLanguage.value = value;
      }}
    />
  );
}
