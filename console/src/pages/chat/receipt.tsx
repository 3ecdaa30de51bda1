import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { ApiError } from '../../api/http.ts';
import { fetchReceipt, type ReceiptView } from '../../api/receipts.ts';
import { dateTime, number, problemText, t, type Key } from '../../i18n/index.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { Icon } from '../../ui/icon.tsx';
import { saveFile } from '../../ui/save_file.ts';

export const shownReceipt = signal<string | null>(null);

const longText = 400; // characters of a value in the table

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > longText ? `${text.slice(0, longText)}…` : text;
}

// The lines of the summary; what a receipt of another kind lacks is left out.
function summaryOf(receipt: ReceiptView): [Key, string][] {
  const value = (name: string) => receipt.fields.find((field) => field.name === name)?.value;
  const count = (name: string) => {
    const list = value(name);
    return Array.isArray(list) ? number(list.length) : undefined;
  };
  const created = value('created');
  const lines: [Key, string | undefined][] = [
    ['receipt.model', value('input.model_name') as string | undefined],
    ['receipt.model_digest', value('input.model_sha256') as string | undefined],
    ['receipt.created', typeof created === 'string' ? dateTime(Date.parse(created) / 1000) : undefined],
    ['receipt.program', value('program') === undefined ? undefined : `Tatara ${shown(value('program'))}`],
    ['receipt.contract', value('contract') === undefined ? undefined : shown(value('contract'))],
    ['receipt.sampling', samplingText(value('input.sampling'))],
    ['receipt.prompt_tokens', count('input.token_ids')],
    ['receipt.output_tokens', count('output.token_ids')],
    ['receipt.signed_by', receipt.signedBy],
  ];
  return lines.filter((line): line is [Key, string] => typeof line[1] === 'string' && line[1] !== '');
}

function samplingText(sampling: unknown): string | undefined {
  if (typeof sampling !== 'object' || sampling === null) return undefined;
  return Object.entries(sampling)
    .filter(([, value]) => !(Array.isArray(value) && value.length === 0))
    .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
    .join(', ');
}

function AllFields({ receipt }: { receipt: ReceiptView }) {
  return (
    <details class="receipt-fields">
      <summary>{t('receipt.all')}</summary>
      <div class="table-scroll" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t('receipt.field')}</th>
              <th scope="col">{t('receipt.value')}</th>
              <th scope="col">SHA-256</th>
            </tr>
          </thead>
          <tbody>
            {receipt.fields.map((field) => (
              <tr key={field.name}>
                <th scope="row">{field.name}</th>
                <td class="value">{field.redacted ? t('receipt.redacted') : shown(field.value)}</td>
                <td class="digest">{field.sha256.slice(0, 16)}…</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function Contents({ receipt, file }: { receipt: ReceiptView; file: string }) {
  return (
    <>
      <p>{t('receipt.about')}</p>
      <dl class="facts">
        {summaryOf(receipt).map(([key, value]) => (
          <div key={key}>
            <dt>{t(key)}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <p class="command-title">{t('receipt.check')}</p>
      <pre class="command" tabIndex={0}>
        <code>{`tatara verify ${file}\ntatara replay ${file}`}</code>
      </pre>
      <AllFields receipt={receipt} />
    </>
  );
}

export function ReceiptDialog({ id, onClose }: { id: string; onClose: () => void }) {
  const [receipt, setReceipt] = useState<ReceiptView | null>(null);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    fetchReceipt(id).then(setReceipt, (error: unknown) => {
      setProblem(error instanceof ApiError && error.status === 404 ? t('receipt.gone') : problemText(error));
    });
  }, [id]);
  const file = `${id}.json`;
  return (
    <Dialog
      title={t('receipt.title')}
      onClose={onClose}
      wide
      actions={
        receipt && (
          <button
            type="button"
            class="button main with-text"
            onClick={() => saveFile(file, new Blob([receipt.text], { type: 'application/json' }))}
          >
            <Icon name="download" />
            <span>{t('receipt.download')}</span>
          </button>
        )
      }
    >
      {problem && (
        <p class="field-problem" role="alert">
          {problem}
        </p>
      )}
      {!problem && !receipt && <p role="status">{t('app.loading')}</p>}
      {receipt && <Contents receipt={receipt} file={file} />}
    </Dialog>
  );
}
