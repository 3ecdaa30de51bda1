// A question before something that can not be undone.
import { t } from '../i18n/index.ts';
import { Dialog } from './dialog.tsx';

interface Wish {
  title: string;
  more: string;
  action: string;
  onYes: () => void;
  onNo: () => void;
}

export function Confirm({ title, more, action, onYes, onNo }: Wish) {
  return (
    <Dialog
      title={title}
      onClose={onNo}
      actions={
        <>
          <button type="button" class="button plain" onClick={onNo}>
            {t('dialog.cancel')}
          </button>
          <button type="button" class="button danger" onClick={onYes}>
            {action}
          </button>
        </>
      }
    >
      <p>{more}</p>
    </Dialog>
  );
}
