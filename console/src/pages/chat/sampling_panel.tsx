import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { t, type Key } from '../../i18n/index.ts';
import { instructions, sampling } from '../../state/preferences.ts';
import { readField, samplingFields, type SamplingField } from '../../state/sampling.ts';
import { IconButton } from '../../ui/icon_button.tsx';

function Field({ field }: { field: SamplingField }) {
  const id = useId();
  const value = sampling.value[field.name];
  const [typed, setTyped] = useState(value === undefined ? '' : String(value));
  const wrong = readField(field, typed) === 'wrong';
  useEffect(() => {
    if (value === undefined) setTyped('');
  }, [value]);
  const change = (text: string) => {
    setTyped(text);
    const read = readField(field, text);
    if (read === 'wrong') return;
    const { [field.name]: _, ...others } = sampling.value;
    sampling.value = read === undefined ? others : { ...others, [field.name]: read };
  };
  const range = { least: field.least, most: field.most };
  return (
    <div class="field">
      <label for={id}>{t(`sampling.${field.name}` as Key)}</label>
      <input
        id={id}
        type="text"
        inputMode={field.least < 0 ? 'text' : field.whole ? 'numeric' : 'decimal'}
        autocomplete="off"
        placeholder={t('sampling.default')}
        value={typed}
        aria-invalid={wrong}
        aria-describedby={`${id}-hint`}
        onInput={(event) => change(event.currentTarget.value)}
      />
      <p id={`${id}-hint`} class={wrong ? 'field-problem' : 'field-hint'}>
        {wrong ? t('sampling.wrong', range) : t(`sampling.${field.name}_hint` as Key)}
      </p>
    </div>
  );
}

const first = samplingFields.filter((field) => ['temperature', 'max_tokens', 'seed'].includes(field.name));
const others = samplingFields.filter((field) => !first.includes(field));

export function SamplingPanel({ onClose }: { onClose: () => void }) {
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => title.current?.focus(), []);
  return (
    <aside
      id="sampling-panel"
      class="panel"
      aria-labelledby="sampling-title"
      onKeyDown={(event) => {
        if (event.key === 'Escape' && !event.isComposing) onClose();
      }}
    >
      <header>
        <h2 id="sampling-title" ref={title} tabIndex={-1}>
          {t('sampling.title')}
        </h2>
        <IconButton icon="close" label={t('dialog.close')} onClick={onClose} />
      </header>
      <div class="panel-body">
        <div class="field">
          <label for="instructions">{t('sampling.instructions')}</label>
          <textarea
            id="instructions"
            rows={4}
            value={instructions.value}
            aria-describedby="instructions-hint"
            onInput={(event) => {
              instructions.value = event.currentTarget.value;
            }}
          />
          <p id="instructions-hint" class="field-hint">
            {t('sampling.instructions_hint')}
          </p>
        </div>
        {first.map((field) => (
          <Field key={field.name} field={field} />
        ))}
        <details open={others.some((field) => sampling.value[field.name] !== undefined)}>
          <summary>{t('sampling.more')}</summary>
          {others.map((field) => (
            <Field key={field.name} field={field} />
          ))}
        </details>
        <button
          type="button"
          class="button plain bordered"
          onClick={() => {
            sampling.value = {};
          }}
        >
          {t('sampling.reset')}
        </button>
      </div>
    </aside>
  );
}
