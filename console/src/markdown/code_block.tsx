import { t } from '../i18n/index.ts';
import { CopyButton } from '../ui/copy_button.tsx';
import { highlighted, type Piece } from './highlight.ts';

function Pieces({ pieces }: { pieces: Piece[] }) {
  return (
    <>
      {pieces.map((piece, index) =>
        piece.text !== undefined ? (
          piece.text
        ) : (
          <span key={index} class={piece.kinds}>
            <Pieces pieces={piece.children} />
          </span>
        ),
      )}
    </>
  );
}

export function CodeBlock({ code, language, settled }: { code: string; language: string; settled: boolean }) {
  const pieces = settled ? highlighted(code, language.toLowerCase()) : undefined;
  return (
    <figure class="code-block">
      <figcaption>
        <span>{language || t('chat.code')}</span>
        <CopyButton text={code} label={t('chat.code_copy')} />
      </figcaption>
      <pre tabIndex={0}>
        <code>{pieces ? <Pieces pieces={pieces} /> : code}</code>
      </pre>
    </figure>
  );
}
