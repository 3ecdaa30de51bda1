import { t } from '../i18n/index.ts';

export function Brand() {
  return (
    <span class="brand">
      <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false">
        <rect width="32" height="32" rx="7" class="brand-ground" />
        <path
          d="M16 5c1 4.500 6 6.600 6 12a6 6 0 0 1-12 0c0-2.600 1.300-4 2.300-5.400.4 1.700 1.300 2.600 2.200 2.900C14 11 14 8 16 5z"
          class="brand-fire"
        />
        <path d="M8 26h16" class="brand-floor" />
      </svg>
      <span>{t('app.name')}</span>
    </span>
  );
}
