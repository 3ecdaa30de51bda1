// Colours for code, loaded when the first block needs them. The result is a tree of spans, never markup.
import { signal } from '@preact/signals';

export interface Piece {
  kinds: string; // class names, "hl-keyword"
  text?: string;
  children: Piece[];
}

type Highlighter = (code: string, language: string) => Piece[] | undefined;

// Longer code stays plain: colouring it would hold the page up.
const charactersMax = 50_000;

const highlighter = signal<Highlighter | undefined>(undefined);
let asked = false;

export function highlighted(code: string, language: string): Piece[] | undefined {
  if (!language || code.length > charactersMax) return undefined;
  if (!asked) {
    asked = true;
    import('./languages.ts').then(
      (loaded) => {
        highlighter.value = loaded.highlight;
      },
      () => {},
    );
  }
  return highlighter.value?.(code, language);
}
