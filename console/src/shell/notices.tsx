import { t } from '../i18n/index.ts';
import { notice } from '../state/problems.ts';
import { IconButton } from '../ui/icon_button.tsx';

export function Notices() {
  const shown = notice.value;
  return (
    <div class="notices" role="alert">
      {shown && (
        <div class={`notice ${shown.kind}`}>
          <p>{shown.text}</p>
          <IconButton
            icon="close"
            label={t('problem.dismiss')}
            onClick={() => {
              notice.value = null;
            }}
          />
        </div>
      )}
    </div>
  );
}
